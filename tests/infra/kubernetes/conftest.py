"""The operators' own definitions, and the strictness of an API server that is asked for fieldValidation=Strict."""

import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]
Check = Callable[[Mapping[str, Any]], list[str]]


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON schema that refuses unknown fields, which an API server would drop with a warning."""
    out = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string"):
        out = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if out.get("nullable"):
        out["type"] = [out.pop("type"), "null"]
    if "properties" in out:
        out["properties"] = {key: _strict(value) for key, value in out["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in out:
            out["additionalProperties"] = False
    if isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = _strict(out["additionalProperties"])
    if "items" in out:
        out["items"] = _strict(out["items"])
    return out


def _definitions(paths: list[Path]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for path in paths:
        for document in yaml.safe_load_all(path.read_text()):
            if document and document.get("kind") == "CustomResourceDefinition":
                spec = document["spec"]
                for version in spec["versions"]:
                    schema = _strict(version["schema"]["openAPIV3Schema"])
                    for key in ("apiVersion", "kind", "metadata"):
                        schema["properties"].setdefault(key, {})
                        schema["properties"][key].pop("additionalProperties", None)
                    yield (f"{spec['group']}/{version['name']}", spec["names"]["kind"]), schema


def _checker(paths: list[Path]) -> Check:
    schemas = dict(_definitions(paths))

    def check(body: Mapping[str, Any]) -> list[str]:
        schema = schemas[body["apiVersion"], body["kind"]]
        errors = jsonschema.Draft202012Validator(schema).iter_errors(body)
        return [f"{'.'.join(map(str, error.path))}: {error.message:.200}" for error in errors]

    return check


@pytest.fixture(scope="session")
def kuberay() -> Check:
    """Problems of a Ray body by KubeRay's definitions, which are not part of this project."""
    folder = Path(os.environ.get("BREAKEVEN_KUBERAY_CRDS") or ROOT.parent / "shared" / "reference" / "crds")
    paths = sorted(folder.glob("ray.io_*.yaml"))
    if not paths:
        pytest.skip(f"no KubeRay definitions in {folder.name}: set BREAKEVEN_KUBERAY_CRDS to config/crd/bases of 1.7.0")
    return _checker(paths)


@pytest.fixture(scope="session")
def dask_operator() -> Check:
    """Problems of a Dask body by the definitions that dask-kubernetes carries for its Helm chart."""
    found = find_spec("dask_kubernetes")
    if found is None or found.origin is None:
        pytest.skip("dask-kubernetes is not installed: it carries the operator's definitions")
    chart = Path(found.origin).parent / "operator" / "deployment" / "helm" / "dask-kubernetes-operator"
    return _checker(sorted((chart / "crds").glob("*.yaml")))
