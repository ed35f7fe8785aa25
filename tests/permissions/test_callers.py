"""What hosts, sessions, schedules, the janitor and a person's commands call, against the policies of who calls.

The code is the one that ships, against moto; whose call it is, the access key says. Where a call is made by what cannot
run here (Docker's pull, the AWS command line of a boot script, Lambda's own log), a table says what it is.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError

from bench.aws import remote, vm_cluster
from bench.aws.mailbox import Mailbox
from bench.aws.vm_cluster import VmCluster
from bench.bundle import FETCH
from bench.sessions.session import Fleet
from bench.zero import zero
from ops import janitor
from ops.left import look
from ops.status import hosts
from plan.outputs import Outputs
from tasks import manifest
from tasks.answer import Query
from tasks.exchange import Exchange, fetch, hand_over
from tasks.kept import Kept, written
from tasks.listing import list_objects
from tasks.objects import Access
from tasks.store_sales import plan_files
from tasks.upload import remove_below
from tests.permissions import declared
from tests.permissions.asked import Asked
from tests.permissions.calls import Call
from tests.permissions.cloud import STACK, TAGS, Cloud
from tests.permissions.declared import BUCKETS, ROOT
from tests.permissions.demands import demands
from tests.permissions.documents import boundary, deployer
from tests.permissions.evaluator import verdict
from tests.permissions.facts import ACCOUNT, REGION, Facts


def _refused(asked: list[Asked], stack: str, role: str) -> list[str]:
    policies = declared.policies_of(stack, role)
    return [json.dumps(one.line()) for one in asked if verdict(one.request(), policies, boundary()) != "allowed"]


def test_a_driver_scales_its_clusters_and_answers_through_the_bucket(
    cloud: Cloud, outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm_cluster, "answers", lambda *_: True)
    monkeypatch.setattr(vm_cluster, "_POLL_S", 0.01)
    boto3.client("s3").put_object(Bucket=BUCKETS["working"], Key="driver/code/0", Body=b"")
    cloud.be("driver")
    cluster = VmCluster(outputs, outputs.clusters["dask"], tmp_path)
    cluster.up()
    cluster.ready(lambda: Fleet(4, 1.0, None))
    cluster.boot_phases_s()
    cluster.down()
    zero(outputs)
    mailbox = Mailbox(boto3.client("s3"), BUCKETS["working"], "driver/runs/0/")
    mailbox.send("log", b"x")
    mailbox.stopped()
    boto3.client("s3").get_object(Bucket=BUCKETS["working"], Key="driver/code/0")
    assert "get_object" in FETCH
    list_objects(Access(cloud.recorder.endpoint, REGION), f"s3://{BUCKETS['data']}/store_sales/")
    assert _refused(cloud.asked_by("driver"), STACK, f"{STACK}-driver") == []


@pytest.mark.parametrize(
    ("stack", "role"),
    [
        (STACK, f"{STACK}-dask-workers"),
        (STACK, f"{STACK}-ray-workers"),
        (STACK, f"{STACK}-functions"),
        (STACK, f"{STACK}-driver"),
        ("k8s-32", "k8s-32-eks-workers"),
    ],
)
def test_generated_data_is_written_by_whatever_works(cloud: Cloud, stack: str, role: str) -> None:
    """`generate` has its files written where tasks run, on a stack of AWS by a cluster's workers."""
    cloud.be("worker")
    access, query = Access(cloud.recorder.endpoint, REGION), Query()
    base = manifest.base_of(f"s3://{BUCKETS['data']}", 0.0001, 1, 0)
    manifest.write_file(access, base, plan_files(0.0001, 1, 0)[0], query)
    assert _refused(cloud.asked_by("worker"), stack, role) == []


def test_what_functions_hand_over_a_cluster_fetches_and_a_driver_removes(cloud: Cloud) -> None:
    access, working = Access(cloud.recorder.endpoint, REGION), f"s3://{BUCKETS['working']}"
    cloud.be("function")
    exchange = Exchange("s3", astuple(access), f"{working}/stage/0")
    payload = hand_over([1, 2], exchange)
    written(access, f"{working}/hybrid/0", Kept(1, 1, np.ones(1, np.int64)))
    cloud.be("worker")
    assert fetch(payload, exchange) == [1, 2]
    cloud.be("driver")
    for left in ("stage/0", "hybrid/0"):
        remove_below(access, f"{working}/{left}")
    who = {"function": f"{STACK}-functions", "worker": f"{STACK}-ray-workers", "driver": f"{STACK}-driver"}
    assert [_refused(cloud.asked_by(name), STACK, role) for name, role in who.items()] == [[], [], []]


def test_the_janitor_ends_what_has_expired(cloud: Cloud) -> None:
    cloud.be("janitor")
    ended = janitor.round_of(boto3.client, datetime.now(UTC))
    assert ended["groups"]
    assert ended["instances"]
    assert _refused(cloud.asked_by("janitor"), "base", "breakeven-base-janitor") == []


def test_a_person_looks_runs_stops_and_audits(cloud: Cloud, outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ops.status`, a workload on the driver host, `ops.audit` in another region, too."""
    cloud.be("person")
    list(hosts(boto3.Session(region_name=REGION)))
    remote._must_be_there(outputs)
    ssm = boto3.client("ssm")
    command = remote._send(ssm, outputs, "true")
    host = remote._Host(ssm, str(outputs.driver_instance))
    host.command = command
    host.ended()
    with suppress(ClientError):  # moto lacks it
        ssm.cancel_command(CommandId=command, InstanceIds=[str(outputs.driver_instance)])
    boto3.client("s3").put_object(Bucket=BUCKETS["working"], Key="driver/code/0", Body=b"")
    mailbox = Mailbox(boto3.client("s3"), BUCKETS["working"], "driver/runs/0/")
    mailbox.stop()
    list(mailbox.receive())
    zero(outputs)
    look(boto3.Session(region_name=REGION), STACK, [REGION, "eu-west-1"])
    asked = cloud.asked_by("person")
    assert {one.region for one in asked} == {REGION, "eu-west-1"}
    assert [json.dumps(one.line()) for one in asked if verdict(one.request(), deployer()) != "allowed"] == []


SCRIPTS = sorted((ROOT / "runtimes").rglob("*.sh"))
# Each use of the AWS command line in a boot script: the call that it makes, of a cluster's worker or the cache.
COMMANDS: dict[str, tuple[str, Call]] = {
    "ecr get-login-password": ("worker", Call("ecr", "GetAuthorizationToken", {})),
    "s3 cp": ("worker", Call("s3", "PutObject", {"Bucket": BUCKETS["working"], "Key": f"boot/{STACK}/i-0.log"})),
    "autoscaling terminate-instance-in-auto-scaling-group": (
        "worker",
        Call("autoscaling", "TerminateInstanceInAutoScalingGroup", {"AutoScalingGroupName": f"{STACK}-dask-workers"}),
    ),
    "secretsmanager get-secret-value": (
        "cache",
        Call("secretsmanager", "GetSecretValue", {"SecretId": "breakeven/multiprocessing-cache"}),
    ),
}
# What others do on a caller's behalf.
PULL = [
    Asked(f"ecr:{action}", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/breakeven-base-cluster", "repository")
    for action in ("BatchGetImage", "GetDownloadUrlForLayer")
]
ROLES = {"worker": (STACK, f"{STACK}-dask-workers"), "cache": ("multiprocessing", "multiprocessing-cache")}


def _code(path: Path) -> str:
    """A script without its comments."""
    return "\n".join(line.partition(" #")[0] for line in path.read_text().splitlines() if not line.startswith("#"))


def test_boot_scripts_use_the_command_line_as_their_role_may(cloud: Cloud) -> None:
    used = {command for path in SCRIPTS for command in re.findall(r"\baws ([a-z0-9]+ [a-z-]+)", _code(path))}
    assert used == set(COMMANDS)
    facts = Facts(cloud.endpoint)
    for who, call in COMMANDS.values():
        stack, role = ROLES[who]
        assert _refused(demands(call, facts), stack, role) == []
    assert _refused(PULL, *ROLES["worker"]) == []


def test_the_image_boots_as_a_workers_role_may(cloud: Cloud, tmp_path: Path, load_boot: Callable[[str], Any]) -> None:
    boto3.client("autoscaling").set_desired_capacity(AutoScalingGroupName=f"{STACK}-dask-head", DesiredCapacity=1)
    cloud.be("worker")
    boot = load_boot("boot")
    boot.head(f"{STACK}-dask-head")
    boot.secret(f"breakeven/{STACK}-dask", tmp_path / "secrets")
    (tmp_path / "boot.jsonl").write_text("{}\n")
    boot.publish(tmp_path / "boot.jsonl", BUCKETS["working"], f"boot/{STACK}/i-0.jsonl")
    data = Access(cloud.recorder.endpoint, REGION)
    list_objects(data, f"s3://{BUCKETS['data']}/store_sales/")
    for role in ("workers", "head"):
        assert _refused(cloud.asked_by("worker"), STACK, f"{STACK}-dask-{role}") == []


def test_an_autoscaled_head_moves_its_workers(cloud: Cloud, load_boot: Callable[[str], Any]) -> None:
    boto3.client("autoscaling").create_or_update_tags(
        Tags=[
            {
                "ResourceId": f"{STACK}-dask-workers",
                "ResourceType": "auto-scaling-group",
                "Key": "breakeven:stack",
                "Value": "autoscale",
                "PropagateAtLaunch": False,
            }
        ]
    )
    cloud.be("head")
    group = load_boot("worker_group").WorkerGroup(f"{STACK}-dask-workers", 3)
    group.grow_to(1)
    group.end(next(iter(group.instances())))
    asked = [
        Asked(**{**one.line(), "resource": one.resource.replace(f"{STACK}-dask-", "autoscale-ray-")})
        for one in cloud.asked_by("head")
    ]
    assert _refused(asked, "autoscale", "autoscale-ray-head") == []


@pytest.mark.parametrize("stack", ["bench-32", "k8s-32", "multiprocessing"])
def test_schedules_may_make_their_requests(cloud: Cloud, stack: str) -> None:
    """Each with the role that it names, on what is tagged as the program tags it."""
    made = declared.ran(stack)
    arns = {f"arn:aws:mock:us-east-1:{ACCOUNT}:Role/{name}": name for name in made.of_type(declared.ROLE)}
    for name, schedule in made.of_type("aws:scheduler/schedule:Schedule").items():
        service, operation = schedule["target"]["arn"].rpartition("aws-sdk:")[2].split(":")
        params = {
            key[0].lower() + key[1:] if service == "eks" else key: value
            for key, value in json.loads(schedule["target"]["input"]).items()
        }
        if "InstanceIds" in params:
            params = {"InstanceIds": ["i-0123456789abcdef0"]}
        call = Call(service, operation[0].upper() + operation[1:], params)
        asked = [
            Asked(**{**one.line(), "resource_tags": {**TAGS, "breakeven:stack": stack}})
            for one in demands(call, Facts(cloud.endpoint))
        ]
        assert _refused(asked, stack, arns[schedule["target"]["roleArn"]]) == [], name


@pytest.mark.parametrize(
    ("stack", "role", "asked"),
    [
        # another stack's secret, group and functions; its own bucket's policy; a bucket that is not the stack's
        (STACK, f"{STACK}-dask-workers", ("secretsmanager:GetSecretValue", "secret:breakeven/hybrid-dask-AbCdEf")),
        (STACK, f"{STACK}-dask-workers", ("secretsmanager:GetSecretValue", f"secret:breakeven/{STACK}-ray-AbCdEf")),
        (STACK, f"{STACK}-driver", ("secretsmanager:GetSecretValue", "secret:breakeven/hybrid-dask-AbCdEf")),
        (STACK, f"{STACK}-driver", ("lambda:InvokeFunction", "function:hybrid-lithops-worker-even-380-0123456789")),
        (STACK, f"{STACK}-driver", ("lambda:UpdateFunctionCode", f"function:{STACK}-lithops-worker-even-380-0")),
        (STACK, f"{STACK}-functions", ("secretsmanager:GetSecretValue", f"secret:breakeven/{STACK}-ray-AbCdEf")),
    ],
)
def test_no_role_reaches_another_stack(stack: str, role: str, asked: tuple[str, str]) -> None:
    action, rest = asked
    arn = f"arn:aws:{action.partition(':')[0]}:{REGION}:{ACCOUNT}:{rest}"
    tags = {"aws:ResourceTag/breakeven:stack": "hybrid"}
    request = Asked(action, arn).request()
    assert (
        verdict(type(request)(action, arn, {**request.context, **tags}), declared.policies_of(stack, role)) != "allowed"
    )
