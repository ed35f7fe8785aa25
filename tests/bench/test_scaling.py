"""Workers over time: times, areas, busy workers and loading phases, from steps and instants whose answers are known."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.autoscale import chunks
from bench.scaling import Step, Times, areas, busy_at, changes, rate, times, wanted
from bench.scaling_startup import of_pods, phases
from bench.sessions.kubernetes_pods import PodTimes
from bench.sessions.session import Done
from tasks.startup import Up
from tasks.trace import Trace


def step(at_s: float, ready: int, want: int = 4, done: int = 0) -> Step:
    return Step(at_s, want, ready, 0, done)


GROWN = [step(0, 1), step(5, 2), step(8, 4), step(20, 4, 1, done=10), step(30, 2, 1, 10), step(31, 1, 1, 10)]


@pytest.mark.parametrize(("remaining", "found"), [(0, 1), (1, 1), (3, 3), (4, 4), (1000, 4)])
def test_wanted_is_what_the_rest_could_occupy_within_bounds(remaining: int, found: int) -> None:
    assert wanted(remaining, 1, 4) == found


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (GROWN, Times(5, 8, 11)),
        (GROWN[:2], Times(5, None, None)),
        ([step(0, 1), step(30, 1, 1)], Times(None, None, None)),  # never grew: no time for shrinking either
        ([], Times(None, None, None)),
    ],
)
def test_times_are_of_what_happened_and_none_else(steps: list[Step], found: Times) -> None:
    assert times(steps, most=4, least=1, done_s=20) == found


def test_areas_are_worker_seconds_below_and_above_what_was_wanted() -> None:
    under, over = areas(GROWN)
    assert under == pytest.approx(3 * 5 + 2 * 3)
    assert over == pytest.approx(3 * 10 + 1 * 1)


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 9), st.integers(0, 9)), min_size=2))
def test_areas_differ_by_the_integral_of_ready_less_wanted(parts: list[tuple[float, int, int]]) -> None:
    at, steps = 0.0, []
    for lasted, ready, want in parts:
        steps.append(step(at, ready, want))
        at += lasted
    under, over = areas(steps)
    whole = sum((ready - want) * lasted for lasted, ready, want in parts[:-1])
    assert over - under == pytest.approx(whole)
    assert min(under, over) >= 0


def test_rate_counts_every_item_once() -> None:
    steps = [step(0, 1), step(0.4, 1, done=3), step(1.9, 1, done=5), step(2.6, 1, done=9)]
    assert rate(steps) == [(1.0, 3.0), (2.0, 2.0), (3.0, 4.0)]
    assert rate([step(0, 1)]) == []


def test_changes_keep_what_a_stepped_line_needs() -> None:
    steps = [step(0, 1), step(1, 1), step(2, 2), step(3, 2), step(4, 2)]
    assert [kept.at_s for kept in changes(steps)] == [0, 2, 4]


def test_busy_workers_are_those_inside_an_item() -> None:
    def done(began: float, ended: float) -> Done:
        return Done(0, None, Trace("w", 1, began, ended, 1, "none"))

    work = [done(1, 3), done(2, 4), done(4, 5)]
    assert busy_at([0, 1, 2.5, 3, 4, 5], work) == [0, 1, 2, 1, 1, 0]


@pytest.mark.parametrize(
    ("told", "joined", "found"),
    [
        (Up(10, 103, 107, 108), 106, {"request": 3, "engine": 3, "first task": 4}),
        (Up(101, 103, 107, 108), 106, {"machine": 1, "boot": 2, "engine": 3, "first task": 4}),
        (Up(None, None, None, 108), 106, {"engine": 6, "first task": 4}),
        (Up(None, 103, 107, 108), None, {"request": 3, "first task": 7}),
        (Up(None, 99, 107, 108), 106, {"engine": 6, "first task": 4}),  # a clock that is behind: no negative phase
    ],
)
def test_loading_phases_sum_to_the_whole(told: Up, joined: float | None, found: dict[str, float]) -> None:
    split = phases(100, joined, told, 110)
    assert split == found
    assert sum(split.values()) == 10


def test_pods_tell_their_steps_and_whether_the_image_was_there() -> None:
    def pod(pulled_at: float, was_there: bool | None) -> PodTimes:
        return PodTimes("p", "n", 10, 11, pulled_at, pulled_at + 2, None, 20, was_there)

    found = of_pods([pod(12, True), pod(16, True), pod(17, None)])
    assert found == {
        "pod_schedule_s": 1, "pod_pull_s": 5, "pod_start_s": 2, "pod_join_s": 2, "image": "warm: on the nodes before",
    }  # fmt: skip
    assert of_pods([pod(12, True), pod(16, False)])["image"] == "cold: pulled by a node"
    assert of_pods([]) == {}


def test_a_worker_tells_its_own_instants_in_order() -> None:
    # In a session of its own, as a node's first process is: the leader of the test's own may have ended long ago.
    code = "import dataclasses, json; from tasks.startup import up; print(json.dumps(dataclasses.asdict(up(0))))"
    ran = subprocess.run(
        [sys.executable, "-c", code], start_new_session=True, capture_output=True, text=True, check=True
    )
    told = Up(**json.loads(ran.stdout))
    assert told.host_at is not None
    assert told.node_at is not None
    assert told.worker_at is not None
    assert told.host_at - 1 <= told.node_at <= told.worker_at + 0.02 <= told.ran_at + 0.02


def test_calls_hold_every_item_in_order() -> None:
    assert chunks(["a", "b", "c"], 2) == [["a", "b"], ["c"]]
