"""Rules over resources: right, wrong, missing and unknown, on the wire's names."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan.rules import RESOURCE_RULES, UNKNOWN, Resource, check_resource, check_stack, plain
from plan.rules.pods import quantity
from plan.settings import Settings, parse

Changed = Callable[[str, dict[str, Any]], Settings]

GROUP = "aws:ec2/securityGroup:SecurityGroup"
RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EKS = "aws:eks/cluster:Cluster"
NODES = "aws:eks/nodeGroup:NodeGroup"
URL = "aws:lambda/functionUrl:FunctionUrl"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
SCALING = "aws:autoscaling/group:Group"
FUNCTION = "aws:lambda/function:Function"
BUILT = "docker-build:index:Image"
POLICY = "aws:iam/rolePolicy:RolePolicy"
ROLE = "aws:iam/role:Role"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
SERVICE = "kubernetes:core/v1:Service"
POD = "kubernetes:core/v1:Pod"
RAY = "kubernetes:ray.io/v1:RayCluster"
DASK = "kubernetes:kubernetes.dask.org/v1:DaskCluster"
RELEASE = "kubernetes:helm.sh/v3:Release"

SHA = "sha256:" + "a" * 64
DIGEST = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster@{SHA}"
TAGGED = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cluster:current"
TAGS = {"breakeven:owner": "a", "breakeven:stack": "t", "breakeven:expires-at": "2026-11-21T18:00:00Z"}
BOUNDED = {"path": "/breakeven/", "permissionsBoundary": "arn:aws:iam::123456789012:policy/breakeven-boundary"}
LAUNCHED = ("instance", "volume", "network-interface")
ALL_TAGGED = [{"resourceType": kind, "tags": {"breakeven:stack": "t"}} for kind in LAUNCHED]


def rule(**cidrs: Any) -> dict[str, Any]:
    return {"ingress": [{"protocol": "tcp", "fromPort": 22.0, "toPort": 22.0, **cidrs}]}


def document(**statement: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})}


def script(text: str) -> dict[str, Any]:
    return {"userData": base64.b64encode(text.encode()).decode()}


def dockerfile(text: Any) -> dict[str, Any]:
    return {"dockerfile": {"inline": text}}


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "a", "image": DIGEST}], **spec}}


def container(**parts: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "a", "image": DIGEST, **parts}]}}


def workers(kind: str, **resources: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "worker", "image": DIGEST, "resources": resources}]}
    if kind == DASK:
        return {"spec": {"worker": {"replicas": 4, "spec": spec}}}
    return {"spec": {"workerGroupSpecs": [{"groupName": "a", "template": {"spec": spec}}]}}


FULL = {"memory": "4096Mi", "cpu": "1"}
CONDITION = {"StringEquals": {"aws:ResourceTag/breakeven:stack": "t"}}

# rule, stack, token, props, refused. `bench-32` allows 16 x m6i.large; `k8s-32` has EKS 1.35 with 7 x m6i.2xlarge.
CASES: list[tuple[str, str, str, dict[str, Any], bool]] = [
    # no public ingress
    ("public-ingress", "bench-32", GROUP, rule(cidrBlocks=["203.0.113.7/32"]), False),
    ("public-ingress", "bench-32", GROUP, rule(securityGroups=[UNKNOWN]), False),
    ("public-ingress", "bench-32", GROUP, {"egress": [{"cidrBlocks": ["0.0.0.0/0"]}]}, False),
    ("public-ingress", "bench-32", GROUP, {}, False),
    ("public-ingress", "bench-32", GROUP, rule(cidrBlocks=["0.0.0.0/0"]), True),
    ("public-ingress", "bench-32", GROUP, rule(cidrBlocks=["0.0.0.0/1", "128.0.0.0/1"]), True),
    ("public-ingress", "bench-32", GROUP, rule(ipv6CidrBlocks=["::/0"]), True),
    ("public-ingress", "bench-32", GROUP, rule(prefixListIds=["pl-1"]), True),
    ("public-ingress", "bench-32", GROUP, rule(cidrBlocks=[UNKNOWN]), True),
    ("public-ingress", "bench-32", GROUP, {"ingress": UNKNOWN}, True),
    ("public-ingress", "bench-32", RULE, {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]}, True),
    ("public-ingress", "bench-32", RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]}, False),
    ("public-ingress", "bench-32", RULE, {"type": "ingress", "sourceSecurityGroupId": UNKNOWN}, False),
    ("public-ingress", "bench-32", INGRESS, {"cidrIpv4": "0.0.0.0/0"}, True),
    ("public-ingress", "bench-32", INGRESS, {"cidrIpv6": "::/0"}, True),
    ("public-ingress", "bench-32", INGRESS, {"cidrIpv4": UNKNOWN}, True),
    ("public-ingress", "bench-32", INGRESS, {"cidrIpv4": "not-a-range"}, True),
    ("public-ingress", "bench-32", INGRESS, {"referencedSecurityGroupId": UNKNOWN}, False),
    ("public-ingress", "k8s-32", EKS, {"vpcConfig": {"publicAccessCidrs": ["203.0.113.7/32"]}}, False),
    ("public-ingress", "k8s-32", EKS, {"vpcConfig": {"endpointPublicAccess": False}}, False),
    ("public-ingress", "k8s-32", EKS, {"vpcConfig": {"publicAccessCidrs": ["0.0.0.0/0"]}}, True),
    ("public-ingress", "k8s-32", EKS, {"vpcConfig": {}}, True),
    ("public-ingress", "k8s-32", EKS, {"vpcConfig": {"endpointPublicAccess": UNKNOWN}}, True),
    ("public-ingress", "bench-32", URL, {"authorizationType": "AWS_IAM"}, False),
    ("public-ingress", "bench-32", URL, {"authorizationType": "NONE"}, True),
    ("public-ingress", "bench-32", URL, {}, True),
    # no load balancer open to the world
    ("open-load-balancer", "k8s-32", BALANCER, {"internal": True}, False),
    ("open-load-balancer", "k8s-32", BALANCER, {"internal": False}, True),
    ("open-load-balancer", "k8s-32", BALANCER, {}, True),
    ("open-load-balancer", "k8s-32", BALANCER, {"internal": UNKNOWN}, True),
    ("open-load-balancer", "k8s-32", SERVICE, {"spec": {"type": "ClusterIP"}}, False),
    ("open-load-balancer", "k8s-32", SERVICE, {"spec": {"type": "LoadBalancer"}}, True),
    (
        "open-load-balancer",
        "k8s-32",
        SERVICE,
        {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.7/32"]}},
        False,
    ),
    (
        "open-load-balancer",
        "k8s-32",
        SERVICE,
        {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0"]}},
        True,
    ),
    (
        "open-load-balancer",
        "k8s-32",
        SERVICE,
        {
            "metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}},
            "spec": {"type": "LoadBalancer"},
        },
        False,
    ),
    (
        "open-load-balancer",
        "k8s-32",
        RELEASE,
        {"version": "1.0.0", "values": {"service": {"type": "LoadBalancer"}}},
        True,
    ),
    ("open-load-balancer", "k8s-32", DASK, {"spec": {"scheduler": {"service": {"type": "LoadBalancer"}}}}, True),
    ("open-load-balancer", "k8s-32", RAY, {"spec": {"headGroupSpec": {"serviceType": "LoadBalancer"}}}, True),
    # metadata v2
    ("metadata-v2", "bench-32", TEMPLATE, {"metadataOptions": {"httpTokens": "required"}}, False),
    ("metadata-v2", "bench-32", TEMPLATE, {"metadataOptions": {"httpTokens": "optional"}}, True),
    ("metadata-v2", "bench-32", TEMPLATE, {}, True),
    ("metadata-v2", "bench-32", TEMPLATE, {"metadataOptions": UNKNOWN}, True),
    ("metadata-v2", "bench-32", INSTANCE, {"metadataOptions": {"httpTokens": "required"}}, False),
    ("metadata-v2", "bench-32", INSTANCE, {}, True),
    ("metadata-v2", "bench-32", INSTANCE, {"launchTemplate": {"id": UNKNOWN}}, False),
    ("metadata-v2", "bench-32", "aws:ec2/launchConfiguration:LaunchConfiguration", {}, True),
    # least privilege
    ("least-privilege", "bench-32", POLICY, document(Action="s3:PutObject", Resource="arn:aws:s3:::b/*"), False),
    ("least-privilege", "bench-32", POLICY, document(Action=["ec2:DescribeInstances"], Resource="*"), False),
    ("least-privilege", "bench-32", POLICY, document(Action="ssmmessages:OpenDataChannel", Resource="*"), False),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        document(Action="ec2:TerminateInstances", Resource="*", Condition=CONDITION),
        False,
    ),
    ("least-privilege", "bench-32", POLICY, {"policy": UNKNOWN}, False),
    ("least-privilege", "bench-32", POLICY, {}, False),
    ("least-privilege", "bench-32", POLICY, document(Action="ec2:TerminateInstances", Resource="*"), True),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        document(Action="ec2:TerminateInstances", Resource="arn:aws:ec2:*:*:instance/*"),
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        document(
            Action="ec2:TerminateInstances",
            Resource="*",
            Condition={"StringLike": {"aws:ResourceTag/breakeven:stack": "*"}},
        ),
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        document(
            Action="ec2:TerminateInstances",
            Resource="*",
            Condition={"StringNotEquals": {"aws:ResourceTag/breakeven:stack": "t"}},
        ),
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        document(
            Action="ec2:TerminateInstances",
            Resource="*",
            Condition={"StringEqualsIfExists": {"aws:ResourceTag/breakeven:stack": "t"}},
        ),
        True,
    ),
    ("least-privilege", "bench-32", POLICY, document(Action="s3:*", Resource="arn:aws:s3:::b"), True),
    ("least-privilege", "bench-32", POLICY, document(Action="*", Resource="*"), True),
    ("least-privilege", "bench-32", POLICY, document(Action="s3:PutObject", Resource="arn:aws:s3:::*"), True),
    ("least-privilege", "bench-32", POLICY, document(NotAction="iam:*", Resource="*"), True),
    ("least-privilege", "bench-32", POLICY, {"policy": "no json"}, True),
    (
        "least-privilege",
        "bench-32",
        POLICY,
        {"policy": {"Statement": {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}}},
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        ROLE,
        {"inlinePolicies": [{"name": "a", **document(Action="iam:PassRole", Resource="*")}]},
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        ROLE,
        {"assumeRolePolicy": document(Action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})["policy"]},
        False,
    ),
    (
        "least-privilege",
        "bench-32",
        ROLE,
        {"assumeRolePolicy": document(Action="sts:AssumeRole", Principal={"AWS": "*"})["policy"]},
        True,
    ),
    (
        "least-privilege",
        "bench-32",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"},
        False,
    ),
    ("least-privilege", "bench-32", ATTACHMENT, {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}, True),
    ("least-privilege", "bench-32", ATTACHMENT, {"policyArn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}, True),
    ("least-privilege", "bench-32", ATTACHMENT, {"policyArn": UNKNOWN}, False),
    # a role carries the boundary, whose account may be unknown yet, and lives below the path
    ("bounded-role", "bench-32", ROLE, BOUNDED, False),
    ("bounded-role", "bench-32", ROLE, {**BOUNDED, "permissionsBoundary": UNKNOWN}, False),
    ("bounded-role", "bench-32", ROLE, {"path": "/breakeven/"}, True),
    ("bounded-role", "bench-32", ROLE, {**BOUNDED, "path": "/"}, True),
    ("bounded-role", "bench-32", ROLE, {**BOUNDED, "path": UNKNOWN}, True),
    (
        "bounded-role",
        "bench-32",
        ROLE,
        {**BOUNDED, "permissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"},
        True,
    ),
    # instance type known and declared
    ("instance-declared", "bench-32", TEMPLATE, {"instanceType": "m6i.large"}, False),
    ("instance-declared", "bench-32", TEMPLATE, {"instanceType": "m6i.16xlarge"}, True),
    ("instance-declared", "bench-32", TEMPLATE, {"instanceType": "m6i.larg"}, True),
    ("instance-declared", "bench-32", INSTANCE, {"instanceType": UNKNOWN}, True),
    ("instance-declared", "k8s-32", NODES, {"instanceTypes": ["m6i.2xlarge"]}, False),
    ("instance-declared", "k8s-32", NODES, {"instanceTypes": ["m6i.2xlarge", "m6i.8xlarge"]}, True),
    # groups within what is declared
    ("group-bounded", "bench-32", SCALING, {"maxSize": 16.0}, False),
    ("group-bounded", "bench-32", SCALING, {"maxSize": 17.0}, True),
    ("group-bounded", "bench-32", SCALING, {"maxSize": UNKNOWN}, True),
    ("group-bounded", "bench-32", SCALING, {}, True),
    ("group-bounded", "k8s-32", NODES, {"scalingConfig": {"maxSize": 7.0}}, False),
    ("group-bounded", "k8s-32", NODES, {"scalingConfig": {"maxSize": 8.0}}, True),
    # functions within range, and workers of the declared size
    ("function-size", "bench-32", FUNCTION, {"memorySize": 128.0, "timeout": 900.0}, False),
    ("function-size", "bench-32", FUNCTION, {}, False),
    ("function-size", "bench-32", FUNCTION, {"memorySize": 10241.0}, True),
    ("function-size", "bench-32", FUNCTION, {"memorySize": 64.0}, True),
    ("function-size", "bench-32", FUNCTION, {"timeout": 901.0}, True),
    ("function-size", "bench-32", FUNCTION, {"memorySize": UNKNOWN}, True),
    (
        "function-size",
        "bench-32",
        FUNCTION,
        {"name": "lithops-worker-a", "memorySize": 4096.0, "timeout": 300.0},
        False,
    ),
    ("function-size", "bench-32", FUNCTION, {"name": "lithops-worker-a", "memorySize": 2048.0, "timeout": 300.0}, True),
    (
        "function-size",
        "bench-32",
        FUNCTION,
        {"name": "bench-32-lithops-worker-a", "memorySize": 2048.0, "timeout": 300.0},
        True,
    ),
    ("function-size", "bench-32", FUNCTION, {"name": "lithops-worker-a", "timeout": 300.0}, True),
    # images by digest
    ("image-by-digest", "bench-32", FUNCTION, {"packageType": "Image", "imageUri": DIGEST}, False),
    ("image-by-digest", "bench-32", FUNCTION, {"packageType": "Image", "imageUri": UNKNOWN}, False),
    ("image-by-digest", "bench-32", FUNCTION, {"packageType": "Zip"}, False),
    ("image-by-digest", "bench-32", FUNCTION, {"packageType": "Image", "imageUri": TAGGED}, True),
    ("image-by-digest", "bench-32", FUNCTION, {"packageType": "Image"}, True),
    ("image-by-digest", "bench-32", TEMPLATE, script(f"docker pull {DIGEST}\n"), False),
    ("image-by-digest", "bench-32", TEMPLATE, script(f"docker pull {TAGGED}\n"), True),
    ("image-by-digest", "bench-32", INSTANCE, {"userData": f"docker pull {TAGGED}\n"}, True),
    ("image-by-digest", "bench-32", TEMPLATE, {"userData": UNKNOWN}, False),
    ("image-by-digest", "base", BUILT, dockerfile(f"FROM python:3@{SHA} AS first\nFROM first\n"), False),
    ("image-by-digest", "base", BUILT, dockerfile("# FROM x:1\nFROM scratch\nRUN x\n"), False),
    ("image-by-digest", "base", BUILT, dockerfile("FROM --platform=linux/amd64 python:3.11\n"), True),
    ("image-by-digest", "base", BUILT, {"context": {"location": "x"}}, True),
    ("image-by-digest", "base", BUILT, dockerfile(UNKNOWN), True),
    ("image-by-digest", "k8s-32", POD, pod(), False),
    ("image-by-digest", "k8s-32", POD, container(image=UNKNOWN), False),
    ("image-by-digest", "k8s-32", POD, container(image="rayproject/ray:2.60.0"), True),
    ("image-by-digest", "k8s-32", POD, pod(initContainers=[{"name": "b", "image": "busybox"}]), True),
    # tags on what is launched
    ("launch-tags", "bench-32", TEMPLATE, {"tagSpecifications": ALL_TAGGED}, False),
    (
        "launch-tags",
        "bench-32",
        TEMPLATE,
        {"tagSpecifications": [{**spec, "tags": {"breakeven:stack": UNKNOWN}} for spec in ALL_TAGGED]},
        False,
    ),
    # an owner or an expiry there would make a new version of the template when it changes
    *(
        (
            "launch-tags",
            "k8s-32",
            TEMPLATE,
            {"tagSpecifications": [*ALL_TAGGED[:2], {**ALL_TAGGED[2], "tags": tags}]},
            True,
        )
        for tags in (TAGS, {**TAGS, "breakeven:owner": UNKNOWN}, {"breakeven:stack": "t", "breakeven:owner": "a"})
    ),
    ("launch-tags", "bench-32", TEMPLATE, {"tagSpecifications": ALL_TAGGED[:2]}, True),
    ("launch-tags", "bench-32", TEMPLATE, {}, True),
    ("launch-tags", "bench-32", TEMPLATE, {"tagSpecifications": UNKNOWN}, True),
    ("launch-tags", "bench-32", INSTANCE, {"volumeTags": TAGS}, False),
    ("launch-tags", "bench-32", INSTANCE, {"rootBlockDevice": {"tags": TAGS}}, False),
    ("launch-tags", "bench-32", INSTANCE, {"tags": TAGS}, True),
    ("launch-tags", "bench-32", INSTANCE, {"volumeTags": UNKNOWN}, True),
    ("launch-tags", "bench-32", SCALING, {"tags": [{"key": k, "value": v} for k, v in TAGS.items()]}, False),
    ("launch-tags", "bench-32", SCALING, {"tags": [{"key": "breakeven:owner", "value": "a"}]}, True),
    # worker pods of the declared size
    ("pod-parity", "k8s-32", RAY, workers(RAY, requests=FULL, limits=FULL), False),
    ("pod-parity", "k8s-32", DASK, workers(DASK, requests=FULL, limits={"memory": "4Gi", "cpu": "1000m"}), False),
    ("pod-parity", "k8s-32", RAY, workers(RAY, requests={**FULL, "memory": "4000Mi"}, limits=FULL), True),
    ("pod-parity", "k8s-32", DASK, workers(DASK, requests=FULL), True),
    ("pod-parity", "k8s-32", DASK, workers(DASK, requests=FULL, limits={**FULL, "cpu": "2"}), True),
    ("pod-parity", "k8s-32", DASK, workers(DASK, requests=FULL, limits={**FULL, "memory": "4GiB"}), True),
    ("pod-parity", "k8s-32", RAY, workers(RAY, requests=FULL, limits=UNKNOWN), True),
    ("pod-parity", "k8s-32", RAY, {"spec": {"workerGroupSpecs": [{"template": UNKNOWN}]}}, True),
    ("pod-parity", "k8s-32", RAY, {"spec": {}}, False),
    # no privileged pod
    ("pod-unprivileged", "k8s-32", POD, container(securityContext={"privileged": False}), False),
    ("pod-unprivileged", "k8s-32", POD, container(securityContext={"privileged": True}), True),
    ("pod-unprivileged", "k8s-32", POD, container(securityContext={"privileged": UNKNOWN}), True),
    ("pod-unprivileged", "k8s-32", POD, container(securityContext=UNKNOWN), True),
    ("pod-unprivileged", "k8s-32", POD, pod(hostNetwork=True), True),
    ("pod-unprivileged", "k8s-32", POD, pod(hostPID=True), True),
    ("pod-unprivileged", "k8s-32", POD, pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}]), True),
    ("pod-unprivileged", "k8s-32", POD, pod(volumes=[{"name": "x", "emptyDir": {}}]), False),
    (
        "pod-unprivileged",
        "k8s-32",
        RELEASE,
        {"version": "1.7.0", "values": {"securityContext": {"privileged": True}}},
        True,
    ),
    # versions pinned
    ("version-pinned", "k8s-32", RELEASE, {"version": "1.7.0"}, False),
    ("version-pinned", "k8s-32", RELEASE, {"version": "v2026.3.0-rc.1"}, False),
    ("version-pinned", "k8s-32", RELEASE, {"version": ">=1.7"}, True),
    ("version-pinned", "k8s-32", RELEASE, {"version": "1.7"}, True),
    ("version-pinned", "k8s-32", RELEASE, {}, True),
    ("version-pinned", "k8s-32", RELEASE, {"version": UNKNOWN}, True),
    ("version-pinned", "k8s-32", EKS, {"version": "1.35"}, False),
    ("version-pinned", "k8s-32", EKS, {"version": "1.34"}, True),
    ("version-pinned", "k8s-32", EKS, {}, True),
]


@pytest.mark.parametrize(("title", "stack", "token", "props", "refused"), CASES)
def test_a_resource_is_judged(
    title: str, stack: str, token: str, props: dict[str, Any], refused: bool, changed: Changed
) -> None:
    found = check_resource(Resource(token, "x", plain(props)), changed(stack, {}))
    assert (title in {violation.rule for violation in found}) is refused
    assert all("'x'" in violation.message for violation in found)


def test_no_rule_is_without_a_refused_and_an_accepted_resource() -> None:
    for refused in (True, False):
        seen = {title for title, _, _, _, verdict in CASES if verdict is refused}
        names = {rule.__name__.replace("_", "-").removeprefix("pod-image-") for rule in RESOURCE_RULES}
        assert {("image-by-digest" if name == "by-digest" else name) for name in names} == seen


BUCKET = Resource("aws:s3/bucket:Bucket", "data", {}, id="data-id")
SHUT = dict.fromkeys(("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True)
TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
AES = {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]}


def beside(**changes: Any) -> list[Resource]:
    """A bucket and what makes it private; a change replaces a part's props, None leaves it out."""
    parts: dict[str, tuple[str, Any]] = {
        "block": ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", SHUT),
        "encryption": (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            AES,
        ),
        "policy": ("aws:s3/bucketPolicy:BucketPolicy", {"policy": json.dumps({"Statement": [TLS]})}),
    }
    found = [Resource(BUCKET.type, "data", changes.pop("bucket", {}), id="data-id")]
    for name, (token, props) in parts.items():
        own = changes.get(name, props)
        if own is not None:
            found.append(Resource(token, f"other-{name}", {"bucket": "data-id", **own}))
    return found


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, False),
        ({"policy": {"policy": UNKNOWN}}, False),
        ({"block": None}, True),
        ({"block": {**SHUT, "ignorePublicAcls": False}}, True),
        ({"block": {**SHUT, "ignorePublicAcls": UNKNOWN}}, True),
        ({"encryption": None}, True),
        ({"encryption": {"rules": []}}, True),
        ({"policy": None}, True),
        ({"policy": {"policy": json.dumps({"Statement": [{**TLS, "Effect": "Allow"}]})}}, True),
        ({"policy": {"policy": json.dumps({"Statement": [{**TLS, "Resource": "arn:aws:s3:::data"}]})}}, True),
        ({"policy": {"policy": json.dumps({"Statement": [{**TLS, "Principal": {"AWS": "123456789012"}}]})}}, True),
        ({"bucket": {"acl": "public-read"}}, True),
        ({"bucket": {"serverSideEncryptionConfiguration": {"rule": AES["rules"][0]}}, "encryption": None}, False),
        ({"block": {**SHUT, "bucket": "another-bucket"}}, True),
    ],
)
def test_buckets_are_private(changes: dict[str, Any], refused: bool, changed: Changed) -> None:
    found = check_stack(beside(**changes), changed("bench-32", {}))
    assert ("private-buckets" in {violation.rule for violation in found}) is refused


def test_parts_find_their_bucket_in_a_preview(changed: Changed) -> None:
    """Before the first deploy no bucket has an identifier: the engine's references, or the name, tell."""
    parts = [Resource(r.type, r.name, {**r.props, "bucket": UNKNOWN}) for r in beside()[1:]]
    bucket = Resource(BUCKET.type, "data", {})
    settings = changed("bench-32", {})
    strangers = check_stack([bucket, *parts], settings)
    assert "private-buckets" in {violation.rule for violation in strangers}
    referred = [Resource(r.type, r.name, r.props, refs={"bucket": ["data"]}) for r in parts]
    namesakes = [Resource(r.type, "data", r.props) for r in parts]
    for found in (check_stack([bucket, *referred], settings), check_stack([bucket, *namesakes], settings)):
        assert "private-buckets" not in {violation.rule for violation in found}


KEPT_RESULTS, KEPT_DATA = (Resource(BUCKET.type, f"b-{what}", {}, protect=True) for what in ("results", "data"))


@pytest.mark.parametrize(
    ("resources", "refused"),
    [
        ([KEPT_RESULTS, KEPT_DATA], False),
        ([KEPT_RESULTS, Resource(BUCKET.type, "b-data", {})], True),
        ([KEPT_RESULTS, Resource(BUCKET.type, "b-data", {"forceDestroy": True}, protect=True)], True),
        ([Resource(BUCKET.type, "b-results", {}), KEPT_DATA], True),
        ([Resource(BUCKET.type, "b-results", {"forceDestroy": True}, protect=True), KEPT_DATA], True),
        ([KEPT_RESULTS], True),
        ([KEPT_DATA], True),
    ],
)
def test_results_and_data_are_protected(resources: list[Resource], refused: bool, changed: Changed) -> None:
    found = check_stack(resources, changed("base", {}))
    assert ("lasting-protected" in {violation.rule for violation in found}) is refused


PROVIDER = Resource("pulumi:providers:aws", "here", {"defaultTags": json.dumps({"tags": TAGS})})
QUEUE = "aws:sqs/queue:Queue"


@pytest.mark.parametrize(
    ("resources", "refused"),
    [
        ([Resource(QUEUE, "q", {"tags": TAGS})], False),
        ([Resource(QUEUE, "q", {"tags": dict.fromkeys(TAGS, UNKNOWN)})], False),
        ([PROVIDER, Resource(QUEUE, "q", {}, provider="here")], False),
        ([Resource(PROVIDER.type, "default_7", PROVIDER.props), Resource(QUEUE, "q", {})], False),
        ([Resource(PROVIDER.type, "here", {"defaultTags": UNKNOWN}), Resource(QUEUE, "q", {}, provider="here")], False),
        ([Resource("aws:iam/rolePolicy:RolePolicy", "untaggable", {})], False),
        ([Resource(QUEUE, "q", {})], True),
        ([Resource(QUEUE, "q", {"tagsAll": UNKNOWN})], True),
        ([PROVIDER, Resource(QUEUE, "q", {}, provider="other")], True),
        ([Resource(QUEUE, "q", {"tags": {**TAGS, "breakeven:owner": ""}})], True),
        ([Resource(QUEUE, "q", {"tags": {k: v for k, v in TAGS.items() if "expires" not in k}})], True),
    ],
)
def test_everything_is_owned(resources: list[Resource], refused: bool, changed: Changed) -> None:
    found = check_stack(resources, changed("bench-32", {}))
    assert ("owned" in {violation.rule for violation in found}) is refused


EMPTY = parse({"program": "bench"}, "t")
SCALARS = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just(UNKNOWN)
KEYS = st.sampled_from(
    [
        *("ingress", "cidrBlocks", "vpcConfig", "metadataOptions", "scalingConfig", "instanceTypes", "rules", "bucket"),
        *("policy", "Statement", "Action", "Resource", "Condition", "Principal", "Effect", "inlinePolicies"),
        *("tags", "key", "tagSpecifications", "defaultTags", "annotations", "metadata", "type"),
        *(
            "spec",
            "containers",
            "image",
            "securityContext",
            "volumes",
            "resources",
            "worker",
            "workerGroupSpecs",
            "template",
        ),
    ]
)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@given(token=st.sampled_from(sorted({case[2] for case in CASES})), props=st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_no_shape_of_props_breaks_a_rule(token: str, props: dict[str, Any]) -> None:
    """A rule that raises in a transformation ends a deploy with a traceback in place of a reason."""
    resource = Resource(token, "x", plain(props))
    check_resource(resource, EMPTY)
    check_stack([resource, BUCKET], EMPTY)


@pytest.mark.parametrize(
    ("text", "value"), [("4Gi", 2**32), ("4096Mi", 2**32), ("1000m", 1), ("2", 2), ("1.5G", 15 * 10**8)]
)
def test_quantities(text: str, value: int) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["4GiB", "", "4 Gi", "-1", UNKNOWN, None])
def test_no_quantity(text: Any) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)
