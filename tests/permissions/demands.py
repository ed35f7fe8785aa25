"""From a call to everything that IAM is asked because of it: the action, on each resource, and what it depends on.

What a call depends on besides its own action is said in prose in the services' guides and in no data: `_DEPENDENT`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.permissions.actions import action_of
from tests.permissions.asked import Asked, kinds
from tests.permissions.calls import Call
from tests.permissions.facts import ACCOUNT, REGION, Facts, pairs
from tests.permissions.resources import arns_of

# By service: the action that tags given to a making call are judged by, on what is made.
_TAGGING = {
    "ecr": "ecr:TagResource",
    "eks": "eks:TagResource",
    "lambda": "lambda:TagResource",
    "logs": "logs:TagResource",
    "secretsmanager": "secretsmanager:TagResource",
    "ssm": "ssm:AddTagsToResource",
    "sqs": "sqs:TagQueue",
    ("iam", "CreateRole"): "iam:TagRole",
    ("iam", "CreateInstanceProfile"): "iam:TagInstanceProfile",
}


def demands(call: Call, facts: Facts) -> list[Asked]:
    """All that IAM is asked."""
    return [*_own(call, facts), *_tagging(call, facts), *_dependent(call, facts)]


def _own(call: Call, facts: Facts) -> Iterator[Asked]:
    action = action_of(call)
    asked = Asked(action, keys=_keys(call, facts), region=call.region)
    found = [(kind, arn) for kind in kinds(action) for arn in arns_of(call, kind, facts)]
    if not found:
        lists = call.operation.startswith(("Describe", "List"))  # of everything, where it names nothing
        if not lists and any(kind["required"] for kind in kinds(action).values()):
            raise LookupError(f"{call.service} {call.operation}: found no resource in {dict(call.params)}")
        yield replace(asked, request_tags=_tags(call, ""))
    for kind, arn in found:
        owner = {"ec2:Owner": "amazon"} if kind == "image" and action == "ec2:RunInstances" else {}
        yield replace(
            asked,
            resource=arn,
            kind=kind,
            request_tags=_tags(call, kind),
            resource_tags=facts.tags(arn),
            keys={**asked.keys, **owner},
        )


def _keys(call: Call, facts: Facts) -> dict[str, str]:
    """The condition keys of IAM's own actions."""
    if call.service != "iam" or not call.operation.endswith(("Role", "RolePolicy", "RolePermissionsBoundary")):
        return {}
    if not call.operation.startswith(("Create", "Put", "Attach", "Detach", "Delete", "UpdateAssume")):
        return {}
    params, keys = call.params, {}
    boundary = params.get("PermissionsBoundary")
    if boundary is None:
        boundary = facts.role(params["RoleName"]).get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    if boundary is not None:
        keys["iam:PermissionsBoundary"] = str(boundary)
    if "PolicyArn" in params:
        keys["iam:PolicyARN"] = str(params["PolicyArn"])
    return keys


def _tags(call: Call, kind: str) -> dict[str, str]:
    """The tags of a request for what is of this kind in it."""
    params = call.params
    if call.service == "ec2" and call.operation not in ("CreateTags", "DeleteTags"):
        found = [spec.get("Tags", []) for spec in _specifications(call) if spec["ResourceType"] == kind]
        return {key: value for tags in found for key, value in pairs(tags).items()}
    if call.service == "s3" and "Tagging" in params and isinstance(params["Tagging"], Mapping):
        return {}  # s3:PutBucketTagging has no tag keys
    return pairs(params.get("Tags") or params.get("tags") or [])


def _specifications(call: Call) -> list[Mapping[str, Any]]:
    return list(call.params.get("TagSpecifications") or [])


def _tagging(call: Call, facts: Facts) -> Iterator[Asked]:
    """A making call with tags asks to tag, too."""
    if call.service == "ec2" and call.operation not in ("CreateTags", "DeleteTags"):
        for spec in _specifications(call):
            kind = str(spec["ResourceType"])
            yield Asked(
                "ec2:CreateTags",
                f"arn:aws:ec2:{call.region}:{ACCOUNT}:{kind}/*",
                kind,
                pairs(spec.get("Tags", [])),
                keys={"ec2:CreateAction": call.operation},
                region=call.region,
            )
        return
    tagging = _TAGGING.get((call.service, call.operation)) or _TAGGING.get(call.service)
    makes = call.operation.startswith(("Create", "PutParameter"))
    if tagging is None or not makes or not _tags(call, ""):
        return
    for kind in kinds(tagging):
        for arn in arns_of(call, kind, facts):
            yield Asked(tagging, arn, kind, _tags(call, ""), facts.tags(arn), region=call.region)


def _pass(service: str) -> Callable[[Call, Facts], Iterator[Asked]]:
    """The role in a call's parameters is handed to a service."""

    def passed(call: Call, facts: Facts) -> Iterator[Asked]:
        for role in sorted(set(_roles(call.params))):
            arn = role if role.startswith("arn:") else facts.role(role)["Arn"]
            yield Asked("iam:PassRole", arn, "role", keys={"iam:PassedToService": service}, region=call.region)

    return passed


def _roles(params: Any) -> Iterator[str]:
    """Every role in the parameters, however deep."""
    if isinstance(params, Mapping):
        for key, value in params.items():
            if isinstance(value, str) and re.fullmatch(r"(node)?role(arn|name)?", key, re.I):
                yield value
            else:
                yield from _roles(value)
    elif isinstance(params, list):
        for value in params:
            yield from _roles(value)


def _linked(service: str, role: str) -> Callable[[Call, Facts], Iterator[Asked]]:
    """In a fresh account, the first such call makes the service's own role."""

    def made(call: Call, facts: Facts) -> Iterator[Asked]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/{role}"
        yield Asked("iam:CreateServiceLinkedRole", arn, "role", keys={"iam:AWSServiceName": service})

    return made


def _launch(call: Call, facts: Facts) -> Iterator[Asked]:
    """A group or node group with a launch template: IAM is asked as if the caller launched from it."""
    params = call.params
    template = params.get("LaunchTemplate") or params.get("launchTemplate")
    if template is None:
        return
    subnets = params.get("subnets") or str(params.get("VPCZoneIdentifier") or "").split(",")
    if subnets == [""]:
        subnets = str(facts.group(params["AutoScalingGroupName"])["VPCZoneIdentifier"]).split(",")
    for subnet in subnets:
        launch = {"ImageId": "ami-0123456789abcdef0", **facts.launches(template), "SubnetId": subnet}
        yield from demands(replace(call, service="ec2", operation="RunInstances", params=launch), facts)


def _profile(call: Call, facts: Facts) -> Iterator[Asked]:
    """An instance with a profile takes the profile's role."""
    profile = call.params.get("IamInstanceProfile") or {}
    if name := profile.get("Arn") or profile.get("Name"):
        roles = [role["RoleName"] for role in facts.instance_profile(name)["Roles"]]
        for role in roles:
            yield from _pass("ec2.amazonaws.com")(replace(call, params={"RoleName": role}), facts)


def _image(call: Call, facts: Facts) -> Iterator[Asked]:
    """Lambda looks at the image, and writes its own access into the repository's policy, as the caller."""
    uri = (call.params.get("Code") or {}).get("ImageUri") or call.params.get("ImageUri")
    if uri:
        name = str(uri).partition("/")[2].partition("@")[0]
        arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}"
        for action in ("BatchGetImage", "GetDownloadUrlForLayer", "GetRepositoryPolicy", "SetRepositoryPolicy"):
            yield Asked(f"ecr:{action}", arn, "repository", resource_tags=facts.tags(arn))


def _network(call: Call, facts: Facts) -> Iterator[Asked]:
    """Lambda looks at a function's network as the caller."""
    if (call.params.get("VpcConfig") or {}).get("SubnetIds"):
        for action in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"):
            yield Asked(f"ec2:{action}")


def _look_at_role(call: Call, facts: Facts) -> Iterator[Asked]:
    """EKS looks at the role as the caller."""
    for role in sorted(set(_roles(call.params))):
        for action in ("iam:GetRole", "iam:ListAttachedRolePolicies"):
            yield Asked(action, role, "role")


_EKS, _NODES = "eks.amazonaws.com", "eks-nodegroup.amazonaws.com"
_DEPENDENT: Mapping[tuple[str, str], tuple[Callable[[Call, Facts], Iterator[Asked]], ...]] = {
    # Amazon EC2 Auto Scaling user guide, "Required permissions" of launch templates; its service-linked role.
    ("autoscaling", "CreateAutoScalingGroup"): (
        _launch,
        _linked("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
    ),
    ("autoscaling", "UpdateAutoScalingGroup"): (_launch,),
    ("ec2", "RunInstances"): (_profile,),
    # Amazon EKS user guide: cluster role, node role, launch templates ("not authorized to launch instances with this
    # launch template"), pod identities. Which service a node role is passed to, the guide leaves open: both must pass.
    ("eks", "CreateCluster"): (_pass(_EKS), _look_at_role, _linked(_EKS, "AWSServiceRoleForAmazonEKS")),
    ("eks", "CreateNodegroup"): (
        _pass(_EKS),
        _pass("ec2.amazonaws.com"),
        _look_at_role,
        _launch,
        _linked(_NODES, "AWSServiceRoleForAmazonEKSNodegroup"),
    ),
    ("eks", "UpdateNodegroupVersion"): (_launch,),
    ("eks", "CreatePodIdentityAssociation"): (_pass("pods.eks.amazonaws.com"), _look_at_role),
    ("eks", "UpdatePodIdentityAssociation"): (_pass("pods.eks.amazonaws.com"),),
    # IAM user guide, "Grant a user permissions to pass a role".
    ("iam", "AddRoleToInstanceProfile"): (_pass("ec2.amazonaws.com"),),
    ("lambda", "CreateFunction"): (_pass("lambda.amazonaws.com"), _image, _network),
    ("lambda", "UpdateFunctionCode"): (_image,),
    ("lambda", "UpdateFunctionConfiguration"): (_pass("lambda.amazonaws.com"), _network),
    ("scheduler", "CreateSchedule"): (_pass("scheduler.amazonaws.com"),),
    ("scheduler", "UpdateSchedule"): (_pass("scheduler.amazonaws.com"),),
}


def _dependent(call: Call, facts: Facts) -> Iterator[Asked]:
    for also in _DEPENDENT.get((call.service, call.operation), ()):
        yield from also(call, facts)
    # Since 6.23 the provider reads and writes a bucket's tags by S3 Control, which servers of AWS's answers lack.
    if call.service == "s3" and call.operation in ("GetBucketTagging", "PutBucketTagging"):
        arn = f"arn:aws:s3:::{call.params['Bucket']}"
        for action in ("ListTagsForResource", "TagResource") if call.operation[0] == "P" else ("ListTagsForResource",):
            yield Asked(f"s3:{action}", arn, "bucket")
