"""What is up in AWS, since when, until when, and what it spends.

python -m ops.status                   every stack in the region
python -m ops.status --stack bench-128
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click
from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from catalog.prices import PriceError
from ops.account import in_one_region
from plan.cost import host_usd_per_h
from plan.faults import reported
from plan.narrow import Fitted
from plan.rules.tags import EXPIRY, OWNER, STACK
from plan.stack_file import SettingsError, path_of
from plan.stack_option import StackName


@dataclass(frozen=True)
class Host:
    """One running instance of a stack; usd_per_h includes its volume and address, None where a price is unknown."""

    stack: str
    owner: str
    group: str
    instance_type: str
    since: datetime
    until: str | None
    usd_per_h: Decimal | None

    def spent_usd(self, now: datetime) -> Decimal | None:
        """What it has cost since it was launched."""
        return self.usd_per_h and self.usd_per_h * Decimal((now - self.since).total_seconds()) / 3600


def hosts(session: Any, stack: str | None = None) -> Iterator[Host]:
    """Every running or starting instance that bears a stack's tag.

    What a group launches bears the stack alone: owner and expiry, which may change, are those of the stack's record.
    """
    records: dict[str, dict[str, str]] = {}
    filters = [
        {"Name": "tag-key", "Values": [STACK]} if stack is None else {"Name": f"tag:{STACK}", "Values": [stack]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    for page in session.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for instance in (i for reservation in page["Reservations"] for i in reservation["Instances"]):
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            if tags[STACK] not in records:
                records[tags[STACK]] = _record(session.client("ssm"), tags[STACK])
            tags = {**records[tags[STACK]], **tags}
            yield Host(
                stack=tags[STACK],
                owner=tags.get(OWNER, "unknown"),
                group=tags.get("aws:autoscaling:groupName") or tags.get("Name", instance["InstanceId"]),
                instance_type=instance["InstanceType"],
                since=instance["LaunchTime"],
                until=tags.get(EXPIRY),
                usd_per_h=_usd_per_h(instance["InstanceType"], session.region_name),
            )


def _usd_per_h(kind: str, region: str) -> Decimal | None:
    try:
        return host_usd_per_h(kind, region)
    except PriceError:  # what runs must be seen, in whatever region and whatever it costs
        return None


def _summed(amounts: Iterable[Decimal | None], digits: int) -> str:
    known = list(amounts)
    return "unknown" if None in known else f"{sum(filter(None, known), Decimal(0)):.{digits}f}"


def _record(ssm: Any, stack: str) -> dict[str, str]:
    """Tags of the parameter in which a stack keeps its expiry; none where the stack has none."""
    try:
        found = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=f"/breakeven/{stack}/expires-at")
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidResourceId":
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in found["TagList"]}


@click.command(help=__doc__)
@click.option("--stack", type=StackName(), help="one stack only")
@click.option("--region", help="default: BREAKEVEN_REGION, else AWS's own setting")
def status(stack: str | None, region: str | None) -> None:
    """Print one line per group of hosts."""
    session, now = in_one_region(region), datetime.now(UTC)
    groups: dict[tuple[str, str], list[Host]] = {}
    for host in hosts(session, stack):
        groups.setdefault((host.stack, host.group), []).append(host)
    if not groups:
        if stack is not None:
            _must_have_a_file(stack)
        click.echo(f"no host is up in {session.region_name}; functions and buckets cost by use")
        return
    table = Table("stack", "group", "hosts", "type", "owner", "up for", "until (UTC)", "USD/h", "USD so far")
    for (name, group), members in sorted(groups.items()):
        oldest = min(members, key=lambda host: host.since)
        table.add_row(
            name,
            group,
            str(len(members)),
            oldest.instance_type,
            oldest.owner,
            str(timedelta(seconds=int((now - oldest.since).total_seconds()))),
            oldest.until or "no expiry",
            _summed((host.usd_per_h for host in members), 3),
            _summed((host.spent_usd(now) for host in members), 2),
        )
    Console().print(Fitted(table, lead=2))
    click.echo("end a stack with: pulumi destroy -s STACK && python -m ops.audit --stack STACK")


def _must_have_a_file(stack: str) -> None:
    """Of a misspelt stack nothing is ever up, which says nothing."""
    try:
        path_of(stack)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    with reported():
        status()
