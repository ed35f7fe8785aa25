"""How a provider turns use into billed quantities, and quantities into USD: every rule once, all in Decimal.

| what | billed | source |
|---|---|---|
| EC2 Linux, EBS | per second, at least 60 s for each start | EC2 on-demand pricing page |
| public IPv4 | with the second, as the instance it belongs to | "pro rata", EC2 pricing page on Elastic IP addresses |
| EKS control plane | with the second; no source states the rounding, at most 0.10 USD per stack is at stake | - |
| interface endpoint, NAT gateway | every hour begun | VPC pricing pages |
| Lambda | each call by its own time, in milliseconds begun, times its memory | Lambda pricing page |
| storage (S3, EBS, ECR, logs) | GB-month pro rata, a month of 730 h as in the price files | infracost price files |
| requests (Lambda, S3, SQS, API Gateway) | each | the same |

GB is 2**30 bytes where AWS bills memory and storage, and 1,024 MiB here always.
"""

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal

from catalog.prices import Price

HOURS_PER_MONTH = Decimal(730)
EC2_MINIMUM_S = 60
LAMBDA_FREE_EPHEMERAL_MIB = 512
MIB_PER_GB = 1024
BYTES_PER_GB = 2**30

Number = int | float | Decimal


class ClockBackwards(ValueError):
    """An interval ends before it begins: it cannot be billed, and none of the run's times can be trusted."""


def elapsed_s(start_s: Number, end_s: Number, what: str) -> Decimal:
    """Seconds between two readings of one clock. Raises ClockBackwards, which names what was timed."""
    start, end = exact(start_s), exact(end_s)
    if end < start:
        raise ClockBackwards(f"{what}: ends at {end} s, before its start at {start} s; use one monotonic clock")
    return end - start


def exact(value: Number) -> Decimal:
    """The Decimal with the digits as printed, so that 0.1 s is a tenth. Raises ValueError unless finite and >= 0."""
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite() or number < 0:
        raise ValueError(f"found the quantity {value!r}, wanted a finite number of at least 0")
    return number


def instance_s(seconds: Number) -> Decimal:
    """Billed seconds of one start of an EC2 instance or EBS volume: seconds begun, at least 60; 0 if not started."""
    used = exact(seconds)
    return max(_ceiling(used), Decimal(EC2_MINIMUM_S)) if used else Decimal(0)


def hours_begun(seconds: Number) -> Decimal:
    """Billed hours of what is charged for every hour begun: interface endpoints, NAT gateways."""
    return _ceiling(exact(seconds) / 3600)


def lambda_gb_s(durations_s: Iterable[Number], memory_mib: int) -> Decimal:
    """GB-seconds of these calls, each rounded up to its own millisecond, at this memory size."""
    billed_ms = sum((_ceiling(exact(duration) * 1000) for duration in durations_s), Decimal(0))
    return billed_ms / 1000 * memory_mib / MIB_PER_GB


def lambda_ephemeral_gb_s(durations_s: Iterable[Number], ephemeral_mib: int) -> Decimal:
    """GB-seconds of ephemeral storage; the first 512 MiB are free."""
    return lambda_gb_s(durations_s, max(ephemeral_mib - LAMBDA_FREE_EPHEMERAL_MIB, 0))


def gb_months(size_bytes: int, hours: Number) -> Decimal:
    """GB-months of this many bytes kept this long."""
    return exact(size_bytes) / BYTES_PER_GB * exact(hours) / HOURS_PER_MONTH


def usd(quantity: Number, tiers: Sequence[Price], before: Number = 0) -> Decimal:
    """USD for `quantity` units on top of the `before` units already used this month, each unit at its tier's price."""
    start, total = exact(before), Decimal(0)
    end = start + exact(quantity)
    for tier, following in zip(tiers, [*tiers[1:], None], strict=True):
        top = end if following is None else min(end, following.above)
        total += max(top - max(start, tier.above), Decimal(0)) * tier.usd
    return total


def _ceiling(value: Decimal) -> Decimal:
    return value.to_integral_value(rounding=ROUND_CEILING)


def fleet(time_s: Number, target_s: Number) -> int:
    """Machines that finish in `target_s` what takes one machine `time_s`, if the work divides without loss."""
    return math.ceil(exact(time_s) / exact(target_s))
