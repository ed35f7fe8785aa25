"""Which samples a run takes, in which order, and which of them were what they were asked to be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.rows import Failure

UNTIMED_RUNS = 2


@dataclass(frozen=True)
class Sample:
    """One run of one label. `none` is an untimed run before the warm ones."""

    label: str
    engine: str
    condition: Literal["cold", "warm", "none"]
    repeat: int


def plan(labels: Sequence[tuple[str, str]], repeats: int, cold: int) -> list[Sample]:
    """All colds, then two untimed runs each, then the warm ones; engines take turns, so that a slow minute hits all."""
    rounds: list[tuple[Literal["cold", "warm", "none"], int]] = [
        *(("cold", n) for n in range(cold)),
        *(("none", n) for n in range(UNTIMED_RUNS if repeats else 0)),
        *(("warm", n) for n in range(repeats)),
    ]
    return [Sample(label, engine, condition, n) for condition, n in rounds for label, engine in labels]


def untimed(label: str, engine: str) -> list[Sample]:
    """The runs that warm an engine's workers."""
    return [Sample(label, engine, "none", n) for n in range(UNTIMED_RUNS)]


@dataclass
class Seen:
    """Worker processes met so far, to tell a cold sample from one that only says so, and a warm one likewise."""

    workers: set[str] = field(default_factory=set)

    def judge(self, sample: Sample, workers: set[str]) -> Failure | None:
        """Why a sample does not count, None where it does. Remembers the workers."""
        known, fresh = workers & self.workers, workers - self.workers
        self.workers |= workers
        if sample.condition == "cold" and known:
            return Failure(kind="not-cold", message=f"ran in workers that had run before: {', '.join(sorted(known))}")
        if sample.condition == "warm" and fresh:
            return Failure(kind="unequal", message=f"not warm, ran in new workers: {', '.join(sorted(fresh))}")
        return None
