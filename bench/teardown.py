"""`python -m bench.teardown`: rows of the embedded clusters that have gone down since it was last asked.

Whoever ends a local part (`down`, a Pulumi engine, a repair) notes it beside the stack's state folder. The rows that
follow from it are written here, since only the harness knows rows.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench import machine, stack
from bench.costs import DOWN
from bench.rows import Billed, Row, Workers, append
from plan.faults import reported
from plan.settings import Settings, SettingsError, load
from plan.sizing import sizes
from plan.stack_file import STATE

SUFFIX = ".ended.jsonl"
"""local/state.py: one line per part that ended, beside the state folder."""
TOGETHER_S = 60.0
"""Nodes that ended so long before or after their head ended with it; those of a `scale` did not."""


def collect(results: Path, root: Path = stack.ROOT) -> list[Row]:
    """Append a teardown row for each cluster that has ended, and return them; what they follow from is then forgotten.

    Clusters that nothing was run on have one too: they were up, and cost.
    """
    found, place = [], root / STATE
    for noted in place.glob(f"*{SUFFIX}"):
        noted.rename(noted.with_name(f"{noted.name}.{uuid.uuid4().hex[:6]}"))  # what ends now begins a new file
    for taken in sorted(place.glob(f"*{SUFFIX}.*"), key=lambda path: path.stat().st_mtime):
        name = taken.name.partition(SUFFIX)[0]
        try:
            settings = load(name, root)
        except SettingsError as error:
            click.echo(f"no teardown rows of {name}: {error}", err=True)
        else:
            entries = [json.loads(line) for line in taken.read_text().splitlines()]
            run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
            for row in _rows(settings, entries, run_id):
                append(results / name / f"{run_id}.jsonl", row)
                found.append(row)
        taken.unlink()
    return found


def _rows(settings: Settings, entries: Sequence[dict[str, Any]], run_id: str) -> Iterator[Row]:
    held = sizes(settings)
    for name, cluster in settings.clusters.items():
        size = held[name]
        for head in (entry for entry in entries if entry["part"] == name):
            nodes = [entry for entry in entries if entry["part"].startswith(f"{name}-")]
            parts = [head, *(one for one in nodes if abs(one["ended_at"] - head["ended_at"]) < TOGETHER_S)]
            ended_at = max(one["ended_at"] for one in parts)
            seconds = round(ended_at - min(one["ended_at"] - one["took_s"] for one in parts), 3)
            yield Row(
                run_id=run_id,
                at=datetime.fromtimestamp(ended_at, UTC).isoformat(),
                stack=settings.stack,
                platform="local",
                workload=DOWN,
                engine=cluster.engine,
                label=cluster.engine,
                condition="none",
                repeat=0,
                workers=Workers(count=size.workers, vcpu=settings.worker.vcpu, declared_mib=size.declared_mib),
                metric="teardown_s",
                value=seconds,
                billed=Billed(node_s={"local": size.nodes * seconds}, worker_s=size.workers * seconds),
                parameters={"up_at": head["began_at"], "cluster": name},
                versions=machine.versions(),
                commit=machine.commit(Path(__file__).parent),
                machine=machine.machine(),
            )


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True)
def main(results: Path) -> None:
    """Write teardown rows of embedded stacks that went down; says how many."""
    if rows := collect(results):
        took = ", ".join(f"{row.stack} {row.parameters['cluster']} {row.value:.1f} s" for row in rows)
        click.echo(f"teardown rows: {took}", err=True)


if __name__ == "__main__":
    with reported():
        main()
