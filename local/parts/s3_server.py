"""The S3 endpoint: `rclone serve s3` over a folder, a bucket being a folder in it."""

import json
import os
import secrets
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.parts.launch import Facts, Launch
from local.ports import LOOPBACK
from local.state import Place, secret


@dataclass(frozen=True)
class S3:
    """The object store; `buckets` are made if they are not there."""

    name: str = "s3"
    buckets: tuple[str, ...] = ()
    port: int = 0
    needs: tuple[str, ...] = ()

    def launch(self, place: Place, port: int, needs: dict[str, Facts]) -> Launch:
        for bucket in self.buckets:
            (place.data / bucket).mkdir(exist_ok=True)
        at = place.secret(f"{self.name}.json")
        keys = json.loads(secret(at, _new_keys))
        command = [
            str(Path(sysconfig.get_path("scripts")) / "rclone"), "serve", "s3", str(place.data),
            "--addr", f"{LOOPBACK}:{port}",
            "--config", "/dev/null",  # the user's own remotes are none of ours
            # Long: once a folder is forgotten, rclone reads each of its files whole for their ETags again. Nothing but
            # this server changes the folder while it runs.
            "--vfs-cache-mode", "off", "--dir-cache-time", "24h", "--poll-interval", "0",
        ]  # fmt: skip
        endpoint = f"http://{LOOPBACK}:{port}"

        def ready() -> Facts | None:
            return {} if set(self.buckets) <= _buckets(endpoint, keys) else None

        return Launch(
            command=command,
            # In the environment, not the command line: that is for all to read. Quoted, since rclone reads a list.
            env={"RCLONE_AUTH_KEY": f'"{keys["accessKeyId"]},{keys["secretAccessKey"]}"'},
            facts={"address": endpoint, "secret_at": str(at)},
            ready=ready,
        )


def _new_keys() -> str:
    return json.dumps({"accessKeyId": secrets.token_hex(10), "secretAccessKey": secrets.token_urlsafe(30)})


def _buckets(endpoint: str, keys: dict[str, str]) -> set[str]:
    import botocore.session  # noqa: PLC0415 (half a second that `status` and `check` don't pay)
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    # By option: its name in a file, in the environment, its value. The caller's profile may not even exist.
    nobodys = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    client: Any = botocore.session.Session(session_vars=nobodys).create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        config=Config(connect_timeout=1, read_timeout=5, retries={"max_attempts": 0}, proxies={}),
    )  # fmt: skip
    try:
        return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    except (BotoCoreError, ClientError):
        return set()
    finally:
        client.close()
