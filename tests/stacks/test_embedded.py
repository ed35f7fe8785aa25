"""The embedded stack's composition and its command line; that its parts run is tests/local's to show."""

from pathlib import Path

import pytest

from infra.embedded.composition import parts
from plan.outputs import Outputs
from plan.settings import load, parse
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
