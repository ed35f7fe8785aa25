"""The decorator on the real embedded stack: references as results arrive, failures apart, bounds, cancel, every way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import stage
from bench.engines import EngineError, Sessions
from bench.stack import access
from bench.stage import Arrivals, Stage
from plan.outputs import Outputs
from tasks.exchange import IN_REPORT_BYTES, Exchange, PayloadGone, RedisAt, fetch, hand_over
from tasks.listing import list_objects
from tasks.objects import NoData, s3_client
from tasks.redis_values import OutOfRoom, Refused, Values
from tasks.stage import FunctionOutOfMemory, StageFailed
from tasks.upload import stat

SMALL, LARGE = 10, 1_000_000


@pytest.fixture(scope="module")
def sessions(dev_stack: Outputs) -> Iterator[Sessions]:
    with Sessions(dev_stack, access(dev_stack), {}) as opened:
        yield opened


def made(sessions: Sessions, function: Any, engine: str = "dask", **options: Any) -> Stage:
    cluster, pool = sessions.of(f"{engine}+lithops")
    way = options.pop("exchange", "auto")
    bounds = {"in_flight": 256} | options
    return Stage(function, pool, stage.store_of(cluster), stage.exchange_of(sessions, way), **bounds)  # type: ignore[arg-type]


def value(engine: str, reference: Any) -> Any:
    import ray

    return ray.get(reference) if engine == "ray" else reference.result()


def work(item: Any) -> Any:
    """Each input asks for one of the ways a function can end; one job of Lithops serves the checks of all."""
    if item == "raise":
        raise LookupError("no such row")
    if item == "memory":
        raise MemoryError
    if item == "killed":  # what the system does to a process that passes its memory limit
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "endpoint":
        raise ConnectionError("for now")
    return np.arange(item)


def test_a_program_may_have_imported_ray_before(dev_stack: Outputs) -> None:
    """Ray reads its environment at import: the token and the loopback address come later, with the session."""
    program = """
import ray
from bench import stack
from bench.engines import Sessions
found = stack.outputs("dev")
with Sessions(found, stack.access(found), {}) as sessions:
    (session,) = sessions.of("ray")
    print([done.result for done in session.stream(abs, [(-3,)])])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[3]\n", done.stderr


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_every_input_is_a_reference_and_a_failure_does_not_touch_the_others(sessions: Sessions, engine: str) -> None:
    inputs = [SMALL, "raise", LARGE, "killed", "memory", "endpoint", SMALL + 1]
    arrivals = made(sessions, work, engine, retries=1)(inputs)
    references = list(arrivals)
    by_input = dict(zip(arrivals.order, references, strict=True))
    assert sorted(by_input) == list(range(len(inputs)))
    for index in (0, 2, 6):
        assert np.array_equal(value(engine, by_input[index]), np.arange(inputs[index]))
    kinds = {failed.index: failed.kind for failed in arrivals.failures}
    assert kinds == {1: "raised", 3: "out-of-memory", 4: "out-of-memory", 5: "raised"}
    with pytest.raises(StageFailed, match=r"work, input 1 \('raise'\)") as raised:
        value(engine, by_input[1])
    assert "LookupError: no such row" in str(raised.value)
    assert "in work" in str(raised.value)  # the function's own frame
    with pytest.raises(MemoryError, match=r"input 3 \('killed'\): out-of-memory in 1 attempt\n.*SIGKILL"):
        value(engine, by_input[3])
    ledger = arrivals.ledger
    assert (ledger.invoked, ledger.retried, ledger.cancelled) == (8, 1, 0)  # only the endpoint's failure may pass
    assert set(ledger.bytes_by_way) == {"store", "redis"}
    assert ledger.function_s > 0


def slow_last(item: float) -> float:
    time.sleep(item)
    return item


def test_results_arrive_before_the_last_and_cancelling_takes_back_what_has_not_begun(sessions: Sessions) -> None:
    """The third and later inputs sleep longer than the test may take."""
    invoked: list[float] = []

    def inputs() -> Iterator[float]:
        for item in (0.0, 0.0, *([600.0] * 6)):
            invoked.append(item)
            yield item

    arrivals = made(sessions, slow_last, in_flight=4)(inputs())
    assert isinstance(arrivals, Arrivals)
    assert len(invoked) == 4, "more were taken from the program than may be in flight"
    assert next(arrivals).result() == 0.0
    assert next(arrivals).result() == 0.0
    running = list(arrivals._running)
    deadline = time.monotonic() + 60
    while not any(future.running for future in running):
        assert time.monotonic() < deadline, "no function began within 60 s"
        time.sleep(0.05)
    arrivals.close()
    ledger = arrivals.ledger
    assert list(arrivals) == []
    assert 1 <= ledger.cancelled <= 2  # the stack's functions run two at a time
    assert ledger.invoked == 2 + ledger.cancelled + ledger.not_run
    assert 0 < ledger.function_s < 120, "what ran until the cancel is billed, no more"


@pytest.mark.parametrize("way", ["store", "s3", "redis"])
def test_a_value_comes_back_as_it_was_on_every_way(sessions: Sessions, way: Any) -> None:
    where = stage.exchange_of(sessions, way)
    wanted = {"table": np.arange(300_000), "name": "x", "empty": np.zeros(0)}
    payload = hand_over(wanted, where)
    found = fetch(payload, where)
    assert payload.way == way
    assert found["name"] == "x"
    assert all(np.array_equal(found[key], wanted[key]) for key in ("table", "empty"))
    stage.clear(where)
    if way != "store":
        with pytest.raises(PayloadGone):
            fetch(payload, where)
        with pytest.raises(NoData):
            list_objects(sessions.access, where.prefix)


def test_auto_goes_by_size_and_passes_by_a_cache_that_is_full(sessions: Sessions) -> None:
    import redis

    where = stage.exchange_of(sessions, "auto")
    at = where.redis
    assert at
    cache = redis.Redis(host=at.host, port=at.port, password=at.password)
    room = cache.config_get("maxmemory")["maxmemory"]
    assert hand_over(bytes(IN_REPORT_BYTES // 2), where).way == "store"
    assert hand_over(bytes(IN_REPORT_BYTES + 1), where).way == "redis"
    try:
        cache.config_set("maxmemory", 1)
        payload = hand_over(bytes(IN_REPORT_BYTES + 1), where)
        assert payload.way == "s3"
        assert fetch(payload, where) == bytes(IN_REPORT_BYTES + 1)
        with pytest.raises(OutOfRoom, match="maxmemory"):
            hand_over(b"x", replace(where, way="redis"))
    finally:
        cache.config_set("maxmemory", room)
        cache.flushall()
        stage.clear(where)


def test_a_cache_that_refuses_or_is_none_is_told(sessions: Sessions) -> None:
    at, endpoint = stage.exchange_of(sessions, "redis").redis, sessions.outputs.s3_endpoint
    assert at
    assert endpoint
    with pytest.raises(Refused, match="WRONGPASS"):
        Values(at.host, at.port, "another", None)
    with pytest.raises(ConnectionError, match="answered b'HTTP"):
        Values(at.host, int(endpoint.rpartition(":")[2]), at.password, None)
    with Values(at.host, at.port, at.password, None) as redis:
        redis.put({"shorter": memoryview(b"ab")}, 60)
        with pytest.raises(ConnectionError, match="wanted 3"):
            redis.take(["shorter"], [memoryview(bytearray(3))])


def test_no_password_is_shown() -> None:
    told = Exchange("auto", ("http://127.0.0.1:1", None, "keys.json"), "s3://b/p", RedisAt("h", 1, "hidden"))
    assert "hidden" not in repr(told)


def test_a_stack_without_a_cache_refuses_redis(sessions: Sessions) -> None:
    bare = Sessions(sessions.outputs.model_copy(update={"cache": None}), sessions.access, {})
    with bare, pytest.raises(EngineError, match="has no cache"):
        stage.exchange_of(bare, "redis")


def test_an_error_pickles_with_all_it_says() -> None:
    import pickle

    error = FunctionOutOfMemory("f", 3, "'x'", "out-of-memory", 1, "killed")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.index, type(again)) == (str(error), 3, FunctionOutOfMemory)


def _everything(sessions: Sessions) -> Iterator[tuple[str, bytes]]:
    """Every object of the stack's buckets."""
    client = s3_client(sessions.access)
    out = sessions.outputs
    for bucket in (out.working_bucket, out.data_bucket, out.results_bucket):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=str(bucket)):
            for found in page.get("Contents", []):
                body = client.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                yield f"s3://{bucket}/{found['Key']}", body


def test_no_secret_is_in_any_object_of_the_buckets(sessions: Sessions) -> None:
    """Lithops leaves functions and their arguments in the working bucket, where they stay for days on AWS."""
    out = sessions.outputs
    keys = json.loads(Path(str(out.s3_secret_at)).read_text())
    assert out.cache is not None
    secrets = [Path(out.cache.secret_at).read_text().strip(), *keys.values()]
    for way in ("redis", "s3"):
        assert [r.result().size for r in made(sessions, np.arange, exchange=way)([LARGE])] == [LARGE]
    (pool,) = sessions.of("lithops")
    # As a reader's function, which is given beside its part how to reach the bucket.
    assert next(pool.stream(stat, [(sessions.access, f"s3://{out.working_bucket}/none")])).result is None
    found = dict(_everything(sessions))
    assert any("lithops.jobs/" in name for name in found), "nothing was looked at"
    assert [name for name, body in found.items() for secret in secrets if secret.encode() in body] == []
