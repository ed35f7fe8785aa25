"""The final table: ratio to the best baseline, wrong answers named, dropped samples counted, cost dated."""

import io
from datetime import date
from decimal import Decimal

from rich.console import Console

from bench.rows import Data, Failure, Row
from bench.table import against_itself, best_baseline, table

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


def test_an_engine_beside_itself_is_told_whether_the_harness_is_even() -> None:
    even = [row("dask#2", "warm", v) for v in (1, 1.05, 1, 1, 1)]
    assert against_itself(WARM) == []
    assert against_itself([*WARM, *even])[0].endswith("; passed")
    assert "10 allowed" in against_itself([*WARM, *even])[0]
    slower = [row("dask#2", "warm", v) for v in (2, 2.1, 2, 2, 2)]
    assert "as run: slower; not passed" in against_itself([*WARM, *slower])[0]
