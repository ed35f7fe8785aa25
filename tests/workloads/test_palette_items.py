"""Palettes of many images, one of which cannot be read."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from bench import autoscale, images, stack
from bench.engines import Sessions
from bench.samples import Sample, Seen
from plan.outputs import Outputs
from tasks.palette import extract, extract_all


def test_one_poisoned_image_among_1000_is_one_failed_item_with_its_name(dev_stack: Outputs, tmp_path: Path) -> None:
    assert dev_stack.data_bucket
    small, poisoned = tmp_path / "small.png", tmp_path / "poisoned.png"
    rocket = images.sources(None).files["rocket.jpg"]
    with Image.open(rocket) as image:  # small: a thousand whole ones take a minute
        image.resize((64, 48)).save(small)
    poisoned.write_bytes(small.read_bytes()[:500])
    with Sessions(dev_stack, stack.access(dev_stack), {}) as sessions:
        found = images.upload(sessions.access, dev_stack.data_bucket, images.sources(tmp_path).files, "poison")
        good, bad = sorted(found.sizes, key=lambda uri: "poisoned" in uri)
        work = [good] * 999
        work.insert(500, bad)
        (session,) = sessions.of("lithops")
        calls = autoscale.chunks(work, 500)
        ran = autoscale.run(session, extract_all, sessions.access, calls, limits=autoscale.Bounds(2, 2))
    assert len(ran.results) == 1000
    assert [one.uri for one in ran.results if one.failed] == [bad]
    assert {one.colours for one in ran.results if not one.failed} == {extract(sessions.access, good).colours}


def test_a_line_without_a_valid_sample_is_not_equal() -> None:
    from tests.bench.report import made
    from workloads import palette as command

    rows = list(made.palettes())
    failed = [row.model_copy(update={"status": "failed"}) for row in rows]
    assert set(command._table(rows).columns[-1].cells) == {"equal"}
    assert set(command._table(failed).columns[-1].cells) == {"no valid sample"}
    assert set(command._table(failed).columns[2].cells) == {""}


@pytest.mark.parametrize(
    ("condition", "keeps_workers", "kind"),
    [("cold", True, "not-cold"), ("cold", False, None), ("warm", True, None), ("none", True, None)],
)
def test_a_cold_sample_in_workers_that_ran_before_is_dropped(
    condition: Any, keeps_workers: bool, kind: str | None
) -> None:
    from workloads import palette as command

    log, session = SimpleNamespace(seen=Seen({"of the smoke test"})), SimpleNamespace(keeps_workers=keeps_workers)
    ran = SimpleNamespace(done=[SimpleNamespace(trace=SimpleNamespace(worker="of the smoke test"))])
    found = command._not_cold(log, Sample("ray", "ray", condition, 0), session, ran)  # type: ignore[arg-type]
    assert (found.kind if found else None) == kind
    new = SimpleNamespace(done=[SimpleNamespace(trace=SimpleNamespace(worker="new"))])
    assert command._not_cold(log, Sample("ray", "ray", condition, 1), session, new) is None  # type: ignore[arg-type]
