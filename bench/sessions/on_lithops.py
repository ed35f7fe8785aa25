"""A session on a pool of functions, by Lithops. Code goes with each job as an included module."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from bench.sessions.session import Args, Cancelled, Done, Fleet, SessionError, never
from plan.estimate import parameters
from plan.estimate.parameters import Draws
from plan.outputs import FunctionsOutputs
from tasks.objects import Access, s3_client
from tasks.trace import Trace, traced
from tasks.upload import remove_all

# Seconds between two looks at the bucket for ended functions: Lithops's own is 2 s, longer than a small job.
_LOOK_S = 0.05


def config(functions: FunctionsOutputs, access: Access, bucket: str) -> dict[str, Any]:
    """Lithops's configuration for a stack's pool. Nothing is read from the user's own Lithops files."""
    common = {
        "monitoring_interval": _LOOK_S,
        "data_cleaner": False,
        "telemetry": False,
        "execution_timeout": functions.timeout_s,
    }
    if functions.platform == "local":
        key_id, secret = access.keys()
        # Version 1: one runner per job with a pool of forked workers. The default starts an interpreter per task.
        return {
            "lithops": {"backend": "localhost", "storage": "minio", "log_level": None, **common},
            "localhost": {"version": 1, "runtime": functions.runtime, "worker_processes": functions.max_workers},
            "minio": {
                "endpoint": access.endpoint_url,
                "access_key_id": key_id,
                "secret_access_key": secret,
                "storage_bucket": bucket,
            },
        }
    return {
        "lithops": {"backend": "aws_lambda", "storage": "aws_s3", "log_level": None, **common},
        # Both are in the function's name: with others, Lithops would make a function of its own.
        "aws": {"region": access.region, "namespace": functions.namespace, "user_id": functions.user_id},
        "aws_lambda": {
            "execution_role": functions.role_arn,
            "runtime": functions.runtime,
            "runtime_memory": functions.memory_mib,
            "runtime_timeout": functions.timeout_s,
            "max_workers": functions.max_workers,
        },
        "aws_s3": {"storage_bucket": bucket},
    }


class LithopsSession:
    """Lithops's executor in this process."""

    engine = "lithops"

    def __init__(self, functions: FunctionsOutputs, access: Access, bucket: str, code: Path):
        # Lithops makes its own S3 clients, in workers too, which inherit these; rclone's endpoint sends no checksums.
        os.environ.update(
            AWS_REQUEST_CHECKSUM_CALCULATION="when_required", AWS_RESPONSE_CHECKSUM_VALIDATION="when_required"
        )
        before = tempfile.gettempdir()
        # Lithops decides where its files lie when it is imported (lithops.constants).
        tempfile.tempdir = functions.temp_dir or before
        import lithops
        from lithops.storage import storage

        tempfile.tempdir = before
        # By default below the home folder, which may not be writable, and may hold what an older deployment left.
        storage.CACHE_DIR = str(code.parent / "lithops-cache")
        # Where Lithops looks for the module it ships: it walks the path and asks no editable install's finder.
        sys.path.insert(0, str(code))
        self._code = str(code)
        self.platform: str = functions.platform
        self.keeps_workers = functions.platform == "lambda"
        self._functions, self._access, self._bucket = functions, access, bucket
        self.executor = lithops.FunctionExecutor(config=config(functions, access, bucket))
        self._met: set[str] = set()
        self._new_sandboxes = 0  # on one machine: those of a runtime that was made cold, and not yet called
        self._beside = Draws(parameters.read(), "lithops", functions.platform)

    def fleet(self) -> Fleet:
        held = self._functions.memory_mib if self._functions.limit_enforced_by != "none" else None
        return Fleet(self._functions.max_workers, 1.0, held)

    def stream(self, function: Callable[..., Any], items: Sequence[Args]) -> Iterator[Done]:
        # Each item is a tuple of one: Lithops spreads a tuple over the function's parameters.
        work = [((function, item),) for item in items]
        futures = self.executor.map(traced, work, include_modules=["tasks"])
        index = {future.call_id: number for number, future in enumerate(futures)}
        yield from self.collect(futures, index)

    def collect(self, futures: Sequence[Any], index: dict[str, int]) -> Iterator[Done]:
        """Results of `futures`, each a result with its trace, as they end."""
        running = list(futures)
        while running:
            ended, running = self.executor.wait(
                running, return_when=1, download_results=True, show_progressbar=False, wait_dur_sec=_LOOK_S
            )
            for future in ended:
                result, trace = future.result()
                yield Done(index[future.call_id], result, self.billed(trace, future))

    def billed(self, trace: Trace, future: Any) -> Trace:
        """The trace with all seconds that a platform bills for the call, user's code or not.

        Lithops says when its worker began and ended around the code. What its handler does before and after (download
        of function and data, the status) and a new sandbox's start (billed too) no worker can say:
        they are parameters, measured by `bench.handler`.
        """
        began, ended = (float(future.stats.get(f"worker_{at}_tstamp") or 0.0) for at in ("start", "end"))
        around_s = max(ended - began, trace.busy_s) + self._beside["handler_s"]
        return replace(trace, held_s=around_s + (self._beside["init_s"] if self._starts(trace.worker) else 0.0))

    def _starts(self, worker: str) -> bool:
        """Whether the call was its sandbox's first, as far as this session has seen; locally of a cold runtime."""
        if self.keeps_workers:
            new = worker not in self._met
            self._met.add(worker)
            return new
        self._new_sandboxes -= 1
        return self._new_sandboxes >= 0

    def recycle(self) -> None:
        """On one machine: a runtime that has imported nothing, as after a new deployment. On Lambda a changed
        configuration: calls after it find no sandbox of before."""
        if not self.keeps_workers:
            subprocess.run([self._functions.runtime, "cold"], check=True, timeout=30)
            self._new_sandboxes = self._functions.max_workers
            return
        client = boto3.client("lambda", region_name=self._access.region)
        name = str(self._functions.name)
        kept = client.get_function(FunctionName=name)["Configuration"].get("Environment", {}).get("Variables", {})
        fresh = {**kept, "BREAKEVEN_COLD": uuid.uuid4().hex}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": fresh})
        client.get_waiter("function_updated_v2").wait(FunctionName=name)

    def scale(self, nodes: int, slots: int | None = None, cancelled: Cancelled = never) -> None:
        """On one machine the pool has a size, which is set for what is called next; nothing starts before."""
        if self.platform != "local":
            raise SessionError("lithops has no nodes to scale: functions start by themselves")
        import lithops

        self._clear()
        self._functions = self._functions.model_copy(update={"max_workers": nodes * (slots or 1)})
        self.executor = lithops.FunctionExecutor(config=config(self._functions, self._access, self._bucket))

    def cancel(self) -> None:
        self.executor.clean(clean_cloudobjects=False, on_exit=True)

    def close(self) -> None:
        """End runners that still run, and remove what the jobs left in the bucket."""
        sys.path.remove(self._code)
        self._clear()

    def _clear(self) -> None:
        self.executor.job_monitor.stop()  # else it looks for what was cancelled until this process ends, and after
        self.executor.compute_handler.clear()
        pages = (
            s3_client(self._access)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._bucket, Prefix=f"lithops.jobs/{self.executor.executor_id}")
        )
        left = (found["Key"] for page in pages for found in page.get("Contents", []))
        remove_all(self._access, (f"s3://{self._bucket}/{key}" for key in left))
