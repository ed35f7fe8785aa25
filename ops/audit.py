"""After `pulumi destroy`: what still bears the stack's tags. Exit 1 if there is anything, 2 if it cannot be seen.

python -m ops.audit --stack bench-128
"""

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from ops.left import FINDERS, left
from plan.stack_option import StackName


@click.command(help=__doc__)
@click.option("--stack", type=StackName(), required=True, help="the stack that was destroyed")
@click.option("--region", help="default: AWS_REGION or the profile's")
def audit(stack: str, region: str | None) -> None:
    """Print what is left, by kind."""
    try:
        found = left(boto3.Session(region_name=region), stack)
    except (BotoCoreError, ClientError) as error:
        raise click.exceptions.Exit(_unseen(stack, error)) from None
    for item in found:
        click.echo(f"{item.kind}: {item.id}")
    if found:
        click.echo(
            f"{len(found)} resources still bear the tags of {stack}: run `pulumi destroy` again, or end them by hand"
        )
        raise click.exceptions.Exit(1)
    click.echo(f"nothing bears the tags of {stack} ({len(FINDERS)} kinds looked for)")


def _unseen(stack: str, error: Exception) -> int:
    click.echo(f"could not see all of {stack}, so nothing is known to be gone: {error}", err=True)
    return 2


if __name__ == "__main__":
    audit()
