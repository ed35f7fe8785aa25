"""The model against published figures that it was not fitted to: points by relative error, bounds by inside or outside.

`python -m plan.estimate.backtest` prints the list. Every figure is a row of catalog/published/costs_backtest.csv, which
also names those that were used to fit the parameters, so that none is counted twice.
"""

import csv
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from catalog.instances import instance
from plan.estimate import queueing
from plan.estimate.parameters import PARAMETERS_CSV, Draws, Parameters, read
from plan.estimate.phases import MB_PER_GB, WORKERS, Work, run, sort_s, workers_start_s
from plan.faults import reported
from plan.sizing import LAMBDA_MIB_PER_VCPU, Size

BACKTEST_CSV = PARAMETERS_CSV.parent / "published" / "costs_backtest.csv"
# Table 19 of the cluster study: what its own costs were made of.
USD_PER_MACHINE_S, USD_PER_FUNCTION_S, FUNCTIONS = 0.00002678, 0.0000667, 128
INGEST, FRAME_S, NODE_POWER_ON_S = Work("ingest", 50.0, pieces=128), 36.0, 180.0


@dataclass(frozen=True)
class Outcome:
    """One published figure and the model's. error is relative, of a point; inside is said of a bound."""

    name: str
    unit: str
    low: float | None
    high: float | None
    model: float
    place: str

    @property
    def error(self) -> float | None:
        return self.model / self.low - 1 if self.low is not None and self.low == self.high else None

    @property
    def inside(self) -> bool:
        return (self.low is None or self.model >= self.low) and (self.high is None or self.model <= self.high)


def backtest(parameters: Parameters | None = None) -> list[Outcome]:
    """Every published figure that was not used for calibration. Raises KeyError for one without a model."""
    models = _models(parameters or read())
    with BACKTEST_CSV.open(newline="") as lines:
        return [
            Outcome(
                row["name"],
                row["unit"],
                float(row["low"]) if row["low"] else None,
                float(row["high"]) if row["high"] else None,
                models[row["name"]](),
                f"{row['source']}, {row['place']}",
            )
            for row in csv.DictReader(lines)
            if row["used_for_calibration"] == "no"
        ]


def summary(outcomes: list[Outcome]) -> tuple[float, int, int, int]:
    """Median of the points' absolute errors, number of points, bounds that hold, number of bounds."""
    errors = [abs(one.error) for one in outcomes if one.error is not None]
    bounds = [one.inside for one in outcomes if one.error is None]
    return statistics.median(errors), len(errors), sum(bounds), len(bounds)


def _models(parameters: Parameters) -> Mapping[str, Callable[[], float]]:
    values = {engine: Draws(parameters, engine, "ec2") for engine in ("ray", "dask")}
    functions = Draws(parameters, "lithops", "lambda")
    fn = _functions(FUNCTIONS, 4096)
    sorted_too = replace(INGEST, kept=parameters.find("kept_share", "*", "*").value)

    def cluster_run(engine: str, nodes: int) -> float:
        size, p = _cluster(engine, nodes), values[engine]
        return run(size, INGEST, p).seconds + sort_s(size, sorted_too, p)

    def workers_and_run(engine: str, nodes: int, hybrid: bool) -> float:
        size, p = _cluster(engine, nodes), values[engine]
        timed = functions_run() + sort_s(size, sorted_too, p) if hybrid else cluster_run(engine, nodes)
        return workers_start_s(nodes, p) + timed

    def functions_run() -> float:
        return run(fn, INGEST, functions).seconds

    def usd(engine: str, nodes: int, machines: int, hybrid: bool) -> float:
        machine_s = values[engine]["head_start_s"] + machines * workers_and_run(engine, nodes, hybrid)
        function_s = FUNCTIONS * functions_run() if hybrid else 0.0
        return machine_s * USD_PER_MACHINE_S + function_s * USD_PER_FUNCTION_S

    def ingest(engine: str, workers: int) -> float:
        work = replace(INGEST, pieces=workers)
        if engine == "lithops":  # published: the longest time inside a function, so the straggler without the calls
            return run(_functions(workers, 4096), work, functions).loads[WORKERS]
        return run(_cluster(engine, workers // 2), work, values[engine]).seconds

    def startup(engine: str, nodes: int) -> float:
        return values[engine]["head_start_s"] + workers_start_s(nodes, values[engine])

    single = Work("one file", 5.0, pieces=1)
    return {
        "hybrid dask functions": functions_run,
        "hybrid dask workers and run": lambda: workers_and_run("dask", 4, hybrid=True),
        "hybrid ray workers and run": lambda: workers_and_run("ray", 4, hybrid=True),
        "dask workers and run": lambda: workers_and_run("dask", 64, hybrid=False),
        "ray workers and run": lambda: workers_and_run("ray", 64, hybrid=False),
        "cost of dask": lambda: usd("dask", 64, 65, hybrid=False),
        "cost of ray": lambda: usd("ray", 64, 64, hybrid=False),
        "cost of hybrid dask": lambda: usd("dask", 4, 5, hybrid=True),
        "cost of hybrid ray": lambda: usd("ray", 4, 4, hybrid=True),
        "single file ray": lambda: run(_cluster("ray", 64), single, values["ray"]).seconds,
        "single file hybrid ray": lambda: run(fn, replace(single, pieces=FUNCTIONS), functions).seconds,
        "speed-up of hybrid ray at 50 GB": lambda: cluster_run("ray", 64) / functions_run(),
        "scale-up to 25 nodes": lambda: workers_start_s(23, values["ray"]),
        "images on c5.18xlarge": lambda: _images_s("c5.18xlarge"),
        "images on functions": lambda: _images_on_functions_s(functions),
        "video of 100 frames": lambda: _video_s(100),
        "video of 1000 frames": lambda: _video_s(1000),
        "five sleeps with ray": lambda: queueing.makespan_s([0.0] * 12, 5, 1.0, [1 / values["ray"]["tasks_per_s"]]),
        **{f"50 GB with {n} workers {e}": _bind(ingest, e, n) for n in (32, 128) for e in ("ray", "dask", "lithops")},
        **{f"start of 64 nodes {engine}": _bind(startup, engine, 64) for engine in ("ray", "dask")},
    }


def _bind(of: Callable[[str, int], float], engine: str, count: int) -> Callable[[], float]:
    return lambda: of(engine, count)


def _images_s(instance_type: str) -> float:
    """1000 images of 102.5 s on the 2 vCPU of a c5.large, each run on all vCPU of the machine, one after the other."""
    return 1000 * 102.5 * instance("c5.large").vcpu / instance(instance_type).vcpu


def _images_on_functions_s(functions: Draws) -> float:
    work = Work("images", items=1000, item_core_s=102.5 * instance("c5.large").vcpu, threads=2)
    return run(_functions(1000, 3008), work, functions).seconds


def _video_s(frames: int) -> float:
    """One job cuts the video, then one job a frame; three slots at once, 27 more when nine nodes are powered on."""
    ready = [FRAME_S] * 3 + [FRAME_S + NODE_POWER_ON_S] * 27
    return queueing.makespan_s(ready, frames, FRAME_S)


def _cluster(engine: str, nodes: int) -> Size:
    """m6i.large with two workers a node; the head's machine is counted by the caller."""
    return Size(
        name=engine,
        engine="ray" if engine == "ray" else "dask",
        platform="ec2",
        instance_type="m6i.large",
        nodes=nodes,
        slots_per_node=2,
        workers=2 * nodes,
        min_workers=2 * nodes,
        declared_mib=4096,
        limit_mib=4096,
        enforced_by="none",
        vcpu_per_worker=1.0,
        node_memory_mib=8192,
        seen_mib=None,
        arithmetic="as published",
    )


def _functions(count: int, memory_mib: int) -> Size:
    vcpu = memory_mib / LAMBDA_MIB_PER_VCPU
    base = _cluster("ray", 1)
    return replace(
        base,
        name="functions",
        engine="lithops",
        platform="lambda",
        instance_type=None,
        nodes=0,
        workers=count,
        min_workers=0,
        declared_mib=memory_mib,
        vcpu_per_worker=vcpu,
    )


def main() -> None:
    """Print every figure beside the model's, then the summary."""
    outcomes = backtest()
    for one in outcomes:
        wanted = f"{one.low:g}" if one.error is not None else f"{one.low or 0:g} to {one.high or math.inf:g}"
        verdict = f"{one.error:+.0%}" if one.error is not None else ("inside" if one.inside else "OUTSIDE")
        print(f"{one.name:34} {wanted:>12} {one.model:10.4g} {one.unit:4} {verdict:8} {one.place}")
    error, points, inside, bounds = summary(outcomes)
    print(f"{points} points: median error {error:.0%}; {inside} of {bounds} bounds hold ({MB_PER_GB} MB to the GB)")


if __name__ == "__main__":
    with reported():
        main()
