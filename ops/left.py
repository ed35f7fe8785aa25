"""What of a stack exists in the account, and what could not be seen."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from ops.finders import FINDERS, Finder

Session = Any
"""A boto3 session."""
GLOBAL = "global"
_AT_ONCE = 8


@dataclass(frozen=True)
class Found:
    """One resource of the stack, by kind and identifier."""

    kind: str
    id: str
    region: str


@dataclass(frozen=True)
class Unseen:
    """A kind that could not be looked for in a region, and what its service said."""

    kind: str
    region: str
    error: Exception


def enabled_regions(session: Session, ask: str) -> list[str]:
    """Every region that the account may use, `ask`, which is asked for them, first. Raises what EC2 raises."""
    names = [region["RegionName"] for region in session.client("ec2", ask).describe_regions()["Regions"]]
    return sorted(names, key=lambda name: (name != ask, name))


def look(
    session: Session, stack: str, regions: Sequence[str], seen: Callable[[str], None] = lambda region: None
) -> tuple[list[Found], list[Unseen]]:
    """Look for every kind in each region, and for what has no region once, by the first. `seen` is called after each.

    The first is to be the stack's own: a deployer may list a bucket nowhere else.
    """
    making = Lock()  # a boto3 session makes one client at a time; clients themselves are safe between threads

    def in_region(region: str) -> tuple[list[Found], list[Unseen]]:
        clients: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in clients:
                with making:
                    clients[service] = session.client(service, region_name=regions[0] if region == GLOBAL else region)
            return clients[service]

        found: list[Found] = []
        unseen: list[Unseen] = []
        for finder in FINDERS:
            if finder.everywhere is (region == GLOBAL):
                _one_kind(finder, client, stack, region, found, unseen)
        seen(region)
        return found, unseen

    with ThreadPoolExecutor(_AT_ONCE) as at_once:
        looked = list(at_once.map(in_region, [GLOBAL, *regions]))
    return [item for found, _ in looked for item in found], [item for _, unseen in looked for item in unseen]


def left(session: Session, stack: str) -> list[Found]:
    """Everything of the stack in the session's own region, and what has no region. Raises what a service raises."""
    found, unseen = look(session, stack, [session.region_name])
    if unseen:
        raise unseen[0].error
    return found


def _one_kind(
    finder: Finder,
    client: Callable[[str], Any],
    stack: str,
    region: str,
    found: list[Found],
    unseen: list[Unseen],
) -> None:
    try:
        found += [Found(finder.kind, identity, region) for identity in finder.find(client, stack)]
    except Exception as error:  # an answer that cannot be parsed is none of botocore's own errors, and shows as little
        unseen.append(Unseen(finder.kind, region, error))
