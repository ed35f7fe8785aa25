"""The built images in containers of this machine, with AWS's answers beside them."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.bundle import PACKAGES, pins
from ops import images
from tests.images.containers import DRIVER, GATEWAY, Containers, found, write
from tests.images.region import KEYS, PATIENCE

ROOT = Path(__file__).parents[2]
_TIMES_S: dict[str, float] = {}
# What `docker run` on the driver host gives its container besides: the instance's network and role. The packages that a
# driver adds to its image are there before it asks a registry for them.
DOCKER = """#!/bin/bash
set -eu
[ "$1" = run ] || exec {runtime} "$@"
shift
given=()
while [[ $1 == -* ]]; do
  case "$1" in
    --network) given+=(--network {network} --ip {address}); shift 2 ;;
    --ipc) given+=(--shm-size 8g); shift 2 ;;
    --volume) cp -r {packages}/. "${{2%%:*}}"; chmod -R a+rX "${{2%%:*}}"; given+=("$1" "$2"); shift 2 ;;
    --init) shift ;; # podman's is a package of its own, which is often not there
    --rm) given+=("$1"); shift ;;
    *) given+=("$1" "$2"); shift 2 ;;
  esac
done
exec {runtime} run {environment} "${{given[@]}}" "$@"
"""


@pytest.fixture(scope="session")
def containers() -> Containers:
    runtime = found()
    if isinstance(runtime, str):
        pytest.skip(runtime)
    return runtime


@pytest.fixture(scope="session")
def record() -> Callable[[str, float], None]:
    """Keeps a measured time, in seconds, by what it is of; printed with the images' sizes at the end of the run."""
    return _TIMES_S.__setitem__


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What benchmarks/images.md holds."""
    runtime = found()
    if not _TIMES_S or isinstance(runtime, str):
        return
    terminalreporter.section("images: sizes and start times")
    for image in images.IMAGES:
        size = int(runtime("image", "inspect", "--format", "{{.Size}}", images.tag(image)))
        terminalreporter.line(f"| {image} image | {size / 1e6:.0f} MB |")
    for name, seconds in _TIMES_S.items():
        terminalreporter.line(f"| {name} | {seconds:.1f} s |")


@pytest.fixture(scope="session")
def network(containers: Containers) -> Iterator[str]:
    with containers.network() as name:
        yield name


@pytest.fixture(scope="session")
def endpoint(network: str) -> Iterator[str]:
    """An endpoint with moto's answers, at the network's gateway; every client of this process and of those it starts
    meets it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request would hide what failed
    server = ThreadedMotoServer(ip_address=GATEWAY, port=0, verbose=False)
    server.start()
    url = f"http://{GATEWAY}:{server.get_host_and_port()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_ENDPOINT_URL": url, **KEYS}.items():
            patch.setenv(name, value)
        yield url
    server.stop()


@pytest.fixture(scope="session")
def driver_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a driver installs beside its image's packages, by the same pins."""
    folder = tmp_path_factory.mktemp("driver")
    wanted = write(folder / "pins.txt", pins((ROOT / "requirements.txt").read_text(), PACKAGES))
    target = folder / "packages"
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--no-deps", "--require-hashes"]
    subprocess.run(
        [*command, "--compile-bytecode", "--python-version", "3.11", "--target", target, "-r", wanted], check=True
    )
    return target


@pytest.fixture
def shell(containers: Containers, network: str, endpoint: str, driver_packages: Path, tmp_path: Path) -> Any:
    """Runs a text as a host of the network would, with its `docker`."""
    tools = tmp_path / "bin"
    tools.mkdir()
    environment = [
        f"--env={name}={value}" for name, value in {"AWS_ENDPOINT_URL": endpoint, **KEYS, **PATIENCE}.items()
    ]
    write(
        tools / "docker",
        DOCKER.format(
            runtime=shlex.join(containers.command),
            network=network,
            address=DRIVER,
            packages=driver_packages,
            environment=shlex.join(environment),
        ),
    )
    write(tools / "cloud-init", "#!/bin/sh\n")
    path = {"PATH": f"{tools}:{os.environ['PATH']}", "BREAKEVEN_DRIVER_DIR": str(tmp_path)}
    path["BREAKEVEN_BOOT_DIR"] = str(tmp_path)
    (tmp_path / "booted").touch()  # as the host's own first boot leaves it

    def run(text: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "driver.log").open("wb") as log:
            return subprocess.Popen(
                ["bash", "-c", text],
                cwd=tmp_path,
                env={**os.environ, **path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    return run
