"""Guards: an answer that the samples don't carry, a baseline or a double named as winner of a race it isn't in."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import stats
from bench.report.data import Measured, report
from bench.report.findings import answers, cold_title, cost_title, phase_title, run_time_title
from bench.stored import load


@pytest.fixture(scope="module")
def warm(results: Path) -> list[Measured]:
    measured = report(load([results])).measured
    return [m for m in measured if m.group.condition == "warm" and "1 file" in m.group.dataset]


def of(field: list[Measured], engine: str, samples: list[float]) -> Measured:
    one = next(m for m in field if m.engine == engine)
    return replace(one, samples=samples, estimate=stats.estimate(samples))


def said(field: list[Measured]) -> dict[str, str]:
    return {a.question: f"{a.answer}. {a.detail}" for a in answers(field)}


FAST, SLOW, NOISY = [2.0, 2.01, 2.02, 1.99, 1.98], [3.0, 3.01, 3.02, 2.99, 2.98], [1.5, 2.5, 3.5, 2.2, 2.4]


@pytest.mark.parametrize(
    ("rival", "sure"),
    [(SLOW, "Sure."), (NOISY, "Not sure."), (FAST, "A tie."), (SLOW[:2], "Can't say.")],
)
def test_sure_only_where_samples_carry_it(warm: list[Measured], rival: list[float], sure: str) -> None:
    field = [of(warm, "ray", FAST), of(warm, "dask", rival)]
    assert said(field)["How sure?"].startswith(sure)


def test_answers_name_winner_lead_and_baseline(warm: list[Measured]) -> None:
    field = [of(warm, "ray", FAST), of(warm, "arrow", SLOW)]
    found = said(field)
    assert found["Which was fastest?"].startswith("ray. 2.00 s (1.98 to 2.02 s)")
    assert "1.50 times as fast as arrow" in found["Which was fastest?"]
    assert found["By how much?"].startswith("50% ahead")
    assert "modelled on AWS, prices of" in found["Which was cheapest?"]


def test_an_engine_beside_itself_is_no_rival(warm: list[Measured]) -> None:
    double = next(m for m in warm if m.double)
    ahead = replace(double, samples=[0.1] * 5, estimate=stats.estimate([0.1] * 5))
    field = [of(warm, "ray", FAST), of(warm, "arrow", SLOW), of(warm, "dask", SLOW), ahead]
    assert "#2" not in " ".join(said(field).values()) + run_time_title(field) + phase_title(field) + cost_title(field)


def test_where_only_the_second_label_has_samples_it_speaks_for_its_engine(warm: list[Measured]) -> None:
    field = [next(m for m in warm if m.double)]
    assert run_time_title(field).startswith("dask#2 took")
    assert said(field)["Which was fastest?"].startswith("dask#2.")


def test_samples_of_different_runs_are_told(warm: list[Measured]) -> None:
    other = of(warm, "dask", SLOW)
    field = [of(warm, "ray", FAST), replace(other, group=other.group._replace(run="another"))]
    assert "different runs" in said(field)["How sure?"]


def test_nothing_to_say_is_said(warm: list[Measured]) -> None:
    assert answers([]) == []
    assert run_time_title([]) == "No sample that counts"
    assert cold_title(warm, []) == "No variant has both a cold and a warm sample"
    alone = [of(warm, "ray", FAST)]
    assert said(alone)["How sure?"].startswith("Nothing to compare")
    assert cost_title([replace(alone[0], usd=None)]) == "No sample has billed quantities to price"
