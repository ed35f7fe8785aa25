"""A cloud with a stack in it, and modules of `runtimes/`, which are no packages: images hold them beside each other."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from plan.outputs import Outputs
from tests.permissions.cloud import Cloud, make_stack, outputs_of_stack
from tests.permissions.declared import ROOT


@pytest.fixture
def load_boot() -> Callable[[str], Any]:
    """A module of the cluster image, loaded by its name."""

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, ROOT / f"runtimes/cluster/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A stack's buckets, secret, groups and a host, all past their expiry."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    made = Cloud("http://{}:{}".format(*server.get_host_and_port()))
    requests.post(f"{made.endpoint}/moto-api/reset", timeout=10).raise_for_status()  # one in a process
    make_stack()
    yield made
    made.end()
    server.stop()


@pytest.fixture
def outputs(cloud: Cloud) -> Outputs:
    """What the cloud's stack exports."""
    return outputs_of_stack()
