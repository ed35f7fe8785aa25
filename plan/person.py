"""What belongs to a person and not to a stack: owner, client address, region, quotas.

From the environment, BREAKEVEN_<KEY>, or from `pulumi config set breakeven:<key>`, which goes before.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

INSTANT = "%Y-%m-%dT%H:%M:%SZ"

WIDEST_PUBLIC = {4: 24, 6: 48}
"""A public range wider than this prefix, one site's network, is no client's address but a part of the world."""

_PRIVATE = [
    ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]


class PersonError(ValueError):
    """Values are missing or cannot be used; the message names each key and both ways to set it.

    `missing`: the keys without a value. `wrong`: what is wrong with each value that is given and cannot be used.
    """

    def __init__(self, missing: Mapping[str, str], wrong: Sequence[str]) -> None:
        super().__init__("; ".join([*wrong, *missing.values()]))
        self.missing, self.wrong = tuple(missing), tuple(wrong)


@dataclass(frozen=True)
class Person:
    """Who deploys, from where, and how much they may.

    vcpu_quota: running On-Demand Standard instances, in vCPU. lambda_memory_mib: the most that one function may have.

    expires_at: the explicit command that moves a running stack's expiry (UTC, ISO 8601); None leaves it where it is.
    """

    owner: str
    client_cidr: str
    region: str
    vcpu_quota: int
    lambda_concurrency: int
    lambda_memory_mib: int
    expires_at: str | None = None


_ASKED = {
    "owner": "a name or e-mail address for the owner tag",
    "clientCidr": "your public address as CIDR, such as 203.0.113.7/32",
    "region": "an AWS region, such as us-east-1",
    "vcpuQuota": "your quota of running On-Demand Standard instances in that region, in vCPU",
    "lambdaConcurrency": "your quota of concurrent Lambda executions in that region",
    "lambdaMemoryMib": "the most memory that your account may give one function there: 3008 if new, 10240 at most",
}


KEYS = (*_ASKED, "expiresAt")
"""Every config key that belongs to a person."""


def person(config: Mapping[str, str], environment: Mapping[str, str]) -> Person:
    """Read a Person. `config`: the stack's config with or without the `breakeven:` prefix. Raises PersonError."""
    found = {key: _value(key, config, environment) for key in KEYS}
    missing = {key: f"found no {key}, wanted {_ASKED[key]}; {_how(key)}" for key in _ASKED if not found[key]}
    wrong = [said for key, value in found.items() if value and (said := _problem(key, value))]
    if missing or wrong:
        raise PersonError(missing, wrong)
    values = {key: str(value) for key, value in found.items()}
    return Person(
        owner=values["owner"],
        client_cidr=values["clientCidr"],
        region=values["region"],
        vcpu_quota=int(values["vcpuQuota"]),
        lambda_concurrency=int(values["lambdaConcurrency"]),
        lambda_memory_mib=int(values["lambdaMemoryMib"]),
        expires_at=found["expiresAt"] or None,
    )


def is_world(cidr: str) -> bool:
    """Whether a range lets the public in: any public range wider than WIDEST_PUBLIC. Raises ValueError if malformed."""
    net = ipaddress.ip_network(cidr, strict=False)
    if _is_private(net):
        return False
    return net.prefixlen < WIDEST_PUBLIC[net.version]


def _value(key: str, config: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    return config.get(f"breakeven:{key}") or config.get(key) or environment.get(variable(key))


def variable(key: str) -> str:
    """The environment variable that stands for a config key."""
    return "BREAKEVEN_" + re.sub(r"(?=[A-Z])", "_", key).upper()


def _how(key: str) -> str:
    return f"set {variable(key)} (docs/aws.md; or `pulumi config set breakeven:{key}`)"


_PATTERNS = {
    "owner": r"[A-Za-z0-9_.@+-]{1,64}",
    "region": r"[a-z]{2}(-[a-z]+)+-[0-9]",
    "vcpuQuota": r"[0-9]{1,7}",
    "lambdaConcurrency": r"[0-9]{1,7}",
    "lambdaMemoryMib": r"[0-9]{3,5}",
}


def _problem(key: str, text: str) -> str | None:
    """What is wrong with one value, or None."""
    if key == "clientCidr":
        why = _cidr_problem(text)
    elif key == "expiresAt":
        why = None if _is_instant(text) else ""
    else:
        why = None if re.fullmatch(_PATTERNS[key], text) else ""
    if why is None:
        return None
    wanted = _ASKED.get(key, "an instant in UTC such as 2026-11-21T18:00:00Z")
    return f"found {key} {text!r:.60}{why and f', {why}'}, wanted {wanted}; {_how(key)}"


def _cidr_problem(text: str) -> str | None:
    """Why a range is no address of a client in the internet, or None."""
    if "/" not in text:
        return "which has no mask: add /32, or /128 to an IPv6 address"
    try:
        net = ipaddress.ip_network(text)
    except ValueError as error:
        return str(error)
    if is_world(text):
        return f"which lets the world in: at most /{WIDEST_PUBLIC[net.version]}"
    special = net.is_loopback or net.is_link_local or net.is_multicast or net.is_unspecified
    if special or _is_private(net):
        return "which no address in the internet is: AWS sees the public address of your network"
    return None


def _is_private(net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return any(net.version == private.version and net.subnet_of(private) for private in _PRIVATE)  # type: ignore[arg-type]


def _is_instant(text: str) -> bool:
    try:
        return datetime.strptime(text, INSTANT).strftime(INSTANT) == text
    except ValueError:
        return False
