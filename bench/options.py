"""The options that all workloads share, defined once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

READERS = ("native", "ranges")

_RUN = (
    click.option("--stack", default="dev", show_default=True, help="The stack whose engines are used."),
    click.option(
        "--engines", help="Comma-separated; an engine may come twice, to compare it with itself. Default: all."
    ),
    click.option("--repeats", default=5, show_default=True, type=click.IntRange(0), help="Warm samples per engine."),
    click.option("--cold/--no-cold", default=True, show_default=True, help="Take a cold sample of each engine first."),
    click.option("--allow-unequal", is_flag=True, help="Time workers that differ from the stack's; marks the rows."),
    click.option("--ray-address", metavar="HOST:PORT", help="A Ray cluster of your own instead of the stack's."),
    click.option("--dask-address", metavar="URL", help="A Dask scheduler of your own instead of the stack's."),
    click.option(
        "--results", default="results", show_default=True, type=click.Path(path_type=Path), help="Folder for rows."
    ),
    click.option(
        "--timeout", "timeout_s", default=900.0, show_default=True, help="Seconds until a sample is given up."
    ),
)
_DATA = (
    click.option(
        "--data", "uri", metavar="URI", help="s3://bucket/prefix or a folder. Default: what was generated last."
    ),
    click.option("--column", default="ss_net_profit", show_default=True, help="The numeric column to query."),
    click.option("--above", default=5000.0, show_default=True, help="Keep values greater than this."),
    click.option("--decimals", default=2, show_default=True, type=click.IntRange(0, 9), help="Decimals of the column."),
    click.option(
        "--bad-rows",
        default="fail",
        show_default=True,
        type=click.Choice(["fail", "skip"]),
        help="Ranges reader: fail at the first row that can't be read, or skip such rows, count and show them.",
    ),
    click.option(
        "--reader", default="ranges", show_default=True, type=click.Choice(READERS), help="How engines read CSV."
    ),
)


def run_options(command: F) -> F:
    """Stack, engines, samples, own clusters, results."""
    return _decorated(command, _RUN)


def data_options(command: F) -> F:
    """For workloads that read CSV: which data, which column, which reader."""
    return _decorated(command, _DATA)


def _decorated(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
