"""The functions image's handler, run as Lambda runs it, called by a Lithops executor made from a stack's facts."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from bench.sessions.on_lithops import LithopsSession
from infra.aws.functions import USER_ID, function_name, metadata_key, runtime_metadata, runtime_name
from plan.outputs import FunctionsOutputs
from tasks.objects import Access
from tests.runtimes.lambda_api import LambdaApi, LocalFunction

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
RUNTIME = runtime_name("123456789012.dkr.ecr.us-east-1.amazonaws.com/functions@sha256:" + "0" * 64)
MEMORY_MIB, TIMEOUT_S, STACK = 4096, 300, "bench-32"


def image_command() -> list[str]:
    """ENTRYPOINT and CMD of the Dockerfile, in order."""
    text = (ROOT / "runtimes/functions/Dockerfile").read_text()
    return [part for word in ("ENTRYPOINT", "CMD") for part in json.loads(re.search(rf"^{word} (.*)$", text, re.M)[1])]  # type: ignore[index]


@pytest.fixture(scope="module")
def function(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LambdaApi]:
    program, *rest, handler = image_command()
    assert [program, *rest] == ["python", "-m", "awslambdaric"], shlex.join([program, *rest])
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": aws,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    api = LocalFunction(handler, tmp_path_factory.mktemp("function"), environment)
    yield api
    api.end()


def test_metadata_request_is_answered_as_lithops_asks_it(function: LambdaApi) -> None:
    from lithops.version import __version__

    answer = function.answer(function.send({"get_metadata": {}}))
    declared = json.loads(runtime_metadata(__version__, TIMEOUT_S))
    assert answer["lithops_version"] == declared["lithops_version"]
    assert declared["python_version"] == "3.11", "the image's Python"
    assert set(answer) == set(declared) - {"runtime_timeout"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Every call of an AWS client of this process: service, operation, and the key where it names one."""
    calls: list[tuple[str, str, str]] = []
    make = BaseClient._make_api_call

    def recorded(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        calls.append((self.meta.service_model.service_name, operation, str(arguments.get("Key", ""))))
        return make(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return calls


@pytest.fixture
def session(
    aws: str, asked: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[LithopsSession]:
    """The harness's own session on a stack's functions, whose metadata object and function are there as declared."""
    from lithops.version import __version__

    for name, value in {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("lithops.storage.storage.CACHE_DIR", str(tmp_path))
    name = function_name(STACK, RUNTIME, MEMORY_MIB, __version__)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="lithops-working")
    metadata = runtime_metadata(__version__, TIMEOUT_S)
    s3.put_object(Bucket="lithops-working", Key=metadata_key(name, REGION, __version__), Body=metadata)
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
    asked.clear()
    opened = LithopsSession(functions, Access(region=REGION), "lithops-working", ROOT)
    yield opened
    opened.close()


def test_an_executor_made_from_the_outputs_deploys_nothing_and_maps(
    function: LambdaApi, session: LithopsSession, asked: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the call itself is replaced: Lithops sends it to a fixed host of AWS, whatever endpoint is set."""
    from lithops.serverless.backends.aws_lambda.aws_lambda import AWSLambdaBackend

    called: list[str] = []

    def invoke(self: Any, runtime: str, memory: int, payload: Any) -> str:
        called.append(self._format_function_name(runtime, memory))
        return function.send(payload)

    monkeypatch.setattr(AWSLambdaBackend, "invoke", invoke)
    assert sorted(done.result for done in session.stream(abs, [(-1,), (-2,), (-3,)])) == [1, 2, 3]
    assert set(called) == {session._functions.name}
    others = {call for call in asked if call[0] != "s3"}
    assert others <= {("sts", "GetCallerIdentity", "")}, "Lithops asks Lambda or the registry for something"
    written = {key.split("/")[0] for _, operation, key in asked if not operation.startswith(("Get", "Head", "List"))}
    assert written == {"lithops.jobs"}


def test_a_cold_sample_changes_the_function_s_configuration_and_nothing_else(
    session: LithopsSession, asked: list[tuple[str, str, str]]
) -> None:
    role = boto3.client("iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client, name = boto3.client("lambda"), str(session._functions.name)
    image = {"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/functions@sha256:" + "0" * 64}
    made = client.create_function(FunctionName=name, Role=role, Code=image, PackageType="Image", MemorySize=MEMORY_MIB)
    asked.clear()
    session.recycle()
    assert {operation for _, operation, _ in asked} == {"GetFunction", "UpdateFunctionConfiguration"}
    found = client.get_function(FunctionName=name)["Configuration"]
    assert found["Environment"]["Variables"]["BREAKEVEN_COLD"]
    assert (found["MemorySize"], found["Role"]) == (made["MemorySize"], made["Role"])
