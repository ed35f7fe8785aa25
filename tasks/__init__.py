"""Code that runs inside workers. Imports only what every worker image holds, and nothing else of this repository.

The session ships this folder to the workers and compares `code_hash` there, so a stale copy cannot be timed.
"""

import hashlib
from importlib.resources import files


def code_hash() -> str:
    """First 16 hexadecimal digits of the SHA-256 over this folder's Python files, names included, in name order."""
    digest = hashlib.sha256()
    sources = [path for path in files(__name__).iterdir() if path.name.endswith(".py")]  # Dask ships them in an archive
    for path in sorted(sources, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
