"""Nothing of a stack is open to the world."""

from collections.abc import Iterator, Mapping
from typing import Any

from plan.person import is_world
from plan.rules.violation import Violation
from plan.rules.wire import UNKNOWN, Resource, at, below, items
from plan.settings import Settings

_LOAD_BALANCERS = ("aws:lb/loadBalancer:", "aws:alb/loadBalancer:", "aws:elb/loadBalancer:")
_INTERNAL_SERVICE = {
    "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
}


def public_ingress(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """No address range of the world may come in, by security group, EKS endpoint or function URL. Ranges are plain."""
    kind = resource.type
    if kind in ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"):
        for rule in items(at(resource.props, "ingress")):
            yield from _sources(resource, rule, "cidrBlocks", "ipv6CidrBlocks", "prefixListIds")
    elif kind == "aws:ec2/securityGroupRule:SecurityGroupRule" and at(resource.props, "type") != "egress":
        yield from _sources(resource, resource.props, "cidrBlocks", "ipv6CidrBlocks", "prefixListIds")
    elif kind == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        yield from _sources(resource, resource.props, "cidrIpv4", "cidrIpv6", "prefixListId")
    elif kind == "aws:eks/cluster:Cluster" and at(resource.props, "vpcConfig", "endpointPublicAccess") is not False:
        # Absent, both are open: EKS makes a public endpoint for 0.0.0.0/0 unless told otherwise.
        ranges = at(resource.props, "vpcConfig", "publicAccessCidrs")
        for source in items(ranges) or ["0.0.0.0/0"]:
            yield from _source(resource, "vpcConfig.publicAccessCidrs", source)
    elif kind == "aws:lambda/functionUrl:FunctionUrl" and at(resource.props, "authorizationType") != "AWS_IAM":
        found = f"authorizationType {at(resource.props, 'authorizationType')!r}"
        yield _open(resource, found, "AWS_IAM", "set it, or declare no URL")


def open_load_balancer(resource: Resource, settings: Settings) -> Iterator[Violation]:
    """No load balancer faces the world: on AWS it is internal; a Service is internal or lists narrow source ranges."""
    if resource.type.startswith(_LOAD_BALANCERS):
        if at(resource.props, "internal") is not True:
            found = f"internal {at(resource.props, 'internal')!r}"
            yield _open(resource, found, "internal: true", "set it", "open-load-balancer")
    elif resource.type.startswith("kubernetes:"):
        for path, body in below(resource.props):
            if "LoadBalancer" in (at(body, "type"), at(body, "serviceType")):
                yield from _service(resource, path, body)


def _service(resource: Resource, path: str, spec: Mapping[str, Any]) -> Iterator[Violation]:
    for annotations in (at(resource.props, "metadata", "annotations"), at(spec, "annotations")):
        if isinstance(annotations, Mapping) and _INTERNAL_SERVICE.items() & annotations.items():
            return
    ranges = items(at(spec, "loadBalancerSourceRanges"))
    if not ranges:
        wanted = "an internal one, or loadBalancerSourceRanges"
        fix = "use ClusterIP and a port forward"
        yield _open(resource, f"type LoadBalancer at {path}", wanted, fix, "open-load-balancer")
    for source in ranges:
        yield from _source(resource, f"{path}.loadBalancerSourceRanges", source, "open-load-balancer")


def _sources(resource: Resource, rule: Any, *keys: str) -> Iterator[Violation]:
    if rule is UNKNOWN:
        yield from _source(resource, "ingress", UNKNOWN)
        return
    *ranges, prefix_list = keys
    for key in ranges:
        for source in items(at(rule, key)):
            yield from _source(resource, key, source)
    if items(at(rule, prefix_list)):
        yield _open(
            resource, f"a prefix list in {prefix_list}", "a security group or a range", "name the source itself"
        )


def _source(resource: Resource, key: str, source: Any, rule: str = "public-ingress") -> Iterator[Violation]:
    fix = "name a security group as the source, or the client's own address (breakeven:clientCidr)"
    if source is UNKNOWN:
        yield _open(resource, f"{key} {UNKNOWN!r}", "a plain range that can be judged now", fix, rule)
        return
    try:
        world = is_world(str(source))
    except ValueError:
        yield _open(resource, f"{key} {source!r}", "an address range", fix, rule)
        return
    if world:
        yield _open(resource, f"{key} {source}", "no range of the world", fix, rule)


def _open(resource: Resource, found: str, wanted: str, fix: str, rule: str = "public-ingress") -> Violation:
    return Violation(rule, str(resource), found, wanted, fix)
