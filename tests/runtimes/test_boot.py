"""What the boot scripts ask of AWS is asked again where a refusal may pass, and only there."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError, NoCredentialsError

SOURCE = Path(__file__).parents[2] / "runtimes/cluster/boot.py"


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with waits that take no time."""
    spec = importlib.util.spec_from_file_location("cluster_boot", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return module


def _refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": ""}}, "GetSecretValue")


@pytest.mark.parametrize(
    "passing", [_refusal("AccessDeniedException"), NoCredentialsError(), requests.ConnectionError("metadata")]
)
def test_a_role_that_is_not_known_yet_is_waited_for(boot: Any, passing: Exception) -> None:
    answers = iter([passing, passing, "secret"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert boot.again(ask) == "secret"


@pytest.mark.parametrize(("code", "waits_s"), [("ResourceNotFoundException", 60.0), ("AccessDeniedException", -1.0)])
def test_what_stays_refused_is_raised(boot: Any, monkeypatch: pytest.MonkeyPatch, code: str, waits_s: float) -> None:
    monkeypatch.setattr(boot, "ROLE_KNOWN_S", waits_s)
    asked: list[str] = []

    def ask() -> None:
        asked.append(code)
        raise _refusal(code)

    with pytest.raises(ClientError, match=code):
        boot.again(ask)
    assert asked == [code]
