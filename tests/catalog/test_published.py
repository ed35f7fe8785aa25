"""Guards: a figure shown as published that has no source, or that no text gives."""

import csv
from pathlib import Path

import pytest

from catalog import published


def test_every_value_has_source_place_and_a_number_or_bound() -> None:
    values = published.values()
    assert len(values) > 50
    assert all(v.source and v.place and v.unit for v in values)


def test_cold_factors_are_those_of_the_text() -> None:
    factors = {v.engine: v.value for v in published.values() if v.metric == "cold_over_warm_factor"}
    assert factors == {"lithops": 2.02, "dask": 1.55, "ray": 1.66}


def test_claims_say_how_to_test_them() -> None:
    assert all(claim.claim and claim.testable_as for claim in published.claims())


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("source", "", "no source"), ("value", "", "wanted a value or bounds"), ("kind", "guessed", "kinds")],
)
def test_what_is_not_published_is_refused(tmp_path: Path, column: str, value: str, said: str) -> None:
    with (published.FOLDER / published.VALUES_CSV).open(newline="") as lines:
        row = next(row for row in csv.DictReader(lines) if row["metric"] == "cold_over_warm_factor")
    path = tmp_path / "values.csv"
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, row)
        writer.writeheader()
        writer.writerow({**row, column: value})
    with pytest.raises(published.PublishedError, match=said) as error:
        published.values(path)
    assert "values.csv:2" in str(error.value)
