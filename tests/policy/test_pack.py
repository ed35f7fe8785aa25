"""The pack and the program's guard under a real engine: every rule refuses a preview. No provider plugin is needed."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from plan.rules import RESOURCE_RULES, SETTINGS_RULES, STACK_RULES
from plan.settings import CONFIG_KEY
from tests.plan.rules.test_resource_rules import CASES, TAGS

ROOT = Path(__file__).parents[2]

# Component resources reach the guard and a policy with their type and inputs, like the provider's own, but need no
# provider. The guard says here what it would raise, so that one preview shows all that it refuses.
PROGRAM = """\
import json
from pathlib import Path

import pulumi

from infra.aws.guard import watch
from plan import rules
from plan.settings import load

class Declared(pulumi.ComponentResource):
    def __init__(self, token, name, props):
        super().__init__(token, name, props)
        self.register_outputs(props)  # rules over a stack see outputs

stack = pulumi.get_stack()
settings = load(stack, Path("."))

def judge(resource):
    for violation in rules.check_resource(resource, settings):
        pulumi.log.info(f"guard: {violation.message}")

watch({}, judge)
for number, (token, props) in enumerate(json.loads(Path(f"{stack}.json").read_text())):
    Declared(token, f"wrong-{number}", props)
"""

# One file that breaks every rule over settings but `instance-known`, which lets no other speak; each is a changed stack
# file of its own in tests/plan/rules.
WRONG: dict[str, Any] = {
    "program": "bench",  # and no base
    "clusters": {
        "ray": {"engine": "ray", "platform": "ec2", "instanceType": "c6i.2xlarge", "nodes": 4},
        "dask": {
            "engine": "dask",
            "platform": "ec2",
            "instanceType": "m6i.large",
            "nodes": 400,
            "limitMib": 4096,
            "slotsPerNode": 3,
        },
        "grows": {
            **{"engine": "dask", "platform": "ec2", "instanceType": "m6i.large", "nodes": 10, "limitMib": 2000},
            "autoscale": {"minWorkers": 4, "maxWorkers": 50},
        },
        "pods": {"engine": "ray", "platform": "eks", "workers": 50},
    },
    "kubernetes": {"version": "1.33", "instanceType": "m6i.2xlarge", "nodes": 1},
    "functions": {"platform": "lambda", "maxWorkers": 32, "memoryMib": 2048, "timeoutS": 901, "architecture": "arm64"},
    "driver": {"instanceType": "g4dn.xlarge"},
    "cache": {"platform": "ec2", "instanceType": "m5.2xlarge", "maxMemoryMib": 30000},
    "compare": ["ray", "functions"],
    "ttlH": 25,
    "budgetUsd": 5,
}
PERSON = {
    "BREAKEVEN_OWNER": "tester",
    "BREAKEVEN_CLIENT_CIDR": "203.0.113.7/32",
    "BREAKEVEN_REGION": "us-east-1",
    "BREAKEVEN_VCPU_QUOTA": "512",
    "BREAKEVEN_LAMBDA_CONCURRENCY": "1000",
    "BREAKEVEN_LAMBDA_MEMORY_MIB": "10240",
}
BUCKET = "aws:s3/bucket:Bucket"
RIGHT = ["aws:ec2/securityGroup:SecurityGroup", {"ingress": [{"cidrBlocks": ["203.0.113.7/32"]}], "tags": TAGS}]

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("pulumi") is None, reason="no `pulumi` on PATH"),
    pytest.mark.skipif(shutil.which("pulumi-language-python") is None, reason="no `pulumi-language-python` on PATH"),
]


def titles(rules: Any) -> set[str]:
    """What these rules call themselves in a message."""
    return {rule.__name__.replace("_", "-").replace("pod-image", "image") for rule in rules}


def wrong_resources() -> list[Any]:
    """A refused resource of each rule and type in the rules' own table; an unknown value is not for JSON."""
    found: dict[tuple[str, str], Any] = {}
    for title, _, token, props, refused in CASES:
        with suppress(TypeError):
            if refused:
                found.setdefault((title, token), json.loads(json.dumps([token, props])))
    return list(found.values())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the repository's pack and rules, and three stacks: bench-32, base, and one that is all wrong."""
    root = tmp_path_factory.mktemp("pack")
    for folder in ("catalog", "infra", "plan", "policy"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Pulumi.yaml", "Pulumi.bench-32.yaml", "Pulumi.base.yaml"):
        shutil.copy(ROOT / name, root)
    (root / "Pulumi.wrong.yaml").write_text(yaml.safe_dump({"config": {CONFIG_KEY: WRONG}}))
    declared = {"bench-32": [RIGHT], "base": [[BUCKET, {"tags": TAGS}]], "wrong": wrong_resources()}
    for stack, resources in declared.items():
        (root / f"{stack}.json").write_text(json.dumps(resources))
    (root / ".venv").symlink_to(sys.prefix)
    (root / "__main__.py").write_text(PROGRAM)
    (root / "state").mkdir()
    for stack in declared:
        assert pulumi(root, "stack", "init", stack).returncode == 0
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


def test_every_rule_refuses_a_preview(project: Path) -> None:
    """In the pack each mandatory; the guard judges each resource, and the pack settings (a region apart) and stacks."""

    def preview(stack: str) -> subprocess.CompletedProcess[str]:
        return pulumi(project, "preview", "--policy-pack", "policy", "--stack", stack, **PERSON)

    with ThreadPoolExecutor() as at_once:
        right, base, wrong = at_once.map(preview, ("bench-32", "base", "wrong"))
    assert right.returncode == 0, right.stdout + right.stderr
    assert base.returncode != 0
    assert wrong.returncode != 0
    refused = (base.stdout + wrong.stdout).partition("Policies:")[2] + wrong.stdout.partition("Policies:")[2]
    assert "advisory" not in refused
    by_pack = set(re.findall(r"\[([a-z0-9-]+)\]", refused))
    assert titles([*SETTINGS_RULES, *RESOURCE_RULES, *STACK_RULES]) - by_pack == {"region-priced"}, (
        wrong.stdout + wrong.stderr
    )
    by_guard = set(re.findall(r"guard: .*\[([a-z0-9-]+)\]", wrong.stdout + wrong.stderr))
    assert by_guard == titles(RESOURCE_RULES)
