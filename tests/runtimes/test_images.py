"""The images' files: pins equal everywhere, nothing unpinned, nothing that should not be in a layer."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bench.engines import ON_REQUEST
from tests.runtimes import view
from tests.runtimes.image_python import image_python
from tests.runtimes.scratch_image import Dockerfile, build_and_run

ROOT = Path(__file__).parents[2]
IMAGES = ("cluster", "functions")
SHARED = ("cloudpickle", "numpy", "pandas", "pyarrow", "boto3", "lithops", "redis")


def pins(path: Path) -> dict[str, str]:
    """Name to version of a requirements file, those for other Pythons left out."""
    found = {}
    for line in path.read_text().splitlines():
        match = re.match(r"([\w.-]+)==([\w.]+)(?: ; (.*?))?(?: \\)?$", line)
        if match and "python_full_version >= '3.12'" not in (match[3] or ""):
            found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_pins_are_the_projects_own(image: str) -> None:
    """Pickles and answers cross between driver, workers and functions: one version of each package everywhere."""
    ours, images = pins(ROOT / "requirements.txt"), pins(ROOT / f"runtimes/{image}/requirements.txt")
    assert set(SHARED) <= set(images)
    assert {name: version for name, version in images.items() if ours.get(name, version) != version} == {}


@pytest.mark.parametrize("image", IMAGES)
def test_every_requirement_has_a_hash(image: str) -> None:
    text = (ROOT / f"runtimes/{image}/requirements.txt").read_text()
    blocks = [block for block in re.split(r"\n(?=[\w.-]+==)", text) if "==" in block]
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def normal(name: str) -> str:
    """A distribution's name as requirements spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def owners() -> dict[str, set[str]]:
    """Module to the distributions of this environment that hold it."""
    found = packages_distributions().items()
    return {module: {normal(name) for name in names} for module, names in found if "/" not in module}


def imported_by_tasks() -> set[str]:
    """Packages that the code in workers imports, but for the standard library and the baselines on request."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "tasks").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "tasks", *ON_REQUEST}


@pytest.mark.parametrize("image", IMAGES)
def test_tasks_are_imported_by_the_image_s_interpreter(image: str) -> None:
    """Also what their functions import only when they run: an import that only this machine can make fails minutes into
    a run."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "tasks").rglob("*.py"))
    ]
    names = [name.removesuffix(".__init__") for name in modules] + sorted(imported_by_tasks())
    command = [str(image_python(image)), "-c", f"import {', '.join(names)}; print('imported')"]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout == "imported\n", done.stderr[-2000:]


@pytest.mark.parametrize("image", IMAGES)
def test_dockerfile(image: str) -> None:
    found = Dockerfile(image).instructions()
    base = next(rest for word, rest in found if word == "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base), "patch level, distribution, digest"
    assert {rest for each in IMAGES for word, rest in Dockerfile(each).instructions() if word == "FROM"} == {base}
    copies = [rest.split()[:-1] for word, rest in found if word == "COPY"]
    assert copies[0] == ["requirements.txt"], "the pins' layer first: scripts change more often"
    ignored = (ROOT / f"runtimes/{image}/.dockerignore").read_text().split()
    assert ignored[0] == "*", "what is in the context is listed"
    for source in (name for copy in copies for name in copy):
        assert (ROOT / "runtimes" / image / source).is_file()
        assert any(Path(source).match(rule[1:]) for rule in ignored if rule.startswith("!")), source
    installs = [rest for word, rest in found if word == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in rest and "--no-cache-dir" in rest for rest in installs)
    assert not [
        rest for word, rest in found if word in ("ARG", "ENV") and re.search(r"(?i)token|secret|password", rest)
    ]


def test_declared_modules_are_those_of_the_functions_pins() -> None:
    """What Lithops believes to be in the image it does not ship: a name too many, and an import fails there."""
    named = {name for name, _ in json.loads((ROOT / "runtimes/functions/metadata.json").read_text())["preinstalls"]}
    pinned = {normal(name) for name in pins(ROOT / "runtimes/functions/requirements.txt")}
    foreign = {name for name in named if name in owners() and not owners()[name] & {*pinned, "pip", "setuptools"}}
    assert foreign == set()
    for package in SHARED:
        assert package in named, package


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty folder for an image, where one can be made."""
    if (reason := view.missing()) is not None:
        pytest.skip(reason)
    return tmp_path


@pytest.mark.slow
def test_the_cluster_image_s_steps_run_and_its_user_can_work(scratch: Path) -> None:
    """Minutes, for pip downloads all that the image holds."""
    engines = ["ray", "dask.dataframe", "distributed", "s3fs", "lithops", *sorted(imported_by_tasks())]
    compiled = "import sys; print(sys.modules['ray'].__spec__.cached)"
    said = build_and_run(
        Dockerfile("cluster"),
        scratch,
        f"id -un; pwd; python -c 'import {', '.join(engines)}; {compiled}' | xargs test -s && echo compiled; "
        "touch ~/mine; command -v ray dask boot-ray-worker.sh; boot-ray-head.sh 2>&1 | grep -o 'BREAKEVEN_SECRET.*'",
    )
    assert said.splitlines() == [
        "worker",
        "/home/worker",
        "compiled",
        "/usr/local/image/bin/ray",
        "/usr/local/image/bin/dask",
        "/usr/local/bin/boot-ray-worker.sh",
        "BREAKEVEN_SECRET: parameter not set",
    ]


@pytest.mark.slow
def test_the_functions_image_s_steps_run_and_its_modules_are_those_declared(scratch: Path) -> None:
    """metadata.json is what this image's handler answers: here it is asked; where they differ, mend the file."""
    *_, handler = Dockerfile("functions").command()
    module, _, name = handler.rpartition(".")
    ask = (
        f"import json, types; from {module} import {name} as ask; "
        "print(json.dumps(ask({'get_metadata': {}, 'log_level': None}, types.SimpleNamespace(aws_request_id='r'))))"
    )
    said = json.loads(build_and_run(Dockerfile("functions"), scratch, f'python -c "{ask}"').splitlines()[-1])
    declared = json.loads((ROOT / "runtimes/functions/metadata.json").read_text())
    assert said["python_version"] == declared["python_version"]
    # The standard library's parts are those of this machine's Python, and may be others than the base image's.
    theirs, ours = ({n for n, _ in kept["preinstalls"]} - sys.stdlib_module_names for kept in (said, declared))
    # Of the environment, which nothing that runs imports; the last is of Debian's Python.
    tools = {"pip", "pkg_resources", "setuptools", "wheel", "sitecustomize"}
    assert {n for n in theirs ^ ours if not n.startswith("_")} - tools == set()
