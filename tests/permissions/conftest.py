"""Modules of `runtimes/`, which are no packages: they are copied into images, one beside the other."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

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
