"""The account and region that a command looks at."""

import os
from typing import Any

import boto3
import click
from botocore.exceptions import ProfileNotFound

from plan.person import variable


def session(region: str | None = None) -> Any:
    """A boto3 session in `region`, else in BREAKEVEN_REGION as the programs, else in AWS's own setting, if any.

    Raises click.ClickException for a profile that does not exist.
    """
    try:
        return boto3.Session(region_name=region or os.environ.get(variable("region")) or None)
    except ProfileNotFound as error:
        raise click.ClickException(
            f"{error}; unset AWS_PROFILE, or name a profile that `aws configure` knows"
        ) from None


def in_one_region(region: str | None = None) -> Any:
    """`session`, which has a region and credentials. Raises click.ClickException where nothing gives them."""
    found = session(region)
    if found.region_name is None:
        raise click.ClickException(f"found no region, wanted one: give --region, or set {variable('region')}")
    if found.get_credentials() is None:
        wanted = "those of your account: `aws sts get-caller-identity` must answer (docs/aws.md)"
        raise click.ClickException(f"found no AWS credentials, wanted {wanted}")
    return found
