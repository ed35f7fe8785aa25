"""The embedded stack's composition and its command line; that its parts run is tests/local's to show."""

import copy
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from infra.embedded.composition import parts
from local import FunctionPool
from plan.outputs import Outputs
from plan.settings import load, parse
from stacks import embedded as commands
from tests.conftest import CHECKOUT, embedded


def test_every_need_comes_before_what_needs_it() -> None:
    seen: set[str] = set()
    for part in parts(load("dev", CHECKOUT)):
        assert set(part.needs) <= seen
        seen.add(part.name)


def test_settings_decide_the_parts() -> None:
    document = {
        "program": "embedded",
        "clusters": {"d": {"engine": "dask", "platform": "local", "nodes": 3, "slotsPerNode": 1}},
    }
    assert [part.name for part in parts(parse(document, "t"))] == ["s3", "d", "d-node-0", "d-node-1", "d-node-2"]


LOCAL = {"engine": "dask", "platform": "local", "nodes": 2, "slotsPerNode": 1}
SCALE = {"minWorkers": 1, "maxWorkers": 2, "idleTimeoutS": 60}
EMBEDDED = {
    "program": "embedded",
    "clusters": {"d": {**LOCAL, "autoscale": SCALE}},
    "functions": {"platform": "local", "maxWorkers": 2},
    "cache": {"platform": "local"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("worker", {"memoryMib": 512, "reason": "small"}),
        ("clusters.d.engine", "ray"),
        ("clusters.d.slotsPerNode", 2),
        ("clusters.d.limitMib", 512),
        ("clusters.d.autoscale.minWorkers", 2),
        ("clusters.d.autoscale.idleTimeoutS", 10),
        ("functions.maxWorkers", 3),
        ("functions.memoryMib", 512),
        ("cache.maxMemoryMib", 128),
    ],
)
def test_each_key_of_a_local_part_changes_what_is_started(path: str, value: object) -> None:
    """A key that changes nothing is refused (plan.platform_keys, plan.rules.parts); these change the list of parts."""
    changed = copy.deepcopy(EMBEDDED)
    *above, key = path.split(".")
    place: Any = changed
    for part in above:
        place = place[part]
    place[key] = value
    assert parts(parse(changed, "t")) != parts(parse(EMBEDDED, "t"))


def test_equal_limits_hold_local_functions_too() -> None:
    document = {
        "program": "embedded",
        "clusters": {"d": {**LOCAL, "limitMib": 3500}},
        "functions": {"platform": "local", "maxWorkers": 2},
        "equalLimits": True,
    }
    (pool,) = (part for part in parts(parse(document, "t")) if isinstance(part, FunctionPool))
    assert pool.memory_mib == 3500


def test_outputs_survive_their_own_document(dev_stack: Outputs) -> None:
    assert Outputs.model_validate_json(dev_stack.model_dump_json(by_alias=True)) == dev_stack
    assert dev_stack.clusters["dask"].limit_enforced_by == "nanny"
    assert set(dev_stack.startup_s) >= {"s3", "redis", "ray", "dask"}
    assert set(dev_stack.began_at) == set(dev_stack.startup_s)


def test_no_secret_in_outputs(dev_stack: Outputs) -> None:
    document = dev_stack.model_dump_json()
    places = [
        dev_stack.s3_secret_at,
        dev_stack.clusters["ray"].secret_at,
        dev_stack.cache and dev_stack.cache.secret_at,
    ]
    for place in places:
        assert place is not None
        path = Path(place)
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
        assert path.read_text() not in document


def test_up_twice_changes_nothing(dev_stack: Outputs, stack_root: Path) -> None:
    again = embedded("up", stack_root)
    assert again.returncode == 0, again.stderr
    assert "ready" not in again.stdout
    assert Outputs.model_validate_json((stack_root / ".breakeven/dev/outputs.json").read_text()) == dev_stack


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("up", "--stack", "dve"), "did you mean 'dev'"),
        (("up", "--stack", "bench-32"), "`pulumi up -s bench-32`"),
        (("scale", "--cluster", "spark", "--nodes", "2"), "wanted one of ['ray', 'dask']"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(command: tuple[str, ...], said: str, stack_root: Path) -> None:
    done = embedded(command[0], stack_root, *command[1:])
    assert done.returncode != 0
    assert said in done.stderr


@pytest.fixture
def other_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a stack file, with state of `dev`, and with files that are nobody's to remove."""
    root = tmp_path / "root"
    for folder in ("root/.breakeven/dev/data", "elsewhere/data", "elsewhere/run"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("root/thesis.txt", "elsewhere/data/keep.txt", "elsewhere/run/keep.txt"):
        (tmp_path / file).write_text("mine")
    for stack in ("dev", "bench-32"):
        (root / f"Pulumi.{stack}.yaml").write_text((CHECKOUT / f"Pulumi.{stack}.yaml").read_text())
    monkeypatch.setattr(commands, "ROOT", root)
    return root


def files(below: Path) -> list[str]:
    return sorted(str(path) for path in below.rglob("*") if path.is_file())


def called(*words: str) -> Result:
    return CliRunner().invoke(commands.cli, words)


def refusal(result: Result) -> str:
    return f"{result.output}{result.exception or ''}"


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("..", "stack name: found '..'"),
        (".", "stack name: found '.'"),
        ("../../elsewhere", "stack name"),
        ("/tmp", "stack name: found '/tmp'"),
        ("dve", "did you mean 'dev'"),
        ("bench-32", "pulumi destroy -s bench-32"),
        ("linked", "is a link to"),
    ],
)
def test_down_removes_nothing_that_is_no_embedded_stacks(stack: str, said: str, other_root: Path) -> None:
    (other_root / ".breakeven" / "linked").symlink_to(other_root.parent / "elsewhere")
    before = files(other_root.parent)
    for words in (
        ("down", "--stack", stack, "--data", "drop"),
        ("down", "--stack", stack),
        ("status", "--stack", stack),
    ):
        done = called(*words)
        assert done.exit_code != 0
        assert said in refusal(done)
    assert files(other_root.parent) == before


def test_down_removes_no_folder_that_a_link_in_the_state_leads_to(other_root: Path) -> None:
    state, elsewhere = other_root / ".breakeven" / "dev", other_root.parent / "elsewhere"
    (state / "temp").symlink_to(elsewhere)  # where the supervisor keeps a link of its own
    (state / "run").symlink_to(elsewhere / "run")
    (state / "data" / "mounted").symlink_to(elsewhere / "data")
    before = files(elsewhere)
    assert called("down", "--stack", "dev", "--data", "drop").exit_code == 0
    assert not state.exists()
    assert files(elsewhere) == before


def test_more_workers_than_the_machine_holds_are_refused_with_the_arithmetic(other_root: Path) -> None:
    file = other_root / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("nodes: 1,", "nodes: 999,", 1))
    said = refusal(called("up", "--stack", "dev"))
    assert "'dev', ray: workers 1998 on this machine" in said
    assert "8 a core are" in said
    assert not (other_root / ".breakeven/dev/state.json").exists()


def test_down_ends_a_stack_whose_file_is_broken_or_gone(other_root: Path) -> None:
    (other_root / "Pulumi.dev.yaml").write_text("config: [")
    assert called("down", "--stack", "dev").exit_code == 0
    (other_root / "Pulumi.dev.yaml").unlink()
    assert called("down", "--stack", "dev", "--data", "drop").exit_code == 0
    assert not (other_root / ".breakeven/dev").exists()


def test_down_says_what_it_could_not_remove(other_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, unlink = other_root / ".breakeven" / "dev", os.unlink
    (state / "data" / "kept.csv").write_text("x")
    (state / "data" / "other.csv").write_text("x")

    def refuse(path: str, **options: Any) -> None:
        if str(path).endswith("kept.csv"):
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    said = refusal(called("down", "--stack", "dev", "--data", "drop"))
    assert "data/kept.csv could not be removed (Operation not permitted)" in said
    assert not (state / "data" / "other.csv").exists(), "what can be removed is"
