"""Rows with odd fields: each is skipped with its file and line or read, and none costs the report or a command.

Some seconds in `make test`; BREAKEVEN_FUZZ=5000 in the environment tries so many rows.
"""

import copy
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import calibrate, compare
from bench.breakeven import __main__ as breakeven_command
from bench.forecast import GB, Asked, calibrated
from bench.report.data import report
from bench.report.render import pages, render
from bench.stored import load
from plan.settings import load as settings_of
from tests.bench.report import made
from tests.bench.report.conftest import made_rows

ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 10**400, 2**53, -(2**63), 0.0, -0.5, 1e-320, 1e15, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "yesterday", "1.0", "none", "a" * 10_000, "\ud800", "\x00"),
    *("</script>", "[red]", "{}", "%s", "ray+ray", "dask#2", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *([], {}, [[]], {"a": 1}, [float("nan")], {"local": -1}, {"x9.huge": 1.0}),
)
LONG = "BREAKEVEN_FUZZ" in os.environ
ROUNDS = max(1, int(os.environ.get("BREAKEVEN_FUZZ", "200")) // 50)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value lies, of every value inside this one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*at, key)
        yield from paths(one, (*at, key))


def mutated(line: str, dice: random.Random) -> str:
    """One row with something odd in it: a value, a name, a hole, or a byte."""
    how = dice.random()
    if how < 0.1:
        cut = dice.randrange(len(line))
        return line[:cut] + dice.choice(["", "\\", '"', "\x7f", "}", "é"]) + line[cut + dice.randrange(3) :]
    row = json.loads(line)
    for _ in range(dice.choice([1, 1, 2, 3])):
        at = dice.choice(list(paths(row)))
        inner = row
        for key in at[:-1]:
            inner = inner[key]
        if how < 0.2:
            inner.pop(at[-1])
        elif how < 0.25 and isinstance(inner, dict):
            inner[f"{at[-1]} "] = inner.pop(at[-1])
        else:
            inner[at[-1]] = copy.deepcopy(dice.choice(ODD))
    return json.dumps(row)


@pytest.fixture(scope="module")
def whole() -> list[str]:
    """Rows of every page."""
    studied = (*made.startups(), *made.palettes(), *made.sorts(), *made.larger())
    rows = [*made_rows(repeats=5, labels=("ray", "dask", "dask#2", "lithops", "arrow")), *studied]
    return [row.model_dump_json() for row in rows]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_odd_rows_are_skipped_by_name_or_read_and_cost_nothing(seed: int, whole: list[str], tmp_path: Path) -> None:
    dice = random.Random(seed)
    sound = dice.sample(whole, len(whole) // 8)
    odd = [mutated(dice.choice(whole), dice) for _ in range(50)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([*sound, *odd]) + "\n", errors="surrogatepass")
    loaded = load([file])
    places = {s.line for s in loaded.rows} | {u.line for u in loaded.unreadable}
    assert len(loaded.rows) + len(loaded.unreadable) == len(places) == len(sound) + len(odd)
    assert {u.line for u in loaded.unreadable} <= set(range(len(sound) + 1, len(places) + 1)), "a sound row was skipped"
    found = report(loaded)
    assert pages(found)
    if LONG:
        assert render(found)
    settings_ = settings_of("dev", Path.cwd())
    for workload in ("ingest", "palette"):
        calibrated(settings_, Asked("dev", workload, None, 1, False, tmp_path, "ranges", gb=1e9 / GB))
    commands = (
        (breakeven_command.main, ["--rows", str(file)]),
        (compare.main, [str(file), str(file)]),
        (calibrate.main, ["--rows", str(file), "--reader", "ranges"]),
    )
    for command, arguments in commands:
        done = CliRunner().invoke(command, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
