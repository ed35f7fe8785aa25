"""Rules over settings: every stack file passes, and a changed one is refused by the rule that it breaks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plan.person import Person
from plan.rules import SETTINGS_RULES, RulesError, check_settings, must_pass, warnings
from plan.settings import Settings, load

ROOT = Path(__file__).parents[3]
STACKS = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in ROOT.glob("Pulumi.*.yaml"))
Changed = Callable[[str, dict[str, Any]], Settings]


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_file_passes(stack: str, generous: Person, now: datetime) -> None:
    assert [v.message for v in check_settings(load(stack, ROOT), generous, now)] == []


# rule, stack, what is changed in its file, what the message must show
KUBERNETES = {"version": "1.35", "instanceType": "m6i.2xlarge", "nodes": 1}
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("instance-known", "bench-32", {"clusters.ray.instanceType": "m6i.larg"}, "nearest: m6i.large"),
    ("instance-known", "bench-32", {"clusters.ray.headInstanceType": "z9.huge"}, "headInstanceType"),
    ("instance-known", "bench-32", {"driver.instanceType": "m6.large"}, "driver.instanceType"),
    ("instance-known", "bench-32", {"clusters.ray.instanceType": "cx2.8x16"}, "of IBM"),
    ("platforms-belong", "bench-32", {"functions.platform": "local"}, "local part"),
    ("platforms-belong", "bench-32", {"program": "embedded"}, "a part on AWS in a stack of program 'embedded'"),
    ("platforms-belong", "base", {"driver": {}}, "no cluster"),
    ("platforms-belong", "bench-32", {"base": None}, "set base"),
    *(
        ("architecture", stack, {**changes, key: "m7g.large"}, f"{key}: found m7g.large, which is arm64")
        for stack, key, changes in (
            ("bench-32", "clusters.ray.instanceType", {}),
            ("bench-32", "clusters.dask.headInstanceType", {}),
            ("bench-32", "driver.instanceType", {}),
            ("multiprocessing", "cache.instanceType", {"cache.maxMemoryMib": 1024}),
            ("k8s-32", "kubernetes.instanceType", {}),
        )
    ),
    ("architecture", "bench-32", {"functions.architecture": "arm64"}, "functions.architecture: found arm64"),
    ("no-gpu", "bench-32", {"driver.instanceType": "g4dn.xlarge"}, "driver.instanceType: found g4dn.xlarge"),
    ("no-gpu", "bench-32", {"clusters.ray.instanceType": "g5.xlarge"}, "which has 1 GPU"),
    ("no-gpu", "k8s-32", {"kubernetes.instanceType": "p3.2xlarge"}, "kubernetes.instanceType"),
    ("without-effect", "bench-32", {"kubernetes": KUBERNETES}, "no cluster of the stack runs on eks"),
    ("without-effect", "k8s-32", {"driver": {}}, "driver is a Job"),
    ("without-effect", "dev", {"ttlH": 4}, "ttlH: found a key without effect"),
    ("without-effect", "dev", {"budgetUsd": 4}, "budgetUsd: found"),
    ("without-effect", "dev", {"base": "base"}, "base: found"),
    ("without-effect", "base", {"worker": {}}, "worker: found"),
    ("without-effect", "base", {"equalLimits": True}, "equalLimits: found"),
    ("without-effect", "multiprocessing", {"equalLimits": True}, "not two platforms"),
    ("cache-reachable", "multiprocessing", {"functions.inVpc": None}, "wanted inVpc: true"),
    (
        "cache-reachable",
        "k8s-32",
        {"cache": {"platform": "ec2", "instanceType": "m6i.large"}, "budgetUsd": 1000},
        "cache: found a cache beside pods (",
    ),
    ("slots-have-cpu", "bench-32", {"worker": {"vcpu": 3, "reason": "x"}}, "wanted a type of at least 3 vCPU"),
    ("slots-have-cpu", "bench-32", {"clusters.ray.slotsPerNode": 3}, "at most 2 slots"),
    (
        "slots-have-cpu",
        "bench-32",
        {"worker": {"vcpu": 2, "reason": "x"}, "clusters.ray.slotsPerNode": 2},
        "2 slots x 2 vCPU per worker on m6i.large of 2 vCPU, wanted at most 1 slots",
    ),
    ("slots-have-cpu", "dev", {"worker": {"vcpu": 2, "reason": "x"}}, "worker.vcpu: found 2 on local workers"),
    # 2 GiB per vCPU with a slot for each: the published IBM nodes, in AWS's terms.
    (
        "memory-per-slot",
        "bench-32",
        {"clusters.dask.instanceType": "c6i.2xlarge", "clusters.dask.nodes": 4},
        "8 slots x 4096 MiB = 32768 MiB on c6i.2xlarge of 16384 MiB (2048 MiB per slot), wanted at most 4 slots",
    ),
    ("memory-per-slot", "bench-32", {"clusters.dask.slotsPerNode": 3}, "at most 2 slots"),
    (
        "limit-fits",
        "bench-32",
        {"clusters.dask.limitMib": 4096},
        "2 slots x 4096 MiB + 640 MiB for the system = 8832 MiB, where m6i.large shows its system 7813 MiB",
    ),
    (
        "limit-near-declared",
        "bench-32",
        {"clusters.dask.instanceType": "c6i.large"},
        "(3788 - 640 system) / 2 slots = 1574 MiB",
    ),
    ("limit-near-declared", "bench-32", {"clusters.dask.limitMib": 3000}, "73% of the declared 4096"),
    (
        "limit-near-declared",
        "bench-32",
        {"clusters.dask.limitMib": 5000, "clusters.dask.slotsPerNode": 1},
        "5000 MiB above the declared 4096",
    ),
    ("parity", "bench-32", {"functions.memoryMib": 2048}, "2048 MiB per worker, compared with 4096 MiB elsewhere"),
    ("parity", "bench-32", {"functions.memoryMib": 2048, "compare": None}, "2048 MiB per worker, compared with 4096"),
    ("parity", "bench-32", {"functions.memoryMib": 2048, "compare": []}, "2048 MiB per worker, compared with 4096"),
    (
        "parity",
        "bench-32",
        {"equalLimits": True, "clusters.dask.limitMib": 3586, "clusters.ray.limitMib": 3500},
        "3586 MiB, where equalLimits holds every compared platform to 3500 MiB",
    ),
    (
        "pods-fit",
        "k8s-50",
        {"kubernetes.nodes": 7},
        "50 workers of 4096 MiB and 4 for heads, driver and operators on 7 x m6i.2xlarge, which are 7 x 7 = 49",
    ),
    ("pods-fit", "k8s-50", {"kubernetes.instanceType": "c6i.large"}, "not one worker fits"),
    ("autoscale-reachable", "autoscale", {"clusters.ray.nodes": 10}, "50, where the cluster declares 20 workers"),
    ("autoscale-reachable", "k8s-autoscale", {"clusters.dask.workers": 20}, "set maxWorkers: 20"),
    ("kubernetes-supported", "k8s-32", {"kubernetes.version": "1.99"}, "nearest"),
    ("kubernetes-supported", "k8s-32", {"kubernetes.version": "1.33"}, "ended on 2026-07-29"),
    ("function-range", "bench-32", {"functions.timeoutS": 901}, "901 s, wanted 1 to 900 s"),
    (
        "function-range",
        "bench-32",
        {"worker": {"memoryMib": 16384, "reason": "x"}, "compare": ["functions"], "clusters": {}},
        "16384 MiB, wanted 128 to 10240 MiB",
    ),
    ("cache-fits", "multiprocessing", {"cache.maxMemoryMib": 30000}, "30000 MiB on m5.2xlarge of 32768 MiB"),
    ("expiry", "bench-32", {"ttlH": None}, "set ttlH"),
    ("expiry", "bench-32", {"ttlH": 25, "budgetUsd": 1000}, "at most 24 h"),
    ("budget", "bench-32", {"budgetUsd": None}, "set budgetUsd"),
    ("budget", "bench-32", {"budgetUsd": 5}, "at most 5.00 USD"),
    ("budget", "bench-32", {"clusters.ray.nodes": 160, "clusters.dask.nodes": 160}, "a worst cost of"),
    ("quota", "bench-32", {"clusters.ray.nodes": 400, "budgetUsd": 1000}, "804 vCPU"),
    ("quota", "bench-32", {"functions.maxWorkers": 1001, "budgetUsd": 1000}, "1001 functions at once"),
    ("quota", "bench-32", {"functions.maxWorkers": 991, "budgetUsd": 1000}, "a quota of 1002"),
    ("without-effect", "dev", {"readBuckets": ["my-own"]}, "only parts on AWS are given roles"),
]


@pytest.mark.parametrize(("rule", "stack", "changes", "shown"), REFUSED)
def test_a_changed_stack_is_refused(
    rule: str, stack: str, changes: dict[str, Any], shown: str, changed: Changed, generous: Person, now: datetime
) -> None:
    found = check_settings(changed(stack, changes), generous, now)
    assert rule in {violation.rule for violation in found}
    message = "\n".join(violation.message for violation in found if violation.rule == rule)
    assert shown in message
    assert f"Pulumi.{stack}.yaml" in message


def test_no_rule_is_without_a_refused_stack() -> None:
    """A rule that no changed file breaks has never been seen to work."""
    rules = {rule.__name__.replace("_", "-") for rule in SETTINGS_RULES} | {"instance-known"}
    assert rules - {"region-priced"} == {rule for rule, *_ in REFUSED}  # a region is a person's; its test is below


@pytest.mark.parametrize(("hours", "refused"), [(-1, True), (0.1, False), (24, False), (25, True)])
def test_a_moved_expiry_is_bounded_too(
    hours: float, refused: bool, changed: Changed, generous: Person, now: datetime
) -> None:
    moved = (now + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = check_settings(changed("bench-32", {"budgetUsd": 100}), replace(generous, expires_at=moved), now)
    assert [violation.rule for violation in found] == (["expiry"] if refused else [])


def test_a_moved_expiry_is_within_the_budget(changed: Changed, generous: Person, now: datetime) -> None:
    """The cap holds for the hours until the new end, not for the `ttlH` that the stack began with."""
    moved = (now + timedelta(hours=23)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (found,) = check_settings(changed("bench-32", {}), replace(generous, expires_at=moved), now)
    assert found.rule == "budget"
    assert f"until the moved expiry {moved}, in 23.0 h" in found.message
    soon = (now + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert check_settings(changed("bench-32", {}), replace(generous, expires_at=soon), now) == []


def test_a_new_accounts_functions_are_refused_with_the_request_to_make(
    changed: Changed, generous: Person, now: datetime
) -> None:
    new = replace(generous, lambda_memory_mib=3008)
    (found,) = check_settings(changed("bench-32", {}), new, now)
    assert "found 4096 MiB for each function, wanted at most 3008" in found.message
    assert "docs/aws.md" in found.message
    assert check_settings(changed("k8s-32", {}), new, now) == []
    smaller = {"worker": {"memoryMib": 3008, "reason": "a new account's functions"}}
    assert check_settings(changed("bench-32", smaller), new, now) == []


def test_without_a_person_quotas_are_not_judged(changed: Changed, now: datetime) -> None:
    assert check_settings(changed("bench-32", {"functions.maxWorkers": 1001, "budgetUsd": 1000}), None, now) == []


def test_a_region_without_prices_is_refused(changed: Changed, generous: Person, now: datetime) -> None:
    found = check_settings(changed("bench-32", {}), replace(generous, region="xx-nowhere-9"), now)
    assert [violation.rule for violation in found] == ["region-priced"]
    assert "us-east-1" in found[0].message


def test_a_smaller_worker_fits_where_the_published_one_does_not(
    changed: Changed, generous: Person, now: datetime
) -> None:
    smaller = {"kubernetes.nodes": 7, "worker": {"memoryMib": 3328, "reason": "8 on a node"}}
    found = check_settings(changed("k8s-50", smaller), generous, now)
    assert [violation.rule for violation in found] == ["pods-fit"]  # CPU still allows seven on a node
    larger = {**smaller, "kubernetes.nodes": 8}
    assert check_settings(changed("k8s-50", larger), generous, now) == []


def test_unlike_cpu_and_limits_are_stated(changed: Changed) -> None:
    said = "\n".join(warnings(changed("bench-32", {})))
    assert "functions 2.32 (a factor of 2.32)" in said
    assert "dask 3586, functions 4096" in said
    assert "on ray the workers of a node are held to their limits' sum" in said
    equal = "\n".join(warnings(changed("bench-32", {"equalLimits": True})))
    assert "unequal limits" not in equal


def test_a_refusal_lists_every_violation(changed: Changed, now: datetime) -> None:
    with pytest.raises(RulesError, match=r"(?s)2 rules refused.*ttlH.*timeoutS|2 rules refused.*timeoutS.*ttlH"):
        must_pass(check_settings(changed("bench-32", {"ttlH": None, "functions.timeoutS": 1000}), None, now))
