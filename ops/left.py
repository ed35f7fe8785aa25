"""What of a stack exists in the account, by its tags: one finder per kind of resource.

The tagging API alone is not enough: it lags, and does not know every kind (autoscaling groups, roles). So each kind is
asked of its own service; whatever service fails to answer fails the audit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from plan.rules.tags import STACK

Session = Any
"""A boto3 session."""


@dataclass(frozen=True)
class Found:
    """One resource that bears the stack's tag."""

    kind: str
    id: str


def left(session: Session, stack: str) -> list[Found]:
    """Everything in the session's region (and every role, which has none) that bears the stack's tag.

    Raises what a service raises: an audit that cannot see must not say that nothing is there.
    """
    return [Found(kind, identity) for kind, finder in FINDERS.items() for identity in finder(session, stack)]


def _ec2(operation: str, collection: str, identity: str) -> Callable[[Session, str], Iterator[str]]:
    def finder(session: Session, stack: str) -> Iterator[str]:
        pages = (
            session.client("ec2")
            .get_paginator(operation)
            .paginate(Filters=[{"Name": f"tag:{STACK}", "Values": [stack]}])
        )
        for page in pages:
            for item in page[collection]:
                if item.get("State") not in ("deleted", "deleting"):
                    yield item[identity]

    return finder


def _instances(session: Session, stack: str) -> Iterator[str]:
    filters = [
        {"Name": f"tag:{STACK}", "Values": [stack]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]},
    ]
    for page in session.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from (instance["InstanceId"] for instance in reservation["Instances"])


def _groups(session: Session, stack: str) -> Iterator[str]:
    pages = session.client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate()
    for page in pages:
        for group in page["AutoScalingGroups"]:
            if {"Key": STACK, "Value": stack} in [{k: t[k] for k in ("Key", "Value")} for t in group["Tags"]]:
                yield group["AutoScalingGroupName"]


def _tagged(service: str, kind: str) -> Callable[[Session, str], Iterator[str]]:
    """Through the tagging API, for kinds whose own service would need a call for each resource of the account."""

    def finder(session: Session, stack: str) -> Iterator[str]:
        pages = (
            session.client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(
                TagFilters=[{"Key": STACK, "Values": [stack]}],
                ResourceTypeFilters=[f"{service}:{kind}" if kind else service],
            )
        )
        for page in pages:
            yield from (item["ResourceARN"] for item in page["ResourceTagMappingList"])

    return finder


def _secrets(session: Session, stack: str) -> Iterator[str]:
    pages = (
        session.client("secretsmanager")
        .get_paginator("list_secrets")
        .paginate(Filters=[{"Key": "tag-key", "Values": [STACK]}])
    )
    for page in pages:
        for secret in page["SecretList"]:
            if {"Key": STACK, "Value": stack} in secret.get("Tags", []):
                yield secret["Name"]


def _roles(session: Session, stack: str) -> Iterator[str]:
    iam = session.client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            # Roles are named after what they are of; the tag decides, the name spares a call for each foreign role.
            named = role["RoleName"].startswith((f"{stack}-", f"breakeven-{stack}"))
            if named and {"Key": STACK, "Value": stack} in iam.list_role_tags(RoleName=role["RoleName"])["Tags"]:
                yield role["RoleName"]


def _schedules(session: Session, stack: str) -> Iterator[str]:
    # Schedules bear no tags of their own: they are known by their names.
    for page in session.client("scheduler").get_paginator("list_schedules").paginate(NamePrefix=f"{stack}-end-"):
        yield from (schedule["Name"] for schedule in page["Schedules"])


def _log_groups(session: Session, stack: str) -> Iterator[str]:
    logs = session.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{stack}-lithops-worker")
    for page in pages:
        yield from (group["logGroupName"] for group in page["logGroups"])


def _parameters(session: Session, stack: str) -> Iterator[str]:
    for page in session.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/breakeven/{stack}/"):
        yield from (parameter["Name"] for parameter in page["Parameters"])


FINDERS: dict[str, Callable[[Session, str], Iterator[str]]] = {
    "instance": _instances,
    "autoscaling group": _groups,
    "launch template": _ec2("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    "volume": _ec2("describe_volumes", "Volumes", "VolumeId"),
    "network interface": _ec2("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    "VPC endpoint": _ec2("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "security group": _ec2("describe_security_groups", "SecurityGroups", "GroupId"),
    "subnet": _ec2("describe_subnets", "Subnets", "SubnetId"),
    "route table": _ec2("describe_route_tables", "RouteTables", "RouteTableId"),
    "internet gateway": _ec2("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "VPC": _ec2("describe_vpcs", "Vpcs", "VpcId"),
    "EKS cluster": _tagged("eks", "cluster"),
    "load balancer": _tagged("elasticloadbalancing", "loadbalancer"),
    "function": _tagged("lambda", "function"),
    "repository": _tagged("ecr", "repository"),
    "queue": _tagged("sqs", ""),
    "bucket": _tagged("s3", ""),
    "secret": _secrets,
    "role": _roles,
    "schedule": _schedules,
    "log group": _log_groups,
    "parameter": _parameters,
}
"""Kind to the function that yields the identifiers of a stack's resources of that kind."""
