"""What services know of the things that calls name: tags, ARNs, a role's boundary, what a launch template launches.

Asked of the server that answers for AWS at the time of a call, as IAM asks at the time of a request.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT, REGION = "123456789012", "us-east-1"
Tags = dict[str, str]


class Facts:
    """Look-ups against an endpoint. What does not exist (yet) has no tags, no ARN, no boundary."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._made: dict[str, Any] = {}

    def _of(self, service: str) -> Any:
        if service not in self._made:
            make: Any = boto3.client  # its types are by literal names
            self._made[service] = make(
                service,
                region_name=REGION,
                endpoint_url=self._endpoint,
                aws_access_key_id="facts",
                aws_secret_access_key="facts",
                config=Config(retries={"max_attempts": 1}),
            )
        return self._made[service]

    def close(self) -> None:
        """Close the connections, for which a server that is ended would wait."""
        for client in self._made.values():
            client.close()

    def tags(self, arn: str) -> Tags:
        """The tags of the resource of this ARN."""
        service, rest = arn.split(":")[2], arn.split(":", 5)[5]
        finder = getattr(self, f"_tags_of_{service}", None)
        if finder is None or rest.endswith("/*"):
            return {}
        with suppress(ClientError):
            return pairs(finder(rest, arn))
        return {}

    def role(self, name: str) -> dict[str, Any]:
        """A role by its name or ARN: `Arn`, and `PermissionsBoundary` where it has one."""
        with suppress(ClientError):
            return dict(self._of("iam").get_role(RoleName=name.rpartition("/")[2])["Role"])
        return {}

    def instance_profile(self, name: str) -> dict[str, Any]:
        """An instance profile by its name or ARN: `Arn`, `Roles`."""
        with suppress(ClientError):
            profile = self._of("iam").get_instance_profile(InstanceProfileName=name.rpartition("/")[2])
            return dict(profile["InstanceProfile"])
        return {}

    def launches(self, template: Mapping[str, str]) -> dict[str, Any]:
        """The parameters of RunInstances that the newest version of a launch template holds."""
        identity = {key: value for key, value in template.items() if key in ("LaunchTemplateId", "LaunchTemplateName")}
        if "Id" in template or "id" in template:  # EKS's own spelling
            identity = {"LaunchTemplateId": str(template.get("Id") or template["id"])}
        versions = self._of("ec2").describe_launch_template_versions(**identity, Versions=["$Latest"])
        return {**versions["LaunchTemplateVersions"][0]["LaunchTemplateData"], "LaunchTemplate": identity}

    def group(self, name: str) -> dict[str, Any]:
        """An autoscaling group as it is described."""
        found = self._of("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return dict(found["AutoScalingGroups"][0]) if found["AutoScalingGroups"] else {}

    def group_of(self, instance: str) -> str:
        """The name of the group that an instance is a member of."""
        found = self._of("autoscaling").describe_auto_scaling_instances(InstanceIds=[instance])
        return str(found["AutoScalingInstances"][0]["AutoScalingGroupName"])

    def associated(self, association: str) -> Iterator[str]:
        """The ids of the route table and the subnet of an association."""
        filters = [{"Name": "association.route-table-association-id", "Values": [association]}]
        for table in self._of("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            yield table["RouteTableId"]
            for found in table["Associations"]:
                if found["RouteTableAssociationId"] == association and "SubnetId" in found:
                    yield found["SubnetId"]

    def _tags_of_ec2(self, rest: str, _: str) -> Any:
        filters = [{"Name": "resource-id", "Values": [rest.rpartition("/")[2]]}]
        return self._of("ec2").describe_tags(Filters=filters)["Tags"]

    def _tags_of_autoscaling(self, rest: str, _: str) -> Any:
        return self.group(rest.rpartition("/")[2]).get("Tags", [])

    def _tags_of_secretsmanager(self, rest: str, _: str) -> Any:
        name = re.sub(r"-\w{6}$", "", rest.removeprefix("secret:"))
        return self._of("secretsmanager").describe_secret(SecretId=name).get("Tags", [])

    def _tags_of_lambda(self, _: str, arn: str) -> Any:
        return self._of("lambda").list_tags(Resource=arn)["Tags"]

    def _tags_of_ecr(self, _: str, arn: str) -> Any:
        return self._of("ecr").list_tags_for_resource(resourceArn=arn)["tags"]

    def _tags_of_eks(self, rest: str, _: str) -> Any:
        eks, (kind, cluster, *name) = self._of("eks"), rest.split("/")
        match kind:
            case "cluster":
                found = eks.describe_cluster(name=cluster)["cluster"]
            case "nodegroup":
                found = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name[0])["nodegroup"]
            case "addon":
                found = eks.describe_addon(clusterName=cluster, addonName=name[0])["addon"]
            case "access-entry":
                entries = eks.list_access_entries(clusterName=cluster)["accessEntries"]
                principal = next((arn for arn in entries if arn.rpartition("/")[2] in name), "none yet")
                found = eks.describe_access_entry(clusterName=cluster, principalArn=principal)["accessEntry"]
            case _:
                association = eks.describe_pod_identity_association(clusterName=cluster, associationId=name[0])
                found = association["association"]
        return found.get("tags", {})

    def _tags_of_ssm(self, rest: str, _: str) -> Any:
        name = rest.removeprefix("parameter")
        return self._of("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]


def pairs(tags: Any) -> Tags:
    """Tags as one mapping, however a service spells them."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    spelt = [{key.lower(): value for key, value in tag.items()} for tag in tags]
    return {str(tag.get("key", tag.get("tagkey"))): str(tag.get("value", tag.get("tagvalue"))) for tag in spelt}
