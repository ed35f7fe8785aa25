"""Workers and their memory on each platform."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.eks import DAEMONS_MIB, allocatable
from catalog.instances import instance, instances, seen_mib
from plan.settings import Settings, Worker, parse
from plan.sizing import FUNCTIONS, SYSTEM_SHARE_MIB, overhead_pods, placement, sizes, vcpu_needed

AWS_TYPES = sorted(name for name, row in instances().items() if row.provider == "AWS")


def bench(**cluster: object) -> Settings:
    own = {"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 4, **cluster}
    document = {"program": "bench", "clusters": {"dask": own}, "functions": {"platform": "lambda", "maxWorkers": 8}}
    return parse(document, "t")


def test_published_shape_holds_what_the_node_can_give() -> None:
    """Two workers declared 4096 MiB on an m6i.large get (7813 - 640) / 2."""
    size = sizes(bench())["dask"]
    assert (size.workers, size.slots_per_node, size.declared_mib, size.limit_mib) == (8, 2, 4096, 3586)
    assert "(7813 - 640 system) / 2 slots = 3586 MiB" in size.arithmetic
    assert size.enforced_by == "nanny"


def test_a_slot_with_room_is_held_to_what_is_declared() -> None:
    assert sizes(bench(slotsPerNode=1))["dask"].limit_mib == 4096


def test_function_cpu_is_its_memory_over_1769() -> None:
    size = sizes(bench())[FUNCTIONS]
    assert size.vcpu_per_worker == pytest.approx(2.3154, abs=1e-4)
    assert size.limit_mib == size.declared_mib == 4096


def test_equal_limits_hold_functions_too_but_only_what_is_compared() -> None:
    document = {
        "program": "bench",
        "clusters": {
            "dask": {"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 4},
            "wide": {"engine": "ray", "platform": "ec2", "instanceType": "r6i.large", "nodes": 4},
        },
        "functions": {"platform": "lambda", "maxWorkers": 8},
        "compare": ["dask", FUNCTIONS],
        "equalLimits": True,
    }
    found = sizes(parse(document, "t"))
    assert {name: size.limit_mib for name, size in found.items()} == {"dask": 3586, FUNCTIONS: 3586, "wide": 4096}
    assert found[FUNCTIONS].declared_mib == 4096
    assert found[FUNCTIONS].vcpu_per_worker == pytest.approx(3586 / 1769)
    assert "limit of 'dask'" in found[FUNCTIONS].arithmetic


@pytest.mark.parametrize(
    ("kind", "slots", "bound"),
    [
        ("m6i.large", 1, "memory"),
        ("m6i.2xlarge", 7, "memory"),
        ("m6i.4xlarge", 14, "memory"),
        ("r6i.large", 1, "cpu"),
        ("r5.xlarge", 3, "cpu"),
        ("c5.large", 0, "memory"),
    ],
)
def test_worker_pods_of_a_node(kind: str, slots: int, bound: str) -> None:
    place = placement(kind, Worker())
    assert (place.slots, place.bound_by) == (slots, bound)


@given(kind=st.sampled_from(AWS_TYPES), memory=st.integers(128, 20_000), vcpu=st.integers(1, 8))
def test_pods_that_are_planned_can_be_placed(kind: str, memory: int, vcpu: int) -> None:
    """However odd the worker, the planned pods ask for no more than the node gives."""
    place = placement(kind, Worker(memory_mib=memory, vcpu=vcpu, reason="any"))
    node = allocatable(instance(kind))
    assert place.slots * memory + DAEMONS_MIB <= max(node.memory_mib, DAEMONS_MIB)
    assert place.slots * vcpu * 1000 <= node.cpu_m
    assert place.slots <= node.pods


@given(kind=st.sampled_from(AWS_TYPES), slots=st.integers(1, 64))
def test_derived_limits_leave_the_system_its_share(kind: str, slots: int) -> None:
    size = sizes(bench(instanceType=kind, slotsPerNode=slots))["dask"]
    assert slots * size.limit_mib <= max(0, seen_mib(instance(kind)) - SYSTEM_SHARE_MIB)


def test_heads_operators_and_driver_take_slots() -> None:
    pods = {"engine": "ray", "platform": "eks", "workers": 4}
    kubernetes = {"version": "1.35", "instanceType": "m6i.2xlarge", "nodes": 2}
    two = {"program": "bench", "kubernetes": kubernetes, "clusters": {"a": pods, "b": {**pods, "engine": "dask"}}}
    assert overhead_pods(parse(two, "t")) == 4
    assert overhead_pods(bench()) == 0


def test_vcpu_counts_the_largest_cluster_its_head_and_the_hosts() -> None:
    document = {
        "program": "bench",
        "clusters": {
            "small": {"engine": "ray", "platform": "ec2", "instanceType": "m6i.large", "nodes": 2},
            "large": {
                "engine": "dask",
                "platform": "ec2",
                "instanceType": "m6i.4xlarge",
                "headInstanceType": "m6i.large",
                "nodes": 3,
            },
        },
        "driver": {},
        "cache": {"platform": "ec2", "instanceType": "m5.2xlarge"},
    }
    assert vcpu_needed(parse(document, "t")) == 2 + 3 * 16 + 2 + 8
