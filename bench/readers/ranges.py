"""One splitter for all engines: `tasks.ranges` plans, workers read, the driver combines."""

import time
from collections.abc import Sequence
from functools import partial

from bench.readers.ingest import Ingest, Note, Outcome, Read, bad_notes
from bench.sessions.session import Done, Session, mapped
from bench.spans import Spans
from tasks import ranges


def read(sessions: Sequence[Session], job: Ingest, spans: Spans) -> Outcome:
    """Read by ranges on any engine; an object whose quotes the ranges can't settle is read again whole, and noted."""
    session, query = sessions[0], job.data.query
    with spans.span("plan"):
        size = ranges.range_bytes(
            job.data.objects, session.fleet().workers, job.memory_mib, functions=session.engine == "lithops"
        )
        pieces = ranges.plan(job.data.objects, size, job.data.dialect)
    with spans.span("read"):
        began_at = time.time()
        work = partial(ranges.read, bad_rows=job.bad_rows, dialect=job.data.dialect)
        done = mapped(session, work, [(job.access, piece, query) for piece in pieces])
    spans.split("read", began_at, [d.trace for d in done])
    with spans.span("merge"):
        result = ranges.combine([d.result for d in done], query)
    if result.again:
        with spans.span("again"):
            done += mapped(session, work, [(job.access, piece, query) for piece in result.again])
            result = ranges.combine([d.result for d in done], query)
    traces = [d.trace for d in done]
    functions = traces if session.engine == "lithops" else []
    on_s3 = job.data.uri.startswith("s3://")
    gets = sum(d.result.requests for d in done) if on_s3 else 0
    return Outcome(result.answer, traces, functions, _notes(result, pieces, done), gets)


def _notes(result: ranges.Result, pieces: Sequence[ranges.Piece], done: Sequence[Done]) -> dict[str, Note]:
    return {
        "pieces": len(pieces),
        "bytes_read": result.bytes_read,
        "reread_whole": len(result.reread_whole),
        **bad_notes(result.bad_rows, result.bad_examples),
        "read_worker_s": round(sum(d.result.read_s for d in done), 6),
        "parse_worker_s": round(sum(d.result.parse_s for d in done), 6),
    }


READ: dict[str, Read] = {"ray": read, "dask": read, "lithops": read}
