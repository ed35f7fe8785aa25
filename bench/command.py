"""A workload's command line around its run: the stack found, sessions opened and closed, errors told in a sentence."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from math import floor, isfinite

import click
from botocore.exceptions import BotoCoreError, ClientError

from bench import dataset, machine, stack
from bench.engines import NEEDS, ON_REQUEST, EngineError, Sessions, labels
from bench.sessions.session import LeftRunning, Session, SessionError
from bench.verdict import LEFT_RUNNING
from catalog.instances import UnknownInstanceTypeError
from catalog.prices import PriceError
from plan import faults, settings
from plan.billing import ClockBackwards
from plan.estimate import BudgetExceeded
from plan.estimate.parameters import ParameterMissing
from plan.outputs import Outputs
from plan.redaction import redacted
from plan.settings import SettingsError
from tasks.answer import Query
from tasks.manifest import Incomplete, OtherData
from tasks.objects import EndpointFailed, NoData, ObjectChanged, ObjectGone
from tasks.records import BadData

_TOLD = (
    *(stack.StackError, SettingsError, EngineError, SessionError, dataset.DataError),
    *(NoData, ObjectGone, ObjectChanged, EndpointFailed, BadData, OtherData, Incomplete, BotoCoreError),
    *(machine.NoRoom, BudgetExceeded, PriceError, ParameterMissing, UnknownInstanceTypeError, ClockBackwards),
)


@contextmanager
def told() -> Iterator[None]:
    """Around a workload: how it ends (`bench.verdict.EXIT_CODES`). Errors of ours become one line and exit code 1, what
    is left running code 3, a fault code 70. SIGTERM is as Ctrl-C, so that sessions are closed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with faults.reported(), _expected():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _expected() -> Iterator[None]:
    try:
        yield
    except LeftRunning as error:
        click.echo(f"Error: {redacted(str(error))}", err=True)
        raise SystemExit(LEFT_RUNNING) from None
    except _TOLD as error:
        raise click.ClickException(redacted(str(error))) from error
    except ClientError as error:
        found = error.response.get("Error", {})
        said = f"{error.operation_name}: {found.get('Code')}: {found.get('Message')}"
        raise click.ClickException(
            redacted(f"{said}; check the bucket's name, the region and the permissions")
        ) from None
    except OSError as error:
        if error.errno is None:  # not the system's own: nobody foresaw it
            raise
        place = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{place}{error.strerror}; check that it can be written and has room") from None
    except KeyboardInterrupt:
        click.echo("interrupted: the rows so far are kept", err=True)
        raise SystemExit(faults.INTERRUPTED) from None


CLUSTERS = "breakeven.clusters"
"""Where the context keeps which clusters of the stack were asked for."""


def elsewhere(name: str) -> Outputs | None:
    """The outputs of a stack whose driver host, or whose Job, is to run this; None where it has neither, or this is it.

    Raises EngineError where clusters are wanted that no one place reaches.
    """
    declared = settings.load(name, stack.ROOT)
    if os.environ.get("BREAKEVEN_OUTPUTS") or (declared.driver is None and declared.kubernetes is None):
        return None
    outputs = _chosen(stack.outputs(name))
    on = {platform: [n for n, c in outputs.clusters.items() if c.platform == platform] for platform in ("ec2", "eks")}
    if on["ec2"] and on["eks"]:
        raise EngineError(
            f"stack {name!r} has clusters on hosts ({', '.join(on['ec2'])}) and on pods ({', '.join(on['eks'])}), "
            f"which are driven from different places: run once with --clusters {','.join(on['ec2'])} and once with "
            f"--clusters {','.join(on['eks'])}; the rows of both go into one report"
        )
    return outputs if outputs.driver_instance or on["eks"] else None


def _chosen(outputs: Outputs) -> Outputs:
    """With the clusters that --clusters names, or all."""
    context = click.get_current_context(silent=True)
    asked = context.meta.get(CLUSTERS) if context else None
    if not asked:
        return outputs
    names = [name.strip() for name in asked.split(",")]
    if unknown := [name for name in names if name not in outputs.clusters]:
        raise EngineError(f"found clusters {unknown}, wanted some of {', '.join(outputs.clusters) or 'none'}")
    return outputs.model_copy(update={"clusters": {name: outputs.clusters[name] for name in names}})


def open_stack(name: str, ray_address: str | None, dask_address: str | None) -> Sessions:
    """The sessions of a stack, or of clusters of one's own where the stack is not up."""
    own = {engine: address for engine, address in (("ray", ray_address), ("dask", dask_address)) if address}
    try:
        outputs = _chosen(stack.outputs(name))
    except stack.StackError:
        if not own:
            raise
        outputs = Outputs(stack="own", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)
    access = stack.access(outputs)
    if outputs.stack == "own":
        access = replace(access, region=None)
    return Sessions(outputs, access, own)


def asked(sessions: Sessions, engines: str | None, able: Collection[str] = tuple(NEEDS)) -> list[tuple[str, str]]:
    """(label, engine) of what was asked for, or of all that the stack has; able: the engines that the workload runs on.
    Raises EngineError."""
    has = [name for name in sessions.available() if name in able]
    default = [name for name in has if name not in ON_REQUEST]
    wanted = labels([name.strip() for name in engines.split(",")] if engines is not None else default)
    if unable := [engine for _, engine in wanted if engine not in able]:
        raise EngineError(f"found --engines {', '.join(unable)}, wanted one of {', '.join(able)} for this workload")
    missing = [engine for _, engine in wanted if engine not in has]
    if missing:
        raise EngineError(f"stack {sessions.outputs.stack!r} has no {', '.join(missing)}; it has {', '.join(has)}")
    needed = {need for _, engine in wanted for need in NEEDS[engine]}
    if unused := [name for name in sessions.own if name not in needed]:
        raise EngineError(f"found --{unused[0]}-address, which none of {', '.join(dict(wanted))} uses: leave it out")
    if not wanted:
        raise EngineError(f"stack {sessions.outputs.stack!r} has none of {', '.join(able)}: take a stack that has one")
    return wanted


def query(column: str, above: float | None, decimals: int) -> Query:
    """The query with its bound in the column's integer units; None: none was given."""
    if above is None:
        return Query(column, None, Query().largest, decimals)
    if not isfinite(above):
        raise dataset.DataError(f"found --above {above}, wanted a finite number")
    # Exactly: a value of so many decimals is above the bound if it is above the bound rounded down to as many.
    return Query(column, floor(Decimal(str(above)).scaleb(decimals)), Query().largest, decimals)


def generator(sessions: Sessions, engine: str, files: int) -> Session:
    """The session that makes data. `auto`: processes where the stack is embedded, else Dask or Ray."""
    if engine == "auto":
        clusters = [name for name in ("dask", "ray", "lithops") if name in sessions.available()]
        engine = "process" if sessions.outputs.program == "embedded" or not clusters else clusters[0]
    if engine == "process":
        return sessions.processes(min(files, os.cpu_count() or 1))
    return sessions.of(asked(sessions, engine)[0][1])[0]
