"""Runs as a Job in the cluster: deletes every object of the collections named on the command line.

This file alone is the Job's code, so it imports nothing but the standard library. Each argument is a collection's path,
such as /apis/ray.io/v1/namespaces/k8s-50/rayclusters, with `?labelSelector=` where not all of it goes.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount"))
SERVER = os.environ.get("API_SERVER", "https://kubernetes.default.svc")


def delete(path: str) -> str:
    """Ask for the deletion of a collection, pods and all; what the API server says, in short."""
    join = "&" if "?" in path else "?"
    request = urllib.request.Request(f"{SERVER}{path}{join}propagationPolicy=Background", method="DELETE")  # noqa: S310
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text().strip()}")
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")) if SERVER.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:  # noqa: S310
            return f"{answer.status}"
    except urllib.error.HTTPError as error:
        # The operator that brings the kind may be gone already: then nothing of it can be left.
        return "404 (no such kind)" if error.code == 404 else f"refused: {error.code} {error.read()[:300]!r}"
    except OSError as error:
        return f"refused: {error}"


if __name__ == "__main__":
    answers = {path: delete(path) for path in sys.argv[1:]}
    for path, answer in answers.items():
        print(f"DELETE {path}: {answer}", flush=True)
    sys.exit(1 if any(answer.startswith("refused") for answer in answers.values()) else 0)
