"""Guards: a break-even that hides where it comes from, an estimate shown as measured, old prices without a word."""

from datetime import date
from decimal import Decimal

import pytest

from bench.breakeven import sentence
from bench.breakeven.sources import from_rows, jobs
from bench.report.data import Report
from bench.report.pages import breakeven, costs
from bench.report.pages.breakeven import cases
from bench.report.parts import ANY, Refs, Table
from bench.rows import Billed, Row
from bench.stored import Sourced

TODAY = date(2026, 11, 21)


def table(found: Report, title: str, today: date = TODAY) -> Table:
    page = costs.page(found, today)
    behind = {figure.key: figure.table for figure in page.figures} | {one.title: one for one in page.tables}
    return behind[title]


def changed(found: Report, **fields: object) -> Report:
    """The same report with its first timed row changed."""
    first = next(s for s in found.rows if s.row.metric == "run_s")
    row = Row.model_validate({**first.row.model_dump(), **fields})
    return Report([Sourced(row, first.file, first.line)], [], found.measured)


def test_rows_that_suffice_give_a_sentence_per_job_with_the_rows_behind_it(found: Report) -> None:
    page = breakeven.page(found)
    assert page is not None
    of_jobs = [from_rows(group) for group in jobs(s.row for s in found.rows).values()]
    assert len(page.figures) == 3  # native and ranges on 8 files, ranges on one
    said = [sentence(options) for options in of_jobs]
    assert all(any(figure.caption.startswith(one) for one in said) for figure in page.figures)
    assert all("pays off from" in figure.titles[ANY] for figure in page.figures)
    assert "From measured rows." in page.lead
    for figure in page.figures:
        assert "From measured rows: ingest of 0.4 GB in" in figure.caption
        assert "modelled" in figure.caption
        ray = next(line for line in figure.table.lines if line.cells[0] == "ray")
        assert isinstance(ray.cells[-1], Refs)
        assert len(ray.cells[-1].refs) >= 5
        assert "var(--ray" in figure.spec


def test_without_functions_the_estimate_is_shown_and_says_so(found: Report) -> None:
    clusters = Report([s for s in found.rows if "lithops" not in s.row.engine], [], found.measured)
    (case,) = cases(clusters)
    assert not case.measured
    page = breakeven.page(clusters)
    assert page is not None
    assert "the estimate, since no job was measured on both" in page.lead
    (figure,) = page.figures
    assert "From the estimate, not measured: ingest of 0.4 GB on dev" in figure.caption
    assert {line.cells[0] for line in figure.table.lines} == {"ray", "dask", "lithops"}


def test_rows_of_an_unknown_stack_fall_back_on_a_published_shape(found: Report) -> None:
    (case,) = cases(changed(found, stack="gone"))
    assert case.words == "ingest of 50 GB on bench-128"
    assert not case.local


def test_prices_are_shown_with_their_age_and_the_warning_after_180_days(found: Report) -> None:
    sets = table(found, "Price sets used").lines
    assert any("lambda:x86_64 (us-east-1)" in str(line.cells[3]) for line in sets)
    checked = [date.fromisoformat(str(line.cells[1])) for line in sets]
    assert [str((TODAY - day).days) for day in checked] == [line.cells[2] for line in sets]
    newest = max(checked)
    fresh, old = (table(found, "Price sets used", newest.replace(year=newest.year + years)) for years in (0, 1))
    assert "checked" in [line.cells[4] for line in fresh.lines]
    assert {line.cells[4] for line in old.lines} == {"OLD: run make prices"}
    assert "last checked 365 days ago" in costs.page(found, newest.replace(year=newest.year + 1)).lead


def test_what_was_spent_is_open_without_a_teardown_row(found: Report) -> None:
    lines = {(line.cells[0], line.cells[2]): line.cells for line in table(found, "spent").lines}
    ray, functions = lines["20261120-0900-r3", "ray"], lines["20261120-0900-r3", "lithops"]
    assert (ray[6], ray[9]) == ("not yet", "OPEN")
    assert functions[9] == "ended"
    parts = sum(Decimal(str(part)) for part in (ray[3], ray[4], ray[5]))
    assert parts == pytest.approx(Decimal(str(ray[7])), abs=Decimal("2e-6"))  # each part is rounded


def test_a_clock_that_goes_back_and_a_thing_without_price_are_told_and_hide_nothing_else(found: Report) -> None:
    back = changed(found, value=-1.0)
    assert "one monotonic clock" in str(table(back, "Could not be priced").lines[0].cells[-1])
    priceless = changed(found, billed=Billed(node_s={"m9i.huge": 10.0}))
    assert "m9i.huge" in str(table(priceless, "Without a price").lines[0].cells[1])
    assert "m9i.huge" in str(table(priceless, "Could not be priced").lines[0].cells[-1])


def test_parts_of_a_command_add_up_and_lead_to_their_rows(found: Report) -> None:
    rows = {sourced.ref: sourced.row for sourced in found.rows}
    for line in table(found, "spent").lines:
        parts = sum(Decimal(str(part)) for part in line.cells[3:7] if part != "not yet")
        assert parts == pytest.approx(Decimal(str(line.cells[7])), abs=Decimal("3e-6"))  # each part is rounded
        assert isinstance(line.cells[-1], Refs)
        assert {rows[ref].label for ref in line.cells[-1].refs} == {line.cells[2]}


@pytest.mark.parametrize(("code_s", "told"), [(None, True), (1.5, False)])
def test_rows_that_bill_functions_for_the_code_alone_are_told(found: Report, code_s: float | None, told: bool) -> None:
    billed = Billed(function_s=2, function_gb_s=8, function_requests=2, function_code_s=code_s)
    lead = costs.page(changed(found, engine="lithops", label="lithops", billed=billed), TODAY).lead
    assert ("1 rows from before 2026-11-27 bill functions for the user's code only" in lead) == told


def test_the_cost_page_opens_on_what_ran_and_not_on_a_stack_s_end(found: Report) -> None:
    last = found.rows[-1]
    row = last.row.model_copy(
        update={
            **{
                "workload": "down",
                "engine": "ray",
                "label": "ray",
                "metric": "teardown_s",
                "value": 2.0,
                "run_id": "end",
            },
            **{"at": "2026-11-21T09:00:00+00:00", "condition": "none", "billed": Billed(worker_s=4.0)},
            "parameters": {"up_at": 1763600000.0, "cluster": "ray"},
        }
    )
    page = costs.page(Report([*found.rows, Sourced(row, "end.jsonl", 1)], [], found.measured), TODAY)
    assert page.filters is not None
    assert page.filters.data[0].startswith("ingest on dev")
    assert page.filters.data[-1] == "down on dev"
    (end,) = [group for group in page.answers if group.slice == "down on dev|latest|all"]
    assert "0 runs" not in end.answers[0].detail
    assert "between commands, when nothing ran on it, and for its end" in end.answers[0].detail
