"""The images' files: pins equal everywhere, nothing unpinned, nothing that should not be in a layer."""

import json
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

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


def instructions(image: str) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continuation lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / f"runtimes/{image}/Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


@pytest.mark.parametrize("image", IMAGES)
def test_dockerfile(image: str) -> None:
    found = instructions(image)
    base = next(rest for word, rest in found if word == "FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base), "a patch level and a distribution"
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
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in pins(ROOT / "runtimes/functions/requirements.txt")}
    owners = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages_distributions().items()
        if "/" not in module
    }
    foreign = {name for name in named if name in owners and not owners[name] & {*normal, "pip", "setuptools"}}
    assert foreign == set()
    for package in SHARED:
        assert package in named, package
