"""What goes to a driver elsewhere: equal content under an equal name, nothing private, everything it imports."""

import io
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker

from bench import images
from bench.bundle import CODE, PACKAGES, PODS, bundle, install, packages, pins
from plan.outputs import KubernetesOutputs, Outputs

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = Outputs(stack="bench-32", program="bench", region="us-east-1", worker_memory_mib=4096, worker_vcpu=1)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for part in CODE:
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.py").write_text(f"# {part}")
    (tmp_path / "Pulumi.bench-32.yaml").write_text("config: {}")
    (tmp_path / "requirements.txt").write_text((ROOT / "requirements.txt").read_text())
    return tmp_path


def names(body: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return set(archive.getnames())


def test_what_a_run_leaves_changes_neither_name_nor_content(checkout: Path) -> None:
    before = bundle(checkout, OUTPUTS)
    for left in (
        *("results/bench-32/a.jsonl", ".breakeven/dev/keys.json", ".env", "workloads/__pycache__/a.pyc"),
        *("bench/key.pem", "bench/.env", "bench/__pycache__/x.py", "workloads/token", "Pulumi.other.yaml"),
    ):
        path = checkout / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    (checkout / "bench" / "a.py").touch()
    assert bundle(checkout, OUTPUTS) == before
    kept = {"Pulumi.bench-32.yaml", "outputs.json", "driver-requirements.txt", *(f"{part}/a.py" for part in CODE)}
    assert names(before[1]) == kept


def test_what_was_unpacked_can_be_packed_for_workers(checkout: Path, tmp_path: Path) -> None:
    """A Dask session sends `tasks` as a ZIP archive, which refuses files older than 1980."""
    with tarfile.open(fileobj=io.BytesIO(bundle(checkout, OUTPUTS)[1])) as archive:
        archive.extractall(tmp_path / "driver", filter="data")
    shutil.make_archive(str(tmp_path / "tasks"), "zip", tmp_path / "driver", "tasks")


def test_other_code_or_outputs_have_another_name(checkout: Path) -> None:
    before = bundle(checkout, OUTPUTS)[0]
    assert bundle(checkout, OUTPUTS.model_copy(update={"region": "eu-west-1"}))[0] != before
    (checkout / "tasks" / "a.py").write_text("# other")
    assert bundle(checkout, OUTPUTS)[0] != before


def test_pins_keep_their_hashes_and_a_missing_one_is_named() -> None:
    ours = (ROOT / "requirements.txt").read_text()
    found = pins(ours)
    assert set(re.findall(r"^([\w-]+)==", found, flags=re.MULTILINE)) == set(PACKAGES)
    assert found.count("--hash=sha256:") > len(PACKAGES)
    markers = re.findall(r"^([\w-]+)==[^ ]+(?: ; ([^\\\n]+))?", found, flags=re.MULTILINE)
    image = {"python_full_version": "3.11.14", "python_version": "3.11", "sys_platform": "linux"}
    held = {name for name, marker in markers if not marker or Marker(marker.strip()).evaluate(image)}
    assert held == set(PACKAGES), "a pin for another Python is no pin for the image's"
    with pytest.raises(ValueError, match="scipy"):
        pins(re.sub(r"^scipy==", "sci-py==", ours, flags=re.MULTILINE))


def test_image_and_bundle_together_hold_what_the_workloads_import() -> None:
    """Fails when a workload's import adds a package that neither the workers' image nor the bundle's pins have."""
    modules = [f"workloads.{path.stem}" for path in (ROOT / "workloads").glob("*.py") if path.stem != "__init__"]
    asked = (
        f"import sys, importlib, importlib.metadata as m\n[importlib.import_module(n) for n in {modules}]\n"
        "import bench.aws.driven, kr8s.objects\n"
        "of = m.packages_distributions()\n"
        "print(*{d.lower().replace('_', '-') for n in list(sys.modules) for d in of.get(n.split('.')[0], [])})"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    image = re.findall(r"^([\w.-]+)==", (ROOT / "runtimes/cluster/requirements.txt").read_text(), flags=re.MULTILINE)
    missing = set(done.stdout.split()) - set(image) - set(PACKAGES + PODS) - {"breakeven", "pip", "setuptools"}
    assert missing <= {"regex"}  # jsonpath takes it where it is there, and `re` elsewhere


def test_a_driver_has_the_photographs_that_palettes_are_of() -> None:
    """They are found by a package's place and not by an import, which the test above would see."""
    assert set(packages_distributions()[images.PACKAGE]) <= set(PACKAGES)


def test_only_a_driver_of_pods_brings_their_client() -> None:
    kubernetes = KubernetesOutputs(cluster="k", namespace="n", driver_account="driver", nodes=1)
    on_pods = OUTPUTS.model_copy(update={"kubernetes": kubernetes})
    assert (packages(OUTPUTS), packages(on_pods)) == (PACKAGES, PACKAGES + PODS)
    assert ("kr8s" in install(OUTPUTS), "kr8s" in install(on_pods)) == (False, True)
    assert "kr8s==" in pins((ROOT / "requirements.txt").read_text(), packages(on_pods))
