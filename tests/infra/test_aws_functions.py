"""The function is declared under the name, and its metadata at the key, that Lithops' own code computes."""

import json
from typing import Any

import pytest

from infra.aws.functions import USER_ID, function_name, metadata_key, runtime_metadata, runtime_name

RUNTIME = runtime_name("123456789012.dkr.ecr.us-east-1.amazonaws.com/functions@sha256:" + "0" * 64)


@pytest.fixture
def backend() -> Any:
    from lithops.serverless.backends.aws_lambda.aws_lambda import AWSLambdaBackend

    config = {"user_agent": "test", "region": "us-east-1", "execution_role": "arn:aws:iam::123456789012:role/x"}
    known = {"account_id": "123456789012", "user_id": USER_ID, "namespace": "bench-128"}
    return AWSLambdaBackend({**config, **known}, internal_storage=None)


@pytest.mark.parametrize("memory_mib", [1792, 4096])
def test_name_and_metadata_key_are_those_of_lithops(backend: Any, memory_mib: int) -> None:
    from lithops.constants import RUNTIMES_PREFIX
    from lithops.version import __version__

    called = backend._format_function_name(RUNTIME, memory_mib)
    assert function_name("bench-128", RUNTIME, memory_mib, __version__) == called
    key = f"{RUNTIMES_PREFIX}/{backend.get_runtime_key(RUNTIME, memory_mib)}.meta.json"
    assert metadata_key(called, "us-east-1", __version__) == key
    assert len(called) <= 64, "Lambda's limit on a function's name"


def test_two_stacks_of_an_account_never_share_a_function() -> None:
    assert function_name("a", RUNTIME, 4096, "3.8.0") != function_name("b", RUNTIME, 4096, "3.8.0")


def test_lithops_accepts_the_metadata_without_asking_the_function() -> None:
    from lithops.invokers import _verify_runtime_meta
    from lithops.version import __version__

    metadata = json.loads(runtime_metadata(__version__, 300))
    _verify_runtime_meta(metadata, RUNTIME)
    assert metadata["runtime_timeout"] == 300
    modules = {name for name, _ in metadata["preinstalls"]}
    assert {"numpy", "pandas", "pyarrow", "boto3", "lithops", "redis"} <= modules
