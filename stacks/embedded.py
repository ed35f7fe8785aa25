"""The embedded stack: the parts of a real one as local processes, with a Pulumi engine or without.

With an engine `program` declares each part as a resource. Without one this module's command line hands the same list to
the supervisor: python -m stacks.embedded up --stack dev
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import psutil
import pulumi

import local
from infra.embedded.composition import outputs, parts
from infra.embedded.resources import OUTPUTS_FILE, LocalPart, OutputsFile, StateFolder
from plan.faults import reported
from plan.outputs import Outputs
from plan.person import Person
from plan.room import too_many
from plan.rules import check_settings, must_pass
from plan.settings import Settings, SettingsError, load
from plan.sizing import sizes
from plan.stack_file import ROOT, state_dir, state_of_known
from plan.stack_option import StackName


def program(settings: Settings, _person: Person | None = None) -> Mapping[str, Any]:
    """Declare the stack, which needs nothing of a person; returns `plan.outputs.Outputs` by its wire names."""
    must_pass(check_settings(settings, None))
    where = state_dir(settings.stack, ROOT)
    folder = StateFolder(settings.stack, where)
    declared: dict[str, LocalPart] = {}
    for part in parts(settings):
        declared[part.name] = LocalPart(folder, part, {name: declared[name] for name in part.needs})
    facts = pulumi.Output.all(**{name: resource.facts for name, resource in declared.items()})
    found = facts.apply(lambda known: outputs(settings, where, known).model_dump_json(by_alias=True, indent=1))
    OutputsFile(folder, found, list(declared.values()))
    return {str(field.alias): found.apply(_value(str(field.alias))) for field in Outputs.model_fields.values()}


def _value(key: str) -> Any:
    return lambda document: json.loads(document)[key]


def _embedded(stack: str) -> Settings:
    settings = load(stack, ROOT)
    if settings.program != "embedded":
        raise SettingsError(f"stack {stack!r} is {settings.program}, not embedded: `pulumi up -s {stack}` brings it up")
    must_pass(check_settings(settings, None))
    for name, size in sizes(settings).items():
        _must_fit(f"stack {stack!r}, {name}: workers", size.workers)
    return settings


def _must_fit(what: str, workers: int) -> None:
    memory_mib = psutil.virtual_memory().total // 2**20
    if problem := too_many(workers, what, os.cpu_count() or 1, memory_mib):
        raise SettingsError(f"{problem}; lower nodes or slotsPerNode")


def _state(stack: str) -> Path:
    """The state folder of a stack that may be ended or looked at, even where its file can no longer be read."""
    where = state_of_known(stack, ROOT)
    try:
        program = load(stack, ROOT).program
    except SettingsError:
        return where  # it has left state, or `state_of_known` would have refused, or its file is there and broken
    if program != "embedded":
        raise SettingsError(f"stack {stack!r} is {program}, not embedded: use `pulumi destroy -s {stack}`")
    return where


@click.group()
def cli() -> None:
    """Start, look at, scale and end an embedded stack without a Pulumi engine.

    Example: python -m stacks.embedded up --stack dev
    """


STACK = click.option("--stack", type=StackName(), default="dev", show_default=True, help="which Pulumi.<stack>.yaml")


@cli.command()
@STACK
def up(stack: str) -> None:
    """Start what is not up, and wait until every part answers. A second `up` changes nothing."""
    settings = _embedded(stack)
    where = state_dir(stack, ROOT)
    facts = local.up(parts(settings), where, click.echo)
    _write(settings, where, facts)
    click.echo(f"stack {stack} is up; `make down STACK={stack}` ends it")


@cli.command()
@STACK
@click.option("--data", type=click.Choice(["keep", "drop"]), default="keep", show_default=True, help="buckets and logs")
def down(stack: str, data: str) -> None:
    """End every process of the stack and remove what it left; data and logs are kept unless told otherwise."""
    where = _state(stack)
    (where / OUTPUTS_FILE).unlink(missing_ok=True)
    local.down(where, drop_data=data == "drop", say=click.echo)
    click.echo(
        f"stack {stack} is down" + ("" if data == "drop" or not where.exists() else f"; its data stay in {where}")
    )


@cli.command()
@STACK
@click.option("--quiet", is_flag=True, help="say nothing; exit code 0 if everything is up, 1 if not")
def status(stack: str, quiet: bool) -> None:
    """What runs, and where."""
    found = local.status(_state(stack))
    if not quiet:
        for name, facts in found.items():
            click.echo(f"{name:14} {facts['health']:10} {facts.get('address') or ''}")
        if not found:
            click.echo(f"stack {stack} is down; `make up STACK={stack}` starts it")
    up = bool(found) and all(facts["health"] == "up" for facts in found.values())
    sys.exit(1 if quiet and not up else 0)


@cli.command()
@STACK
@click.option("--cluster", required=True, help="which of the stack's clusters")
@click.option("--nodes", type=click.IntRange(min=0), required=True, help="worker nodes wanted")
@click.option(
    "--slots", type=click.IntRange(min=1), help="slots of each; default: as the stack declares. All nodes anew"
)
def scale(stack: str, cluster: str, nodes: int, slots: int | None) -> None:
    """Bring a running cluster to that many worker nodes; for sessions. The next `up` restores the declared number."""
    settings = _embedded(stack)
    where = state_dir(stack, ROOT)
    if cluster not in settings.clusters:
        raise click.ClickException(f"stack {stack!r} has no cluster {cluster!r}, wanted one of {[*settings.clusters]}")
    if settings.clusters[cluster].autoscale:
        raise click.ClickException(f"stack {stack!r}: {cluster} is moved by its engine's autoscaler, not by `scale`")
    declared = next(part for part in parts(settings) if part.name == f"{cluster}-node-0")
    assert isinstance(declared, local.RayNode | local.DaskNode)
    wanted = replace(declared, slots=slots or declared.slots)
    _must_fit(f"stack {stack!r}, {cluster}: workers", nodes * wanted.slots)
    there = local.nodes_of(cluster, where)
    for part in there:
        if local.check(part, where) != "up":  # what an interrupted `scale` or a crash has left
            local.stop(part, where, click.echo, grace_s=0)
    there = local.nodes_of(cluster, where)
    if any(part.slots != wanted.slots for part in there):
        local.remove_nodes(cluster, len(there), where, click.echo)
        there = []
    if len(there) > nodes:
        local.remove_nodes(cluster, len(there) - nodes, where, click.echo)
    elif len(there) < nodes:
        local.add_nodes(wanted, nodes - len(there), where, click.echo)


def _write(settings: Settings, where: Path, facts: Mapping[str, Mapping[str, Any]]) -> None:
    document = outputs(settings, where, facts).model_dump_json(by_alias=True, indent=1)
    (where / OUTPUTS_FILE).write_text(document)


if __name__ == "__main__":
    with reported():
        try:
            cli()
        except (SettingsError, local.PartFailed, local.StateError, local.PortTaken, ValueError) as error:
            sys.exit(f"error: {error}")
