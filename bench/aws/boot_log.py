"""What a stack's hosts have published of their boot below boot/<stack>/ in the working bucket (runtimes/).

`<instance>.jsonl`: the phases of a boot that came as far as its engine. `<instance>.log`: what a host said before it
left.
"""

import itertools
import json
import statistics
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from plan.outputs import Outputs

_LAST_LINES = 5


def phases_s(s3: Any, outputs: Outputs, instances: Iterable[str]) -> dict[str, float]:
    """Seconds between one boot stamp and the next, by the later one's name: medians over the logs of these instances.
    Empty where none is there."""
    found: dict[str, list[float]] = {}
    for instance in instances:  # one without a log joined before it was there, or is an old image's
        for phase, seconds in between((_read(s3, outputs, f"{instance}.jsonl") or "").splitlines()):
            found.setdefault(phase, []).append(seconds)
    return {phase: statistics.median(seconds) for phase, seconds in found.items()}


def between(lines: Iterable[str]) -> list[tuple[str, float]]:
    """(phase, seconds since the stamp before it) of a boot log's lines, in the order of time."""
    stamps = sorted((float(stamp["at"]), str(stamp["phase"])) for stamp in map(json.loads, lines))
    return [(phase, at - before) for (before, _), (at, phase) in itertools.pairwise(stamps)]


def why_gone(s3: Any, outputs: Outputs, instance: str) -> str:
    """The last lines of what a host published when it left; where to look if it published nothing."""
    said = [line for line in (_read(s3, outputs, f"{instance}.log") or "").splitlines() if line.strip()]
    if said:
        return f"its log {place(outputs)}{instance}.log ends with: " + " | ".join(said[-_LAST_LINES:])
    return f"it published no log: `aws ec2 get-console-output --instance-id {instance}` may say why"


def place(outputs: Outputs) -> str:
    """Where the logs of a stack lie."""
    return f"s3://{outputs.working_bucket}/boot/{outputs.stack}/"


def _read(s3: Any, outputs: Outputs, name: str) -> str | None:
    with suppress(ClientError, BotoCoreError):
        body = s3.get_object(Bucket=str(outputs.working_bucket), Key=f"boot/{outputs.stack}/{name}")["Body"].read()
        return str(body.decode(errors="replace"))
    return None
