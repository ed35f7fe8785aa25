"""The identifier, as the provider wants it for a read, of a resource that a state does not know to have been made."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from plan.rules.tags import STACK

Client = Callable[[str], Any]
Inputs = Mapping[str, Any]


def identity(resource: Mapping[str, Any], stack: str, known: set[str], client: Client) -> str | None:
    """Where a resource was made, its identifier; None where it was not, or where making it again does no harm.

    `resource`: as a state has it, with checked inputs (so with the name that was generated). `known`: identifiers that
    the state has. One that is named is not looked for: a refresh forgets what is not there. Raises what AWS's clients
    raise.
    """
    kind, inputs = str(resource["type"]), _plain(resource.get("inputs") or {})
    if kind in BY_NAME:
        values = [inputs.get(key) for key in BY_NAME[kind][1]]
        return BY_NAME[kind][0].format(*values) if all(values) else None
    if kind in BY_TAG:
        operation, collection, key = BY_TAG[kind]
        filters = [{"Name": f"tag:{STACK}", "Values": [stack]}]
        if name := (inputs.get("tags") or {}).get("Name"):
            filters.append({"Name": "tag:Name", "Values": [name]})
        items = getattr(client("ec2"), operation)(Filters=filters)[collection]
        if collection == "Reservations":
            items = [i for r in items for i in r["Instances"] if i["State"]["Name"] in ("pending", "running")]
        return next((item[key] for item in items if item[key] not in known), None)
    if kind in BY_LOOK:
        try:
            return BY_LOOK[kind](client, inputs)
        except ClientError as error:
            if "NotFound" in error.response["Error"]["Code"] or "NotFound" in type(error).__name__:
                return None
            raise
    return None


def wait_until_made(resource: Mapping[str, Any], client: Client) -> None:
    """EKS takes minutes to make its parts, and refuses to change or delete them meanwhile."""
    inputs = _plain(resource.get("inputs") or {})
    if resource["type"] == "aws:eks/cluster:Cluster":
        client("eks").get_waiter("cluster_active").wait(name=inputs["name"])
    elif resource["type"] == "aws:eks/nodeGroup:NodeGroup":
        names = {"clusterName": inputs["clusterName"], "nodegroupName": inputs["nodeGroupName"]}
        client("eks").get_waiter("nodegroup_active").wait(**names)


def _plain(inputs: Inputs) -> Inputs:
    return {key: value for key, value in inputs.items() if not key.startswith("__")}


def _template(client: Client, inputs: Inputs) -> str:
    found = client("ec2").describe_launch_templates(LaunchTemplateNames=[inputs["name"]])
    return str(found["LaunchTemplates"][0]["LaunchTemplateId"])


def _group(client: Client, inputs: Inputs) -> str | None:
    filters = [{"Name": "group-name", "Values": [inputs["name"]]}, {"Name": "vpc-id", "Values": [inputs["vpcId"]]}]
    found = client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return str(found[0]["GroupId"]) if found else None


def _rule(client: Client, inputs: Inputs, *, egress: bool) -> str | None:
    filters = [{"Name": "group-id", "Values": [inputs["securityGroupId"]]}]
    for rule in client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]:
        ports = (rule["IsEgress"], rule.get("FromPort"), rule.get("ToPort"))
        peer = (rule.get("CidrIpv4"), (rule.get("ReferencedGroupInfo") or {}).get("GroupId"))
        wanted = (egress, int(inputs["fromPort"]), int(inputs["toPort"]))
        if ports == wanted and peer == (inputs.get("cidrIpv4"), inputs.get("referencedSecurityGroupId")):
            return str(rule["SecurityGroupRuleId"])
    return None


def _association(client: Client, inputs: Inputs) -> str | None:
    filters = [{"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}]
    found = client("ec2").describe_route_tables(Filters=filters)["RouteTables"]
    ours = [table for table in found if table["RouteTableId"] == inputs["routeTableId"]]
    return f"{inputs['subnetId']}/{inputs['routeTableId']}" if ours else None


def _secret(client: Client, inputs: Inputs) -> str:
    return str(client("secretsmanager").describe_secret(SecretId=inputs["name"])["ARN"])


def _pod_identity(client: Client, inputs: Inputs) -> str | None:
    where = {"clusterName": inputs["clusterName"], "namespace": inputs["namespace"]}
    found = client("eks").list_pod_identity_associations(**where, serviceAccount=inputs["serviceAccount"])
    ids = [one["associationId"] for one in found["associations"]]
    return f"{inputs['clusterName']},{ids[0]}" if ids else None


BY_NAME: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "aws:autoscaling/group:Group": ("{}", ("name",)),
    "aws:cloudwatch/logGroup:LogGroup": ("{}", ("name",)),
    "aws:ecr/repository:Repository": ("{}", ("name",)),
    "aws:eks/accessEntry:AccessEntry": ("{}:{}", ("clusterName", "principalArn")),
    "aws:eks/addon:Addon": ("{}:{}", ("clusterName", "addonName")),
    "aws:eks/cluster:Cluster": ("{}", ("name",)),
    "aws:eks/nodeGroup:NodeGroup": ("{}:{}", ("clusterName", "nodeGroupName")),
    "aws:iam/instanceProfile:InstanceProfile": ("{}", ("name",)),
    "aws:iam/role:Role": ("{}", ("name",)),
    "aws:lambda/function:Function": ("{}", ("name",)),
    "aws:s3/bucket:Bucket": ("{}", ("bucket",)),
    "aws:scheduler/schedule:Schedule": ("default/{}", ("name",)),
    "aws:ssm/parameter:Parameter": ("{}", ("name",)),
    "kubernetes:helm.sh/v3:Release": ("{}/{}", ("namespace", "name")),
}
"""Form of the identifier, and the inputs that it is made of."""

BY_TAG: Mapping[str, tuple[str, str, str]] = {
    "aws:ec2/instance:Instance": ("describe_instances", "Reservations", "InstanceId"),
    "aws:ec2/internetGateway:InternetGateway": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "aws:ec2/routeTable:RouteTable": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws:ec2/subnet:Subnet": ("describe_subnets", "Subnets", "SubnetId"),
    "aws:ec2/vpc:Vpc": ("describe_vpcs", "Vpcs", "VpcId"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
}
"""What lists them, the answer's list, and the identifier in it."""

BY_LOOK: Mapping[str, Callable[[Client, Inputs], str | None]] = {
    "aws:ec2/launchTemplate:LaunchTemplate": _template,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _association,
    "aws:ec2/securityGroup:SecurityGroup": _group,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:secretsmanager/secret:Secret": _secret,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": lambda client, inputs: _rule(
        client, inputs, egress=True
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": lambda client, inputs: _rule(
        client, inputs, egress=False
    ),
}

AGAIN = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "taken over, not made",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "put",
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": "put",
    "aws:iam/rolePolicy:RolePolicy": "put; one left under another name goes with its role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": "attaching again changes nothing",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": "put",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "put",
    "aws:s3/bucketObjectv2:BucketObjectv2": "put",
    "aws:s3/bucketPolicy:BucketPolicy": "put",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "put",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "put",
    "aws:s3/bucketVersioning:BucketVersioning": "put",
    "aws:secretsmanager/secretVersion:SecretVersion": "a newer version",
    "docker-build:index:Image": "pushed again",
}
"""Why making a kind a second time does no harm. Objects of Kubernetes are applied, which is as good for one that is
there."""
