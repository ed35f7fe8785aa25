"""A secret made once, kept encrypted, and fetched by role."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from local.certificate import certificate


def token() -> str:
    """A Ray token or Redis password: 256 random bits as 64 hexadecimal digits, as Ray makes its own."""
    return secrets.token_hex(32)


def ray_token() -> str:
    """The secret of a Ray cluster."""
    return json.dumps({"token": token()})


def dask_certificate() -> str:
    """The secret of a Dask cluster."""
    return json.dumps(certificate("breakeven-dask"))


def cache_secret() -> str:
    """The secret of a cache host: its password and its certificate."""
    return json.dumps({"password": token(), **certificate("breakeven-cache")})


@dataclass(frozen=True)
class KeptSecretArgs:
    """`make` returns a new value; it is used once. `path`: the secret's name in Secrets Manager."""

    path: str
    make: Callable[[], str]


class KeptSecret(pulumi.ComponentResource):
    """A secret in Secrets Manager whose first value stays.

    Why so: `make` runs in every program run, but the engine keeps the value it has in its (encrypted) state, so a
    second preview shows no change. No recovery window, or a stack could not be made again under its name for a week.
    Costs 0.40 USD a month, by the hour. Outputs: `path` (for `secret_at`), `arn` (for policies).
    """

    path: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: KeptSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("breakeven:aws:KeptSecret", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(name, name=args.path, recovery_window_in_days=0, opts=child)
        version = aws.secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string=pulumi.Output.secret(args.make()),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["secretString"]),
        )
        self.arn = secret.arn
        # Through the version, so that whoever names the secret is made after it has a value.
        self.path = pulumi.Output.all(secret.name, version.id).apply(lambda known: str(known[0]))
        self.register_outputs({"path": self.path, "arn": self.arn})
