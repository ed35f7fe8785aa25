"""A stack's clusters from nothing but its groups: hosts boot by the scripts in the image, a driver of the same image
brings them up, runs the workloads and brings them down."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench import rows
from bench.aws import remote
from infra.aws.kept_secret import dask_certificate, ray_token
from ops import images
from plan.outputs import ClusterOutputs, Outputs
from tests.images.containers import Containers
from tests.images.region import Region, SessionManager, subnet
from tests.runtimes.hosts import REGION, declare

pytestmark = pytest.mark.images
ROOT = Path(__file__).parents[2]
STACK, NODES, LIMIT_MIB = "bench-32", 2, 900
TTL_HOURS = 4  # as Pulumi.bench-32.yaml has it, so that the stack is new to the budget
SECRETS = {"ray": ray_token, "dask": dask_certificate}
BOOTS = {"ray": ("boot-ray-head.sh", "boot-ray-worker.sh"), "dask": ("boot-dask-scheduler.sh", "boot-dask-worker.sh")}


def cluster(engine: Any) -> ClusterOutputs:
    return ClusterOutputs(
        engine=engine,
        platform="ec2",
        secret_at=f"breakeven/{engine}",
        nodes=NODES,
        slots_per_node=1,
        group=f"{STACK}-{engine}-workers",
        head_group=f"{STACK}-{engine}-head",
        limit_mib=LIMIT_MIB,
        instance_type="m6i.large",
        head_instance_type="m6i.large",
    )


@pytest.fixture(scope="module", params=["ray", "dask"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def region(engine: str, containers: Containers, network: str, endpoint: str) -> Iterator[Region]:
    head, workers = f"{STACK}-{engine}-head", f"{STACK}-{engine}-workers"
    secrets = {f"breakeven/{engine}": SECRETS[engine]()}
    declare(endpoint, {head: (0, 1), workers: (0, NODES)}, secrets, ["working", "data"])
    place = subnet()
    for group in (head, workers):
        boto3.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group, VPCZoneIdentifier=place)
    settings = {
        "BREAKEVEN_STACK": STACK,
        "BREAKEVEN_SECRET": f"breakeven/{engine}",
        "BREAKEVEN_HEAD_GROUP": head,
        "BREAKEVEN_WORKING_BUCKET": "working",
        "BREAKEVEN_SLOTS": "1",
        "BREAKEVEN_VCPU_PER_SLOT": "1",
        "BREAKEVEN_LIMIT_MIB": str(LIMIT_MIB),
        "BREAKEVEN_HEAD_LOST_S": "40",  # a busy machine keeps a head silent for seconds
    }
    made = Region(containers, network, endpoint, dict(zip((head, workers), BOOTS[engine], strict=True)), settings)
    made.start()
    yield made
    made.end()


@pytest.fixture(scope="module")
def outputs(engine: str, region: Region, endpoint: str) -> Outputs:
    """Of a stack whose driver host is there."""
    ec2 = boto3.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (driver,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    return Outputs(
        stack=STACK,
        program="bench",
        region=REGION,
        worker_memory_mib=4096,
        worker_vcpu=1,
        s3_endpoint=endpoint,  # AWS's, named because Arrow reads no AWS_ENDPOINT_URL
        working_bucket="working",
        data_bucket="data",
        images={"cluster": images.tag("cluster")},
        clusters={engine: cluster(engine)},
        driver_instance=driver["InstanceId"],
        expires_at=f"{datetime.now(UTC) + timedelta(hours=TTL_HOURS):%Y-%m-%dT%H:%M:%SZ}",
    )


@pytest.fixture
def drive(region: Region, outputs: Outputs, shell: Any, tmp_path: Path) -> Callable[..., list[rows.Row]]:
    """Runs a workload on the driver, and returns the rows of its samples."""

    def run(script: str, *options: str, code: int = 0) -> list[rows.Row]:
        said: list[str] = []
        arguments = [f"workloads/{script}", "--stack", STACK, *options]
        found = remote.run(
            outputs,
            arguments,
            tmp_path / "results",
            root=ROOT,
            ssm=SessionManager(shell, tmp_path / "driver.log"),
            say=said.append,
            poll_s=0.5,
        )
        log = "".join(said) + (tmp_path / "driver.log").read_text()
        hosts = {**region.ended, **{name: region.containers.logs(name) for name in list(region.hosts)}}
        assert found == code, "\n".join([log[-4000:], *(f"{name}: {said[-1500:]}" for name, said in hosts.items())])
        read = [row for path in (tmp_path / "results").rglob("*.jsonl") for row in rows.read(path)]
        return [row for row in read if isinstance(row, rows.Row)]

    return run


@pytest.fixture(scope="module")
def data(region: Region) -> str:
    """CSV files in the data bucket."""
    s3 = boto3.client("s3")
    for part in range(3):
        lines = "".join(f"{number},{number}.25\n" for number in range(part, 30_000, 3))
        s3.put_object(Bucket="data", Key=f"numbers/{part}.csv", Body=f"x,price\n{lines}".encode())
    return "s3://data/numbers/"


@pytest.mark.parametrize(
    ("script", "options"),
    [("ingest.py", ("--reader", "ranges")), ("ingest.py", ("--reader", "native")), ("sort.py", ())],
    ids=["ranges", "native", "sort"],
)
def test_a_workload_is_run_by_hosts_of_the_image(
    engine: str, drive: Any, data: str, script: str, options: tuple[str, ...]
) -> None:
    asked = ("--engines", engine, "--allow-unequal", "--data", data, "--column", "price", "--repeats", "1")
    read = drive(script, *asked, *options)
    runs = [row for row in read if row.metric == "run_s"]
    assert {row.status for row in runs} == {"ok"}, [row.failure for row in runs]
    assert {row.workers.count for row in runs if row.workers} == {NODES}
    assert {row.platform for row in runs} == {"ec2"}


def test_palettes_are_extracted_by_hosts_of_the_image(engine: str, drive: Any) -> None:
    """The photographs are those in the driver's image, as on AWS."""
    few = ("--allow-unequal", "--count", "6", "--repeats", "1", "--no-cold", "--after", "0", "--settle", "1")
    runs = [row for row in drive("palette.py", "--engines", engine, *few) if row.metric == "run_s"]
    assert {row.status for row in runs} == {"ok"}, [row.failure for row in runs]


def eventually(holds: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s:.0f} s"
        time.sleep(0.5)


JOINED = {"ray": "Ray runtime started", "dask": "Registered to"}


def test_the_head_killed_ends_the_rest(engine: str, region: Region, record: Any) -> None:
    """Every host leaves its group, so that nobody pays for a cluster without a head."""
    head, workers = region.boots
    for group, nodes in ((head, 1), (workers, NODES)):
        region.scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=nodes)
    began = time.monotonic()

    def joined() -> int:
        return sum(JOINED[engine] in region.containers.logs(name) for name in region.members(workers))

    eventually(lambda: joined() == NODES, 240, "joining")
    record(f"{engine}: {NODES} workers and their head, from nothing to joined", time.monotonic() - began)
    for name in region.members(head):
        region.containers.remove(name)
    eventually(lambda: not region.hosts, 120, "the end of all hosts")
    groups = region.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[head, workers])["AutoScalingGroups"]
    assert [group["DesiredCapacity"] for group in groups] == [0, 0]


HOLD = """
import sys, time
from bench import command
from bench.failures import failure_of

def hold(mib):
    held = []
    for _ in range(mib // 8):
        held.append(b"x" * 2**23)
        time.sleep(0.02)
    time.sleep(60)

with command.open_stack("bench-32", None, None) as sessions:
    (session,) = sessions.of(sys.argv[1])
    try:
        list(session.stream(hold, [(int(sys.argv[2]),)]))
    except Exception as error:
        print("failure:", failure_of(error, sessions.access, None).kind, flush=True)
"""


def test_a_worker_over_its_memory_is_a_typed_failure(
    engine: str, region: Region, outputs: Outputs, shell: Any, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    (root / "workloads").mkdir(parents=True)
    for name in ("bench", "catalog", "plan", "tasks", "requirements.txt", f"Pulumi.{STACK}.yaml"):
        (root / name).symlink_to(ROOT / name)
    (root / "workloads" / "hold.py").write_text(HOLD)
    said: list[str] = []
    manager = SessionManager(shell, tmp_path / "driver.log")
    arguments = ["workloads/hold.py", engine, str(region.memory_mib)]
    remote.run(outputs, arguments, tmp_path / "results", root=root, ssm=manager, say=said.append, poll_s=0.5)
    assert "failure: out-of-memory" in "".join(said), "".join(said)[-3000:]
