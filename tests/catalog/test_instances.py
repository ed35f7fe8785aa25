"""Instance facts."""

import pytest

from catalog.instances import UNSEEN_OVERHEAD, UnknownInstanceTypeError, instance, instances, measured, seen_mib


def test_every_row_has_a_source_and_sizes() -> None:
    for row in instances().values():
        assert row.source, row.type
        assert row.vcpu > 0, row.type
        assert row.memory_mib > 0, row.type
        if row.provider == "AWS":
            assert row.eks_max_pods, row.type


@pytest.mark.parametrize(
    ("asked", "near"), [("m6i.larg", "m6i.large"), ("M6I.xlarge", "m6i.xlarge"), ("cx2-8x16", "cx2.8x16")]
)
def test_an_unknown_type_names_the_nearest(asked: str, near: str) -> None:
    with pytest.raises(UnknownInstanceTypeError, match=near):
        instance(asked)


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("m6i.large", 7813),  # the measured 8 GiB node
        ("r5.xlarge", 31628),  # its own measurement
        ("m6i.2xlarge", 31628),  # the share of a measured node of its size
        ("r5.16xlarge", 510355),
        ("c5.large", 3788),  # 4 GiB, below all measured: the guarded share
    ],
)
def test_what_a_system_sees(kind: str, seen: int) -> None:
    assert seen_mib(instance(kind)) == seen


def test_the_guard_is_above_every_measured_overhead() -> None:
    """If a node is measured that keeps more than the guard, plans made with it would not fit."""
    for row in measured():
        assert row.source
        assert 1 - row.seen_mib / row.nominal_mib < UNSEEN_OVERHEAD
