"""Guards: a page of an experiment without its plots, a finding that its rows do not carry, an invented published value,
a chart without a table whose lines lead to rows."""

import re

import pytest

from bench.report.charts.style import log
from bench.report.data import Report, report
from bench.report.growth import growths
from bench.report.loads import loads
from bench.report.pages import comparison, estimates, hybrid, loading, scaling, workload
from bench.report.parts import Figure, Page, Refs
from bench.report.render import pages
from bench.rows import Row
from bench.scaling import areas
from bench.stored import Loaded, Sourced
from catalog import published
from tests.bench.report import made

PLOTS = {
    "startup": ["loading", "growth", "node-size", "published"],
    "palette": ["run-times", "workers", "rate", "areas", "published", "palette"],
    "sort": ["run-times", "hybrid", "cost-parts", "cost-study", "tasks"],
    "ingest": ["run-times", "tasks", "tasks-cold", "published", "phases", "cold-and-warm"],
    "scaling": ["ingest", "against-arrow"],
    "cost": ["spent"],
    "break-even": ["job-0"],
    "estimate": ["published"],
}


@pytest.fixture(scope="module")
def by_key(study: Report) -> dict[str, Page]:
    return {page.key: page for page in pages(study)}


def figure(page: Page | None, key: str) -> Figure:
    assert page is not None
    return next(one for one in page.figures if one.key == key)


@pytest.mark.parametrize("key", PLOTS)
def test_every_experiment_has_its_plots(by_key: dict[str, Page], key: str) -> None:
    assert set(PLOTS[key]) <= {one.key for one in by_key[key].figures}


def test_every_chart_has_a_finding_and_a_table_that_leads_to_rows_or_a_source(by_key: dict[str, Page]) -> None:
    for page in by_key.values():
        for one in page.figures:
            assert one.titles, one.key
            assert all(one.titles.values()), one.key
            assert one.table.lines, one.key
            for line in one.table.lines:
                last = line.cells[-1] if not isinstance(line.cells[0], Refs) else line.cells[0]
                assert last.refs if isinstance(last, Refs) else "study" in last or "thesis" in last, (one.key, line)


def test_calls_of_warm_and_of_cold_runs_are_in_figures_of_their_own_with_lanes_by_number(
    by_key: dict[str, Page],
) -> None:
    for key, condition in (("tasks", "warm"), ("tasks-cold", "cold")):
        one = next(one for one in by_key["ingest"].figures if one.key == key)
        assert {record["condition"] for record in _records(one) if "lane" in record} == {condition}
        assert {line.cells[1] for line in one.table.lines} == {condition}
        assert one.chart.to_dict()["spec"]["layer"][0]["encoding"]["y"]["sort"]["field"] == "turn"


def test_the_questions_come_with_every_page_of_measurements(by_key: dict[str, Page]) -> None:
    for key in ("ingest", "palette", "sort", "startup", "scaling", "cost", "estimate"):
        questions = {answer.question for group in by_key[key].answers for answer in group.answers}
        assert any(question.startswith(("Which", "How wrong")) for question in questions), key
        assert key == "estimate" or "How sure?" in questions, key


def test_published_values_in_charts_are_those_of_the_catalog(by_key: dict[str, Page]) -> None:
    """Whatever a chart marks as published is a value or a bound of a table in catalog/published, with its source."""
    known = {bound for one in published.values() for bound in (one.value, one.low, one.high) if bound is not None}
    seen = 0
    for page in by_key.values():
        for one in page.figures:
            for record in _records(one):
                if record.get("whose") == "published":
                    seen += 1
                    assert record["source"]
                    assert {
                        record.get("from", record.get("factor")),
                        record.get("until", record.get("factor")),
                    } <= known
    assert seen > 15


def test_start_up_says_who_was_first_and_where_the_time_went(study: Report) -> None:
    page = loading.page(study)
    title = figure(page, "loading").titles["dev|latest|all"]
    assert re.fullmatch(r"4 workers take lithops 1\.\d\d s, ray 9\.\d\d s, 50% of it the engine's own start", title)
    assert page is not None
    (answers,) = {group.answers[0].answer for group in page.answers}
    assert answers == "lithops"
    assert page.lead.startswith("39 starts count; 1 failed")


def test_start_ups_of_another_shape_are_not_pooled(study: Report) -> None:
    field = loads(study)
    assert {(one.shape.workers, one.slots) for one in field} == {(1, 1), (2, 1), (4, 1), (4, 2), (4, 4)}
    assert {one.whole.n for one in field} == {3}
    rows = {s.ref: s.row for s in study.rows}
    for one in field:
        assert {rows[ref].parameters["nodes"] for ref in one.refs} == {one.shape.nodes}
        assert one.shares["first"].median <= one.whole.median


def test_workers_over_time_are_of_one_sample_and_agree_with_its_areas(study: Report) -> None:
    field = growths(study, [m for m in study.measured if m.group.workload == "palette"])
    assert {one.of.engine for one in field} == {"ray", "dask", "lithops"}
    for one in field:
        assert one.steps[0].at_s == 0
        assert one.steps[-1].done == 200
        assert areas(one.steps)[0] in one.samples["under_worker_s"]
        assert len(one.steps) == len(one.steps_refs)


def test_the_shaded_area_lies_between_wanted_and_ready(study: Report) -> None:
    page = workload.page(study, "palette")
    shaded = [record for record in _records(figure(page, "workers")) if "area" in record]
    assert {record["area"] for record in shaded} == {"under", "over"}
    assert all(record["from"] <= record["to"] for record in shaded)
    assert any(record["from"] < record["to"] for record in shaded)


def test_growth_measured_cold_alone_stands_beside_the_published() -> None:
    cold = [row.model_copy(update={"condition": "cold"}) for row in made.palettes()]
    table = figure(workload.page(_report(cold), "palette"), "published").table
    ours = [line for line in table.lines if line.cells[1] == "ours"]
    assert {str(line.cells[0]).split(":")[1].split(",")[0].strip() for line in ours} == {"ray", "dask"}


def test_a_hybrid_is_called_faster_only_where_the_samples_carry_it(study: Report) -> None:
    page = workload.page(study, "sort")
    title = figure(page, "hybrid").titles["0.4 GB in 4 files, dev|latest|all"]
    assert re.search(r"ray\+lithops is 1\.\d\d times as fast as ray;", title)
    assert title.endswith("times as fast as dask, not surely")
    assert {(c.engine, h.engine) for c, h in hybrid.pairs(study.measured) if c.group.workload == "sort"} == {
        ("ray", "ray+lithops"),
        ("dask", "dask+lithops"),
    }


def test_scaling_speaks_of_the_largest_work_and_of_one_process(study: Report) -> None:
    page = scaling.page(study)
    assert page is not None
    (group,) = page.answers
    assert "1.6 GB in 8 files" in group.heading
    assert group.answers[0].answer.startswith("ray")
    assert "always below arrow's time" in figure(page, "against-arrow").titles["*"]
    assert "dask" not in figure(page, "against-arrow").titles["*"]


def test_one_size_is_no_scaling(found: Report) -> None:
    assert {m.group.dataset for m in found.measured} == {"0.4 GB in 8 files, dev", "0.4 GB in 1 file, dev"}
    assert scaling.page(found) is None


def test_the_comparison_has_seven_criteria_with_the_rows_behind_each_figure(study: Report) -> None:
    table = comparison.page(study).tables[0]
    names = [str(line.cells[0]).split(":")[0] for line in table.lines]
    assert names == ["Deployment", "Cold start", "Use of resources", "Scalability", "Control", "Maintenance", "Cost"]
    deployment = table.lines[0].cells[1]
    assert isinstance(deployment, Refs)
    assert deployment.text.endswith("for 4 workers")
    assert deployment.refs
    hybrids = table.lines[0].cells[3]
    assert isinstance(hybrids, Refs)
    assert hybrids.text == "not measured"
    assert "section 6 item 1" in str(table.lines[0].cells[-1])


def test_an_estimate_is_judged_by_what_it_rested_on() -> None:
    told = {"estimate_low_s": 1.0, "estimate_high_s": 5.0, "actual_s": 4.0, "actual": "warm"}
    first = [made.row("ingest", "ray", "estimate_s", 1.0, parameters=told | {"calibrated_rows": 0})]
    later = [made.row("ingest", "ray", "estimate_s", 3.8, parameters=told | {"calibrated_rows": 5})]
    page = estimates.page(_report(first))
    (group,) = page.answers
    assert group.answers[0].answer == "Not calibrated yet"
    assert "all 1 rested on published parameters alone, 75% off" in group.answers[0].detail
    assert figure(page, "ours").titles["*"].endswith("75% under, by published parameters alone")
    page = estimates.page(_report([*first, *later]))
    (group,) = page.answers
    assert group.answers[0].answer == "5% median error"
    assert "1 rested on published parameters alone" in group.answers[0].detail
    rested = [line.cells[-1] for line in figure(page, "ours").table.lines]
    assert rested == ["published parameters", "5 calibration rows"]


def test_estimates_are_held_against_what_was_measured() -> None:
    told = {"estimate_low_s": 1.0, "estimate_high_s": 5.0, "actual_s": 4.0, "actual": "warm"}
    kept = [
        made.row("ingest", engine, "estimate_s", value, parameters=told)
        for engine, value in (("ray", 2.0), ("dask", 3.5))
    ]
    page = estimates.page(_report(kept))
    assert figure(page, "ours").titles["*"] == "1 of 2 estimates are within 25%; the middle one is 31% under"
    assert [line.cells[-2] for line in figure(page, "ours").table.lines] == ["-50%", "-12%"]
    assert {line.cells[-1] for line in figure(page, "ours").table.lines} == {"not told"}
    (group,) = page.answers
    assert group.answers[1].answer == "2 of 2"


def test_a_start_up_alone_makes_a_report() -> None:
    keys = [page.key for page in pages(_report(list(made.startups())))]
    assert keys == ["startup", "comparison", "evidence"]


@pytest.mark.parametrize("values", [[0.4], [1.0, 1.1], [0.1, 1200.0], [0.002, 0.003, 5e5]])
def test_log_axes_have_ticks_within_their_domain(values: list[float]) -> None:
    made_axis = log(values)
    low, high = made_axis["scale"]["domain"]
    ticks = made_axis["axis"]["values"]
    assert 1 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)
    assert low < min(values)
    assert high > max(values)


def _records(one: Figure) -> list[dict[str, object]]:
    """Every record of every layer."""
    chart = one.chart.to_dict()
    sources = [chart, *chart.get("layer", []), *chart.get("spec", {}).get("layer", [])]
    return [record for part in sources for record in (part.get("data") or {}).get("values", [])] + [
        record for values in chart.get("datasets", {}).values() for record in values
    ]


def _report(made_rows: list[Row]) -> Report:
    return report(Loaded([Sourced(one, "made.jsonl", line) for line, one in enumerate(made_rows, start=1)], []))
