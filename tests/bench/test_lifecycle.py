"""What functions are billed: the user's code, the handler around it, and the start of each new sandbox."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import lifecycle
from bench.sessions.on_lithops import LithopsSession
from plan.estimate import parameters
from plan.estimate.parameters import Draws
from plan.outputs import FunctionsOutputs, Outputs
from tasks.trace import Trace

KNOWN = Draws(parameters.read(), "lithops", "local")
AROUND_S, INIT_S = KNOWN["handler_s"], KNOWN["init_s"]


def session(tmp_path: Path, platform: str) -> LithopsSession:
    """A session of which no executor is asked anything."""
    pool = FunctionsOutputs.model_validate(
        {
            "platform": platform,
            "max_workers": 2,
            "memory_mib": 1024,
            "timeout_s": 60,
            "limit_enforced_by": "none",
            "runtime": "python",
        }
    )
    made = LithopsSession.__new__(LithopsSession)
    made.keeps_workers, made._functions, made._met, made._new_sandboxes = platform == "lambda", pool, set(), 0
    made._beside = KNOWN
    return made


def call(worker: str, busy_s: float = 2.0, worker_s: float = 2.5) -> tuple[Trace, Any]:
    stats = {"worker_start_tstamp": 99.0, "worker_end_tstamp": 99.0 + worker_s}
    return Trace(worker, 1, 100.0, 100.0 + busy_s, 1024, "none"), SimpleNamespace(stats=stats)


def test_a_call_is_billed_with_its_handler_and_a_new_sandbox_with_its_start(tmp_path: Path) -> None:
    on_lambda = session(tmp_path, "lambda")
    billed = [on_lambda.billed(*call(worker)).billed_s for worker in ("a", "b", "a")]
    assert billed == pytest.approx([2.5 + AROUND_S + INIT_S, 2.5 + AROUND_S + INIT_S, 2.5 + AROUND_S])


def test_a_cold_local_runtime_starts_as_many_sandboxes_as_it_has_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = session(tmp_path, "local")
    monkeypatch.setattr("bench.sessions.on_lithops.subprocess.run", lambda *_, **__: None)
    assert local.billed(*call("a")).billed_s == pytest.approx(2.5 + AROUND_S)
    local.recycle()
    billed = [local.billed(*call(worker)).billed_s for worker in ("b", "c", "d")]
    assert billed == pytest.approx([2.5 + AROUND_S + INIT_S, 2.5 + AROUND_S + INIT_S, 2.5 + AROUND_S])


def test_a_worker_that_tells_no_times_is_billed_for_its_code_and_the_handler(tmp_path: Path) -> None:
    trace, _ = call("a")
    assert session(tmp_path, "local").billed(trace, SimpleNamespace(stats={})).billed_s == pytest.approx(2 + AROUND_S)


def test_rows_tell_billed_seconds_and_those_of_the_code_apart() -> None:
    outputs = Outputs.model_validate(
        {
            **{"stack": "s", "program": "bench", "region": "us-east-1", "worker_memory_mib": 2048, "worker_vcpu": 1},
            "functions": {
                **{"platform": "lambda", "max_workers": 2, "memory_mib": 2048, "timeout_s": 60},
                **{"limit_enforced_by": "lambda", "runtime": "image"},
            },
        }
    )
    traces = [Trace(name, 1, 0.0, 2.0, 1, "none", held_s=2.4) for name in "ab"]
    found = lifecycle.functions(outputs, traces)
    assert (found.function_s, found.function_code_s, found.function_requests) == (4.8, 4.0, 2)
    assert found.function_gb_s == pytest.approx(4.8 * 2)
