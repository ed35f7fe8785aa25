"""The pack under a real engine: a stack it refuses, and one it lets through. No provider plugin is needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Component resources reach a policy with their type and inputs, like the provider's own, but need no provider.
PROGRAM = """\
import os
import pulumi

class Declared(pulumi.ComponentResource):
    def __init__(self, token, name, props):
        super().__init__(token, name, props)
        self.register_outputs(props)  # rules over a stack see outputs

tags = {"breakeven:owner": "tester", "breakeven:stack": "bench-32", "breakeven:expires-at": "2026-11-21T18:00:00Z"}
ingress = [{"cidrBlocks": [os.environ["TEST_CIDR"]]}]
Declared("aws:ec2/securityGroup:SecurityGroup", "ssh", {"ingress": ingress, "tags": tags})
"""

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no `pulumi` on PATH"),
    pytest.mark.skipif(shutil.which("pulumi-language-python") is None, reason="no `pulumi-language-python` on PATH"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the repository's pack, rules and stack file, and a program of one resource."""
    root = tmp_path_factory.mktemp("pack")
    for folder in ("catalog", "plan", "policy"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Pulumi.yaml", "Pulumi.bench-32.yaml"):
        shutil.copy(ROOT / name, root)
    (root / ".venv").symlink_to(sys.prefix)
    (root / "__main__.py").write_text(PROGRAM)
    (root / "state").mkdir()
    assert pulumi(root, "stack", "init", "bench-32").returncode == 0
    return root


def pulumi(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_HOME": str(root / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    return subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=root,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("cidr", "refused"), [("203.0.113.7/32", False), ("0.0.0.0/0", True)])
def test_a_resource_stops_the_preview(project: Path, cidr: str, refused: bool) -> None:
    done = pulumi(project, "preview", "--policy-pack", "policy", TEST_CIDR=cidr)
    said = done.stdout + done.stderr
    assert ("found cidrBlocks 0.0.0.0/0" in said) is refused, said
    assert (done.returncode != 0) is refused, said


def test_a_changed_stack_file_stops_the_preview(project: Path) -> None:
    file = project / "Pulumi.bench-32.yaml"
    kept = file.read_text()
    file.write_text(kept.replace("ttlH: 4", "ttlH: 48"))
    try:
        done = pulumi(project, "preview", "--policy-pack", "policy", TEST_CIDR="203.0.113.7/32")
    finally:
        file.write_text(kept)
    assert done.returncode != 0
    assert "found 48 h, wanted at most 24 h" in done.stdout + done.stderr
