"""What EKS leaves of a node."""

from datetime import date

import pytest

from catalog import eks
from catalog.instances import instance, measured

# Karpenter's published table (website/content/en/preview/reference/instance-types.md at
# 692ccdd0629e488300821443f0fa0bc3c3e08047): allocatable MiB and millicores, and pods.
PUBLISHED = {
    "m6i.large": (6903, 1930, 29),
    "m6i.xlarge": (14162, 3920, 58),
    "m6i.2xlarge": (29317, 7910, 58),
    "m6i.4xlarge": (57691, 15890, 234),
    "m6i.8xlarge": (118312, 31850, 234),
    "m6i.16xlarge": (234021, 63770, 737),
    "m7i.large": (6903, 1930, 29),
    "m7i.16xlarge": (234021, 63770, 737),
    "r6i.large": (14481, 1930, 29),
    "r6i.xlarge": (29317, 3920, 58),
    "r6i.2xlarge": (59627, 7910, 58),
    "r6i.4xlarge": (118312, 15890, 234),
}


@pytest.mark.parametrize(("kind", "published"), PUBLISHED.items())
def test_the_formula_gives_the_published_table(kind: str, published: tuple[int, int, int]) -> None:
    found = eks.allocatable(instance(kind))
    assert (found.memory_mib, found.cpu_m, found.pods) == published


def test_a_measured_node_goes_before_the_formula_and_agrees_with_its_reserve() -> None:
    for row in measured():
        if row.type is None or row.allocatable_mib is None:
            continue
        found = eks.allocatable(instance(row.type))
        assert found.basis == "measured"
        assert found.memory_mib == int(row.allocatable_mib)
        pods = instance(row.type).eks_max_pods
        assert pods is not None
        assert row.seen_mib - row.allocatable_mib == eks.kube_reserved_mib(pods) + eks.EVICTION_MIB


def test_a_type_of_another_provider_has_no_allocatable() -> None:
    with pytest.raises(ValueError, match=r"cx2\.8x16"):
        eks.allocatable(instance("cx2.8x16"))


def test_versions_have_dates_in_order_and_sources() -> None:
    for row in eks.versions().values():
        assert row.released < row.end_of_standard_support < row.end_of_extended_support
        assert row.source
    assert eks.version("1.35").end_of_standard_support == date(2027, 3, 27)


def test_an_unknown_version_names_the_nearest() -> None:
    with pytest.raises(eks.UnknownVersionError, match=r"1\.35"):
        eks.version("1.53")
