"""What a run kept of its estimate is read as it was kept, and a missed aim is said."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.estimate_error import Miss, median_error, misses, report
from bench.rows import Row


def kept(label: str, value: float, **parameters: Any) -> Row:
    return Row(
        run_id="r1", at=datetime(2026, 11, 25, tzinfo=UTC).isoformat(), stack="dev", platform="local",
        workload="sort", engine=label, label=label, condition="none", repeat=0, metric="estimate_s", value=value,
        parameters=parameters,
    )  # fmt: skip


def test_only_estimates_with_a_measured_median_count() -> None:
    rows = [kept("ray", 3.0, actual_s=2.0), kept("dask", 3.0), kept("ray", 5.0, actual_s=5.0, metric="x")]
    found = misses(rows)
    assert [(one.label, round(one.error, 6)) for one in found] == [("ray", 0.5), ("ray", 0.0)]


@pytest.mark.parametrize(("measured_s", "verdict"), [(10.0, "within"), (5.0, "ABOVE")])
def test_the_median_of_the_second_round_is_judged(measured_s: float, verdict: str) -> None:
    before, after = Miss("sort", "ray", 40.0, 10.0), Miss("sort", "ray", 11.0, measured_s)
    text = report([before], [after], "command")
    assert f"{verdict} the aim of 25%" in text
    assert "300% with published parameters" in text
    assert f"| sort | ray | {measured_s:.2f} | 11.00 |" in text


def test_no_estimate_is_an_error_not_a_perfect_score() -> None:
    with pytest.raises(ValueError, match="did every command fail"):
        median_error([])
