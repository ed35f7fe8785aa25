"""What belongs to a person and not to a stack: owner, client address, region, quotas.

From `pulumi config set breakeven:<key>` or from the environment, BREAKEVEN_<KEY>; the config goes before.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

INSTANT = "%Y-%m-%dT%H:%M:%SZ"

WIDEST_PUBLIC = {4: 16, 6: 32}
"""A public range wider than this prefix is no client's address but a part of the world."""

_PRIVATE = [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


class PersonError(ValueError):
    """A value is missing or cannot be used; the message names the key and both ways to set it."""

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Person:
    """Who deploys, from where, and how much they may. vcpu_quota: running On-Demand Standard instances, in vCPU.

    expires_at: the explicit command that moves a running stack's expiry (UTC, ISO 8601); None leaves it where it is.
    """

    owner: str
    client_cidr: str
    region: str
    vcpu_quota: int
    lambda_concurrency: int
    expires_at: str | None = None


_ASKED = {
    "owner": "a name or e-mail address for the owner tag",
    "clientCidr": "your public address as CIDR, such as 203.0.113.7/32",
    "region": "an AWS region, such as us-east-1",
    "vcpuQuota": "your quota of running On-Demand Standard instances in that region, in vCPU",
    "lambdaConcurrency": "your quota of concurrent Lambda executions in that region",
}


KEYS = (*_ASKED, "expiresAt")
"""Every config key that belongs to a person."""


def person(config: Mapping[str, str], environment: Mapping[str, str]) -> Person:
    """Read a Person. `config`: the stack's config with or without the `breakeven:` prefix. Raises PersonError."""
    found = {key: _value(key, config, environment) for key in _ASKED}
    missing = [key for key, value in found.items() if not value]
    if missing:
        message = "; ".join(f"found no {key}, wanted {_ASKED[key]}; {_how(key)}" for key in missing)
        raise PersonError(message, tuple(missing))
    values = {key: str(value) for key, value in found.items()}
    return Person(
        owner=_matching("owner", values, r"[\w.@+-]{1,64}"),
        client_cidr=_cidr(values["clientCidr"]),
        region=_matching("region", values, r"[a-z]{2}(-[a-z]+)+-\d"),
        vcpu_quota=int(_matching("vcpuQuota", values, r"\d+")),
        lambda_concurrency=int(_matching("lambdaConcurrency", values, r"\d+")),
        expires_at=_instant(_value("expiresAt", config, environment)),
    )


def is_world(cidr: str) -> bool:
    """Whether a range lets the public in: any public range wider than WIDEST_PUBLIC. Raises ValueError if malformed."""
    net = ipaddress.ip_network(cidr, strict=False)
    if any(net.version == private.version and net.subnet_of(private) for private in _PRIVATE):  # type: ignore[arg-type]
        return False
    return net.prefixlen < WIDEST_PUBLIC[net.version]


def _value(key: str, config: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    return config.get(f"breakeven:{key}") or config.get(key) or environment.get(_variable(key))


def _variable(key: str) -> str:
    return "BREAKEVEN_" + re.sub(r"(?=[A-Z])", "_", key).upper()


def _how(key: str) -> str:
    return f"set it with `pulumi config set breakeven:{key} ...` or {_variable(key)}"


def _matching(key: str, values: Mapping[str, str], pattern: str) -> str:
    if not re.fullmatch(pattern, values[key]):
        raise PersonError(f"found {key} {values[key]!r}, wanted {_ASKED[key]}; {_how(key)}")
    return values[key]


def _cidr(text: str) -> str:
    try:
        world = is_world(text)
    except ValueError as error:
        raise PersonError(
            f"found clientCidr {text!r} ({error}), wanted {_ASKED['clientCidr']}; {_how('clientCidr')}"
        ) from None
    if world:
        raise PersonError(f"found clientCidr {text!r}, which lets the world in, wanted {_ASKED['clientCidr']}")
    return text


def _instant(text: str | None) -> str | None:
    try:
        return datetime.strptime(text, INSTANT).strftime(INSTANT) if text else None
    except ValueError:
        wanted = "an instant in UTC such as 2026-11-21T18:00:00Z"
        raise PersonError(f"found expiresAt {text!r}, wanted {wanted}; {_how('expiresAt')}") from None
