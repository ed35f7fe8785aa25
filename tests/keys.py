"""Keys of an S3 endpoint in a file, as embedded stacks keep them."""

import json
from pathlib import Path


def keys_file(path: Path, key_id: str, secret: str) -> str:
    """Write them, and return where they are, as `tasks.objects.Access` wants it."""
    path.write_text(json.dumps({"accessKeyId": key_id, "secretAccessKey": secret}))
    return str(path)
