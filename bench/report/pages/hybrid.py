"""What sorting adds: each hybrid against its cluster alone (plots 13 to 15 of the cluster study), with the study's."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench import stats
from bench.costs import Prices, worker_of
from bench.report.charts import cost, published
from bench.report.charts.style import colour
from bench.report.data import Measured, Report, without
from bench.report.pages import ingest, study
from bench.report.parts import Figure, Line, Page, Refs, Table
from catalog.prices import PriceError
from catalog.published import Published

CALLS = ("invoked", "retried", "cancelled")
Parts = Mapping[str, list[Measured]]
Pair = tuple[Measured, Measured]


def more(found: Report, measured: Sequence[Measured], parts: Parts) -> Page:
    """Figures and tables of hybrids."""
    return Page(
        key="sort",
        title="Hybrid sort",
        lead="",
        figures=[
            _against(measured, parts),
            _parts(measured, parts),
            *_costs_of_study(),
            *ingest.tasks(measured, parts),
        ],
        tables=[_functions(found), study.values("hybrid", "hybrid_costs"), study.claims("hybrid", "hybrid_costs")],
    )


def pairs(field: Sequence[Measured]) -> list[Pair]:
    """(cluster, hybrid) of the same run, data, reader and condition."""
    by_group = {m.group: m for m in field}
    found = [(by_group.get(m.group._replace(label=m.engine.split("+")[0])), m) for m in field if "+" in m.engine]
    return [(cluster, hybrid) for cluster, hybrid in found if cluster is not None]


def _against(measured: Sequence[Measured], parts: Parts) -> Figure:
    """How many times as fast the hybrid is as its cluster alone, with the interval of that ratio."""
    records, lines = [], []
    for cluster, hybrid in pairs(measured):
        found = stats.compare(hybrid.samples, cluster.samples)
        spread = {"low": found.low, "high": found.high} if found.low is not None else {}
        name = f"{hybrid.variant} over {cluster.variant}, {hybrid.group.condition}"
        records.append(published.ours(name, hybrid.engine, found.ratio, **without(hybrid.tags, "engine"), **spread))
        interval = f"{found.low:.2f} to {found.high:.2f}" if found.low is not None else "-"
        verdict = {"slower": "hybrid faster", "faster": "hybrid slower"}.get(found.verdict, found.verdict)
        cells = [name, "ours", f"{found.ratio:.2f}", interval, verdict]
        lines.append(Line([*cells, Refs([*cluster.refs, *hybrid.refs])], hybrid.tags))
    for one in study.select("hybrid", "speedup"):
        name = f"{one.engine.replace(' vs ', ' over ')}, {_data(one)}"
        records.append(published.theirs(name, one))
        lines.append(Line([name, "published", study.bounds(one), "-", "", f"{one.source}, {one.place}"]))
    return Figure(
        "hybrid",
        {key: _against_title(part) for key, part in parts.items()},
        "Right of 1 the hybrid is faster than its cluster alone. Broad lines: 95 % intervals of the ratio by "
        "bootstrap; none below five samples each. Published: 8 workers and 128 functions against 128 "
        "workers, 2023; on a local stack both share this machine's processors.",
        published.beside(records, "Times as fast as the cluster alone (log)", "{:.2f} times".format, reference=1),
        Table("", ["what", "whose", "ratio", "95 % interval", "verdict", "source or rows"], lines),
        wide=True,
    )


def _data(one: Published) -> str:
    files = "1 file" if one.files == 1 else f"{one.files} files"
    return f"{one.data_gb:g} GB in {files}" if one.data_gb else one.condition


def _against_title(part: Sequence[Measured]) -> str:
    said = []
    for cluster, hybrid in pairs([m for m in part if m.group.condition == "warm"] or part):
        found = stats.compare(hybrid.samples, cluster.samples)
        sure = {"slower": "", "faster": "", "alike": ", a tie"}.get(found.verdict, ", not surely")
        said.append(f"{hybrid.variant} is {found.ratio:.2f} times as fast as {cluster.variant}{sure}")
    return "; ".join(said) or "No hybrid was measured beside its cluster"


def _parts(measured: Sequence[Measured], parts: Parts) -> Figure:
    """USD of a run by part: the study's Plot 15, ours."""
    records: list[dict[str, Any]] = []
    lines = []
    for m in measured:
        split = _split(m)
        if m.double or m.group.condition != "warm" or not sum(split.values()):
            continue
        for turn, (part, usd) in enumerate(split.items()):
            whose = "lithops" if part == "functions" else m.engine.split("+")[0]
            records.append({**m.tags, "model": m.variant, "part": part, "usd": usd * 1000, "turn": turn,
                            "colour": colour(whose)})  # fmt: skip
            lines.append(Line([m.variant, part, f"{usd:.8f}", str(m.priced_on), Refs([m.typical_ref])], m.tags))
    return Figure(
        "cost-parts",
        {key: _parts_title([m for m in part if m.group.condition == "warm"]) for key, part in parts.items()},
        "Of the warm sample nearest the median; functions in their own colour. USD are modelled, for the run alone: "
        "its start-up and idle time are on the page Cost.",
        cost.by_part(records, "USD of 1000 runs"),
        Table("", ["model", "part", "USD a run", "prices of", "row"], lines),
    )


def _split(m: Measured) -> dict[str, float]:
    row = m.typical.row
    billed, worker = row.billed.model_dump(), worker_of(row)
    none = {"function_gb_s": 0.0, "function_s": 0.0, "function_requests": 0}
    own = {name: billed[name] for name in none}
    try:
        return {
            "cluster": float(Prices().usd(billed | none, worker)),
            "functions": float(Prices().usd(own, worker)) if any(own.values()) else 0.0,
        }
    except PriceError:  # listed on the page Cost, with the row
        return {"cluster": 0.0, "functions": 0.0}


def _parts_title(field: Sequence[Measured]) -> str:
    shares = {m.variant: split["functions"] / sum(split.values()) for m in field if "+" in m.engine
              for split in [_split(m)] if sum(split.values())}  # fmt: skip
    if not shares:
        return "No hybrid has billed quantities to price"
    most = max(shares, key=lambda name: shares[name])
    return f"Functions are {shares[most]:.0%} of what a run of {most} costs"


def _costs_of_study() -> list[Figure]:
    """The study's own Plot 15, from its Table 21."""
    wanted = {"cost_cluster": "cluster", "cost_lambda": "functions"}
    found = [one for metric in wanted for one in study.select("hybrid_costs", metric)]
    if not found:
        return []
    ordered = sorted(found, key=lambda one: (one.engine.split("+")[0], "+" in one.engine, one.metric != "cost_cluster"))
    records = [
        {"model": f"{one.engine} (published)", "part": wanted[one.metric], "usd": one.value or 0.0,
         "turn": one.metric != "cost_cluster",
         "colour": colour("lithops" if one.metric == "cost_lambda" else one.engine.split("+")[0])}
        for one in ordered
    ]  # fmt: skip
    totals = {one.engine: one.value or 0.0 for one in study.select("hybrid_costs", "cost_total")}
    cheap, dear = min(totals, key=lambda name: totals[name]), max(totals, key=lambda name: totals[name])
    lines = [Line([one.engine, wanted[one.metric], study.bounds(one), one.note, f"{one.source}, {one.place}"])
             for one in ordered]  # fmt: skip
    return [
        Figure(
            "cost-study",
            {"*": f"In the study {cheap} costs least ({totals[cheap]:.4f} USD), {dear} most ({totals[dear]:.4f} USD)"},
            "Published (Table 21): one run, deployment included, 64 nodes alone, 4 nodes with 128 functions. Its total "
            "for Ray alone is 0.3197 USD: the 0.3047 printed for the cluster's part is a misprint of the source.",
            cost.by_part(records, "USD of one run, deployment included"),
            Table("", ["model", "part", "published", "note", "source"], lines),
        )
    ]


def _functions(found: Report) -> Table:
    """What the functions of hybrids were asked, by sample."""
    lines = []
    for s in found.rows:
        told = s.row.parameters
        if s.row.workload == "sort" and "invoked" in told and s.row.metric == "run_s" and s.row.condition != "none":
            ways = {name.removeprefix("bytes_by_"): told[name] for name in told if name.startswith("bytes_by_")}
            handed = ", ".join(f"{way} {float(size or 0) / 2**20:.1f} MiB" for way, size in ways.items())
            cells = [s.row.label, s.row.condition, *(str(told.get(name, "-")) for name in CALLS)]
            took = f"{float(told.get('handed_over_s') or 0):.3f}"
            lines.append(Line([*cells, handed, took, f"{s.row.billed.function_s:.2f}", Refs([s.ref])]))
    columns = ["engine", "condition", "invoked", "retried", "cancelled", "handed over by", "in s", "function s", "row"]
    return Table("What the functions did", columns, lines, "No hybrid ran.")
