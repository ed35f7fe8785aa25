"""The Redis host through which multiprocessing workers talk."""

from dataclasses import dataclass

import pulumi

from infra.aws.cluster_vms import Site
from infra.aws.host_identity import HostIdentity, HostIdentityArgs, allow
from infra.aws.kept_secret import KeptSecret, KeptSecretArgs, cache_secret
from infra.aws.single_host import SingleHostArgs, single_host
from infra.aws.user_data import user_data
from plan.cost import VOLUME_GIB

PORT = 6379


@dataclass(frozen=True)
class CacheHostArgs:
    """`max_memory_mib`: Redis' own bound, above which writes fail rather than lose queued work."""

    site: Site
    security_group_id: pulumi.Input[str]
    instance_type: str
    max_memory_mib: int


class CacheHost(pulumi.ComponentResource):
    """Redis on an EC2 instance: password, TLS, maxmemory, reachable from the functions and the driver only.

    Why so: a managed cache takes 5 to 10 minutes to make and as long to end, and hides the machine whose saturation
    is measured. `noeviction`: a queue that drops items would give wrong answers; an error is better. Costs the
    instance's price as long as the stack is up. Outputs: `host`, `port`, `secret_at`, `secret_arn`, `instance_id`.
    """

    host: pulumi.Output[str]
    port: int
    secret_at: pulumi.Output[str]
    secret_arn: pulumi.Output[str]
    instance_id: pulumi.Output[str]

    def __init__(self, name: str, args: CacheHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:CacheHost", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        secret = KeptSecret(f"{name}-secret", KeptSecretArgs(f"breakeven/{name}", cache_secret), opts=child)
        read = allow(["secretsmanager:GetSecretValue"], [secret.arn])
        log = args.site.buckets.boot_log(args.site.stack)
        identity = HostIdentity(name, HostIdentityArgs([read, log]), opts=child)
        settings: dict[str, pulumi.Input[str]] = {
            "BREAKEVEN_STACK": args.site.stack,
            "BREAKEVEN_REGION": args.site.region,
            "BREAKEVEN_WORKING_BUCKET": args.site.buckets.working,
            "BREAKEVEN_SECRET": secret.path,
            "BREAKEVEN_PORT": str(PORT),
            "BREAKEVEN_MAX_MEMORY_MIB": str(args.max_memory_mib),
        }
        instance = single_host(
            name,
            SingleHostArgs(
                instance_type=args.instance_type,
                subnet_id=args.site.subnet_id,
                security_group_id=args.security_group_id,
                profile_arn=identity.profile_arn,
                image_id=args.site.image_id,
                user_data=user_data("cache/boot-cache.sh", settings),
                tags=args.site.tags,
                volume_gib=VOLUME_GIB,
            ),
            self,
        )
        self.host, self.port = instance.private_ip, PORT
        self.secret_at, self.secret_arn, self.instance_id = secret.path, secret.arn, instance.id
        self.register_outputs({"host": self.host, "secretAt": self.secret_at, "instanceId": self.instance_id})
