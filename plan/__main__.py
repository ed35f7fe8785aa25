"""`python -m plan --stack bench-128`: the stack on paper, without an account. Ends with 1 if a rule refuses it."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from plan import strict_yaml
from plan.dry_run import dry_run, render
from plan.faults import reported
from plan.person import Person, PersonError, person
from plan.settings import SettingsError, load
from plan.stack_option import StackName


@click.command()
@click.option(
    "--stack", type=StackName(), default="dev", show_default=True, help="Name of a Pulumi.<stack>.yaml in this folder."
)
def main(stack: str) -> None:
    """Nodes, slots, workers, memory, CPU and cost of a stack, and what the rules say. Nothing is deployed."""
    root = Path.cwd()
    try:
        settings = load(stack, root)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    who, unjudged = (None, None) if settings.program == "embedded" else _person(root / f"Pulumi.{stack}.yaml")
    run = dry_run(settings, who, unjudged)
    Console().print(render(run), soft_wrap=not sys.stdout.isatty())
    sys.exit(1 if run.violations else 0)


def _person(path: Path) -> tuple[Person | None, str | None]:
    config = strict_yaml.config(path)
    try:
        return person({key: str(value) for key, value in config.items()}, os.environ), None
    except PersonError as error:
        if error.wrong:
            raise click.ClickException("; ".join(error.wrong)) from None
        return None, f"quotas and budget in your region, for want of {', '.join(error.missing)} (docs/aws.md)"


if __name__ == "__main__":
    with reported():
        main()
