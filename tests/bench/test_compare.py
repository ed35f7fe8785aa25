"""Guards: a slower commit that goes unseen, noise reported as slower, unreadable lines skipped in silence."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import rows
from bench.compare import compare, main, pick
from bench.rows import Row

OLD, NEW = "a" * 40, "b" * 40


def write(path: Path, commit: str, factor: float = 1.0, samples: int = 8, engine: str = "dask") -> Path:
    rng = np.random.default_rng(4)
    for repeat in range(samples):
        wall_s = float(2 * np.exp(0.02 * rng.standard_normal())) * factor
        row = Row(
            run_id=f"run-{commit[0]}", at=f"2026-11-20T09:00:{repeat:02}+00:00", stack="dev", platform="local",
            workload="ingest", engine=engine, label=engine, condition="warm", repeat=repeat, value=wall_s,
            phases={"list": 0.01 * wall_s, "read": 0.98 * wall_s}, commit=commit,
        )  # fmt: skip
        rows.append(path, row)
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write(folder / "old.jsonl", OLD)
    write(folder / "new.jsonl", NEW, factor=1.4)
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return outcome.exit_code, outcome.output


@pytest.mark.parametrize(("sides", "verdict"), [((OLD[:7], NEW[:7]), "slower"), ((NEW[:7], OLD[:7]), "faster")])
def test_commits_are_compared_with_interval_and_verdict(results: Path, sides: tuple[str, str], verdict: str) -> None:
    code, text = run(*sides, "--results", results)
    assert code == 0
    assert verdict in text
    assert " to " in text
    assert "1.00% of the wall time is outside every span" in text


def test_only_a_slower_side_fails_where_asked(results: Path) -> None:
    old, new = results / "old.jsonl", results / "new.jsonl"
    assert run(old, new, "--fail-on-slower")[0] == 1
    assert run(new, old, "--fail-on-slower")[0] == 0
    assert run(old, old, "--fail-on-slower")[0] == 0


def test_what_only_one_side_has_is_said(results: Path) -> None:
    write(results / "new.jsonl", NEW, engine="ray")
    assert "only other has samples (8)" in run(results / "old.jsonl", results / "new.jsonl")[1]


def test_failed_samples_and_other_data_are_not_pooled(results: Path) -> None:
    base = pick(str(results / "old.jsonl"), results)
    failed = [
        s.__class__(s.row.model_copy(update={"status": "failed", "value": 99.0}), s.file, s.line) for s in base.rows
    ]
    (line,) = compare(base.rows, [*base.rows, *failed])
    assert line.other_n == len(base.rows)


def test_few_samples_get_no_verdict(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", OLD, samples=3)
    new = write(tmp_path / "new.jsonl", NEW, samples=3, factor=5)
    code, text = run(old, new, "--fail-on-slower")
    assert code == 0
    assert "too few (3 and 3 of 5)" in text


def test_unreadable_lines_are_named_and_the_rest_used(results: Path) -> None:
    with (results / "old.jsonl").open("a") as half:
        half.write('{"run_id": "cut o')
    code, text = run(results / "old.jsonl", results / "new.jsonl")
    assert code == 0
    assert "skipped: old.jsonl:9:" in text
    assert "slower" in text


def test_an_unknown_side_names_what_there_is(results: Path) -> None:
    code, text = run("c0ffee", OLD[:7], "--results", results)
    assert code == 1
    assert "'c0ffee'" in text
    assert OLD[:10] in text
