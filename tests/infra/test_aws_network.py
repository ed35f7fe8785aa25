"""The table of who talks to whom, and what is made from it."""

import re
from pathlib import Path

import pytest

from infra.aws.network import TALKS, Talk, talks_among, zones_offering


def test_only_the_driver_reaches_into_a_cluster() -> None:
    """Ray's client and job ports run code for whoever reaches them."""
    into_clusters = {(talk.source, talk.target) for talk in TALKS if talk.target in ("ray", "dask")}
    assert into_clusters == {("ray", "ray"), ("dask", "dask"), ("driver", "ray"), ("driver", "dask")}
    assert {talk.target for talk in TALKS if talk.source in ("functions", "cache")} == {"cache"}


@pytest.mark.parametrize(
    ("parties", "pairs"),
    [
        (["driver", "dask"], {("dask", "dask"), ("driver", "dask")}),
        (["driver", "functions", "cache"], {("driver", "cache"), ("functions", "cache")}),
        (["dask", "functions", "cache"], {("dask", "dask"), ("dask", "cache"), ("functions", "cache")}),
        (["driver"], set()),
    ],
)
def test_rules_exist_only_between_parties_that_exist(parties: list[str], pairs: set[tuple[str, str]]) -> None:
    assert {(talk.source, talk.target) for talk in talks_among(parties)} == pairs  # type: ignore[arg-type]


def test_no_row_opens_everything() -> None:
    assert all(isinstance(talk, Talk) and talk.last - talk.first < 10_000 and talk.why for talk in TALKS)


SCRIPTS = Path(__file__).parents[2] / "runtimes/cluster"


@pytest.mark.parametrize("target", ["ray", "dask"])
def test_rules_lead_to_ports_that_the_boot_lines_open(target: str) -> None:
    """A rule to a port that nothing listens on is an open door for what will; a port without one, a silent node."""
    text = "".join(path.read_text() for path in sorted(SCRIPTS.glob(f"boot-{target}-*.sh")))
    opened = {int(number) for number in re.findall(r"port[=\s]\$?\(*(?:\S*:)?(\d{4,5})\b", text)}
    opened |= {int(number) for pair in re.findall(r"port[= ](\d+):(\d+)", text) for number in pair}
    ruled = [(talk.first, talk.last) for talk in TALKS if talk.target == target]
    inside = {8078}  # the raylet calls Ray's runtime environment agent on its own host
    assert {port for rule in ruled for port in rule} - opened == set()
    assert {port for port in opened - inside if not any(first <= port <= last for first, last in ruled)} == set()


def test_zones_are_those_that_offer_every_type_and_stay_the_same() -> None:
    offers = {"m6i.large": ["z-c", "z-a", "z-b"], "c5.4xlarge": ["z-b", "z-c", "z-e"]}
    assert zones_offering(offers) == ["z-b", "z-c"]
    assert zones_offering(dict(reversed(offers.items()))) == ["z-b", "z-c"]
    with pytest.raises(ValueError, match=r"found 1 zones with all of"):
        zones_offering({**offers, "p3.2xlarge": ["z-b"]})
