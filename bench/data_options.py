"""The options of workloads that read CSV: which data, how it is written, what is asked of it, and how it is read."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from bench import command as around
from bench.dataset import GENERATED_ABOVE, DataError
from bench.rows import READERS
from plan.quantity_option import GIGABYTES
from tasks.address import BadAddress, normalised
from tasks.dialect import Dialect

F = TypeVar("F", bound=Callable[..., Any])

_SPELT = {"\\t": "\t", "tab": "\t", "TAB": "\t"}


class Address(click.ParamType[str]):
    """Where data lies, in the one form that all below goes by. must_exist: a path has to be there."""

    name = "URI"

    def __init__(self, must_exist: bool = False):
        self._must_exist = must_exist

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address normalised; a usage error says what was wanted."""
        try:
            return normalised(value, must_exist=self._must_exist)
        except BadAddress as error:
            self.fail(str(error), param, ctx)


_DATA = (
    click.option(
        "--data",
        "uri",
        type=Address(must_exist=True),
        help="s3://bucket/prefix, a folder or a file; .gz, .bz2, .xz, .zst, .lz4 and .zip are read too. "
        "Default: what was generated last.",
    ),
    click.option("--gb", type=GIGABYTES, help="With --estimate: size of the data in 2**30 bytes."),
    click.option("--column", default="ss_net_profit", show_default=True, help="The numeric column to query."),
    click.option(
        "--above",
        type=float,
        help=f"Keep values greater than this. Default: {GENERATED_ABOVE} for generated data, no bound for other data.",
    ),
    click.option("--decimals", default=2, show_default=True, type=click.IntRange(0, 9), help="Decimals of the column."),
    click.option("--delimiter", default=",", show_default=True, help="One character between fields; \\t for a tab."),
    click.option("--decimal", default=".", show_default=True, help="The decimal point: . or ,"),
    click.option(
        "--null", "nulls", multiple=True, help="A spelling of a missing value, as NULL, NA or \\N; may come again."
    ),
    click.option("--encoding", default="utf-8", show_default=True, help="As Python names it: cp1252, utf-16 ..."),
    click.option(
        "--bad-rows",
        default="fail",
        show_default=True,
        type=click.Choice(["fail", "skip"]),
        help="Fail at the first row that can't be read, or skip such rows, count and show them (ranges reader only).",
    ),
    click.option(
        "--reader", default="ranges", show_default=True, type=click.Choice(READERS), help="How engines read CSV."
    ),
)


def data_options(command: F) -> F:
    """For workloads that read CSV; these are given a `query` and a `dialect`."""

    @functools.wraps(command)
    def asked(
        *,
        column: str,
        above: float | None,
        decimals: int,
        delimiter: str,
        decimal: str,
        nulls: tuple[str, ...],
        encoding: str,
        **options: Any,
    ) -> Any:
        if options.get("gb") is not None and not options["estimate"]:
            raise click.UsageError("found --gb without --estimate: a run reads all of --data; generate.py makes a size")
        with around.told():
            query = around.query(column, above, decimals)
            try:
                dialect = Dialect(_SPELT.get(delimiter, delimiter), decimal, nulls, encoding)
            except ValueError as error:
                raise DataError(str(error)) from error
        return command(query=query, dialect=dialect, **options)

    wrapped = cast(F, asked)
    for option in reversed(_DATA):
        wrapped = option(wrapped)
    return wrapped
