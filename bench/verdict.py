"""Whether a command was a success: one judgement of its rows, and one table of exit codes, for every workload."""

from collections.abc import Sequence

import click

from bench.attempt import line
from bench.rows import Row
from bench.samples import Sample
from plan.faults import FAILED

LEFT_RUNNING = 3
"""The exit code of a command that could not bring to zero what costs money; the others are in `plan.faults`."""
EXIT_CODES = """\b
Exit codes:
  0    no sample failed, each engine has a valid one of each condition, and all answers are equal
  1    a sample failed, an answer is wrong, none is valid, or the command was refused
  2    an option is wrong
  3    something that costs money could not be brought to zero; the message names it
  70   a fault of breakeven itself; the last line says where to report it
  130  interrupted by Ctrl-C or SIGTERM; the rows so far are kept"""


def epilog(example: str) -> str:
    """What ends a workload's --help."""
    return f"Example: {example}\n\n{EXIT_CODES}"


def reasons(rows: Sequence[Row], plan: Sequence[Sample] = ()) -> list[str]:
    """Why rows are no success, one line for each label, condition and metric; none where they are one.

    A failed row counts against a command, and so does a wanted sample (of the plan's cold and warm ones) of which not
    one is valid: a run whose samples were all dropped has measured nothing.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {
        (sample.label, sample.condition, "run_s"): [] for sample in plan if sample.condition != "none"
    }
    for row in rows:
        groups.setdefault((row.label, row.condition, row.metric), []).append(row)
    wanted = {(sample.label, sample.condition) for sample in plan if sample.condition != "none"}
    found = []
    for (label, condition, metric), group in groups.items():
        bad = [row for row in group if row.failure]
        none_valid = metric == "run_s" and (label, condition) in wanted and len(bad) == len(group)
        if not none_valid and not any(row.status == "failed" for row in bad):
            continue
        what = " ".join(
            [label, *([condition] if condition != "none" else []), *([metric] if metric != "run_s" else [])]
        )
        why = f": {line(bad[0].failure, bad[0].status)}" if bad and bad[0].failure else ""
        count = f"{len(bad)} of {len(group)} do not count" if group else "was not taken"
        found.append(f"{what}: {'no valid sample, ' if none_valid and group else ''}{count}{why}")
    return found


def conclude(rows: Sequence[Row], plan: Sequence[Sample] = ()) -> None:
    """Say on standard error why a command is no success, and raise SystemExit; return where it is one."""
    if found := reasons(rows, plan):
        click.echo("not a success:\n" + "\n".join(f"  {reason}" for reason in found), err=True)
        raise SystemExit(FAILED)
