"""What each workload asks of workers: the same for `python -m plan.estimate` and a workload's own `--estimate`."""

from typing import get_args

from plan.estimate.parameters import Parameters
from plan.estimate.phases import MB_PER_GB, Work
from plan.settings import Intended, Settings, Workload

WORKLOADS = get_args(Workload)
IMAGES, FILES, GB = 1000, 128, 50.0
"""What the published runs take: images of the smallest palette run, files of the widest data set, data of one run."""
UNITS = {"palette": "images", "generate": "files", "items": "items"}


def intended(settings: Settings, workload: str | None, gb: float | None, items: int) -> tuple[str, float, int]:
    """Workload, GB and items: as given, else as the stack's file intends, else as published."""
    own = settings.intended or Intended(workload="ingest")
    name = workload or own.workload
    meant = own.items or 0 if name == own.workload else 0
    return name, gb or own.gb or GB, items or meant


def words(work: Work, gb: float) -> str:
    """The work in a phrase: `ingest of 50 GB`."""
    size = [f"{gb:g} GB"] if work.name in ("ingest", "sort", "generate") else []
    size += [f"{work.items} {UNITS[work.name]}"] if work.name in UNITS else []
    return " of ".join([work.name, *([", ".join(size)] if size else [])])


def work(
    workload: str, known: Parameters, *, gb: float = 0.0, items: int = 0, engine: str = "*", platform: str = "*",
    item_core_s: float = 0.0, threads: int = 1, prefixes: int = 1,
) -> Work:  # fmt: skip
    """One run. gb are of 1,024 MB; items are images for `palette`, files for `generate`.

    Raises ValueError for `items` without their number and cost, and ParameterMissing.
    """
    if workload == "palette":
        return Work(workload, items=items or IMAGES, item_core_s=known.find("image_core_s", engine, platform).value)
    if workload == "startup":
        return Work(workload)
    if workload == "generate":  # files are made by one process each, and nothing is read
        files = items or FILES
        file_s = gb * MB_PER_GB / files / known.find("generate_mb_s", engine, platform).value
        return Work(workload, items=files, item_core_s=file_s, request="s3:put")
    if workload == "items":
        if not (items and item_core_s):
            raise ValueError("found no number of items or no seconds of one: items needs --items and --item-core-s")
        return Work(workload, 0.0, items, item_core_s, threads)
    kept = known.find("kept_share", engine, platform).value if workload == "sort" else None
    return Work(workload, gb, prefixes=prefixes, kept=kept)
