"""What a run kept of its estimate is read as it was kept, and a missed aim is said."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.estimate_error import Miss, errors, misses, report
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


@pytest.mark.parametrize(
    ("estimated_s", "verdict"),
    [
        ([11.0] * 6, "within the aim of 25%"),
        ([22.0] * 6, "ABOVE the aim of 25%"),
        ([11.0, 11.0, 11.0, 12.0, 20.0, 21.0], "leaves open whether the aim of 25% is met"),
        ([11.0] * 4, "too few to judge the aim of 25%"),
    ],
)
def test_the_aim_is_judged_by_the_interval_of_the_second_round(estimated_s: list[float], verdict: str) -> None:
    after = [Miss("sort", f"ray{number}", value, 10.0) for number, value in enumerate(estimated_s)]
    text = report([Miss("sort", "ray0", 40.0, 10.0)], after, "command")
    assert verdict in text
    assert "300% with published parameters" in text
    assert "| sort | ray0 | 10.00 |" in text


def test_no_estimate_is_an_error_not_a_perfect_score() -> None:
    with pytest.raises(ValueError, match="did every command fail"):
        errors([])
