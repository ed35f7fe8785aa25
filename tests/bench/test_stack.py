"""A stack that is not up, unknown, or of another version is told in a sentence with what to do."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import stack
from plan.outputs import Outputs
from plan.settings import SettingsError

SETTINGS = """config:
  breakeven:settings:
    program: embedded
"""
UP = Outputs(stack="dev", program="embedded", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.dev.yaml").write_text(SETTINGS)
    return tmp_path


def write(root: Path, text: str) -> None:
    folder = stack.state_dir("dev", root)
    folder.mkdir(parents=True)
    (folder / "outputs.json").write_text(text)


def test_not_up_says_how_to_bring_it_up(root: Path) -> None:
    with pytest.raises(stack.StackError, match=r"'dev' is not up.*make up STACK=dev.*pulumi up -s dev"):
        stack.outputs("dev", root)


def test_unknown_stack_names_the_nearest(root: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'dev'"):
        stack.outputs("dve", root)


def test_outputs_of_another_version_name_the_key(root: Path) -> None:
    write(root, json.dumps({**UP.model_dump(by_alias=True), "colour": "red"}))
    with pytest.raises(stack.StackError, match=r"another version \(colour"):
        stack.outputs("dev", root)


def test_what_up_wrote_is_read(root: Path) -> None:
    write(root, UP.model_dump_json(by_alias=True))
    assert stack.outputs("dev", root) == UP


@pytest.mark.parametrize(
    ("expires_at", "over"), [("2026-11-21T18:00:00Z", True), ("2026-11-21T18:00:01Z", False), (None, False)]
)
def test_a_stack_whose_time_is_over_opens_no_session(root: Path, expires_at: str | None, over: bool) -> None:
    """Its groups are at a maximum of zero, which a session would find out by an error of AWS's."""
    write(root, UP.model_copy(update={"expires_at": expires_at}).model_dump_json(by_alias=True))
    now = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
    if not over:
        assert stack.outputs("dev", root, now).expires_at == expires_at
        return
    with pytest.raises(stack.StackError, match=r"ended at 2026-11-21T18:00:00Z.*pulumi destroy -s dev.*up --refresh"):
        stack.outputs("dev", root, now)


def test_a_cloud_stack_without_an_engine_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = SETTINGS.replace("embedded", "bench\n    ttlH: 1\n    budgetUsd: 1")
    (root / "Pulumi.cloud.yaml").write_text(bench)
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(stack.StackError, match="needs the Pulumi engine"):
        stack.outputs("cloud", root)


def test_keys_are_read_from_where_the_outputs_say(tmp_path: Path) -> None:
    keys = tmp_path / "s3.json"
    keys.write_text('{"accessKeyId": "a", "secretAccessKey": "b"}')
    found = stack.access(UP.model_copy(update={"s3_endpoint": "http://127.0.0.1:1", "s3_secret_at": str(keys)}))
    assert found.keys() == ("a", "b")
    assert stack.access(UP).endpoint_url is None
