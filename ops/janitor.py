"""Runs as a Lambda function on a clock: ends the groups, EKS node groups and hosts whose expiry has passed.

This file alone is the function's code, so it imports nothing of the project. What has no readable expiry is not
touched: `python -m ops.audit` lists it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

STACK, EXPIRY = "breakeven:stack", "breakeven:expires-at"


def handler(event: dict[str, Any], context: Any) -> dict[str, list[str]]:
    """One round in the function's own region; returns, and logs as one line of JSON, what was ended."""
    client: Any = boto3.client  # its types are by literal names
    return round_of(client, datetime.now(UTC))


def round_of(client: Callable[[str], Any], now: datetime) -> dict[str, list[str]]:
    """End what has expired, by kind. A kind that fails does not keep the others from being ended; the first error is
    raised when all were tried."""
    kinds: dict[str, Callable[[], Iterator[str]]] = {
        "groups": lambda: _groups(client("autoscaling"), now),
        "node groups": lambda: _node_groups(client("eks"), now),
        "instances": lambda: _instances(client("ec2"), client("ssm"), now),
    }
    ended: dict[str, list[str]] = {kind: [] for kind in kinds}
    failed: list[Exception] = []
    for kind, end in kinds.items():
        try:
            ended[kind] += end()
        except Exception as error:
            failed.append(error)
    print(json.dumps({**ended, "failed": [str(error) for error in failed]}))
    if failed:
        raise failed[0]
    return ended


def expired(tags: Mapping[str, str], now: datetime) -> bool:
    """Whether the expiry among the tags has passed; False where there is none or it is no instant."""
    return _passed(tags.get(EXPIRY), now)


def _groups(autoscaling: Any, now: datetime) -> Iterator[str]:
    """Autoscaling groups, set to zero for good. A group's members go with it."""
    pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
    for group in [group for page in pages for group in page["AutoScalingGroups"]]:
        name = group["AutoScalingGroupName"]
        if expired(_pairs(group["Tags"]), now) and (group["DesiredCapacity"] or group["MaxSize"]):
            autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
            yield name


def _node_groups(eks: Any, now: datetime) -> Iterator[str]:
    """Node groups of EKS, deleted with their nodes. EKS's own autoscaling group bears none of our tags."""
    clusters = [name for page in eks.get_paginator("list_clusters").paginate() for name in page["clusters"]]
    for cluster in clusters:
        pages = eks.get_paginator("list_nodegroups").paginate(clusterName=cluster)
        for name in [name for page in pages for name in page["nodegroups"]]:
            group = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
            if expired(group.get("tags") or {}, now) and group["status"] != "DELETING":
                eks.delete_nodegroup(clusterName=cluster, nodegroupName=name)
                yield f"{cluster}/{name}"


def _instances(ec2: Any, ssm: Any, now: datetime) -> Iterator[str]:
    """Instances of a stack that are in no group, terminated. One without an expiry of its own has its stack's."""
    filters = [
        {"Name": "tag-key", "Values": [STACK]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = [i for page in pages for reservation in page["Reservations"] for i in reservation["Instances"]]
    over = []
    for instance in found:
        tags = _pairs(instance["Tags"])
        if "aws:autoscaling:groupName" not in tags and _passed(tags.get(EXPIRY) or _kept(ssm, tags[STACK]), now):
            over.append(instance["InstanceId"])
    if over:
        ec2.terminate_instances(InstanceIds=over)
    yield from over


def _kept(ssm: Any, stack: str) -> str | None:
    """The expiry that the stack keeps in its parameter."""
    try:
        return str(ssm.get_parameter(Name=f"/breakeven/{stack}/expires-at")["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise


def _pairs(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _passed(stamp: str | None, now: datetime) -> bool:
    try:
        return stamp is not None and datetime.fromisoformat(stamp) <= now
    except (ValueError, TypeError):  # TypeError: an instant without its zone
        return False
