"""Starts, checks and ends the parts of a stack, one by one or the whole list, and keeps its state file true."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from local import limits, ports, processes, state, worker_env
from local.parts import Facts, FactValue, Launch, Part, to_dict
from local.processes import Interrupted, PartFailed
from local.state import Place, Record

Health = Literal["up", "absent", "gone", "different", "stale"]
"""Of a part: `gone` was started and no longer runs (ended, or the machine was restarted), `different` runs from another
description, `stale` runs for a part it needs that has been started anew."""

Say = Callable[[str], None]
HIDDEN_PREFIXES = ("AWS_", "DASK_", "LITHOPS_", "PULUMI_", "PYTHON", "RAY_")
HIDDEN_SUFFIX = "_proxy"
"""Of the caller's environment: settings, keys and proxies that are not for the parts. These behave the same from every
shell, and speak to nothing beyond loopback."""


def _silent(line: str) -> None:
    pass


def check(part: Part | str, state_dir: Path | str) -> Health:
    """The health of a part, given as itself or by name, without a request that costs: some milliseconds."""
    place = Place.of(state_dir)
    name = part if isinstance(part, str) else part.name
    return _health(None if isinstance(part, str) else part, name, place, state.read(place))


def status(state_dir: Path | str) -> dict[str, dict[str, Any]]:
    """By part name: its health and its facts. Empty for a stack that is down."""
    place = Place.of(state_dir)
    records = state.read(place)
    return {name: {"health": _health(None, name, place, records)} | record.facts for name, record in records.items()}


def _health(part: Part | None, name: str, place: Place, records: dict[str, Record]) -> Health:
    record = records.get(name)
    if record is None:
        return "absent"
    if not record.ready or (record.identity is not None and processes.find(record.identity) is None):
        return "gone"
    port = record.facts.get("port")
    if port and not ports.answers(int(port)):
        return "gone"
    folder = record.facts.get("temp_dir")
    if folder and not Path(folder).is_dir():
        return "gone"
    if part is not None and to_dict(part) != record.part:
        return "different"
    return "up" if _began(record.needs, records) == record.needs else "stale"


def _began(needs: Iterable[str], records: dict[str, Record]) -> dict[str, float]:
    """When the process of each needed part began."""
    found = {need: records[need].identity for need in needs if need in records}
    return {need: identity.created for need, identity in found.items() if identity}


def start(
    part: Part, state_dir: Path | str, say: Say = _silent, cancelled: Callable[[], bool] = lambda: False
) -> Facts:
    """Starts a part whose needs are up, and waits until it answers a real request; a part that is up is left alone.

    What is left of an earlier process of the part is ended first. Raises PartFailed with the log's tail if it does not
    come up, PortTaken if the port that it asks for is in use, Interrupted once `cancelled` says so; each leaves it not
    running.
    """
    place = Place.of(state_dir)
    place.make()
    with state.held(place, f"part-{part.name}"):
        records = state.read(place)
        before = records.get(part.name)
        if before and _health(part, part.name, place, records) == "up":
            return dict(before.facts)
        _end(place, part.name, before)
        for need in part.needs:
            if _health(None, need, place, records) != "up":
                raise PartFailed(f"{part.name} needs {need}, which is not up; start {need} first")
        try:
            return _start(part, place, records, say, cancelled)
        except BaseException:
            _end(place, part.name, state.read(place).get(part.name))
            raise


def _start(part: Part, place: Place, records: dict[str, Record], say: Say, cancelled: Callable[[], bool]) -> Facts:
    began = time.monotonic()
    worker_env.make(place)
    before = records.get(part.name)
    has_port = "port" in part.__dataclass_fields__
    last_port = before.facts.get("port") if before else None  # kept if free, so that addresses outlive a repair
    port = ports.choose(part.name, part.port, last_port) if has_port else 0
    place.run(f"{part.name}.ready").unlink(missing_ok=True)
    launch = part.launch(place, port, {need: records[need].facts for need in part.needs})
    facts: dict[str, FactValue] = {"kind": to_dict(part)["kind"], **launch.facts}
    if has_port:
        facts |= {"host": ports.LOOPBACK, "port": port}
    needs = _began(part.needs, records)
    if not launch.command:
        state.update(place, part.name, Record(to_dict(part), True, facts=facts, needs=needs))
        say(f"{part.name} ready")
        return facts

    log = place.log(part.name)
    (place.temp / part.name).mkdir(exist_ok=True)
    process, identity = processes.spawn(launch.command, _environment(place, part.name, launch), place.root, log)
    facts |= {"pid": process.pid, "began_at": identity.created, "log_at": str(log)}
    state.update(place, part.name, Record(to_dict(part), False, identity, facts, needs=needs))
    if launch.cgroup_mib is not None:
        facts |= _limit(place, part.name, launch.cgroup_mib, process.pid)
    try:
        facts |= processes.wait_for(launch.ready, launch.deadline_s, lambda: process.poll() is None, cancelled)
    except ChildProcessError:
        cause = f"ended with code {process.returncode} before it was ready"
    except TimeoutError:
        cause = f"was not ready within {launch.deadline_s:.0f} s"
    else:
        facts["startup_s"] = round(time.monotonic() - began, 2)
        shm = processes.shared_memory(processes.tree_of(identity))
        state.update(place, part.name, Record(to_dict(part), True, identity, facts, shm, needs))
        say(f"{part.name} ready in {facts['startup_s']} s")
        return facts
    raise PartFailed(f"{part.name} {cause}; the end of {log}:\n{processes.tail(log)}")


def _environment(place: Place, name: str, launch: Launch) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(HIDDEN_PREFIXES) and not key.lower().endswith(HIDDEN_SUFFIX)
    }
    kept.pop("VIRTUAL_ENV", None)
    ours = {processes.MARK: str(place.root), processes.PART: name, "TMPDIR": str(place.temp / name)}
    return kept | ours | {"PYTHONUNBUFFERED": "1"} | dict(launch.env)


def _limit(place: Place, name: str, cgroup_mib: int, pid: int) -> Facts:
    """Puts a process that has just begun, and so all its descendants, into a cgroup of its own."""
    group = limits.make_cgroup(place, name, cgroup_mib)
    if group is None:
        return {"memory_enforced_by": "none"}
    (group / "cgroup.procs").write_text(str(pid))
    return {"memory_enforced_by": "cgroup", "memory_limit_mib": cgroup_mib}


def stop(part: Part | str, state_dir: Path | str, say: Say = _silent, grace_s: float = 2.0) -> None:
    """Ends a part and all that came from it: asks, waits `grace_s`, kills. Data are kept."""
    place = Place.of(state_dir)
    name = part if isinstance(part, str) else part.name
    if not place.root.exists():
        return
    with state.held(place, f"part-{name}"):
        record = state.read(place).get(name)
        _end(place, name, record, grace_s)
    if record is not None:
        say(f"{name} ended")


def _end(place: Place, name: str, record: Record | None, grace_s: float = 0.0) -> None:
    identity, shm = (record.identity, record.shm) if record else (None, [])
    began = time.monotonic()
    processes.end(identity, place.root, name, grace_s, shm)
    if record is not None and record.ready and identity is not None:
        state.note_end(place, name, identity.created, time.monotonic() - began)
    limits.remove_cgroup(limits.cgroup_of(place, name))
    shutil.rmtree(place.temp / name, ignore_errors=True)
    place.run(f"{name}.ready").unlink(missing_ok=True)
    if record is not None:
        state.update(place, name, None)


def up(parts: Sequence[Part], state_dir: Path | str, say: Say = _silent) -> dict[str, Facts]:
    """Brings the stack to exactly `parts`: starts what is not up, in parallel where it can; ends what the list lacks.

    Parts that are up are left alone. On a failure, or SIGINT or SIGTERM, what this call started is ended again. Returns
    the facts by part name. Raises ValueError on a list that cannot be, and what `start` raises.
    """
    _refuse_impossible(parts)
    place = Place.of(state_dir)
    place.make()
    if warning := limits.shortage(_largest_engine_mib(parts)):
        say(warning)
    with state.held(place, "stack"):
        records = state.read(place)
        wanted = {part.name: part for part in parts}
        for name in [name for name in records if name not in wanted]:
            stop(name, place.root, say)
        running = {part.name for part in parts if _health(part, part.name, place, records) == "up"}
        worker_env.make(place)
        cancel = threading.Event()
        futures: dict[str, Future[Facts]] = {}

        def begin(part: Part) -> Facts:
            for need in part.needs:
                futures[need].result()
            return start(part, place.root, say, cancel.is_set)

        with ThreadPoolExecutor(max(1, len(parts))) as pool, interruptible():
            try:
                for part in _ordered(parts):
                    futures[part.name] = pool.submit(begin, part)
                first_error(futures)
                return {name: futures[name].result() for name in wanted}
            except BaseException as error:
                with uninterrupted():
                    cancel.set()
                    wait(futures.values(), return_when=ALL_COMPLETED)
                    say(f"not up ({type(error).__name__}): ending what was started")
                    for part in reversed(_ordered(parts)):
                        if part.name not in running:
                            stop(part.name, place.root, say, grace_s=0)
                    if not state.read(place):
                        _remove_folders(place, drop_data=False)
                raise


def first_error(futures: dict[str, Future[Facts]]) -> None:
    """Waits for all, and raises the first real error as soon as there is one."""
    pending = set(futures.values())
    while pending:
        done, pending = wait(pending, timeout=0.2)  # short waits: a signal handler runs between them
        for future in done:
            if (error := future.exception()) is not None and not isinstance(error, Interrupted):
                raise error


def down(state_dir: Path | str, drop_data: bool = False, say: Say = _silent) -> None:
    """Ends every part and whatever carries the stack's mark, and removes all but data and logs; `drop_data`: these too.

    Needs no readable state: processes are found by their mark. A stack that is down, or never was up, is fine.
    """
    if Path(state_dir).is_symlink():
        raise state.StateError(
            f"{state_dir} is a link: what it leads to is not this stack's to remove; remove the link"
        )
    place = Place.of(state_dir)
    if not place.root.exists() and not place.temp.exists():
        return
    with state.held(place, "stack"), uninterrupted():
        records = state.read(place)
        with ThreadPoolExecutor(max(1, len(records))) as pool:
            list(pool.map(lambda name: stop(name, place.root, say, grace_s=0), reversed(records)))
        strays = processes.end(None, place.root, None)
        if strays:
            say(f"ended {strays} more processes of this stack")
        for group in limits.left_cgroups(place):
            limits.remove_cgroup(group)
        _remove_folders(place, drop_data)


def _remove_folders(place: Place, drop_data: bool) -> None:
    """Raises StateError with what could not be removed, once all else is."""
    folders = [place.root / "run", place.root / "secrets"]
    failed = [said for folder in folders if (said := _removed(folder))]
    if place.temp_is_ours:
        failed += filter(None, [_removed(place.temp)])
    for file in (place.root / "state.json", place.link):
        file.unlink(missing_ok=True)
    if drop_data:
        failed += filter(None, [_removed(place.root)])
    if failed:
        raise state.StateError(f"every process has ended, but {'; '.join(failed)}: remove it, then run `down` again")


def _removed(folder: Path) -> str | None:
    """Remove a folder, as far as that can be done. What stayed first and why, or None; a link is not followed."""
    stayed: list[str] = []

    def note(function: Callable[..., Any], path: str, error: Any) -> None:
        if not isinstance(error[1], FileNotFoundError):
            stayed.append(f"{path} could not be removed ({error[1].strerror or error[1]})")

    if folder.is_symlink():
        return None
    shutil.rmtree(folder, onerror=note)
    return stayed[0] if stayed else None


def _refuse_impossible(parts: Sequence[Part]) -> None:
    names = [part.name for part in parts]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"parts named twice: {sorted(twice)}; every part needs a name of its own")
    for part in parts:
        if missing := set(part.needs) - set(names):
            raise ValueError(
                f"{part.name} needs {sorted(missing)}, which the list does not hold: add it, or drop {part.name}"
            )


def _ordered(parts: Sequence[Part]) -> list[Part]:
    """Needs first. One level is all there is: what is needed needs nothing."""
    return sorted(parts, key=lambda part: len(part.needs))


def _largest_engine_mib(parts: Sequence[Part]) -> int:
    """Engines run one at a time, so the largest is what the machine must hold."""
    sums: dict[str, int] = {}
    for part in parts:
        if (memory_mib := getattr(part, "memory_mib", 0)) > 0:
            kind = to_dict(part)["kind"]
            sums[kind] = sums.get(kind, 0) + memory_mib * getattr(part, "slots", getattr(part, "workers", 1))
    return max(sums.values(), default=0)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does; only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets cleaning finish: it is bounded, and half of it would leave processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
