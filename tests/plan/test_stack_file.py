"""Names of stacks, and where their state lies: nothing else than a plain name ever becomes a path."""

from pathlib import Path

import pytest

from plan.stack_file import LONGEST_STACK, SettingsError, checked, path_of, state_dir, state_of_known

BAD = [
    "",
    ".",
    "..",
    "../x",
    "/etc",
    "a/b",
    "a b",
    "Dev",
    "dev.",
    "-dev",
    "dev-",
    "1dev",
    "dév",
    "dev\n",
    "~",
    "a" * 23,
]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_name_makes_no_path(name: str, tmp_path: Path) -> None:
    for made in (checked, lambda name: path_of(name, tmp_path), lambda name: state_dir(name, tmp_path)):
        with pytest.raises(SettingsError, match="stack name"):
            made(name)


@pytest.mark.parametrize("name", ["dev", "bench-128-16xlarge", "a", "a" * LONGEST_STACK])
def test_plain_names_lie_below_the_state_folder(name: str, tmp_path: Path) -> None:
    assert state_dir(name, tmp_path) == tmp_path / ".breakeven" / name


@pytest.mark.parametrize("link", [".breakeven/dev", ".breakeven"])
def test_a_link_is_no_state_folder(link: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "dev").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="is a link to"):
        state_dir("dev", tmp_path)


def test_state_can_be_ended_after_its_file_went_and_a_slip_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").touch()
    (tmp_path / ".breakeven" / "old").mkdir(parents=True)
    assert state_of_known("old", tmp_path).name == "old"
    assert state_of_known("dev", tmp_path).name == "dev"
    with pytest.raises(SettingsError, match="did you mean 'dev'"):
        state_of_known("dve", tmp_path)
