"""What the boot scripts ask of AWS, from inside the image: this host's facts, the head's address, a secret, the log.

    boot.py fact local-ipv4            one item of the instance metadata (version 2 only)
    boot.py head GROUP                 private address of the head, once its group has a running instance
    boot.py secret NAME FOLDER         each entry of a secret as a file in FOLDER that only this user can read
    boot.py publish LOG BUCKET KEY     the boot log to the working bucket, where the start-up experiment reads it

Endpoints come from AWS_ENDPOINT_URL and AWS_EC2_METADATA_SERVICE_ENDPOINT where set, as for any AWS client.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
# Sixty-four hosts ask at once; the client's adaptive mode spreads them below the API's rate.
PATIENT = Config(retries={"mode": "adaptive", "max_attempts": 10})
# A role made a moment ago is not known everywhere at once: a refusal counts only when it has lasted this long.
ROLE_KNOWN_S = 60.0
REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "InvalidClientTokenId")
HEAD_DEADLINE_S = float(os.environ.get("BREAKEVEN_HEAD_DEADLINE_S", "600"))


Answer = TypeVar("Answer")


def again(ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns, asked again while the host's role or its metadata is not there yet."""
    until = time.monotonic() + ROLE_KNOWN_S
    while True:
        try:
            return ask()
        except (ClientError, NoCredentialsError, requests.RequestException) as error:
            refused = not isinstance(error, ClientError) or error.response["Error"]["Code"] in REFUSED
            if not refused or time.monotonic() > until:
                raise
        time.sleep(random.uniform(1, 3))  # noqa: S311  jitter is no secret


def fact(path: str) -> str:
    """One item below latest/meta-data."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
    token = requests.put(f"{METADATA}/latest/api/token", headers=lifetime, timeout=5)
    token.raise_for_status()
    shown = {"X-aws-ec2-metadata-token": token.content.decode("ascii")}
    answer = requests.get(f"{METADATA}/latest/meta-data/{path}", headers=shown, timeout=5)
    answer.raise_for_status()
    return answer.content.decode("ascii")  # not .text, which guesses: it took ten such digits for UTF-16


def head(group: str) -> str:
    """Private IPv4 address of the group's running instance. Raises TimeoutError after HEAD_DEADLINE_S."""
    ec2 = boto3.client("ec2", config=PATIENT)
    filters = [
        {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    deadline = time.monotonic() + HEAD_DEADLINE_S
    while time.monotonic() < deadline:
        answer = again(lambda: ec2.describe_instances(Filters=filters))
        found = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
        if found:
            # The newest: an old head that is being ended may still be there.
            return str(max(found, key=lambda instance: instance["LaunchTime"])["PrivateIpAddress"])
        time.sleep(1)
    raise TimeoutError(
        f"found no running instance in group {group} within {HEAD_DEADLINE_S:.0f} s; is the head scaled up?"
    )


def secret(name: str, folder: Path) -> None:
    """Write each entry of the JSON secret as folder/<entry>."""
    client = boto3.client("secretsmanager", config=PATIENT)
    value = again(lambda: client.get_secret_value(SecretId=name))["SecretString"]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry, text in json.loads(value).items():
        path = folder / entry
        path.touch(mode=0o600)
        path.write_text(text)


def publish(log: Path, bucket: str, key: str) -> None:
    """Put the log where sessions look for it."""
    client = boto3.client("s3", config=PATIENT)
    again(lambda: client.put_object(Bucket=bucket, Key=key, Body=log.read_bytes()))


def main(verb: str, *rest: str) -> None:
    """Run one verb."""
    match verb, rest:
        case "fact", (path,):
            print(again(lambda: fact(path)))
        case "head", (group,):
            print(head(group))
        case "secret", (name, folder):
            secret(name, Path(folder))
        case "publish", (log, bucket, key):
            publish(Path(log), bucket, key)
        case _:
            raise SystemExit(f"found {verb} {' '.join(rest)}, wanted one of:\n{__doc__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
