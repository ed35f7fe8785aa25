"""No expected failure is a traceback, and what nobody expected says where to report it: of every command line."""

import ast
import errno
import subprocess
from pathlib import Path

import click
import pytest
from botocore.exceptions import NoCredentialsError

from plan.faults import FAILED, FAULT, reported
from plan.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, list[str]]:
    """The exit code and what was said, by lines."""
    with pytest.raises(SystemExit) as end, reported():
        raise error
    return end.value.code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left", "r.jsonl"), "Error: [Errno 28] No space left: 'r.jsonl'"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "Error: [Errno 13] Permission denied: 'x'"),
        (NoCredentialsError(), "Error: Unable to locate credentials"),
    ],
)  # fmt: skip
def test_what_the_machine_or_aws_refuses_is_one_line(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error, capsys) == (1, [line])


def test_a_fault_ends_with_where_to_report_it_and_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-the-session")
    code, lines = ended(KeyError("a-token-of-the-session"), capsys)
    assert code == 70
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("KeyError was not expected: '[redacted]'. This is a fault of breakeven")
    assert "please report it" in lines[-1]
    assert "a-token" not in "".join(lines)


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt(), capsys) == (130, ["interrupted"])


def test_click_shows_its_own() -> None:
    with pytest.raises(click.ClickException), reported():
        raise click.ClickException("told")


def _programs() -> list[Path]:
    """Files of the project that are run as a command line of click's."""
    folders = ("bench", "ops", "plan", "stacks", "workloads")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [
        path for path in files if '__name__ == "__main__"' in path.read_text() and "import click" in path.read_text()
    ]


@pytest.mark.parametrize("path", _programs(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_ends_in_the_one_place(path: Path) -> None:
    """Workloads by what is around them (`bench.command.told`), all others where they begin."""
    with_blocks = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.With)]
    around = {ast.unparse(item.context_expr) for node in with_blocks for item in node.items}
    assert any(one == "command.told()" or one.startswith("reported(") for one in around), around


CHILD = subprocess.CalledProcessError(1, ["python", "-m", "stacks.embedded"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("Pulumi.x.yaml: no"), FAILED),
        (CHILD, FAILED),
        (PermissionError(13, "no"), FAILED),
        (KeyError("x"), FAULT),
        (LookupError("no"), FAILED),  # said to be expected below
    ],
)
def test_what_was_expected_is_one_line(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    expected = () if isinstance(error, KeyError) else (LookupError,)
    with pytest.raises(SystemExit) as ended, reported(*expected):
        raise error
    said = capsys.readouterr().err
    assert ended.value.code == code
    assert (said.count("\n") == 1) is (code == FAILED)
    assert ("Traceback" in said) is (code == FAULT)
