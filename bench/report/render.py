"""The one file: all pages of a report, with style, script, charts and data inside.

To add a page, write a function from Report to Page below `pages` and name it here. To add a chart, add a Figure to its
page.
"""

import functools
import json
from datetime import UTC, date, datetime
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.data import Report
from bench.report.pages import breakeven, comparison, costs, estimates, evidence, loading, scaling, workload
from bench.report.parts import VEGA_LITE, Page, Refs

FOLDER = Path(__file__).parent
VEGA_GLOBAL = "window.vegaEmbed = vegaEmbed;"


def pages(found: Report, today: date | None = None) -> list[Page]:
    """All pages that have something to show, in the order of the navigation. today: for the age of prices."""
    today = today or datetime.now(UTC).date()
    experiments = [workload.page(found, name) for name in found.workloads]
    rest = [loading.page(found), scaling.page(found)]
    money = [costs.page(found, today), breakeven.page(found), estimates.page(found)] if found.measured else []
    study = [comparison.page(found)] if experiments or rest[0] else []
    return [page for page in (*experiments, *rest, *money, *study, evidence.page(found)) if page]


def render(found: Report, now: datetime | None = None) -> str:
    """One HTML file that needs nothing else: style, script, charts and data inside."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["refs"] = lambda cell: isinstance(cell, Refs)
    return environment.get_template(
        "template.html.j2"
    ).render(
        pages=pages(found, now.date() if now else None) if found.rows or found.unreadable else [],
        style=Markup((FOLDER / "style.css").read_text()),  # noqa: S704  our own file
        script=Markup((FOLDER / "report.js").read_text()),  # noqa: S704  our own file
        vega=Markup(_vega()),  # noqa: S704  the wheel's own
        made_at=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        stacks=sorted({s.row.stack for s in found.rows}),
        span=[found.rows[0].row.at[:16], found.rows[-1].row.at[:16]] if found.rows else [],
        dumps=json.dumps,
        Markup=Markup,
    )


@functools.cache
def _vega() -> str:
    """Vega and its embedding as one script, bundled by the wheel in some seconds."""
    return vl_convert.javascript_bundle(VEGA_GLOBAL, VEGA_LITE).replace("</script", "<\\/script")
