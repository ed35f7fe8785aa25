"""The options that workloads share, defined once."""

import functools
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from bench import budget
from bench import command as around
from bench.aws import remote
from bench.aws.mailbox import RESULTS
from bench.dataset import DataError
from bench.sessions import kubernetes_job
from bench.stack import ROOT
from plan.outputs import Outputs
from plan.stack_option import StackName

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType[float]):
    """A finite number of seconds above 0; or from 0, where no time at all has a meaning."""

    name = "seconds"

    def __init__(self, *, or_none: bool = False):
        self._or_none = or_none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Raises click.BadParameter."""
        try:
            found = float(value)
        except ValueError:
            found = float("nan")
        if not isfinite(found) or found < 0 or (found == 0 and not self._or_none):
            self.fail(f"found {value!r}, wanted seconds {'from 0' if self._or_none else 'above 0'}", param, ctx)
        return found


_STACK = (
    click.option(
        "--stack", type=StackName(), default="dev", show_default=True, help="The stack whose engines are used."
    ),
    click.option(
        "--engines", help="Comma-separated; an engine may come twice, to compare it with itself. Default: all."
    ),
    click.option("--allow-unequal", is_flag=True, help="Time workers that differ from the stack's; marks the rows."),
)
_SAMPLES = (
    click.option("--repeats", default=5, show_default=True, type=click.IntRange(0), help="Warm samples per engine."),
    click.option("--cold/--no-cold", default=True, show_default=True, help="Take a cold sample of each engine first."),
    click.option("--ray-address", metavar="HOST:PORT", help="A Ray cluster of your own instead of the stack's."),
    click.option("--dask-address", metavar="URL", help="A Dask scheduler of your own instead of the stack's."),
)
_RUN = (
    click.option(
        "--estimate", is_flag=True, help="Say what it would take and cost, and run nothing; the stack need not be up."
    ),
    click.option(
        "--results", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder for rows."
    ),
    click.option(
        "--timeout",
        "timeout_s",
        default=900.0,
        show_default=True,
        type=Seconds(),
        help="Seconds until a sample is given up, whatever its engine does.",
    ),
)
_DRIVER = (
    click.option(
        "--driver",
        default="region",
        show_default=True,
        type=click.Choice(["region", "local"]),
        help="Where this program runs: on the stack's driver host or as a Job beside its pods, or here.",
    ),
    click.option("--clusters", help="Comma-separated names; only these of a stack that has several of one engine."),
    click.option(
        "--spent", default=0.0, hidden=True, help="USD that this stack has cost, as far as rows are not here."
    ),
)


def run_options(command: F) -> F:
    """Stack, engines, samples, own clusters, results, and where the program runs."""

    @functools.wraps(command)
    def measures(**options: Any) -> Any:
        if not (options["repeats"] or options["cold"]):
            raise click.UsageError("found --repeats 0 --no-cold, which takes no sample: wanted one of the two")
        if options["estimate"] and (options["ray_address"] or options["dask_address"]):
            raise click.UsageError("found --estimate with a cluster of your own, whose size nobody knows here")
        return command(**options)

    return _decorated(in_region(cast(F, measures)), (*_STACK, *_SAMPLES, *_RUN))


def loading_options(command: F) -> F:
    """For a workload that scales the stack's clusters itself: all its samples are cold, none is on others' clusters."""
    repeats = click.option(
        "--repeats", default=5, show_default=True, type=click.IntRange(1), help="Loadings of each number of workers."
    )
    return _decorated(in_region(command), (*_STACK, repeats, *_RUN))


def in_region(command: F) -> F:
    """Adds --driver; where the stack has a place for it, the whole command line runs there unless it says `local`."""

    @functools.wraps(command)
    def where(*, driver: str, spent: float, clusters: str | None, **options: Any) -> Any:
        click.get_current_context().meta.update({budget.SPENT: spent, around.CLUSTERS: clusters})
        own = options.get("ray_address") or options.get("dask_address")
        if driver == "region" and not own and not options.get("estimate"):
            with around.told():
                if outputs := around.elsewhere(options["stack"]):
                    _refuse_paths(options)
                    # The last of an option that comes twice counts: there, `local` is the driver host.
                    there = [*remote.workload(ROOT), "--driver", "local"]
                    if "results" in options:  # rows of earlier runs are here, and what they cost is told there
                        before = budget.of_stack(outputs, options["results"])
                        there += ["--results", RESULTS, "--spent", f"{before:.6f}"]
                    raise SystemExit(_run(outputs)(outputs, there, options.get("results", Path(RESULTS)), root=ROOT))
        return command(**options)

    return _decorated(cast(F, where), _DRIVER)


def _refuse_paths(options: dict[str, Any]) -> None:
    """A folder of this machine is not there where the program runs."""
    for name, option in (("uri", "--data"), ("to", "--to"), ("folder", "--images")):
        if (place := options.get(name)) and not str(place).startswith("s3://"):
            fix = "say --driver local" if option == "--images" else "copy the data to S3, or say --driver local"
            raise DataError(
                f"found {option} {place}, a path of this machine, but the program runs beside the workers: {fix}"
            )


def _run(outputs: Outputs) -> Callable[..., int]:
    on_pods = any(cluster.platform == "eks" for cluster in outputs.clusters.values())
    return kubernetes_job.run if on_pods else remote.run


def _decorated(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
