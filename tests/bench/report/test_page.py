"""Guards: a page that needs a network, a chart without unit or finding, a figure without rows, text that is code."""

import re
from pathlib import Path

from click.testing import CliRunner

from bench.report.__main__ import main
from bench.report.data import Report, report
from bench.report.pages import workload
from bench.report.parts import LATEST, Refs
from bench.report.render import pages, render
from bench.stored import Loaded


def test_the_file_needs_nothing_else(html: str) -> None:
    page = re.sub(
        r"(<script[^>]*>).*?</script>", r"\1", html, flags=re.DOTALL
    )  # what scripts ask for, the browser test sees
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=|<link[^>]*href=\"(?!data:)|@import|url\(http", page)


def test_every_chart_has_a_finding_per_slice_a_unit_and_rows(found: Report) -> None:
    page = workload.page(found, "ingest")
    assert [f.key for f in page.figures] == [
        *("run-times", "tasks", "tasks-cold", "published", "phases", "cold-and-warm", "start-up", "cost-and-time")
    ]
    for figure in page.figures:
        assert all(figure.titles.values())
        assert f"0.4 GB in 1 file, dev|{LATEST}|all" in figure.titles
        unit = r'"title":"([^"]*\((s|s, log[^)]*|times as long)\)|Seconds )'
        assert re.search(unit, figure.spec), f"{figure.key}: no unit on an axis"
        assert any(isinstance(cell, Refs) for line in figure.table.lines for cell in line.cells)


def test_every_reference_has_its_row_on_the_page(html: str) -> None:
    linked, there = set(re.findall(r'data-row="([^"]+)"', html)), set(re.findall(r'data-ref="([^"]+)"', html))
    assert linked
    assert linked <= there


def test_what_does_not_count_is_listed_with_its_reason(html: str) -> None:
    assert "not-cold" in html
    assert "worker 4711 was there before" in html
    assert "found &lt;0a1b&gt;, wanted 9f3e" in html, "text from rows is escaped"
    assert "odd.jsonl:4" in html
    assert "ray · ranges (unequal)" in html


def test_nothing_to_show_says_what_to_do() -> None:
    empty = render(report(Loaded([], [])))
    assert "Nothing to show yet" in empty
    assert "make bench" in empty


def test_only_failures_still_make_a_page(found: Report) -> None:
    only = Report(found.uncounted, found.unreadable, [])
    assert [page.key for page in pages(only)] == ["evidence"]
    assert "wrong-answer" in render(only)


def test_published_values_are_marked_with_their_source(found: Report) -> None:
    (figure,) = (f for f in workload.page(found, "ingest").figures if f.key == "published")
    published = [line.cells for line in figure.table.lines if line.cells[1] == "published"]
    assert len(published) == 3
    assert all("section 4.2.4" in str(cells[-1]) for cells in published)


def test_command_writes_the_file_and_reports(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["--results", str(results), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "2 do not, 1 line was skipped" in done.output
    assert out.stat().st_size > 500_000
    missing = CliRunner().invoke(main, ["--results", str(tmp_path / "none"), "--out", str(out)])
    assert missing.exit_code == 1
    assert "run a workload first" in missing.output
