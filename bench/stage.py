"""A stage of a Ray or Dask program that runs on functions: a decorator, and native references as results arrive.

    with stage.on("dev", "ray") as functions:
        import ray

        @functions(exchange="auto")
        def square(x):
            return x * x

        print(sum(ray.get(reference) for reference in square(range(100))))

The cluster's store gets a result when its function has ended, whatever the others do. A failed input is a reference
that raises `tasks.stage.StageFailed` with the function's traceback; it is in `failures` too. References come in the
order of arrival, `order` has the number of each one's input.
"""

import json
import pickle
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import cloudpickle

from bench import command
from bench.engines import EngineError, Sessions
from bench.sessions.on_lithops import LithopsSession
from plan import redaction
from plan.outputs import CacheOutputs, Outputs
from tasks import stage as functions_side
from tasks.exchange import Exchange, RedisAt, fetch
from tasks.objects import Access
from tasks.stage import FunctionLost, FunctionOutOfMemory, Report, StageFailed, shown
from tasks.trace import Trace
from tasks.upload import remove_below

Way = Literal["auto", "store", "s3", "redis"]
# Seconds between two looks at what Lithops's monitor, a thread of this process, has found in the bucket.
_LOOK_S = 0.005
_FAILED: Mapping[functions_side.Kind, type[StageFailed]] = {
    "out-of-memory": FunctionOutOfMemory,
    "lost": FunctionLost,
    "deadline": FunctionLost,
}


class Store(Protocol):
    """A cluster's own store of objects."""

    def put(self, reports: list[Report], exchange: Exchange) -> list[Any]:
        """References to results; those in Redis or the bucket are fetched by the cluster itself, not through here."""

    def fail(self, error: StageFailed) -> Any:
        """A reference that raises."""


class RayStore:
    """Ray's object store. A fetch takes a worker's slot, so that it is not a worker more than the cluster declares."""

    def __init__(self) -> None:
        import ray

        self._fetch = ray.remote(max_retries=0)(fetch)
        self._fail = ray.remote(max_retries=0)(functions_side.fail)

    def put(self, reports: list[Report], exchange: Exchange) -> list[Any]:
        import ray

        payloads = [report.payload for report in reports]
        return [
            ray.put(fetch(p, exchange)) if p and p.way == "store" else self._fetch.remote(p, exchange) for p in payloads
        ]

    def fail(self, error: StageFailed) -> Any:
        return self._fail.remote(error)


class DaskStore:
    """Dask's workers. Results in reports are scattered together: one round trip for all that came at once."""

    def __init__(self, client: Any):
        self._client = client

    def put(self, reports: list[Report], exchange: Exchange) -> list[Any]:
        payloads = [report.payload for report in reports]
        here = [fetch(p, exchange) for p in payloads if p and p.way == "store"]
        scattered = iter(self._client.scatter(here, hash=False) if here else ())
        return [
            next(scattered)
            if p and p.way == "store"
            else self._client.submit(fetch, p, exchange, pure=False, key=f"fetch-{uuid.uuid4().hex}")
            for p in payloads
        ]

    def fail(self, error: StageFailed) -> Any:
        return self._client.submit(functions_side.fail, error, pure=False)


@dataclass
class Ledger:
    """What a stage asked of the functions. function_s counts failed, repeated and cancelled calls too: they are billed,
    as are the handler and the sandbox's start around the code (code_s).

    cancelled: calls that ran when the stage was given up; not_run: inputs that were never invoked, or taken back.
    """

    invoked: int = 0
    retried: int = 0
    cancelled: int = 0
    not_run: int = 0
    function_s: float = 0.0
    code_s: float = 0.0
    handed_over_s: float = 0.0
    bytes_by_way: dict[str, int] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)


@dataclass
class _Try:
    index: int
    item: bytes
    shown: str
    attempts: int = 0
    invoked_at: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A function that runs on functions. Calling it with inputs starts it; see `Arrivals`.

    in_flight: calls invoked and not yet ended, at most. retries: of one input, for functions that were lost and for
    errors of the types `retry_on`; never for want of memory. timeout_s: of one call.
    """

    function: Callable[[Any], Any]
    session: LithopsSession
    store: Store
    exchange: Exchange
    in_flight: int
    retries: int = 2
    retry_on: tuple[type[BaseException], ...] = (OSError,)
    timeout_s: int = 900

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, inputs: Iterable[Any]) -> "Arrivals":
        """Start: the first functions are invoked before this returns."""
        return Arrivals(self, inputs)


class Arrivals(Iterator[Any]):
    """References in the order of arrival. Leaving early, an error in the loop or `close` cancels what is left."""

    def __init__(self, stage: Stage, inputs: Iterable[Any]):
        self._stage, self._function = stage, _by_value(stage.function)
        self._inputs = ((index, item) for index, item in zip(count(), inputs, strict=False))
        self._again: deque[_Try] = deque()
        self._running: dict[Any, _Try] = {}
        self._ready: deque[tuple[int, Any]] = deque()
        self._exhausted = False
        self.order: list[int] = []
        self.failures: list[StageFailed] = []
        self.ledger = Ledger()
        self._invoke()

    def __next__(self) -> Any:
        try:
            while not self._ready:
                self._invoke()
                if not self._running:
                    raise StopIteration
                self._take()
        except StopIteration:
            raise
        except BaseException:
            self.close()
            raise
        index, reference = self._ready.popleft()
        self.order.append(index)
        return reference

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

    def in_order(self) -> list[Any]:
        """All references in the order of the inputs. Raises the first failure, once all have ended."""
        arrived = list(self)
        if self.failures:
            raise min(self.failures, key=lambda failed: failed.index)
        return [reference for _, reference in sorted(zip(self.order, arrived, strict=True), key=lambda pair: pair[0])]

    def close(self) -> None:
        """Invoke nothing more, take back what has not begun, and count what runs: a provider bills it to its end."""
        self._exhausted = True
        self.ledger.not_run += len(self._again)
        self._again.clear()
        if self._running:
            running = [(future, tried.invoked_at) for future, tried in self._running.items() if not future.invoked]
            self.ledger.cancelled += len(running)
            self.ledger.not_run += len(self._running) - len(running)
            _take_back(self._stage.session, list(self._running))
            self.ledger.function_s += sum(_billed_s(self._stage, future, at) for future, at in running)
            _forget(self._stage.session, self._running)
            self._running.clear()

    def _next_try(self) -> _Try | None:
        if self._again:
            return self._again.popleft()
        found = next(self._inputs, None)
        if found is None:
            self._exhausted = True
            return None
        index, item = found
        return _Try(index, cloudpickle.dumps(item, protocol=5), shown(item))

    def _invoke(self) -> None:
        """Top up to the bound, in jobs of half of it at least: each job of Lithops costs some requests of its own."""
        room = self._stage.in_flight - len(self._running)
        if (self._exhausted and not self._again) or (self._running and 2 * room < self._stage.in_flight):
            return
        tries: list[_Try] = []
        while len(tries) < room and (tried := self._next_try()):
            tries.append(tried)
        if not tries:
            return
        exchange, environment = self._stage.exchange.for_functions()
        futures = self._stage.session.executor.map(
            functions_side.call,
            [(self._function, tried.item, exchange) for tried in tries],
            extra_env=environment,
            timeout=self._stage.timeout_s,
            include_modules=["tasks"],
        )
        for future, tried in zip(futures, tries, strict=True):
            tried.attempts += 1
            tried.invoked_at = time.time()
            self._running[future] = tried
        self.ledger.invoked += len(tries)
        self.ledger.retried += sum(tried.attempts > 1 for tried in tries)

    def _take(self) -> None:
        """Wait for any call to end, and hand on all that did."""
        # Not Lithops's own wait: each sets up a pool of 64 threads, and puts out the alarm of a running deadline.
        while not (ended := [f for f in self._running if f.ready or f.success or f.done]):
            time.sleep(_LOOK_S)
        fine: list[tuple[_Try, Report]] = []
        for future in ended:
            tried = self._running.pop(future)
            report = _report(self._stage.session, future)
            self._count(report)
            if report.payload:
                fine.append((tried, report))
            elif self._may_pass(report) and tried.attempts <= self._stage.retries:
                self._again.append(tried)
            else:
                self._failed(tried, report)
        _forget(self._stage.session, ended)
        references = self._stage.store.put([report for _, report in fine], self._stage.exchange)
        self._ready.extend((tried.index, ref) for (tried, _), ref in zip(fine, references, strict=True))

    def _may_pass(self, report: Report) -> bool:
        if report.kind != "raised":
            return report.kind == "lost"
        return isinstance(_loaded(report), self._stage.retry_on)

    def _failed(self, tried: _Try, report: Report) -> None:
        kind = _FAILED.get(report.kind, StageFailed)
        error = kind(self._stage.name, tried.index, tried.shown, report.kind, tried.attempts, report.text)
        self._ready.append((tried.index, self._stage.store.fail(error)))
        error.__cause__ = _loaded(report)
        self.failures.append(error)

    def _count(self, report: Report) -> None:
        ledger = self.ledger
        ledger.traces.append(report.trace)
        ledger.function_s += report.trace.billed_s
        ledger.code_s += report.trace.busy_s
        ledger.handed_over_s += report.handed_over_s
        if report.payload:
            way = report.payload.way
            ledger.bytes_by_way[way] = ledger.bytes_by_way.get(way, 0) + report.payload.size_bytes


def _take_back(session: LithopsSession, futures: list[Any]) -> None:
    """Calls that have not begun never will. On this machine those that run are ended too; a Lambda can't be stopped."""
    jobs = {future.job_key for future in futures}
    session.executor.invoker.discard_pending(jobs, {future.job_id for future in futures})
    if session.platform == "local":
        session.executor.compute_handler.clear(jobs, exception=KeyboardInterrupt())


def _billed_s(stage: Stage, future: Any, invoked_at: float) -> float:
    """Seconds of a call that ran when its stage was given up: what it has had here; all it may take on Lambda."""
    if stage.session.platform != "local":
        return float(stage.timeout_s)
    began: float = (future._call_status or {}).get("worker_start_tstamp", invoked_at)
    return max(0.0, time.time() - began)


def _forget(session: LithopsSession, futures: Iterable[Any]) -> None:
    """Lithops keeps every future with its result for as long as the executor lives."""
    done = {id(future) for future in futures}
    session.executor.futures = [future for future in session.executor.futures if id(future) not in done]


def _report(session: LithopsSession, future: Any) -> Report:
    """What the function told, or what Lithops tells of one that could not."""
    hook = sys.excepthook
    try:
        report: Report = future.result(internal_storage=session.executor.internal_storage)
        return replace(report, trace=session.billed(report.trace, future))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        kinds: tuple[tuple[type[Exception], functions_side.Kind], ...] = (
            (MemoryError, "out-of-memory"),
            (TimeoutError, "deadline"),
        )
        found = (name for known, name in kinds if isinstance(error, known))
        kind: functions_side.Kind = next(found, "lost")
        began, ended = (future.stats.get(f"worker_{at}_tstamp", 0.0) for at in ("start", "end"))
        return Report(Trace(f"lost:{future.activation_id}", 0, began, ended or began, 0, "none"), kind=kind, text=text)
    finally:
        sys.excepthook = hook  # Lithops sets one of its own before it raises


def _loaded(report: Report) -> BaseException | None:
    if report.error is None:
        return None
    try:
        error = pickle.loads(report.error)  # noqa: S301  our own function wrote it
    except Exception:  # of a type that this process does not have
        return None
    return error if isinstance(error, BaseException) else None


def _by_value(function: Callable[..., Any]) -> bytes:
    """The function pickled with its module's code, for workers that don't have the module; `tasks` they have."""
    module = sys.modules.get(function.__module__)
    if module is None or module.__name__.partition(".")[0] in ("tasks", "__main__"):
        return bytes(cloudpickle.dumps(function, protocol=5))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function, protocol=5))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def exchange_of(sessions: Sessions, way: Way) -> Exchange:
    """Where this stack's functions leave results, under a prefix of this call alone. Raises EngineError."""
    out = sessions.outputs
    if out.cache is None and way == "redis":
        raise EngineError(f"stack {out.stack!r} has no cache: choose exchange auto, s3 or store")
    prefix = f"s3://{out.working_bucket}/stage/{uuid.uuid4().hex}"
    return Exchange(way, astuple(sessions.access), prefix, _redis(out.cache, out) if way in ("auto", "redis") else None)


def _redis(cache: CacheOutputs | None, out: Outputs) -> RedisAt | None:
    """How functions reach the cache: the secret is a file where the stack is embedded, else in Secrets Manager."""
    if cache is None:
        return None
    if out.program == "embedded":
        password = Path(cache.secret_at).read_text().strip()
        redaction.keep(password)
        return RedisAt(cache.host, cache.port, password)
    import boto3

    client = boto3.client("secretsmanager", region_name=out.region)
    secret = json.loads(client.get_secret_value(SecretId=cache.secret_at)["SecretString"])
    redaction.keep(secret["password"])
    return RedisAt(cache.host, cache.port, secret["password"], secret.get("ca"))


def clear(exchange: Exchange) -> None:
    """Remove what a stage left in the bucket. References still to be fetched raise PayloadGone after it."""
    remove_below(Access(*exchange.access), exchange.prefix)


@contextmanager
def on(stack: str, engine: Literal["ray", "dask"]) -> Iterator[Callable[..., Callable[[Callable[..., Any]], Stage]]]:
    """A stack's functions beside its cluster, opened for a program: gives the decorator's factory.

    Its options are those of `Stage`, and `exchange`. On leaving, what results left in the bucket is removed and the
    sessions are closed: have what you need of the references by then. Raises SessionError, EngineError, StackError.
    """
    if engine == "ray" and "ray" in sys.modules:
        # Ray reads how to reach a cluster on loopback when it is imported, and the session tells it by the environment.
        raise EngineError("ray is imported already: import it inside `with stage.on(...)`")
    with command.open_stack(stack, None, None) as sessions:
        cluster, pool = sessions.of(f"{engine}+lithops")
        assert isinstance(pool, LithopsSession)
        store = store_of(cluster)
        used: list[Exchange] = []

        def functions(exchange: Way = "auto", **options: Any) -> Callable[[Callable[..., Any]], Stage]:
            where = exchange_of(sessions, exchange)
            used.append(where)
            bound = {"in_flight": in_flight(pool)} | options
            return lambda function: Stage(function, pool, store, where, **bound)

        try:
            yield functions
        finally:
            for exchange in used:
                clear(exchange)


def store_of(cluster: Any) -> Store:
    """The store of an open session's cluster."""
    return RayStore() if cluster.engine == "ray" else DaskStore(cluster.client)


def in_flight(pool: LithopsSession) -> int:
    """As many as run, and as many again that wait; a thousand at most, which is what a new account may run."""
    return min(1000, max(256, 2 * pool.fleet().workers))
