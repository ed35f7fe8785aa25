"""What the roles of a stack may read and write in buckets, from the policies that its program declares."""

import fnmatch
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from plan.settings import load

ROOT = Path(__file__).parents[2]
OWN = "my-own.data"


def _allowed(document: Mapping[str, Any], action: str, arn: str) -> bool:
    return any(
        action in statement["Action"] and any(fnmatch.fnmatchcase(arn, pattern) for pattern in statement["Resource"])
        for statement in document["Statement"]
    )


@pytest.fixture(scope="module")
def stacks(run: Callable[..., Any]) -> list[Any]:
    """A stack on EC2 with a cache, and one on EKS, as their programs declare them."""
    vms = load("hybrid", ROOT)
    cache = load("multiprocessing", ROOT).cache
    functions = load("multiprocessing", ROOT).functions
    parts = {"cache": cache, "functions": functions, "compare": ["ray", "dask"]}
    vms = vms.model_copy(update={"read_buckets": [OWN], "budget_usd": 1000.0, **parts})
    pods = load("k8s-32", ROOT).model_copy(update={"read_buckets": [OWN]})
    return [run(vms), run(pods)]


@pytest.fixture(scope="module")
def roles(stacks: list[Any]) -> dict[str, Any]:
    """The policy of each role, by name."""
    policies = [policy for ran in stacks for policy in ran.of_type("aws:iam/rolePolicy:RolePolicy").items()]
    return {name: json.loads(inputs["policy"]) for name, inputs in policies}


HOSTS = [f"hybrid-{engine}-{part}" for engine in ("ray", "dask") for part in ("head", "workers")]
PODS, FUNCTIONS, CACHE = ["k8s-32-eks-workers"], ["hybrid-functions"], ["hybrid-cache"]
DRIVERS = ["hybrid-driver", "k8s-32-eks-driver"]
EVERYBODY = {*HOSTS, *PODS, *FUNCTIONS, *CACHE, *DRIVERS}


@pytest.mark.parametrize(
    ("key", "may_write"),
    [
        ("working/boot/hybrid/i-1.log", {*HOSTS, *CACHE, "hybrid-driver"}),
        ("working/boot/bench-128/i-1.log", set()),
        ("working/driver/0123.tar.gz", set()),
        ("working/driver/runs/1/00000000/log", set(DRIVERS)),
        ("working/lithops.jobs/x/y/status.json", {*FUNCTIONS, *DRIVERS}),
        ("working/lithops.runtimes/aws_lambda/x.meta.json", set()),
        ("working/stage/x/y.pickle", {*FUNCTIONS, *DRIVERS}),
        ("working/hybrid/x/part-0.csv", {*FUNCTIONS, *DRIVERS}),
        ("working/anything", set()),
        ("data/a.csv", set(DRIVERS)),
        ("data/store_sales/gb1-f1-s0/part-00000.csv", EVERYBODY - set(CACHE)),
        ("results/rows.jsonl", set(DRIVERS)),
        (f"{OWN}/a.csv", set()),
    ],
)
def test_each_role_writes_below_its_own_prefixes(roles: dict[str, Any], key: str, may_write: set[str]) -> None:
    """A worker that may write the driver's code is the driver."""
    found = {name for name in EVERYBODY if _allowed(roles[name], "s3:PutObject", f"arn:aws:s3:::{key}")}
    assert found == may_write


@pytest.mark.parametrize("bucket", ["data", "working", OWN])
def test_whoever_works_reads_data_and_a_users_own_buckets(roles: dict[str, Any], bucket: str) -> None:
    reads = {name for name in EVERYBODY if _allowed(roles[name], "s3:GetObject", f"arn:aws:s3:::{bucket}/a.csv")}
    lists = {name for name in EVERYBODY if _allowed(roles[name], "s3:ListBucket", f"arn:aws:s3:::{bucket}")}
    assert reads == lists == EVERYBODY - set(CACHE)


def test_nobody_reads_a_bucket_that_is_not_named(roles: dict[str, Any]) -> None:
    assert [n for n in EVERYBODY if _allowed(roles[n], "s3:GetObject", "arn:aws:s3:::someone-elses/a")] == []


def test_nothing_takes_a_role_before_it_has_its_policies(stacks: list[Any]) -> None:
    """A host boots within a minute, and its first call would be refused. Registered in the order of what needs what."""
    policies = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    takers = ("aws:iam/instanceProfile:InstanceProfile", "aws:eks/podIdentityAssociation:PodIdentityAssociation")
    for ran in stacks:
        order = {key: number for number, key in enumerate(ran.resources)}
        taken = [(kind, name) for kind, name in order if kind in takers]
        assert taken
        early = [
            (taker, policy)
            for taker in taken
            for policy in ((kind, taker[1]) for kind in policies)
            if policy in order and order[policy] > order[taker]
        ]
        assert early == []
