"""After `pulumi destroy`: what of the stack still exists, in every region that the account may use.

\b
    python -m ops.audit --stack bench-128

Exit code 0: every kind was looked for everywhere, and nothing is there. 1: something is. 2: not all could be seen, or
no stack of that name is known, so that nothing is known to be gone.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import click
from botocore.exceptions import BotoCoreError, ClientError

from ops import account
from ops.finders import FINDERS
from ops.left import Found, Unseen, enabled_regions, look
from plan import settings
from plan.faults import reported
from plan.person import variable
from plan.stack_file import ROOT, SettingsError, path_of
from plan.stack_option import StackName

FIRST_ASKED = "us-east-1"
"""Where the account is asked for its regions, if nothing names one: this region cannot be switched off."""


@click.command(help=__doc__)
@click.option("--stack", type=StackName(), required=True, help="the stack that was destroyed")
@click.option("--region", "regions", multiple=True, help="only this one; may be repeated")
def audit(stack: str, regions: Sequence[str]) -> None:
    """Print what is left, by kind and region."""
    _must_be_known(stack)
    try:
        session = account.session()
        regions = regions or enabled_regions(session, os.environ.get(variable("region")) or FIRST_ASKED)
    except (BotoCoreError, ClientError, click.ClickException) as error:
        _give_up(f"could not ask which regions there are, so nothing of {stack} is known to be gone: {error}")
    found, unseen = look(session, stack, regions, lambda region: click.echo(f"looked at {region}", err=True))
    for item in sorted(found, key=lambda item: (item.region, item.kind, item.id)):
        click.echo(f"{item.region}  {item.kind}: {item.id}")
    _conclude(stack, found, unseen, regions)


def _must_be_known(stack: str) -> None:
    """A misspelt name bears no tag anywhere, which says nothing."""
    try:
        path_of(stack)
    except SettingsError as error:
        if stack not in _with_state():
            _give_up(f"{error}; nor is there a state of that name. Nothing was looked for")
        return
    with suppress(SettingsError):  # a file that cannot be read must not keep anyone from looking
        if settings.load(stack).program == "embedded":
            _give_up(f"stack {stack!r} is embedded and has nothing in AWS: `make status STACK={stack}`")


def _with_state() -> list[str]:
    """Names of the stacks that have a state; none where there is no engine to ask."""
    engine = shutil.which("pulumi")
    if engine is None:
        return []
    command = [engine, "stack", "ls", "--json", "--cwd", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return [str(stack["name"]).rpartition("/")[2] for stack in json.loads(done.stdout)] if done.returncode == 0 else []


def _conclude(stack: str, found: Sequence[Found], unseen: Sequence[Unseen], regions: Sequence[str]) -> None:
    where = f"{len(FINDERS)} kinds in {', '.join(regions)}"
    for item in unseen:
        click.echo(
            f"could not look for: {item.kind} in {item.region}: {' '.join(str(item.error).split())[:300]}", err=True
        )
    if found:
        click.echo(
            f"{len(found)} resources of {stack} are there ({where}): `make recover STACK={stack} TO=nothing`, and end "
            "by hand what is still listed after it"
        )
        raise click.exceptions.Exit(1)
    if unseen:
        _give_up(f"could not see all of {stack} ({len(unseen)} of {where}), so nothing is known to be gone")
    click.echo(f"nothing of {stack} is there ({where})")


def _give_up(message: str) -> None:
    click.echo(message, err=True)
    raise click.exceptions.Exit(2)


if __name__ == "__main__":
    with reported():
        audit()
