"""The state folder of a stack, and the one state file in it: what was started, and how it is known again.

state.json          this file, 0600, replaced as a whole
data/               buckets; the only thing that outlives `down`, with logs/
logs/<part>.log     output of each part, begun anew at each start
secrets/            keys, 0600 each; facts name the file, never the value
run/                configuration and readiness files of running parts
temp                link to the folder of temporary files, which is elsewhere; the workers' interpreter lies in it
locks/              one per thing that only one `up` or `down` may do at a time

Beside the folder, so that it outlives it: <folder>.ended.jsonl, when each part ended, until the harness takes it over.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

VERSION = 1
_TEMP_NAME = re.compile(r"breakeven-[0-9a-f]{8}")
SAFE_PATH = re.compile(r"[A-Za-z0-9_/.:-]+")
"""What Lithops accepts as a runtime's name (lithops.utils.verify_runtime_name, 3.8) and a shell reads as one word."""
SOCKET_PATH_MAX = 107
"""Bytes of a Unix socket's path on Linux, less the final NUL: unix(7), sun_path."""


class StateError(RuntimeError):
    """The state folder cannot be used; the message says which file and what to do."""


@dataclass(frozen=True)
class Identity:
    """A process as itself: a pid is used again, a pid with its start time is not, and neither outlives a boot."""

    pid: int
    created: float
    boot_id: str


@dataclass(frozen=True)
class Record:
    """One part as it was started. `identity` is None for a part without a process."""

    part: dict[str, Any]
    ready: bool
    identity: Identity | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    shm: list[str] = field(default_factory=list)
    """Shared-memory segments seen when it was ready: if it is killed from outside, nothing else tells of them."""
    needs: dict[str, float] = field(default_factory=dict)
    """When each needed part's process began: another time, and this part runs for one that is gone."""


@dataclass(frozen=True)
class Place:
    """Where a stack keeps what; every path is absolute."""

    root: Path

    @classmethod
    def of(cls, state_dir: Path | str) -> "Place":
        return cls(Path(state_dir).resolve())

    @property
    def temp(self) -> Path:
        """Short, since Ray's Unix sockets lie below it. A link in the state folder keeps it when TMPDIR changes."""
        if self.link.is_symlink():
            return Path(os.readlink(self.link))
        key = hashlib.sha256(f"{os.getuid()}:{self.root}".encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()).resolve() / f"breakeven-{key}"

    @property
    def temp_is_ours(self) -> bool:
        """Whether `temp` is what `make` makes: what else the link may lead to is not ours to remove."""
        made = _TEMP_NAME.fullmatch(self.temp.name) and self.temp.is_dir() and not self.temp.is_symlink()
        return bool(made) and self.temp.stat().st_uid == os.getuid()

    @property
    def link(self) -> Path:
        return self.root / "temp"

    @property
    def ended(self) -> Path:
        return self.root.with_name(f"{self.root.name}.ended.jsonl")

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def worker_python(self) -> Path:
        return self.worker_env / "bin" / "python"

    @property
    def worker_env(self) -> Path:
        """The virtual environment of the workers, in the temporary folder: Ray puts its path into a shell's command
        unquoted, and Lithops refuses most letters in it, while the checkout's path may hold any."""
        return self.temp / "worker-env"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def secret(self, name: str) -> Path:
        return self.root / "secrets" / name

    def run(self, name: str) -> Path:
        return self.root / "run" / name

    def make(self) -> None:
        """Makes the folders, closed to other users. Raises StateError for a temporary one that cannot be used."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for folder in (self.data, self.root / "logs", self.root / "secrets", self.root / "run"):
            folder.mkdir(exist_ok=True)
        if not SAFE_PATH.fullmatch(str(self.temp)):
            raise StateError(
                f"the temporary folder {self.temp} has characters that Ray and Lithops cannot run programs from; "
                "set TMPDIR to a folder of letters, digits and /_.:- alone, such as /tmp"
            )
        self.temp.mkdir(mode=0o700, exist_ok=True)
        if not self.link.is_symlink():
            self.link.symlink_to(self.temp)
        if self.temp.is_symlink() or self.temp.stat().st_uid != os.getuid():
            raise StateError(f"{self.temp} belongs to another user; remove it, or set TMPDIR to a folder of your own")


def write_private(path: Path, text: str) -> None:
    """Replaces `path` by `text` as a whole, readable by its owner only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from its first byte
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def secret(path: Path, make: Callable[[], str]) -> str:
    """The text of a secret's file, made once and kept until `down`."""
    if not path.exists():
        write_private(path, make())
    return path.read_text()


def read(place: Place) -> dict[str, Record]:
    """Records by part name, in the order of their start. Raises StateError on a file that is not ours to read."""
    path = place.root / "state.json"
    try:
        document = json.loads(path.read_text())
        if document["version"] != VERSION:
            raise StateError(
                f"{path} has version {document['version']}, wanted {VERSION}: run `down` with the older code"
            )
        return {
            name: Record(**entry | {"identity": Identity(**entry["identity"]) if entry["identity"] else None})
            for name, entry in document["parts"].items()
        }
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{path} cannot be read ({error!r}); remove that file, then `down` ends what it knew"
        ) from error


def update(place: Place, name: str, record: Record | None) -> None:
    """Puts one part's record, or drops it, under the file's lock."""
    with held(place, "state"):
        records = read(place)
        records.pop(name, None)
        if record is not None:
            records[name] = record
        document = {"version": VERSION, "parts": {key: asdict(value) for key, value in records.items()}}
        write_private(place.root / "state.json", json.dumps(document, indent=1))


def note_end(place: Place, name: str, began_at: float, took_s: float) -> None:
    """Appends that a part which was ready since `began_at` has just ended, and how long ending it took."""
    entry = {"part": name, "began_at": began_at, "ended_at": time.time(), "took_s": round(took_s, 3)}
    with place.ended.open("a") as lines:  # one write of one short line: parts that end together do not mix
        lines.write(json.dumps(entry) + "\n")


@contextmanager
def held(place: Place, what: str, wait_s: float = 120.0) -> Iterator[None]:
    """Holds `what` (one part, or the whole list) against another start or stop of the same."""
    locks = place.root / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(locks / what, timeout=wait_s, mode=0o600):
            yield
    except Timeout as error:
        raise StateError(
            f"{place.root}: another `up` or `down` has held {what} for {wait_s:.0f} s; wait for it or end it"
        ) from error
