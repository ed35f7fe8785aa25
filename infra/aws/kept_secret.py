"""A secret made once, kept encrypted, and fetched by role."""

import datetime
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# A stack lives for hours and may be extended; no stack lives for three months.
CERTIFICATE_DAYS = 90


def token() -> str:
    """A Ray token or Redis password: 256 random bits as 64 hexadecimal digits, as Ray makes its own."""
    return secrets.token_hex(32)


def certificate(common_name: str) -> dict[str, str]:
    """A self-signed EC certificate and its key in PEM: {"ca", "cert", "key"}, where the certificate is its own CA.

    Who holds the key is a member: Dask checks the chain, not host names, so that one certificate serves all.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # hosts whose clocks are behind
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {"ca": pem, "cert": pem, "key": private}


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
