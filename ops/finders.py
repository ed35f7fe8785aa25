"""One finder per kind of resource: what of a stack exists in one region, or in the account where it has no region.

Each kind is asked of its own service: the tagging API lags, and knows neither autoscaling groups nor roles. It is asked
besides for whatever else bears the stack's tag, of kinds that no program here declares.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from plan.rules.tags import STACK

Client = Callable[[str], Any]
"""Service name to a boto3 client, all of one region."""
Find = Callable[[Client, str], Iterator[str]]


@dataclass(frozen=True)
class Finder:
    """`find` yields identifiers of a stack's resources of one kind; `tokens`: the provider's types that are of it.
    `named`: which resource types of the tagging API it answers for. `everywhere`: the kind has no region."""

    kind: str
    tokens: tuple[str, ...]
    find: Find
    named: tuple[str, ...] = ()
    everywhere: bool = False


def ours(tags: Sequence[Mapping[str, Any]] | Mapping[str, str], stack: str) -> bool:
    """Whether tags, as a list of pairs or a mapping, name the stack."""
    if isinstance(tags, Mapping):
        return tags.get(STACK) == stack
    return any(tag["Key"] == STACK and tag["Value"] == stack for tag in tags)


def of_stack(name: str, stack: str) -> bool:
    """Whether a name may be one of the stack's. Its tags decide; the name spares a call for each foreign resource."""
    return name.startswith((f"{stack}-", f"breakeven-{stack}-"))


def _ec2(operation: str, collection: str, identity: str, **more: Any) -> Find:
    def find(client: Client, stack: str) -> Iterator[str]:
        ec2 = client("ec2")
        filters = [{"Name": f"tag:{STACK}", "Values": [stack]}]
        arguments = {"Filters": filters, **more}
        pages = ec2.get_paginator(operation).paginate(**arguments) if ec2.can_paginate(operation) else None
        for page in pages if pages is not None else [getattr(ec2, operation)(**arguments)]:
            for item in page[collection]:
                if item.get("State") not in ("deleted", "deleting"):
                    yield item[identity]

    return find


def _instances(client: Client, stack: str) -> Iterator[str]:
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    filters = [{"Name": f"tag:{STACK}", "Values": [stack]}, {"Name": "instance-state-name", "Values": states}]
    for page in client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from (instance["InstanceId"] for instance in reservation["Instances"])


def _nat_gateways(client: Client, stack: str) -> Iterator[str]:
    for page in client("ec2").get_paginator("describe_nat_gateways").paginate():
        for gateway in page["NatGateways"]:
            if ours(gateway.get("Tags", []), stack) and gateway["State"] not in ("deleted", "deleting"):
                yield gateway["NatGatewayId"]


def _groups(client: Client, stack: str) -> Iterator[str]:
    """Autoscaling groups: ours by tag, and EKS's own, which bear the cluster's name."""
    for page in client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
            if ours(tags, stack) or tags.get("eks:cluster-name") == stack:
                yield group["AutoScalingGroupName"]


def _clusters(client: Client, stack: str) -> Iterator[str]:
    eks = client("eks")
    for page in eks.get_paginator("list_clusters").paginate():
        for name in page["clusters"]:
            if ours(eks.describe_cluster(name=name)["cluster"].get("tags") or {}, stack):
                yield name


def _node_groups(client: Client, stack: str) -> Iterator[str]:
    eks = client("eks")
    clusters = [name for page in eks.get_paginator("list_clusters").paginate() for name in page["clusters"]]
    for cluster in clusters:
        for page in eks.get_paginator("list_nodegroups").paginate(clusterName=cluster):
            for name in page["nodegroups"]:
                group = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
                if ours(group.get("tags") or {}, stack):
                    yield f"{cluster}/{name}"


def _load_balancers(client: Client, stack: str) -> Iterator[str]:
    """By our tag, or by that which a controller in the stack's cluster sets."""
    for tag in ({"Key": STACK, "Values": [stack]}, {"Key": f"kubernetes.io/cluster/{stack}"}):
        yield from _by_tag(client, tag, "elasticloadbalancing:loadbalancer")


def _functions(client: Client, stack: str) -> Iterator[str]:
    functions = client("lambda")
    for page in functions.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            name, arn = function["FunctionName"], function["FunctionArn"]
            if of_stack(name, stack) and ours(functions.list_tags(Resource=arn).get("Tags", {}), stack):
                yield name


def _repositories(client: Client, stack: str) -> Iterator[str]:
    ecr = client("ecr")
    for page in ecr.get_paginator("describe_repositories").paginate():
        for repository in page["repositories"]:
            name, arn = repository["repositoryName"], repository["repositoryArn"]
            if of_stack(name, stack) and ours(ecr.list_tags_for_resource(resourceArn=arn)["tags"], stack):
                yield name


def _buckets(client: Client, stack: str) -> Iterator[str]:
    s3 = client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        if of_stack(bucket["Name"], stack) and ours(_bucket_tags(s3, bucket["Name"]), stack):
            yield bucket["Name"]


def _bucket_tags(s3: Any, bucket: str) -> list[dict[str, str]]:
    try:
        return list(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchTagSet", "NoSuchBucket"):
            return []
        raise


def _metadata(client: Client, stack: str) -> Iterator[str]:
    """What a stack with functions puts into the working bucket of its base, so that Lithops deploys nothing."""
    s3 = client("s3")
    for name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        if not (name.startswith("breakeven-") and "-working" in name):
            continue
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix="lithops.runtimes/aws_lambda/"):
            keys = (item["Key"] for item in page.get("Contents", []))
            yield from (f"{name}/{key}" for key in keys if f"/{stack}-lithops-worker-" in key)


def _secrets(client: Client, stack: str) -> Iterator[str]:
    filters = [{"Key": "tag-key", "Values": [STACK]}]
    for page in client("secretsmanager").get_paginator("list_secrets").paginate(Filters=filters):
        yield from (secret["Name"] for secret in page["SecretList"] if ours(secret.get("Tags", []), stack))


def _roles(client: Client, stack: str) -> Iterator[str]:
    iam = client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for name in (role["RoleName"] for role in page["Roles"]):
            if of_stack(name, stack) and ours(iam.list_role_tags(RoleName=name)["Tags"], stack):
                yield name


def _profiles(client: Client, stack: str) -> Iterator[str]:
    iam = client("iam")
    for page in iam.get_paginator("list_instance_profiles").paginate():
        for name in (profile["InstanceProfileName"] for profile in page["InstanceProfiles"]):
            if not of_stack(name, stack):
                continue
            if ours(iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"].get("Tags", []), stack):
                yield name


def _schedules(client: Client, stack: str) -> Iterator[str]:
    """By name, since schedules bear no tags: those that end a stack, and the janitor's clock of a base."""
    scheduler = client("scheduler")
    for prefix in (f"{stack}-end-", f"breakeven-{stack}-janitor"):
        for page in scheduler.get_paginator("list_schedules").paginate(NamePrefix=prefix):
            yield from (schedule["Name"] for schedule in page["Schedules"])


def _log_groups(client: Client, stack: str) -> Iterator[str]:
    """By name: a call that ends after its function is deleted makes the group anew, without tags."""
    logs = client("logs")
    for prefix in (f"/aws/lambda/{stack}-", f"/aws/lambda/breakeven-{stack}-", f"/aws/eks/{stack}/"):
        # Another stack's name may go on where this one ends (bench-128, bench-128-4xlarge).
        owned = (f"/aws/lambda/{stack}-lithops-worker", f"/aws/lambda/breakeven-{stack}-janitor", f"/aws/eks/{stack}/")
        for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
            names = (group["logGroupName"] for group in page["logGroups"])
            yield from (name for name in names if name.startswith(owned))


def _parameters(client: Client, stack: str) -> Iterator[str]:
    for page in client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/breakeven/{stack}/"):
        yield from (parameter["Name"] for parameter in page["Parameters"])


def _others(client: Client, stack: str) -> Iterator[str]:
    """Whatever else bears the tag: ARNs of types that no finder of their own answers for."""
    known = {name for finder in FINDERS for name in finder.named}
    for arn in _by_tag(client, {"Key": STACK, "Values": [stack]}):
        service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
        if service not in known and f"{service}:{rest.partition('/')[0].partition(':')[0]}" not in known:
            yield arn


def _by_tag(client: Client, tag: Mapping[str, Any], *types: str) -> Iterator[str]:
    only = {"ResourceTypeFilters": list(types)} if types else {}
    pages = client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=[tag], **only)
    for page in pages:
        yield from (item["ResourceARN"] for item in page["ResourceTagMappingList"])


def _network(kind: str, token: str, operation: str, collection: str, named: str = "", **more: Any) -> Finder:
    """A finder for what EC2 lists by tag; `token` and the identifier are named after the collection's singular."""
    singular = token[0].upper() + token[1:]
    identity = {"Eip": "AllocationId", "SecurityGroup": "GroupId", "SecurityGroupRule": "SecurityGroupRuleId"}
    find = _ec2(operation, collection, identity.get(singular, f"{singular}Id"), **more)
    return Finder(kind, (f"aws:ec2/{token}:{singular}",), find, (f"ec2:{named or kind.lower().replace(' ', '-')}",))


FINDERS: tuple[Finder, ...] = (
    Finder("instance", ("aws:ec2/instance:Instance",), _instances, ("ec2:instance",)),
    Finder("autoscaling group", ("aws:autoscaling/group:Group",), _groups, ("autoscaling",)),
    _network("launch template", "launchTemplate", "describe_launch_templates", "LaunchTemplates"),
    _network("volume", "volume", "describe_volumes", "Volumes"),
    _network("snapshot", "snapshot", "describe_snapshots", "Snapshots", OwnerIds=["self"]),
    _network("machine image", "image", "describe_images", "Images", "image", Owners=["self"]),
    _network("network interface", "networkInterface", "describe_network_interfaces", "NetworkInterfaces"),
    _network("address", "eip", "describe_addresses", "Addresses", "elastic-ip"),
    Finder("NAT gateway", ("aws:ec2/natGateway:NatGateway",), _nat_gateways, ("ec2:natgateway",)),
    _network("VPC endpoint", "vpcEndpoint", "describe_vpc_endpoints", "VpcEndpoints"),
    _network("security group", "securityGroup", "describe_security_groups", "SecurityGroups"),
    _network("security group rule", "securityGroupRule", "describe_security_group_rules", "SecurityGroupRules"),
    _network("subnet", "subnet", "describe_subnets", "Subnets"),
    _network("route table", "routeTable", "describe_route_tables", "RouteTables"),
    _network("internet gateway", "internetGateway", "describe_internet_gateways", "InternetGateways"),
    _network("VPC", "vpc", "describe_vpcs", "Vpcs"),
    Finder("EKS node group", ("aws:eks/nodeGroup:NodeGroup",), _node_groups, ("eks",)),
    Finder("EKS cluster", ("aws:eks/cluster:Cluster",), _clusters, ("eks",)),
    Finder("load balancer", ("aws:lb/loadBalancer:LoadBalancer",), _load_balancers, ("elasticloadbalancing",)),
    Finder("function", ("aws:lambda/function:Function",), _functions, ("lambda:function",)),
    Finder("repository", ("aws:ecr/repository:Repository",), _repositories, ("ecr:repository",)),
    Finder("secret", ("aws:secretsmanager/secret:Secret",), _secrets, ("secretsmanager:secret",)),
    Finder("schedule", ("aws:scheduler/schedule:Schedule",), _schedules),
    Finder("log group", ("aws:cloudwatch/logGroup:LogGroup",), _log_groups, ("logs:log-group",)),
    Finder("parameter", ("aws:ssm/parameter:Parameter",), _parameters, ("ssm:parameter",)),
    Finder("bucket", ("aws:s3/bucket:Bucket",), _buckets, ("s3",), everywhere=True),
    Finder("function's metadata", ("aws:s3/bucketObjectv2:BucketObjectv2",), _metadata, ("s3",), everywhere=True),
    Finder("role", ("aws:iam/role:Role",), _roles, ("iam",), everywhere=True),
    Finder(
        "instance profile", ("aws:iam/instanceProfile:InstanceProfile",), _profiles, ("iam:instance-profile",), True
    ),
    Finder("other tagged resource", (), _others),
)

GOES_WITH: Mapping[str, str] = {
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "aws:ec2/routeTable:RouteTable",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws:ec2/securityGroup:SecurityGroup",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws:ec2/securityGroup:SecurityGroup",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "aws:ecr/repository:Repository",
    "docker-build:index:Image": "aws:ecr/repository:Repository",
    "aws:eks/accessEntry:AccessEntry": "aws:eks/cluster:Cluster",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "aws:eks/cluster:Cluster",
    "aws:eks/addon:Addon": "aws:eks/cluster:Cluster",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": "aws:eks/cluster:Cluster",
    "aws:iam/rolePolicy:RolePolicy": "aws:iam/role:Role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "aws:iam/role:Role",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": "aws:lambda/function:Function",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "aws:s3/bucket:Bucket",
    "aws:s3/bucketPolicy:BucketPolicy": "aws:s3/bucket:Bucket",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "aws:s3/bucket:Bucket",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "aws:s3/bucket:Bucket",
    "aws:s3/bucketVersioning:BucketVersioning": "aws:s3/bucket:Bucket",
    "aws:secretsmanager/secretVersion:SecretVersion": "aws:secretsmanager/secret:Secret",
}
"""What AWS deletes with something else, and cannot exist or cost without it: for these the other's finder answers."""
