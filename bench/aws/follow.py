"""Following a run elsewhere by its mailbox, whatever it runs on, until its last word."""

import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from botocore.exceptions import HTTPClientError

from bench.aws.mailbox import EXIT, LOG, RESULTS, Mailbox
from bench.sessions.session import SessionError

RUN_S = 12 * 3600
"""Longer than any stack lives by default; its expiry ends what is left anyway."""

_LOOK_S = 30.0  # silence after which the place itself is asked


class There(Protocol):
    """Where a run is."""

    name: str

    def ended(self) -> bool:
        """Whether it has ended, with or without a last word."""

    def why(self) -> str:
        """What the place itself says of the run."""


class Follow:
    """Says what the run says, appends its rows below `results`."""

    def __init__(self, there: There, mailbox: Mailbox, results: Path, say: Callable[[str], None], poll_s: float):
        self._there, self._mailbox, self._results, self._say, self._poll_s = there, mailbox, results, say, poll_s
        self._heard = time.monotonic()

    def until_end(self, deadline_s: float = RUN_S) -> int:
        """The exit code. Raises SessionError where it ended without one, or at the deadline."""
        until, ended = time.monotonic() + deadline_s, False
        while time.monotonic() < until:
            try:
                for name, body in self._mailbox.receive():
                    self._heard = time.monotonic()
                    if name == EXIT:
                        return int(body)
                    self._take(name, body)
            except HTTPClientError as error:  # this side's line, not the run
                self._say(f"no answer from the bucket, trying on: {error}\n")
                time.sleep(_LOOK_S)
                continue
            if ended:
                raise SessionError(f"the run on {self._there.name} ended without a word: {self._there.why()}")
            if time.monotonic() - self._heard > _LOOK_S:
                self._heard = time.monotonic()
                ended = self._there.ended()  # and one more look for what it said last
                continue
            time.sleep(self._poll_s)
        raise SessionError(f"the run on {self._there.name} has not ended in {deadline_s:.0f} s: {self._there.why()}")

    def _take(self, name: str, body: bytes) -> None:
        if name == LOG:
            self._say(body.decode(errors="replace"))
            return
        below = PurePosixPath(name).relative_to(RESULTS)
        if ".." in below.parts:
            raise SessionError(f"found a result {name!r}, wanted one below {RESULTS}/")
        path = self._results / below
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(body)
