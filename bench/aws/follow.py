"""Following a run elsewhere by its mailbox, whatever it runs on, until its last word."""

import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from bench.aws.line import is_broken
from bench.aws.mailbox import EXIT, LOG, RESULTS, Mailbox
from bench.sessions.session import SessionError
from plan.redaction import redacted

STOP_GRACE_S = 900.0
"""For sessions to close and instances to go; then the workload is killed, and groups are zeroed by who watches it."""
RUN_S = 12 * 3600
"""Longer than any stack lives by default; its expiry ends what is left anyway."""
PATIENCE_S = 1800.0
"""A line that is broken for so long is given up on; the run is not: it goes on by itself."""

_LOOK_S = 30.0  # silence after which the place itself is asked
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0


class LineLost(SessionError):
    """The line to a run did not come back in time; the run goes on, and the message says how to follow it again."""


class There(Protocol):
    """Where a run is."""

    name: str

    def ended(self) -> bool:
        """Whether it has ended, with or without a last word."""

    def why(self) -> str:
        """What the place itself says of the run."""


class Follow:
    """Says what the run says, appends its rows below `results`. resume: the command that follows it again; again: this
    is that command, and files that hold a part of the run's rows are written anew."""

    def __init__(
        self,
        there: There,
        mailbox: Mailbox,
        results: Path,
        say: Callable[[str], None],
        poll_s: float,
        *,
        resume: str,
        again: bool = False,
    ):
        self._there, self._mailbox, self._results, self._say, self._poll_s = there, mailbox, results, say, poll_s
        self._fresh = set[str]() if again else None
        self.resume = resume
        self._heard = time.monotonic()
        self._broken_since: float | None = None
        self._wait_s = _FIRST_WAIT_S

    def until_end(self, deadline_s: float = RUN_S) -> int:
        """The exit code. A line that breaks is waited for. Raises SessionError where the run ended without a code, or
        at the deadline, and LineLost."""
        until, ended = time.monotonic() + deadline_s, False
        while time.monotonic() < until:
            try:
                for name, body in self._mailbox.receive():
                    self._heard = time.monotonic()
                    if name == EXIT:
                        return int(body)
                    self._take(name, body)
                if ended:
                    raise SessionError(f"the run on {self._there.name} ended without a word: {self._there.why()}")
                if time.monotonic() - self._heard > _LOOK_S:
                    self._heard = time.monotonic()
                    ended = self._there.ended()  # and one more look for what it said last
                    continue
            except Exception as error:
                if not is_broken(error):
                    raise
                self._bear(error)
                continue
            self._mended()
            time.sleep(self._poll_s)
        raise SessionError(
            f"the run on {self._there.name} has not ended in {deadline_s:.0f} s; follow it again with: {self.resume}"
        )

    def _bear(self, error: Exception) -> None:
        """Wait a while for the line, longer each time. Raises LineLost when that has gone on for too long."""
        now = time.monotonic()
        self._broken_since = self._broken_since or now
        said = redacted(f"{type(error).__name__}: {error}")
        if now - self._broken_since > PATIENCE_S:
            raise LineLost(
                f"no answer from the bucket for {now - self._broken_since:.0f} s, the last was {said}. The run on "
                f"{self._there.name} goes on and ends its clusters itself; follow it again with: {self.resume}"
            ) from error
        self._say(f"no answer from the bucket, the run goes on; trying again in {self._wait_s:.0f} s: {said}\n")
        time.sleep(self._wait_s)
        self._wait_s = min(_LONGEST_WAIT_S, 2 * self._wait_s)

    def _mended(self) -> None:
        if self._broken_since is not None:
            self._say("the bucket answers again\n")
        self._broken_since, self._wait_s = None, _FIRST_WAIT_S

    def _take(self, name: str, body: bytes) -> None:
        if name == LOG:
            self._say(body.decode(errors="replace"))
            return
        below = PurePosixPath(name).relative_to(RESULTS)
        if ".." in below.parts:
            raise SessionError(f"found a result {name!r}, wanted one below {RESULTS}/")
        path = self._results / below
        path.parent.mkdir(parents=True, exist_ok=True)
        anew = self._fresh is not None and name not in self._fresh
        if self._fresh is not None:
            self._fresh.add(name)
        with path.open("wb" if anew else "ab") as file:
            file.write(body)


def attended(
    follow: Follow, mailbox: Mailbox, say: Callable[[str], None], begin: Callable[[], None], end: Callable[[], None]
) -> int:
    """Begin a run and follow it to its end; its exit code. Ctrl-C asks it to stop, and waits until it says it has.

    `end` is called in every case but one: a run whose line is lost goes on, and must not be ended for that.
    """
    begun = lost = False
    try:
        begin()
        begun = True
        return follow.until_end()
    except LineLost:
        lost = True
        raise
    except KeyboardInterrupt:
        try:
            mailbox.stop()  # heeded also by a run that begins only now
            if begun:
                say("stopping the remote run; its clusters go to zero first\n")
                follow.until_end(STOP_GRACE_S)
        except Exception as error:
            say(redacted(f"the run did not say that it stopped: {type(error).__name__}: {error}\n"))
        raise
    finally:
        if not lost:
            end()
