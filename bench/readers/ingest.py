"""What a reader is given and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.dataset import Dataset
from bench.spans import Spans
from tasks.answer import Answer
from tasks.objects import Access
from tasks.parser import BadRows
from tasks.records import BadData
from tasks.trace import Trace

Note = str | int | float | bool | None


@dataclass(frozen=True)
class Ingest:
    """One job: answer the data set's query. working: s3://bucket for parts that a hybrid leaves for its cluster."""

    access: Access
    data: Dataset
    working: str | None
    memory_mib: int
    bad_rows: BadRows = "fail"
    afterwards: list[Callable[[], object]] = field(default_factory=list, compare=False)
    """What a sample leaves to be cleared up when the clock has stopped, also after a failure."""

    def clear(self) -> None:
        """Do what was left to be done afterwards, all of it. Raises the last that failed."""
        failed = None
        while self.afterwards:
            try:
                self.afterwards.pop()()
            except Exception as error:
                failed = error
        if failed:
            raise failed


@dataclass(frozen=True)
class Outcome:
    """answer, and who found it. functions: traces of function calls. notes: facts for the row's parameters.

    s3_gets: requests made to S3 to read, 0 where the reader does not count them.
    """

    answer: Answer
    traces: Sequence[Trace]
    functions: Sequence[Trace] = ()
    notes: dict[str, Note] = field(default_factory=dict)
    s3_gets: int = 0


def bad_notes(count: int, examples: Sequence[BadData]) -> dict[str, Note]:
    """What a row says of records that `--bad-rows skip` left out: how many, and the first of them."""
    return {"bad_rows": count, "bad_examples": "; ".join(str(example) for example in examples[:3]) or None}


# The sessions are those that the engine's name names, in its order: `ray+lithops` has two.
Read = Callable[[Sequence[Any], Ingest, Spans], Outcome]
