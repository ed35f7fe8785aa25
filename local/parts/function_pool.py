"""The function pool: what Lithops's localhost backend is configured with. It has no server of its own."""

import shlex
from dataclasses import dataclass

from local import limits
from local.parts.launch import Facts, Launch
from local.state import Place


@dataclass(frozen=True)
class FunctionPool:
    """Up to `workers` functions of `memory_mib`, as processes that a Lithops session starts through our interpreter."""

    name: str = "functions"
    workers: int = 2
    memory_mib: int = 4096
    needs: tuple[str, ...] = ()

    @property
    def port(self) -> int:
        return 0

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        temp = place.temp / self.name
        temp.mkdir(exist_ok=True)
        group = limits.make_cgroup(place, self.name, self.workers * self.memory_mib)
        interpreter = place.run(f"{self.name}-python")
        interpreter.write_text(_script(place, self.name, str(group) if group else None))
        interpreter.chmod(0o755)
        facts: Facts = {
            "workers": self.workers,
            "memory_mib": self.memory_mib,
            # One limit for all functions together: Lithops starts them from one runner process.
            "memory_enforced_by": "cgroup" if group else "none",
            "python": str(interpreter),
            # Lithops puts runner, jobs and logs below tempfile.gettempdir(), asked once when it is imported
            # (lithops.constants): a session sets TMPDIR and tempfile.tempdir to this before that import.
            "temp_dir": str(temp),
        }
        return Launch([], facts, dict)


def _script(place: Place, name: str, cgroup: str | None) -> str:
    """The workers' interpreter, in the pool's cgroup and with the stack's mark, by which `down` finds it."""
    join = f"echo $$ > {shlex.quote(cgroup + '/cgroup.procs')} || exit 70\n" if cgroup else ""
    return (
        "#!/bin/sh\n"
        f"{join}"
        "unset PYTHONPATH PYTHONHOME\n"
        f"export BREAKEVEN_STACK={shlex.quote(str(place.root))} BREAKEVEN_PART={shlex.quote(name)}"
        f" TMPDIR={shlex.quote(str(place.temp / name))}\n"
        f'exec {shlex.quote(str(place.worker_python))} "$@"\n'
    )
