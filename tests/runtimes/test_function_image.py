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

from infra.aws.functions import USER_ID, function_name, metadata_key, runtime_metadata, runtime_name
from tests.runtimes.lambda_api import LambdaApi

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
    api = LambdaApi(handler, tmp_path_factory.mktemp("function"), environment)
    yield api
    api.end()


def test_metadata_request_is_answered_as_lithops_asks_it(function: LambdaApi) -> None:
    from lithops.version import __version__

    answer = function.answer(function.send({"get_metadata": {}}))
    declared = json.loads(runtime_metadata(__version__, TIMEOUT_S))
    assert answer["lithops_version"] == declared["lithops_version"]
    assert declared["python_version"] == "3.11", "the image's Python"
    assert set(answer) == set(declared) - {"runtime_timeout"}


def test_an_executor_made_from_the_outputs_deploys_nothing_and_maps(
    function: LambdaApi, aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only the call itself is replaced: Lithops sends it to a fixed host of AWS, whatever endpoint is set."""
    import lithops
    from lithops.serverless.backends.aws_lambda.aws_lambda import AWSLambdaBackend
    from lithops.version import __version__

    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    monkeypatch.setattr("lithops.storage.storage.CACHE_DIR", str(tmp_path))
    keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}
    s3 = boto3.client("s3", endpoint_url=aws, **keys)
    s3.create_bucket(Bucket="lithops-working")
    name = function_name(STACK, RUNTIME, MEMORY_MIB, __version__)
    s3.put_object(
        Bucket="lithops-working",
        Key=metadata_key(name, REGION, __version__),
        Body=runtime_metadata(__version__, TIMEOUT_S),
    )
    called: list[str] = []
    asked: list[str] = []
    make = AWSLambdaBackend.__init__

    def recorded(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        for client in (self.lambda_client, self.ecr_client):
            client.meta.events.register("before-call", lambda model, **_: asked.append(model.name))

    def invoke(self: Any, runtime: str, memory: int, payload: Any) -> str:
        called.append(self._format_function_name(runtime, memory))
        return function.send(payload)

    monkeypatch.setattr(AWSLambdaBackend, "__init__", recorded)
    monkeypatch.setattr(AWSLambdaBackend, "invoke", invoke)
    config = {
        "lithops": {"backend": "aws_lambda", "storage": "aws_s3", "monitoring": "storage", "telemetry": False},
        "aws": {"region": REGION, "access_key_id": "test", "secret_access_key": "test"},
        "aws_s3": {"storage_bucket": "lithops-working", "endpoint": aws},
        "aws_lambda": {
            "execution_role": "arn:aws:iam::123456789012:role/x",
            "runtime": RUNTIME,
            "runtime_memory": MEMORY_MIB,
            "runtime_timeout": TIMEOUT_S,
            "namespace": STACK,
            "user_id": USER_ID,
            "account_id": "123456789012",
        },
    }
    with lithops.FunctionExecutor(config=config) as executor:
        futures = executor.map(lambda x: x * x, [1, 2, 3])
        assert executor.get_result(futures, timeout=120) == [1, 4, 9]
    assert set(called) == {name}
    assert asked == [], (
        "Lithops asked Lambda or the registry for something: the declared function is not the one it wants"
    )
