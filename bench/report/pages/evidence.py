"""What stands behind the figures: what does not count, the machine, the trust in the harness, every row."""

from collections.abc import Iterable

from bench import stats
from bench.report.data import Report, null_tests, overhead_of
from bench.report.parts import Line, Page, Refs, Table
from bench.rows import Row
from bench.stored import Sourced


def page(found: Report) -> Page:
    """What stands behind the figures: what does not count, the machine, the trust in the harness, every row."""
    lost = [
        Line([Refs([s.ref]), s.row.workload, s.row.label, s.row.condition, s.row.status, *_reason(s.row)])
        for s in found.uncounted
    ]
    tests = [
        Line(
            [
                *(
                    m.group.workload,
                    m.group.dataset,
                    m.variant,
                    m.group.condition,
                    f"{test.differing} of {test.resamples}",
                ),
                *(f"{test.direct.ratio:.2f}, {test.direct.verdict}", _outcome(test)),
            ]
        )
        for m, test in null_tests(found)
    ]
    return Page(
        key="evidence",
        title="Evidence",
        lead="What stands behind the figures, row by row.",
        tables=[
            Table("Samples that do not count", ["row", "workload", "engine", "condition", "status", "kind", "reason"],
                  lost, "Every sample counts: none was dropped, none failed."),
            Table("Lines that could not be read", ["file:line", "reason"],
                  [Line([f"{u.path}:{u.line}", u.reason]) for u in found.unreadable], "Every line was read."),
            Table("One engine against itself",
                  ["workload", "data", "variant", "condition", "false alarms", "as run: ratio", "A/A"],
                  tests, "No run compared an engine with itself; --engines dask,dask does.",
                  "Of 100 random splits of both labels' samples at most 10 may show a difference."),
            Table("Harness overhead", ["run", "engine", "n", "median share of the wall time"],
                  list(_overhead_lines(found)), "No row has phase spans.",
                  "Time of a run outside every span: what the harness itself takes."),
            Table("Workers", ["run", "engine", "count", "vCPU", "declared MiB", "limit MiB", "seen MiB", "enforced by"],
                  list(_worker_lines(found)), "No row tells of workers."),
            Table("Environment", ["run", "what", "value"], list(_environment_lines(found)), "No row tells."),
            Table("All rows",
                  ["row", "at (UTC)", "run", "workload", "engine", "reader", "condition", "data", "metric", "value",
                   "status", "answer", "commit"],
                  [_row_line(s) for s in found.rows], "No rows."),
        ],
    )  # fmt: skip


def _overhead_lines(found: Report) -> Iterable[Line]:
    shares: dict[tuple[str, str], list[float]] = {}
    for s in found.rows:
        if s.row.status == "ok" and (share := overhead_of(s.row)) is not None:
            shares.setdefault((s.row.run_id, s.row.label), []).append(share)
    for (run, label), values in shares.items():
        yield Line([run, label, str(len(values)), f"{stats.estimate(values).median:.2%}"])


def _worker_lines(found: Report) -> Iterable[Line]:
    seen = {(s.row.run_id, s.row.label, s.row.workers.model_copy(update={"pids": ()})): s.row.unequal
            for s in found.rows if s.row.workers}  # fmt: skip
    for (run, label, w), unequal in seen.items():
        marked = f"{label} (unequal)" if unequal else label
        facts = [w.count, f"{w.vcpu:g}", w.declared_mib, w.limit_mib or "-", w.seen_mib or "-", w.enforced_by]
        yield Line([run, marked, *map(str, facts)])


def _environment_lines(found: Report) -> Iterable[Line]:
    facts = {
        (s.row.run_id, what): str(value)
        for s in found.rows
        for what, value in {**s.row.machine, **s.row.versions, "commit": s.row.commit or "-"}.items()
    }
    for (run, what), value in facts.items():
        yield Line([run, what, value])


def _row_line(s: Sourced) -> Line:
    r = s.row
    value = "-" if r.value is None else f"{r.value:.4g} {r.unit}"
    cells = [s.ref, r.at[:19], r.run_id, r.workload, r.label, r.reader or "-", r.condition, s.dataset]
    return Line([*cells, r.metric, value, r.status, (r.answer or "-")[:10], (r.commit or "-")[:10]], ref=s.ref)


def _reason(row: Row) -> tuple[str, str]:
    return (row.failure.kind, row.failure.message) if row.failure else ("-", "no reason given")


def _outcome(test: stats.NullTest) -> str:
    if test.direct.verdict == "too few":
        return f"can't say, {stats.MIN_SAMPLES} samples each are needed"
    return "passed" if test.passed else "FAILED"
