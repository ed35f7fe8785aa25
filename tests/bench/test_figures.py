"""Guards: a page whose figures are not those of its rows, a bound called met that was not."""

import pytest

from bench import figures
from bench.figure import Figure, lines
from bench.rows import Row
from bench.stats import kept

CASE = figures.Case("made", 1, 1, {"dask": 1.0})


def row(engine: str, seconds: float, **fields: object) -> Row:
    return Row.model_validate(
        {
            **{"run_id": "r", "at": "2026-11-20T09:00:00+00:00", "stack": "dev", "platform": "local", "repeat": 0},
            **{"workload": "ingest", "engine": engine, "label": engine, "condition": "warm", "value": seconds},
            **{"phases": {"plan": 0.1 * seconds, "work": 0.9 * seconds}, "commit": "c0ffee"},
            **fields,
        }
    )


def test_the_page_says_what_its_rows_say() -> None:
    assert figures.PAGE.read_text() == figures.page()


@pytest.mark.parametrize(
    ("low", "high", "at_least", "said"),
    [
        *((0.8, 0.9, False, "yes"), (1.1, 1.2, False, "no"), (0.9, 1.1, False, "can't say")),
        *(
            (0.8, 0.9, True, "no"),
            (1.1, 1.2, True, "yes"),
            (0.9, 1.1, True, "can't say"),
            (None, None, True, "too few"),
        ),
    ],
)
def test_a_bound_is_kept_by_the_whole_interval(
    low: float | None, high: float | None, at_least: bool, said: str
) -> None:
    assert kept(low, high, 1.0, at_least=at_least) == said


def test_a_figure_near_its_bound_or_of_few_samples_is_not_called_met() -> None:
    near = Figure.ratio("x", "ray", [0.7, 0.8, 0.9, 1.2, 1.3], [1.0] * 5, 1.0, "")
    assert (near.value, near.met) == (0.9, "can't say")
    assert Figure.of("x", "ray", [0.1] * 4, "s", 1.0, "").met == "too few"
    assert Figure.of("x", "ray", [300.0] * 5, "MB/s", 200.0, "", at_least=True).met == "yes"
    assert "| can't say |" in lines([near])[-1]


@pytest.mark.parametrize(("seconds", "met"), [(1.9, "yes"), (2.1, "no")])
def test_a_bound_is_met_or_not(seconds: float, met: str) -> None:
    found = [*(row("dask", seconds) for _ in range(5)), *(row("arrow", 2.0) for _ in range(5))]
    text = "\n".join(figures.lines(CASE, found))
    ratio = f"{seconds / 2:.2f} ({seconds / 2:.2f} to {seconds / 2:.2f})"
    assert f"| dask | {seconds:.2f} ({seconds:.2f} to {seconds:.2f}) | {ratio} | 1.00 | {met} |" in text
    assert "| 10.00% |" in text  # planning is the harness's own


def test_failed_samples_are_counted_and_not_timed() -> None:
    found = [row("dask", 1.0), row("dask", 99.0, status="failed"), row("arrow", 2.0)]
    text = "\n".join(figures.lines(CASE, found))
    assert "1 failed or dropped" in text
    assert "| dask | 1.00 |" in text
