"""The outputs of a stack: from its state folder where it is embedded, from Pulumi where it is not."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from plan import redaction, settings, stack_file
from plan.outputs import Outputs
from tasks.objects import Access

ROOT, state_dir = stack_file.ROOT, stack_file.state_dir


LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StackError(RuntimeError):
    """A stack cannot be used; the message names it and says what to do."""


def outputs(stack: str, root: Path = ROOT, now: datetime | None = None) -> Outputs:
    """What `stack` exports. Raises SettingsError for an unknown stack, StackError where it is not up, or where its time
    is over at `now` (UTC; the clock's)."""
    found = _exported(stack, root)
    ended = found.expires_at
    if ended is not None and datetime.fromisoformat(ended) <= (now or datetime.now(UTC)):
        raise StackError(
            f"stack {stack!r} ended at {ended}, its expiry: its groups are at zero and its hosts are gone. To end the "
            f"rest: `pulumi destroy -s {stack}`. To give it more time: set BREAKEVEN_EXPIRES_AT to an instant to come, "
            f"and `pulumi up --refresh -s {stack}`"
        )
    return found


def _exported(stack: str, root: Path) -> Outputs:
    wanted = settings.load(stack, root)
    if (given := os.environ.get("BREAKEVEN_OUTPUTS")) is not None:  # a driver's Job brings them, and has no deployer
        return _parse(Path(given).read_text(), stack, given)
    if wanted.program == "embedded":
        path = state_dir(stack, root) / "outputs.json"
        if not path.is_file():
            raise StackError(
                f"stack {stack!r} is not up: found no {path.relative_to(root)}; "
                f"run `make up STACK={stack}`, or `pulumi up -s {stack}` where you have the engine"
            )
        return _parse(path.read_text(), stack, str(path.relative_to(root)))
    return _parse(_pulumi_output(stack, root), stack, f"pulumi stack output -s {stack}")


@contextmanager
def isolated(found: Outputs) -> Iterator[None]:
    """Keep the caller's settings from coming between this process and the stack, whichever library reads them.

    Requests to loopback go through no proxy. Where the stack brings its own keys of S3, the caller's AWS profile, keys
    and endpoints are set aside: a profile that does not exist would end every S3 client. All is as before
    on leaving.
    """
    changes: dict[str, str | None] = {}
    for name in ("no_proxy", "NO_PROXY"):  # libraries differ in which of the two they read
        listed = [host for host in os.environ.get(name, "").split(",") if host]
        changes[name] = ",".join(dict.fromkeys([*listed, *LOOPBACK]))
    if found.s3_secret_at is not None:
        changes |= dict.fromkeys(name for name in os.environ if name.startswith("AWS_"))
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def access(found: Outputs) -> Access:
    """How workers reach the stack's buckets: by keys in a file of this machine, or by the role of where they run."""
    where = Access(found.s3_endpoint, found.region, found.s3_secret_at)
    redaction.keep(*where.keys())
    return where


def _pulumi_output(stack: str, root: Path) -> str:
    engine = shutil.which("pulumi")
    if engine is None:
        raise StackError(f"stack {stack!r} is not embedded and needs the Pulumi engine: found no `pulumi` on PATH")
    command = [engine, "stack", "output", "--json", "--stack", stack, "--cwd", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise StackError(f"stack {stack!r}: {done.stderr.strip()}; is it up? `pulumi up -s {stack}`")
    if json.loads(done.stdout) == {}:
        raise StackError(f"stack {stack!r} is not up: it exports nothing; run `pulumi up -s {stack}`")
    return done.stdout


def _parse(text: str, stack: str, where: str) -> Outputs:
    try:
        return Outputs.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise StackError(
            f"stack {stack!r}: {where} is of another version ({key}: {first['msg']}); bring the stack up again"
        ) from None
