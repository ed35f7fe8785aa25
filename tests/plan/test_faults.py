"""How a command ends: what was to be expected in one line, what was not with its traceback and where to report it."""

import subprocess

import pytest

from plan.faults import FAILED, FAULT, reported
from plan.settings import SettingsError

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
