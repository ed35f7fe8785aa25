"""Which resources a call names, as ARNs by their kind in the service authorization reference."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.permissions.asked import kinds
from tests.permissions.calls import Call
from tests.permissions.facts import ACCOUNT, Facts

# EC2 says what an id is of by its prefix.
_EC2 = {
    "acl": "network-acl",
    "ami": "image",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
_ID = re.compile(r"(" + "|".join(sorted(_EC2, key=len, reverse=True)) + r")-[0-9a-f]{8,17}")

Finder = Callable[[Mapping[str, Any], Facts], Iterator[str]]


def arns_of(call: Call, kind: str, facts: Facts) -> list[str]:
    """The ARNs of a call's resources of one kind, each once."""
    if call.service == "ec2" or kind in ("instance",):
        return _of_ec2(call, kind, facts)
    found = _FINDERS.get((call.service, kind))
    if found is None:
        return []
    here = f"arn:aws:{call.service}:{call.region}:{ACCOUNT}:"
    return sorted({name if name.startswith("arn:") else here + name for name in found(call.params, facts)})


def _of_ec2(call: Call, kind: str, facts: Facts) -> list[str]:
    ids = [text for text in _texts(call.params) if _ID.fullmatch(text)]
    for association in (text for text in _texts(call.params) if text.startswith("rtbassoc-")):
        ids += facts.associated(association)
    # A public image is of no account.
    where = f"arn:aws:ec2:{call.region}:{'' if kind == 'image' else ACCOUNT}:{kind}"
    found = sorted({f"{where}/{text}" for text in ids if _EC2[text.partition("-")[0]] == kind})
    if found or call.service != "ec2":
        return found
    of_kind = kinds(f"ec2:{call.operation}").get(kind)
    specified = kind in [spec["ResourceType"] for spec in call.params.get("TagSpecifications") or []]
    # What the call makes has no id yet.
    made = of_kind is not None and "aws:RequestTag/${TagKey}" in of_kind["conditionKeys"]
    return [f"{where}/*"] if made and of_kind is not None and (specified or of_kind["required"]) else []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _from(key: str, prefix: str, suffix: str = "") -> Finder:
    """The resource whose name, or ARN, is one parameter."""

    def find(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
        if name := params.get(key):
            yield str(name) if str(name).startswith("arn:") else f"{prefix}{name}{suffix}"

    return find


def _any_of(*finders: Finder) -> Finder:
    def find(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
        for finder in finders:
            yield from finder(params, facts)

    return find


def _identity(kind: str, key: str, look: Callable[[Facts, str], Mapping[str, Any]]) -> Finder:
    def find(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
        if name := params.get(key):
            known = look(facts, str(name)).get("Arn")
            yield str(known or f"arn:aws:iam::{ACCOUNT}:{kind}{params.get('Path', '/')}{name}")

    return find


def _groups(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    names = [params.get("AutoScalingGroupName"), *(tag.get("ResourceId") for tag in params.get("Tags") or [])]
    if "InstanceId" in params and not names[0]:
        names.append(facts.group_of(str(params["InstanceId"])))
    for name in filter(None, names):
        yield f"autoScalingGroup:*:autoScalingGroupName/{name}"


def _log_groups(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    """In both forms: some actions are judged on the group's ARN, and some on it with `:*` or a stream behind."""
    for name in filter(None, (params.get("logGroupName"), params.get("resourceArn"), params.get("resource"))):
        bare = str(name).removesuffix(":*")
        arn = bare if bare.startswith("arn:") else f"log-group:{bare}"
        yield from (arn, f"{arn}:log-stream:")


def _parameters(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    for name in (params.get("Name"), params.get("ResourceId"), params.get("Path"), *(params.get("Names") or [])):
        if name and not str(name).startswith("i-"):
            if str(name).startswith("/aws/service/"):  # AWS's own, of no account
                yield f"arn:aws:ssm:us-east-1::parameter{name}"
            else:
                yield f"parameter/{str(name).strip('/')}"


def _documents(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    if name := params.get("DocumentName"):
        yield f"arn:aws:ssm:us-east-1::document/{name}" if str(name).startswith("AWS-") else f"document/{name}"


def _secret(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    for name in filter(None, (params.get("SecretId"), params.get("Name"))):
        yield str(name) if str(name).startswith("arn:") else f"secret:{name}-AbCdEf"


def _of_cluster(kind: str, key: str) -> Finder:
    def find(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
        arn = str(params.get("resourceArn", ""))
        if f":{kind}/" in arn:
            yield arn
        cluster = params.get("clusterName") or (params.get("name") if kind == "cluster" else None)
        if kind == "cluster" and cluster:
            yield f"cluster/{cluster}"
        elif cluster and key in params:
            name = str(params[key])
            if kind == "access-entry":
                of, _, principal = name.rpartition(":")[2].partition("/")
                name = f"{of}/{name.split(':')[4]}/{principal}"
            yield f"{kind}/{cluster}/{name}/00000000-0000-0000-0000-000000000000"

    return find


_bucket = _from("Bucket", "arn:aws:s3:::")
_function = _any_of(_from("FunctionName", "function:"), _from("Resource", ""))


def _objects(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    keys = [params.get("Key"), *(item["Key"] for item in (params.get("Delete") or {}).get("Objects", []))]
    for key in filter(None, keys):
        yield f"arn:aws:s3:::{params['Bucket']}/{key}"


def _repositories(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    for name in (params.get("repositoryName"), *(params.get("repositoryNames") or [])):
        if name:
            yield f"repository/{name}"
    yield from filter(None, [params.get("resourceArn")])


def _schedules(params: Mapping[str, Any], facts: Facts) -> Iterator[str]:
    if name := params.get("Name"):
        yield f"schedule/{params.get('GroupName', 'default')}/{name}"


_FINDERS: Mapping[tuple[str, str], Finder] = {
    ("autoscaling", "autoScalingGroup"): _groups,
    ("ecr", "repository"): _repositories,
    ("eks", "access-entry"): _of_cluster("access-entry", "principalArn"),
    ("eks", "addon"): _of_cluster("addon", "addonName"),
    ("eks", "cluster"): _of_cluster("cluster", "name"),
    ("eks", "nodegroup"): _of_cluster("nodegroup", "nodegroupName"),
    ("eks", "podidentityassociation"): _of_cluster("podidentityassociation", "associationId"),
    ("iam", "instance-profile"): _identity("instance-profile", "InstanceProfileName", Facts.instance_profile),
    ("iam", "policy"): _from("PolicyArn", ""),
    ("iam", "role"): _identity("role", "RoleName", Facts.role),
    ("kms", "key"): _from("KeyId", "key/"),
    ("lambda", "function"): _function,
    ("logs", "log-group"): _log_groups,
    ("s3", "bucket"): _any_of(_bucket, _from("resourceArn", "")),
    ("s3", "object"): _objects,
    ("scheduler", "schedule"): _schedules,
    ("scheduler", "schedule-group"): _any_of(_from("ResourceArn", "")),
    ("secretsmanager", "Secret"): _secret,
    ("ssm", "document"): _documents,
    ("ssm", "parameter"): _parameters,
}
