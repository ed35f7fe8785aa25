"""Guards: a chart that draws nothing, an error only a browser shows, filters that do nothing or are lost on reload."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
MARKS = "f => f.querySelectorAll('svg .role-mark path').length"
WITHIN = """[...document.querySelectorAll('.page:not([hidden]) .chart:not([hidden]) svg')].every(svg =>
  svg.width.baseVal.value <= svg.parentElement.getBoundingClientRect().width + 1)"""
PAGES = ("ingest", "palette", "sort", "startup", "scaling", "cost", "break-even", "estimate", "comparison", "evidence")
WITHOUT_CHARTS = ("comparison", "evidence")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found; install one to test the report in a browser"),
]


@pytest.fixture(scope="module")
def url(html: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab with a list of everything its console said; each test ends with nothing said and nothing requested."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or said.append(request.url))
    yield tab
    context.close()
    assert said == []


def go(tab: Any, url: str) -> None:
    tab.goto(url)
    tab.wait_for_selector("html[data-drawn]", timeout=60_000)


def shown(tab: Any) -> set[str]:
    labels = "#ingest-run-times svg .role-axis-label text"
    return set(tab.eval_on_selector_all(labels, "all => all.map(text => text.textContent)"))


def words(tab: Any) -> list[str]:
    """All that the figures say; Vega may write the same labels in another order after a change."""
    return sorted(tab.inner_text(".page:not([hidden]) .figures").split("\n"))


def turn(tab: Any, page: str) -> None:
    tab.click(f"nav a[data-page={page}]")
    tab.wait_for_selector(f"html[data-drawn={page}]", timeout=60_000)


def test_every_chart_of_every_page_draws_marks_in_light_and_dark(tab: Any, url: str) -> None:
    go(tab, url)
    for page in PAGES:
        turn(tab, page)
        figures = tab.query_selector_all(".page:not([hidden]) figure")
        assert bool(figures) != (page in WITHOUT_CHARTS), page  # which ones, test_pages says
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            assert all(figure.evaluate(MARKS) > 2 for figure in figures), page
            assert all("NaN" not in figure.query_selector(".chart").inner_html() for figure in figures), page


def test_filters_change_what_is_shown_and_survive_reload(tab: Any, url: str) -> None:
    go(tab, url)
    assert "lithops" in shown(tab)
    tab.uncheck("input[name=engine][value=lithops]")
    tab.uncheck("input[name=condition][value=cold]")
    tab.select_option("select[name=data]", "0.4 GB in 8 files, dev")
    tab.wait_for_selector("html[data-drawn]")
    before = words(tab)
    tab.reload()
    tab.wait_for_selector("html[data-drawn]")
    assert words(tab) == before
    assert not tab.is_checked("input[name=engine][value=lithops]")
    assert "(n=1)" not in tab.inner_text("#ingest-run-times .chart"), "cold samples are single ones"
    assert {"dask · native", "ray+lithops · ranges"} <= shown(tab)
    assert not {"lithops · native", "lithops · ranges"} & shown(tab)


def test_filters_of_an_experiment_reach_its_panels(tab: Any, url: str) -> None:
    """Panels over time, the study's values and the choice of a stack on pages that only some runs have."""
    go(tab, f"{url}#page=palette")
    heads = "#palette-workers svg .role-title-text text"
    assert len(tab.query_selector_all(heads)) >= 3
    tab.uncheck("#page-palette input[name=engine][value=lithops]")
    tab.wait_for_selector("html[data-drawn=palette]")
    tab.wait_for_function("() => !document.querySelector('#palette-workers svg').textContent.includes('lithops')")
    assert "engine-off=lithops" in tab.url
    turn(tab, "startup")
    drawn = tab.inner_text("#startup-published .chart")
    assert "lithops, 4 workers" not in drawn
    assert "Lambda" in drawn, "what is published stays"


def test_a_combination_never_measured_says_so(tab: Any, url: str) -> None:
    go(tab, url)
    tab.select_option("select[name=run]", index=3)
    tab.select_option("select[name=reader]", "ranges")
    tab.wait_for_selector(".combination:not([hidden])")
    tab.click(".combination .reset")
    tab.wait_for_selector(".combination", state="hidden")


def test_a_figure_leads_to_its_row_and_back(tab: Any, url: str) -> None:
    go(tab, url)
    tab.click("#ingest-run-times summary")
    tab.click("#ingest-run-times a[data-row]:visible")
    tab.wait_for_selector("tr.found")
    assert tab.is_visible("tr.found")
    tab.go_back()
    tab.wait_for_selector("#ingest-run-times svg")


@pytest.mark.parametrize("width", [400, 900, 1600])
def test_the_page_never_scrolls_sideways(tab: Any, url: str, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    go(tab, url)
    for page in PAGES:
        turn(tab, page)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
        assert tab.evaluate(WITHIN), f"{page}: a chart is wider than its card, or shrunk to it"


def test_the_theme_can_be_chosen(tab: Any, url: str) -> None:
    go(tab, url)
    paper = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(paper)
    tab.click("#theme")
    assert tab.evaluate(paper) != light
