"""The function pool: a runtime that forks Lithops's jobs, and the interpreter that its localhost backend is given."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from local import limits
from local.parts.launch import Facts, Launch
from local.parts.ready_file import read_ready
from local.state import Place

RUNNERS = Path(__file__).parents[1] / "runners"


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
        told = place.run(f"{self.name}.ready")
        temp = place.temp / self.name
        temp.mkdir(exist_ok=True)
        interpreter = temp / "python"
        interpreter.write_text(_script(place, self.name))
        interpreter.chmod(0o755)
        facts: Facts = {
            "workers": self.workers,
            "memory_mib": self.memory_mib,
            "python": str(interpreter),
            # Lithops puts runner, jobs and logs below tempfile.gettempdir(), asked once when it is imported
            # (lithops.constants): a session sets TMPDIR and tempfile.tempdir to this before that import.
            "temp_dir": str(temp),
        }
        command = [str(place.worker_python), str(RUNNERS / "function_runtime.py"),
                   "--socket", str(temp / "runtime"), "--ready-file", str(told)]  # fmt: skip
        return Launch(
            command,
            facts,
            lambda: read_ready(told),
            env={"PYTHONSAFEPATH": "1"},
            # One limit for all functions together: they come from one runtime.
            cgroup_mib=self.workers * self.memory_mib,
        )


def _script(place: Place, name: str) -> str:
    """The functions' interpreter, with the stack's mark, by which `down` finds what it starts.

    It joins the pool's cgroup by itself, for what it runs without the runtime.
    """
    group = limits.cgroup_of(place, name)
    processes = shlex.quote(str(group / "cgroup.procs")) if group else "/dev/null"
    python = shlex.quote(str(place.worker_python))
    return (
        "#!/bin/sh\n"
        f"[ ! -w {processes} ] || echo $$ > {processes} || exit 70\n"
        "unset PYTHONPATH PYTHONHOME\n"
        f"export BREAKEVEN_STACK={shlex.quote(str(place.root))} BREAKEVEN_PART={shlex.quote(name)}"
        f" TMPDIR={shlex.quote(str(place.temp / name))}\n"
        # -S: no site-packages, which it does not need and which take as long as all else it does
        f"exec {python} -S {shlex.quote(str(RUNNERS / 'function_call.py'))} "
        f'{shlex.quote(str(place.temp / name / "runtime"))} {python} "$@"\n'
    )
