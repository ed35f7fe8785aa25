"""An EKS cluster with one managed node group, of plain resources, so that rules see every value."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.host_identity import SESSION_MANAGER, assumed_by
from infra.aws.node_group import launched
from infra.aws.role import bounded_role
from plan.cost import VOLUME_GIB
from plan.rules.tags import STACK

_POLICY = "arn:aws:iam::aws:policy"
_ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
_NODE_POLICIES = {
    "node": f"{_POLICY}/AmazonEKSWorkerNodePolicy",
    "network": f"{_POLICY}/AmazonEKS_CNI_Policy",
    "images": f"{_POLICY}/AmazonEC2ContainerRegistryReadOnly",
    "session": SESSION_MANAGER,
}


@dataclass(frozen=True)
class EksArgs:
    """`name` is the stack's. `nodes` to start with, between `min_nodes` and `max_nodes`. `client_cidr`: all that may
    reach the public endpoint. `subnet_ids`: two, in two zones, as the control plane wants; nodes live in the first."""

    name: str
    region: str
    version: str
    instance_type: str
    nodes: int
    min_nodes: int
    max_nodes: int
    subnet_ids: Sequence[pulumi.Input[str]]
    client_cidr: str
    volume_gib: int = VOLUME_GIB


class Eks(pulumi.ComponentResource):
    """A control plane, the addons that a node needs, a managed node group, and access for who deploys.

    Why so: no component package hides a value from the rules. The private endpoint is on, so that nodes never leave the
    network; the public one answers one client address. Access is by entries only: nobody is administrator by having
    made the cluster. Nodes live in one zone, as those of EC2 clusters do. The control plane costs 0.10 USD/h, and goes
    on doing so after expiry, until `destroy`; nodes cost their type's price. Outputs: `name`, `kubeconfig`,
    `node_group`.
    """

    name: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]
    node_group: aws.eks.NodeGroup

    def __init__(self, name: str, args: EksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:Eks", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        cluster = self._control_plane(name, args)
        self.name = cluster.name

        # The network plugin is there before nodes are, and goes after them: it is what takes their interfaces away.
        plugins = [
            _addon(name, "vpc-cni", cluster, child, network_settings(args.name)),
            _addon(name, "kube-proxy", cluster, child),
            _addon(name, "eks-pod-identity-agent", cluster, child),
        ]
        access = self._deployer(name, cluster)
        self.node_group = self._nodes(name, args, cluster, [*plugins, access])
        after = pulumi.ResourceOptions(parent=self, depends_on=[self.node_group])
        _addon(name, "coredns", cluster, after)  # has pods of its own, which wait for a node

        self.kubeconfig = pulumi.Output.all(
            cluster.name, cluster.endpoint, cluster.certificate_authority.data, args.region, access.id
        ).apply(lambda known: kubeconfig(*known[:4]))
        self.register_outputs({"name": self.name, "nodeGroupName": self.node_group.node_group_name})

    def _control_plane(self, name: str, args: EksArgs) -> aws.eks.Cluster:
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(f"{name}-control", assumed_by("eks.amazonaws.com"), child)
        allowed = aws.iam.RolePolicyAttachment(
            f"{name}-control", role=role.name, policy_arn=f"{_POLICY}/AmazonEKSClusterPolicy", opts=child
        )
        return aws.eks.Cluster(
            name,
            name=args.name,
            version=args.version,
            role_arn=role.arn,
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=args.subnet_ids,
                endpoint_private_access=True,
                endpoint_public_access=True,
                public_access_cidrs=[args.client_cidr],
            ),
            access_config=aws.eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
            ),
            bootstrap_self_managed_addons=False,
            # Never into extended support, whose control plane costs six times as much.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )

    def _deployer(self, name: str, cluster: aws.eks.Cluster) -> aws.eks.AccessPolicyAssociation:
        invoke = pulumi.InvokeOptions(parent=self)
        # An assumed role is known by its session; an access entry wants the role itself.
        caller = aws.get_caller_identity_output(opts=invoke)
        who = aws.iam.get_session_context_output(arn=caller.arn, opts=invoke).issuer_arn
        entry = aws.eks.AccessEntry(
            f"{name}-deployer",
            cluster_name=cluster.name,
            principal_arn=who,
            # Another colleague's `up` must not take the first one's access away.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["principalArn"]),
        )
        return aws.eks.AccessPolicyAssociation(
            f"{name}-deployer",
            cluster_name=cluster.name,
            principal_arn=entry.principal_arn,
            policy_arn=_ADMIN,
            access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _nodes(
        self, name: str, args: EksArgs, cluster: aws.eks.Cluster, plugins: Sequence[pulumi.Resource]
    ) -> aws.eks.NodeGroup:
        child = pulumi.ResourceOptions(parent=self)
        role = bounded_role(f"{name}-nodes", assumed_by("ec2.amazonaws.com"), child)
        allowed = [
            aws.iam.RolePolicyAttachment(f"{name}-nodes-{what}", role=role.name, policy_arn=arn, opts=child)
            for what, arn in _NODE_POLICIES.items()
        ]
        template = _template(f"{name}-nodes", args, child)
        scales = args.min_nodes != args.max_nodes
        return aws.eks.NodeGroup(
            f"{name}-nodes",
            cluster_name=cluster.name,
            node_group_name=f"{args.name}-nodes",
            node_role_arn=role.arn,
            subnet_ids=[args.subnet_ids[0]],
            ami_type="AL2023_x86_64_STANDARD",
            instance_types=[args.instance_type],
            version=args.version,
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                desired_size=args.nodes, min_size=args.min_nodes, max_size=args.max_nodes
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*allowed, *plugins],
                # The autoscaler's business; a deploy in the middle of a run must not end nodes.
                ignore_changes=["scalingConfig.desiredSize"] if scales else [],
            ),
        )


def kubeconfig(name: str, endpoint: str, authority: str, region: str) -> str:
    """A kubeconfig as JSON that asks the AWS command line for a token at each use, so that it holds no secret and does
    not change from one run to the next. `authority`: the certificate in base64."""
    ask = ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
            "users": [
                {
                    "name": name,
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1beta1",
                            "command": "aws",
                            "args": ask,
                            "interactiveMode": "Never",
                        }
                    },
                }
            ],
        }
    )


def network_settings(stack: str) -> str:
    """The network plugin's settings as JSON: policies are enforced, and the interfaces it makes carry the stack's tag,
    which neither the launch template nor the provider reaches. Nothing that changes during the stack's life: a change
    restarts the plugin on every node."""
    return json.dumps(
        {"enableNetworkPolicy": "true", "env": {"ADDITIONAL_ENI_TAGS": json.dumps({STACK: stack})}}, sort_keys=True
    )


def _addon(
    name: str,
    addon: str,
    cluster: aws.eks.Cluster,
    opts: pulumi.ResourceOptions,
    settings: str | None = None,
) -> aws.eks.Addon:
    # No version: EKS takes the one it has tested with the control plane's, which the settings name.
    return aws.eks.Addon(
        f"{name}-{addon}",
        cluster_name=cluster.name,
        addon_name=addon,
        configuration_values=settings,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        opts=opts,
    )


def _template(name: str, args: EksArgs, child: pulumi.ResourceOptions) -> aws.ec2.LaunchTemplate:
    return aws.ec2.LaunchTemplate(
        name,
        update_default_version=True,
        # One hop: a pod on the pod network cannot take its node's role; what it may do comes by Pod Identity.
        metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        block_device_mappings=[
            aws.ec2.LaunchTemplateBlockDeviceMappingArgs(
                device_name="/dev/xvda",
                ebs=aws.ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
                    volume_size=args.volume_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
                ),
            )
        ],
        tag_specifications=launched(args.name, name),
        # The template's own tags stay as they were: a change of them makes no new version, but until it is done the
        # provider cannot tell, and plans an update of the node group with a version that it does not know.
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["tags"])),
    )
