"""What a driver elsewhere needs to run a workload: the code, the stack's file and outputs, named by their content.

Also the packages that the harness imports and the workers' image lacks: a worker that carried them would boot later.
"""

import gzip
import hashlib
import io
import re
import tarfile
from pathlib import Path

from plan.outputs import Outputs

CODE = ("bench", "catalog", "plan", "tasks", "workloads")
OUTPUTS_FILE = "outputs.json"
PINS_FILE = "driver-requirements.txt"
# pydantic, rich, scipy and simpy with what they need; a test holds the list to what the workloads import.
PACKAGES = (
    *("annotated-types", "pydantic", "pydantic-core", "typing-inspection"),
    *("markdown-it-py", "mdurl", "pygments", "rich"),
    *("scipy", "simpy"),
    "scikit-image",  # not imported: its wheel carries the photographs of the palettes (bench.images)
)
# kr8s with what it needs, for a driver that moves pods.
PODS = (
    *("anyio", "cachetools", "exceptiongroup", "h11", "httpcore", "httpx", "httpx-ws", "kr8s"),
    *("python-box", "python-jsonpath", "wsproto"),
)
_KINDS = {".css", ".csv", ".j2", ".js", ".json", ".py"}

_MADE_AT = 315_619_200
"""2 January 1980, of every file: a session packs the code for workers as ZIP, which knows no earlier day."""

# What runs there before the command: no image holds the code, so that a change of it needs no new image. The archive is
# our own, which is why its content must have the hash in its name; `filter` came with Python 3.11.4.
FETCH = (
    "import boto3, hashlib, io, sys, tarfile; "
    "bucket, key = sys.argv[1:]; "
    "body = boto3.client('s3').get_object(Bucket=bucket, Key=key)['Body'].read(); "
    "found = hashlib.sha256(body).hexdigest(); "
    "key == f'driver/{found}.tar.gz' or "
    "sys.exit(f's3://{bucket}/{key}: found SHA-256 {found}, which is not the code that was sent: not run'); "
    "tarfile.open(fileobj=io.BytesIO(body)).extractall('.')"
)


def install(outputs: Outputs) -> str:
    """The shell line that brings what a driver of this stack needs and its image lacks."""
    needed = "pydantic, rich, scipy, simpy" + (", kr8s" if outputs.kubernetes else "")
    return (
        f"python -c 'import {needed}' 2>/dev/null || python -m pip install --quiet "
        f"--disable-pip-version-check --no-deps --only-binary :all: --require-hashes --target . -r {PINS_FILE}"
    )


def bundle(root: Path, outputs: Outputs) -> tuple[str, bytes]:
    """A key and a tar archive; equal content, equal key. Only code and tables: secrets are named in the outputs, and
    fetched where the driver runs."""
    paths = [path for part in CODE for path in (root / part).rglob("*") if path.suffix in _KINDS and path.is_file()]
    files = {path.relative_to(root): path.read_bytes() for path in paths if "__pycache__" not in path.parts}
    files[Path(f"Pulumi.{outputs.stack}.yaml")] = (root / f"Pulumi.{outputs.stack}.yaml").read_bytes()
    files[Path(OUTPUTS_FILE)] = outputs.model_dump_json(by_alias=True).encode()
    files[Path(PINS_FILE)] = pins((root / "requirements.txt").read_text(), packages(outputs)).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(str(path))
            entry.size, entry.mtime = len(content), _MADE_AT
            archive.addfile(entry, io.BytesIO(content))
    body = gzip.compress(packed.getvalue(), mtime=0)
    return f"driver/{hashlib.sha256(body).hexdigest()}.tar.gz", body


def packages(outputs: Outputs) -> tuple[str, ...]:
    """What a driver of this stack needs besides what its image holds."""
    return PACKAGES + (PODS if outputs.kubernetes else ())


def pins(requirements: str, names: tuple[str, ...] = PACKAGES) -> str:
    """The lines of these packages, hashes included, out of the project's own; all of a package that has one for each of
    several Pythons. Raises ValueError for one without."""
    found: dict[str, str] = {}
    for block in re.split(r"^(?=\S)", requirements, flags=re.MULTILINE):
        name, pinned, _ = block.partition("==")
        if pinned:
            found[name] = found.get(name, "") + block
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"requirements.txt: found no pin of {', '.join(missing)}: run `make pins`")
    return "".join(found[name] for name in names)
