"""The network of a bench stack, and the one table of who may talk to whom."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

Party = Literal["driver", "ray", "dask", "functions", "cache"]


@dataclass(frozen=True)
class Talk:
    """`source` opens connections to `target` on TCP ports `first` to `last`, because of `why`."""

    source: Party
    target: Party
    first: int
    last: int
    why: str


# Ports are fixed by the boot scripts in runtimes/. What is not here cannot be reached, whatever listens.
TALKS: tuple[Talk, ...] = (
    Talk("ray", "ray", 6379, 6379, "workers join the head's GCS"),
    Talk("ray", "ray", 8076, 8077, "raylets give tasks to each other and move objects"),
    Talk("ray", "ray", 10002, 19999, "worker processes answer each other"),
    Talk("driver", "ray", 6379, 6379, "a session counts workers through the GCS"),
    Talk("driver", "ray", 8076, 8077, "a session's raylet, a member without slots, moves objects"),
    Talk("driver", "ray", 10002, 19999, "a session's process answers and asks workers"),
    Talk("ray", "driver", 8076, 8077, "and the other way"),
    Talk("ray", "driver", 10002, 19999, "and the other way"),
    Talk("dask", "dask", 8786, 8786, "workers join the scheduler"),
    Talk("dask", "dask", 9000, 9999, "the scheduler and other workers fetch results from workers"),
    Talk("driver", "dask", 8786, 8786, "a session is a Dask client, under TLS"),
    Talk("driver", "cache", 6379, 6379, "the parent process of a multiprocessing program"),
    Talk("functions", "cache", 6379, 6379, "its child processes, as functions; results of a stage"),
    Talk("ray", "cache", 6379, 6379, "workers fetch what a stage's functions left"),
    Talk("dask", "cache", 6379, 6379, "and so do Dask's"),
)

INTERFACES_GO_WITHIN = "50m"
"""After a function is deleted Lambda takes 20 to 45 minutes to let go of interfaces, which hold subnets and groups."""

ADDRESSES = "10.42.0.0/16"  # not a default VPC's range, so that a peering with one stays possible


@dataclass(frozen=True)
class NetworkArgs:
    """`parties`: who lives here. `instance_types`: what both zones must offer. `region`: for the S3 endpoint."""

    region: str
    parties: Sequence[Party]
    instance_types: Sequence[str] = ()


def talks_among(parties: Iterable[Party]) -> list[Talk]:
    """The rows of TALKS whose two ends both exist in this stack."""
    present = set(parties)
    return [talk for talk in TALKS if {talk.source, talk.target} <= present]


def zones_offering(offers: Mapping[str, Iterable[str]], count: int = 2) -> list[str]:
    """The first `count` zones, by name, that offer every type. `offers`: instance type to the zones that have it.

    Raises ValueError when fewer zones have them all: a group would fail at its first instance, minutes later.
    """
    shared = sorted(set.intersection(*(set(zones) for zones in offers.values())))
    if len(shared) < count:
        raise ValueError(
            f"found {len(shared)} zones with all of {', '.join(sorted(offers))}, wanted {count}; "
            f"use other instance types or another region (offered: { {t: sorted(z) for t, z in offers.items()} })"
        )
    return shared[:count]


class Network(pulumi.ComponentResource):
    """A VPC with a public subnet in each of two zones, an internet gateway, an S3 gateway endpoint, a security group
    per party and the rules made from TALKS.

    Why so: hosts have public addresses and no way in, so no NAT gateway (0.045 USD/h and per GB) stands between them
    and the bucket; S3 traffic takes the gateway endpoint. Costs nothing by itself; each running host pays its public
    IPv4 address (0.005 USD/h). Outputs: `vpc_id`, `subnet_ids` (two), `group_ids` by party.
    """

    vpc_id: pulumi.Output[str]
    subnet_ids: list[pulumi.Output[str]]
    group_ids: dict[Party, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Network", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Both hold interfaces of others: of functions in the VPC, and of hosts and nodes that are just ending.
        held = pulumi.ResourceOptions(parent=self, custom_timeouts=pulumi.CustomTimeouts(delete=INTERFACES_GO_WITHIN))
        vpc = aws.ec2.Vpc(
            name,
            cidr_block=ADDRESSES,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": name},
            opts=child,
        )
        # The default group, whose members are open to each other, stays as AWS makes it: nothing here is put into it,
        # and a deployer may not change what does not bear the stack's tag from its first moment.
        gateway = aws.ec2.InternetGateway(name, vpc_id=vpc.id, tags={"Name": name}, opts=child)
        routes = aws.ec2.RouteTable(
            name,
            vpc_id=vpc.id,
            routes=[aws.ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)],
            tags={"Name": name},
            opts=child,
        )
        zones = _zones(args.instance_types, child)
        self.subnet_ids = []
        for number in range(2):
            subnet = aws.ec2.Subnet(
                f"{name}-{number}",
                vpc_id=vpc.id,
                cidr_block=f"10.42.{number * 16}.0/20",
                availability_zone=zones[number],
                map_public_ip_on_launch=True,
                tags={"Name": f"{name}-{number}"},
                opts=held,
            )
            aws.ec2.RouteTableAssociation(f"{name}-{number}", subnet_id=subnet.id, route_table_id=routes.id, opts=child)
            self.subnet_ids.append(subnet.id)
        aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{args.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            tags={"Name": f"{name}-s3"},
            opts=child,
        )
        self.vpc_id = vpc.id
        self.group_ids = {party: self._group(f"{name}-{party}", vpc.id, child, held) for party in args.parties}
        for talk in talks_among(args.parties):
            self._allow(name, talk, child)
        self.register_outputs({"vpcId": self.vpc_id, "subnetIds": self.subnet_ids, "groupIds": dict(self.group_ids)})

    def _group(
        self, name: str, vpc_id: pulumi.Output[str], child: pulumi.ResourceOptions, held: pulumi.ResourceOptions
    ) -> pulumi.Output[str]:
        group = aws.ec2.SecurityGroup(
            name,
            vpc_id=vpc_id,
            description=name,
            # A rule that a broken-off deploy made and does not know would keep the group, and those it names.
            revoke_rules_on_delete=True,
            tags={"Name": name},
            opts=held,
        )
        # Images, secrets and Session Manager are AWS's own HTTPS services.
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-https",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4="0.0.0.0/0",
            opts=child,
        )
        return group.id

    def _allow(self, name: str, talk: Talk, child: pulumi.ResourceOptions) -> None:
        title = f"{name}-{talk.source}-to-{talk.target}-{talk.first}"
        source, target = self.group_ids[talk.source], self.group_ids[talk.target]
        aws.vpc.SecurityGroupIngressRule(
            title,
            security_group_id=target,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=talk.first,
            to_port=talk.last,
            description=talk.why,
            opts=child,
        )
        aws.vpc.SecurityGroupEgressRule(
            title,
            security_group_id=source,
            referenced_security_group_id=target,
            ip_protocol="tcp",
            from_port=talk.first,
            to_port=talk.last,
            description=talk.why,
            opts=child,
        )


def _zones(instance_types: Sequence[str], child: pulumi.ResourceOptions) -> pulumi.Output[list[str]]:
    invoke = pulumi.InvokeOptions(parent=child.parent)
    if not instance_types:
        return aws.get_availability_zones_output(state="available", opts=invoke).apply(
            lambda found: sorted(found.names)[:2]
        )
    offers = {
        kind: aws.ec2.get_instance_type_offerings_output(
            location_type="availability-zone",
            filters=[aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=[kind])],
            opts=invoke,
        ).locations
        for kind in sorted(set(instance_types))
    }
    return pulumi.Output.all(**offers).apply(zones_offering)
