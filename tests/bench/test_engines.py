"""Labels, what a stack has, and the check that workers are as declared."""

from typing import Any

import pytest

from bench import autoscale, lifecycle
from bench.engines import BASELINES, EngineError, Sessions, labels
from bench.parity import Unequal, check_equal, check_seen
from bench.rows import Billed
from bench.samples import Sample
from bench.sessions.session import Fleet, SessionError
from plan.outputs import ClusterOutputs, Outputs
from plan.settings import Autoscale
from tasks.objects import Access
from tasks.trace import Trace

BARE = Outputs(stack="dev", program="embedded", region="r", worker_memory_mib=4096, worker_vcpu=1)
DECLARED = Fleet(2, 1.0, 4096)


def test_an_engine_twice_gets_two_labels() -> None:
    assert labels(["dask", "ray", "dask"]) == [("dask", "dask"), ("ray", "ray"), ("dask#2", "dask")]


def test_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(EngineError, match="did you mean 'lithops'"):
        labels(["lithop"])


def test_a_stack_offers_only_what_it_has() -> None:
    dask = ClusterOutputs(engine="dask", platform="local", nodes=1, slots_per_node=2, limit_mib=4096)
    with (
        Sessions(BARE, Access(), {}) as none,
        Sessions(BARE.model_copy(update={"clusters": {"d": dask}}), Access(), {}) as some,
    ):
        assert none.available() == [*BASELINES]
        assert some.available() == ["dask", *BASELINES]
    with Sessions(BARE, Access(), {"ray": "127.0.0.1:1"}) as own:
        assert own.available() == ["ray", *BASELINES]
        assert (own.platform("ray"), own.declared("ray")) == ("own", None)


def test_shipped_code_is_tasks_and_nothing_else() -> None:
    with Sessions(BARE, Access(), {}) as sessions:
        assert [path.name for path in sessions.code.iterdir()] == ["tasks"]
        assert not list(sessions.code.rglob("__pycache__"))
    assert not sessions.code.exists()


@pytest.mark.parametrize("found", [Fleet(1, 1.0, 4096), Fleet(2, 2.0, 4096), Fleet(2, 1.0, 2048)])
def test_other_workers_than_declared_are_refused(found: Fleet) -> None:
    with pytest.raises(Unequal, match="--allow-unequal"):
        check_equal("dask", found, DECLARED)


@pytest.mark.parametrize("found", [Fleet(2, 1.0, 4096), Fleet(2, 1.0, None)])
def test_workers_as_declared_pass(found: Fleet) -> None:
    check_equal("dask", found, DECLARED)
    check_equal("dask", found, None)


@pytest.mark.parametrize(
    ("seen_mib", "enforced_by", "fine"),
    [
        (4096, "nanny", True),
        (4095, "nanny", True),
        (2048, "nanny", False),
        (8192, "nanny", False),
        (24000, "none", True),
        (2048, "none", False),
        (8192, "cgroup", True),
        (9984, "cgroup", True),
        (4096, "cgroup", False),
    ],
)
def test_what_workers_see_is_held_against_the_stack(seen_mib: int, enforced_by: str, fine: bool) -> None:
    trace = Trace("w", 1, 0.0, 1.0, seen_mib, enforced_by)
    if fine:
        check_seen("x", [trace], DECLARED, sharing=2)
    else:
        with pytest.raises(Unequal):
            check_seen("x", [trace], DECLARED, sharing=2)


def test_clusters_of_pods_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their nodes hold one cluster's workers: a second one's would wait for a place until the deadline."""
    clusters = {
        name: ClusterOutputs(engine=name, platform="eks", group=name, nodes=2, slots_per_node=1, limit_mib=4096)
        for name in ("ray", "dask")
    }
    events: list[str] = []

    class Pods:
        platform = "eks"

        def __init__(self, name: str):
            self.name = name
            events.append(f"{name} up")

        def close(self) -> None:
            events.append(f"{self.name} zero")

    monkeypatch.setattr(Sessions, "_start", lambda self, name: Pods(name))
    monkeypatch.setattr(Sessions, "_check_code", lambda self, name, session: None)
    plan = [Sample(engine, engine, "warm", repeat) for repeat in range(2) for engine in ("ray", "dask")]
    with Sessions(BARE.model_copy(update={"clusters": clusters}), Access(), {}) as sessions:
        ordered = sessions.one_at_a_time(plan)
        for sample in ordered:
            sessions.of(sample.engine)
    assert [sample.engine for sample in ordered] == ["ray", "ray", "dask", "dask"]
    assert events == ["ray up", "ray zero", "dask up", "dask zero"]


def test_pods_answer_only_inside_their_cluster() -> None:
    ray = ClusterOutputs(engine="ray", platform="eks", group="ray", address="ray:6379", nodes=2, slots_per_node=1,
                         limit_mib=4096)  # fmt: skip
    with (
        Sessions(BARE.model_copy(update={"clusters": {"ray": ray}}), Access(), {}) as sessions,
        pytest.raises(SessionError, match="leave out --driver local"),
    ):
        sessions.of("ray")


def test_a_cluster_of_the_users_own_has_neither_the_stacks_bill_nor_its_bounds() -> None:
    facts: dict[str, Any] = {
        "instance_type": "m6i.large",
        "head_instance_type": "m6i.xlarge",
        "autoscale": Autoscale(min_workers=2, max_workers=16),
    }
    ray = ClusterOutputs(engine="ray", platform="ec2", nodes=8, slots_per_node=2, limit_mib=4096, **facts)
    stack = BARE.model_copy(update={"clusters": {"ray": ray}})
    with Sessions(stack, Access(), {}) as of_stack, Sessions(stack, Access(), {"ray": "127.0.0.1:1"}) as own:
        assert lifecycle.machines(of_stack, "ray", 10.0).node_s == {"m6i.large": 80.0, "m6i.xlarge": 10.0}
        assert lifecycle.machines(own, "ray", 10.0) == Billed()
        assert autoscale.bounds(of_stack.cluster("ray"), 5).moves
        assert not autoscale.bounds(own.cluster("ray"), 5).moves
