"""Runs as a Lambda function on a clock: sets expired groups to zero and ends expired hosts.

This file alone is the function's code, so it imports nothing of the project. What has no readable expiry tag is not
touched: `python -m ops.audit` lists it.
"""

import json
from datetime import UTC, datetime
from typing import Any

import boto3

TAG = "breakeven:expires-at"


def handler(event: dict[str, Any], context: Any) -> dict[str, list[str]]:
    """End what has expired; returns, and logs as one line of JSON, what was ended."""
    ended = round_of(boto3.client("autoscaling"), boto3.client("ec2"), datetime.now(UTC))
    print(json.dumps(ended))
    return ended


def round_of(autoscaling: Any, ec2: Any, now: datetime) -> dict[str, list[str]]:
    """One round: names of the groups set to zero and ids of the instances terminated. Members of a group go with it."""
    groups = [
        group
        for page in autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
        for group in page["AutoScalingGroups"]
        if expired(group["Tags"], now) and (group["DesiredCapacity"] or group["MaxSize"])
    ]
    for group in groups:
        name = group["AutoScalingGroupName"]
        autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
    filters = [
        {"Name": "tag-key", "Values": [TAG]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    instances = [
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate(Filters=filters)
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        if expired(instance["Tags"], now) and "aws:autoscaling:groupName" not in {t["Key"] for t in instance["Tags"]}
    ]
    if instances:
        ec2.terminate_instances(InstanceIds=instances)
    return {"groups": [group["AutoScalingGroupName"] for group in groups], "instances": instances}


def expired(tags: list[dict[str, str]], now: datetime) -> bool:
    """Whether the expiry among the tags has passed; False where there is none or it is no instant."""
    stamps = [tag["Value"] for tag in tags if tag["Key"] == TAG]
    try:
        return any(datetime.fromisoformat(stamp) <= now for stamp in stamps)
    except (ValueError, TypeError):  # TypeError: an instant without its zone
        return False
