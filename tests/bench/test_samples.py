"""Order of samples, and the judgement that a sample is what it says."""

from bench.samples import Sample, Seen, plan

COLD = Sample("dask", "dask", "cold", 0)
WARM = Sample("dask", "dask", "warm", 0)
UNTIMED = Sample("dask", "dask", "none", 0)


def test_colds_first_then_two_untimed_then_warm_with_engines_in_turns() -> None:
    taken = [(s.label, s.condition) for s in plan([("a", "ray"), ("b", "dask")], repeats=2, cold=1)]
    turns = ["cold", "none", "none", "warm", "warm"]
    assert taken == [(label, condition) for condition in turns for label in ("a", "b")]


def test_no_repeats_need_no_untimed_runs() -> None:
    assert {s.condition for s in plan([("a", "ray")], repeats=0, cold=1)} == {"cold"}
    assert {s.condition for s in plan([("a", "ray")], repeats=1, cold=0)} == {"none", "warm"}


def test_a_cold_sample_in_a_worker_met_before_is_dropped() -> None:
    seen = Seen()
    assert seen.judge(COLD, {"host:1:5"}) is None
    again = seen.judge(COLD, {"host:1:5", "host:2:6"})
    assert again
    assert again.kind == "not-cold"
    assert seen.judge(COLD, {"host:1:7"}) is None  # the pid again, another process


def test_a_warm_sample_in_a_new_worker_is_dropped() -> None:
    seen = Seen()
    seen.judge(UNTIMED, {"host:1:5"})
    assert seen.judge(WARM, {"host:1:5"}) is None
    fresh = seen.judge(WARM, {"host:1:5", "host:2:6"})
    assert fresh
    assert "new workers" in fresh.message
