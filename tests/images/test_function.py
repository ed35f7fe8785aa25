"""The functions image, run as Lambda runs it: no rights, a root that cannot be written, its memory, no network but that
to the runtime API and storage."""

import json
import operator
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench import dataset
from bench.failures import failure_of
from bench.readers import native, ranges
from bench.readers.ingest import Ingest
from bench.sessions.on_lithops import LithopsSession
from bench.spans import Spans
from infra.aws.functions import USER_ID, function_name, metadata_key, runtime_metadata, runtime_name
from plan.outputs import FunctionsOutputs, Outputs
from tasks.answer import Query
from tasks.objects import Access
from tasks.palette import extract
from tests.images.containers import GATEWAY, INNER, Containers
from tests.images.region import KEYS
from tests.runtimes.hosts import REGION, declare
from tests.runtimes.lambda_api import LambdaApi

pytestmark = pytest.mark.images
ROOT = Path(__file__).parents[2]
RUNTIME = runtime_name(f"123456789012.dkr.ecr.{REGION}.amazonaws.com/functions@sha256:{'0' * 64}")
MEMORY_MIB, TIMEOUT_S, STACK, NAME = 1792, 300, "bench-32", "breakeven-test-function"
# All that a function reaches, by one address: AWS's answers and the runtime API.
FORWARD = """
import asyncio, sys
async def pump(source, target):
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
async def listen(port):
    async def each(reader, writer):
        other, there = await asyncio.open_connection(sys.argv[1], port)
        await asyncio.gather(pump(reader, there), pump(other, writer))
    await asyncio.start_server(each, "0.0.0.0", port)
async def main():
    await asyncio.gather(*(listen(int(port)) for port in sys.argv[2:]))
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def function(containers: Containers, network: str, endpoint: str, record: Any) -> Iterator[LambdaApi]:
    api = LambdaApi(GATEWAY)
    api.said = lambda: containers.logs(NAME)
    ports = (endpoint.rpartition(":")[2], str(api.server.server_port))
    with containers.closed_network() as inner:
        containers.run(
            "breakeven-test-forward", "cluster", ["python", "-c", FORWARD, GATEWAY, *ports], "--network", network
        )
        containers("network", "connect", "--ip", f"{INNER}.2", inner, "breakeven-test-forward")
        environment = {
            **KEYS,
            **api.environment(f"{INNER}.2", MEMORY_MIB),
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://{INNER}.2:{ports[0]}",
        }
        began = time.monotonic()
        containers.run(
            NAME,
            "functions",
            [],
            *("--network", inner, "--read-only", "--tmpfs", "/tmp:rw,size=512m,mode=1777", "--ipc", "none"),
            *("--user", "993:990", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--memory", f"{MEMORY_MIB}m", "--memory-swap", f"{MEMORY_MIB}m"),
            *(f"--env={name}={value}" for name, value in environment.items()),
        )
        api.answer(api.send({"get_metadata": {}}), within_s=180)
        record("function, from its container's start to its first answer", time.monotonic() - began)
        yield api
        for name in (NAME, "breakeven-test-forward"):
            containers.remove(name)
    api.end()


@pytest.fixture(scope="module")
def session(function: LambdaApi, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LithopsSession]:
    """The harness's own session; only the call is replaced, which Lithops sends to a fixed host of AWS."""
    from lithops.serverless.backends.aws_lambda.aws_lambda import AWSLambdaBackend
    from lithops.version import __version__

    declare(endpoint, {}, {}, ["working", "data"])
    name = function_name(STACK, RUNTIME, MEMORY_MIB, __version__)
    metadata = runtime_metadata(__version__, TIMEOUT_S)
    boto3.client("s3").put_object(Bucket="working", Key=metadata_key(name, REGION, __version__), Body=metadata)
    functions = FunctionsOutputs(
        platform="lambda",
        name=name,
        max_workers=3,
        memory_mib=MEMORY_MIB,
        timeout_s=TIMEOUT_S,
        runtime=RUNTIME,
        namespace=STACK,
        user_id=USER_ID,
        role_arn="arn:aws:iam::123456789012:role/x",
        limit_enforced_by="lambda",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AWSLambdaBackend, "invoke", lambda self, name, memory, payload: function.send(payload))
        patch.setattr("lithops.storage.storage.CACHE_DIR", str(tmp_path_factory.mktemp("lithops")))
        opened = LithopsSession(functions, Access(region=REGION), "working", ROOT)
        yield opened
        opened.close()


def test_its_modules_are_those_declared(function: LambdaApi) -> None:
    answer = function.answer(function.send({"get_metadata": {}}))
    declared = json.loads((ROOT / "runtimes/functions/metadata.json").read_text())
    assert answer["python_version"] == declared["python_version"]
    packages = {"numpy", "pandas", "pyarrow", "boto3", "lithops", "redis", "PIL"}
    assert packages <= {name for name, _ in answer["preinstalls"]} & {name for name, _ in declared["preinstalls"]}


@pytest.mark.parametrize("read", [ranges.READ["lithops"], native.READ["lithops"]], ids=["ranges", "native"])
def test_ingest_by_functions(session: LithopsSession, read: Any) -> None:
    s3 = boto3.client("s3")
    for part in range(2):
        lines = "".join(f"{number},{number}.25\n" for number in range(part, 10_000, 2))
        s3.put_object(Bucket="data", Key=f"numbers/{part}.csv", Body=f"x,price\n{lines}".encode())
    access, query = Access(region=REGION), Query("price", 500_000, Query().largest, 2)
    outputs = Outputs(stack=STACK, program="bench", region=REGION, worker_memory_mib=MEMORY_MIB, worker_vcpu=1)
    data = dataset.find(access, outputs, "s3://data/numbers/", query)
    outcome = read([session], Ingest(access, data, "s3://working/parts", MEMORY_MIB), Spans())
    assert (outcome.answer.rows, outcome.answer.kept) == (10_000, 5_000)
    assert outcome.answer.largest[0] == 999_925


def test_palettes_by_functions(session: LithopsSession) -> None:
    import skimage

    photograph = Path(skimage.__file__).parent / "data" / "astronaut.png"
    boto3.client("s3").upload_file(str(photograph), "data", "a.png")
    access = Access(region=REGION)
    (done,) = session.stream(extract, [(access, "s3://data/a.png")])
    assert done.result == extract(access, "s3://data/a.png"), "the same pixels, the same palette"


def test_the_sandbox_is_as_narrow_as_lambda_s(session: LithopsSession) -> None:
    """The stand-in itself: were it wider, the tests above would prove less."""
    list(session.stream(os.mkdir, [("/tmp/mine",)]))
    with pytest.raises(OSError, match="Read-only file system"):
        list(session.stream(os.mkdir, [("/var/task/mine",)]))
    with pytest.raises(OSError, match="unreachable"):
        list(session.stream(socket.create_connection, [(("192.0.2.1", 443), 3)]))


def test_a_function_over_its_memory_is_a_typed_failure(session: LithopsSession) -> None:
    with pytest.raises(MemoryError) as failed:
        list(session.stream(operator.mul, [(b"x", 2 * MEMORY_MIB * 2**20)]))
    assert failure_of(failed.value, Access(region=REGION), None).kind == "out-of-memory"
    assert [done.result for done in session.stream(abs, [(-1,)])] == [1], "the next call is served"
