"""The final table: ratio to the best baseline, wrong answers named, dropped samples counted, cost dated."""

import io
from datetime import date
from decimal import Decimal

import pytest
from rich.console import Console

from bench.rows import Data, Failure, Row
from bench.table import against_itself, answers, best_baseline, table

GB = 2**30


def row(label: str, condition: str, value: float | None, failure: Failure | None = None, metric: str = "run_s") -> Row:
    fields = {"status": "dropped" if failure and failure.kind == "not-cold" else "failed" if failure else "ok"}
    return Row.model_validate(
        {
            **{"run_id": "r", "at": "2026-01-01T00:00:00Z", "stack": "dev", "platform": "local", "workload": "ingest"},
            **{
                "engine": label.split("#", maxsplit=1)[0],
                "label": label,
                "condition": condition,
                "repeat": 0,
                "value": value,
            },
            **{"metric": metric, "failure": failure, "answer": "f" * 64 if value else None, **fields},
            "data": Data(uri="s3://b/p", files=1, size_bytes=GB),
        }
    )


def text(rows: list[Row]) -> str:
    out = io.StringIO()
    Console(width=200, file=out).print(table(rows, lambda _: (Decimal("0.000001"), date(2026, 3, 1))))
    return out.getvalue()


WARM = [row("arrow", "warm", v) for v in (2.0, 2.1, 1.9, 2.0, 2.0)] + [
    row("dask", "warm", v) for v in (1, 1, 1.1, 1, 1)
]


def test_ratio_throughput_and_start_up() -> None:
    shown = text([*WARM, row("dask", "none", 7.5, metric="startup_s")])
    line = next(line for line in shown.splitlines() if "dask" in line)
    assert "1.00 [1.00, 1.10]" in line
    assert "0.50" in line  # half the time of arrow
    assert "7.5" in line
    assert "prices of 2026-03-01" in shown


def test_the_best_baseline_is_warm_where_one_is() -> None:
    assert best_baseline([row("pandas", "cold", 1.0), *WARM]) == 2.0
    assert best_baseline([row("pandas", "cold", 1.0)]) == 1.0
    assert best_baseline([row("dask", "warm", 1.0)]) is None


def test_a_cold_line_is_held_against_the_best_cold_baseline() -> None:
    cold = [row("arrow", "cold", 4.0), row("pandas", "cold", 5.0), row("dask", "cold", 6.0)]
    shown = text([*WARM, *cold]).splitlines()
    assert "1.50" in next(line for line in shown if "dask" in line and "cold" in line)  # 3.00 of the warm arrow
    alone = text([*WARM, row("dask", "cold", 6.0)]).splitlines()
    assert "3.00" in next(line for line in alone if "dask" in line and "cold" in line)


def test_failures_and_drops_are_shown_not_timed() -> None:
    wrong = row("ray", "warm", 1.0, Failure(kind="wrong-answer", message="x"))
    cold = row("ray", "cold", 1.0, Failure(kind="not-cold", message="x"))
    shown = text([wrong, cold])
    assert "WRONG" in shown
    assert "1 failed: wrong-answer" in shown
    assert "1 dropped: not-cold" in shown


ANOTHER = {"answer": "e" * 64}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("ray", "warm", 1.0), row("ray", "warm", 1.1)], "equal"),
        ([row("ray", "warm", 1.0), row("ray", "warm", 1.1).model_copy(update={"answer": None})], "1 of 2 judged"),
        ([row("ray", "warm", 1.0).model_copy(update={"answer": None})], "none"),
        ([row("ray", "warm", 1.0, Failure(kind="unequal", message="x"))], "no valid sample"),
        ([row("ray", "warm", 1.0), row("ray", "warm", 1.0, Failure(kind="wrong-answer", message="x"))], "WRONG"),
        ([row("ray", "warm", 1.0), row("ray", "warm", 1.1).model_copy(update=ANOTHER)], "UNEQUAL"),
    ],
)
def test_equal_is_said_only_of_a_line_whose_counted_samples_were_all_judged_equal(rows: list[Row], said: str) -> None:
    assert answers(rows, {one.answer for one in rows if one.answer and one.status == "ok"}) == said


def test_engines_whose_answers_contradict_each_other_are_both_unequal() -> None:
    shown = text([row("ray", "warm", 1.0), row("dask", "warm", 1.1).model_copy(update=ANOTHER)])
    assert shown.count("UNEQUAL") == 2


def test_a_line_without_a_valid_sample_and_unequal_workers_are_marked() -> None:
    lost = row("dask", "warm", None, Failure(kind="deadline", message="x"))
    shown = text([row("ray", "warm", 1.0).model_copy(update={"unequal": True}), lost])
    assert "ray (unequal workers)" in shown
    assert next(line for line in shown.splitlines() if "dask" in line).count("no valid sample") == 2


@pytest.mark.parametrize("width", [60, 80])
def test_no_figure_is_cut_on_a_narrow_terminal(width: int) -> None:
    out = io.StringIO()
    rows = [row("ray+lithops", "warm", v) for v in (12.01, 12.02, 12.03, 12.04, 12.05)]
    Console(width=width, file=out).print(table(rows, lambda _: (Decimal("0.000123"), date(2026, 3, 1))))
    assert "…" not in out.getvalue()
    for figure in ("ray+lithops", "12.03 [12.01, 12.05]", "0.000123", "equal"):
        assert figure in out.getvalue()


def test_prices_of_several_days_are_all_told() -> None:
    days = iter([date(2026, 3, 1), date(2026, 7, 1)])
    out = io.StringIO()
    rows = [row("ray", "warm", 1.0), row("dask", "warm", 1.0)]
    Console(width=200, file=out).print(table(rows, lambda _: (Decimal("0.1"), next(days))))
    assert "prices of 2026-03-01 to 2026-07-01" in out.getvalue()


def test_an_engine_beside_itself_is_told_whether_the_harness_is_even() -> None:
    even = [row("dask#2", "warm", v) for v in (1, 1.05, 1, 1, 1)]
    assert against_itself(WARM) == []
    assert against_itself([*WARM, *even])[0].endswith("; passed")
    assert "10 allowed" in against_itself([*WARM, *even])[0]
    slower = [row("dask#2", "warm", v) for v in (2, 2.1, 2, 2, 2)]
    assert "as run: slower; not passed" in against_itself([*WARM, *slower])[0]
