"""What a program refuses on the way is one error of a real engine, without a traceback, before any host is planned."""

import re

import pytest

from tests.engine.conftest import Engine

pytestmark = pytest.mark.engine


def refused(engine: Engine, stack: str, **environment: str) -> str:
    """The one error of a preview that must fail and plan no host; the engine adds a line of its own."""
    engine.init(stack)
    said = engine.run("preview", "-s", stack, check=False, **environment)
    assert "Traceback" not in said, said[-3000:]
    assert "aws:ec2:" not in said
    error, of_engine = re.findall(r"^    error: (.*)", said, re.MULTILINE)
    assert "program exited with non-zero exit code" in of_engine
    return str(error)


def test_another_region_than_bases(described_base: Engine) -> None:
    said = refused(described_base, "bench-32", BREAKEVEN_REGION="eu-west-1")
    assert "found region 'eu-west-1', wanted 'us-east-1'" in said


@pytest.mark.slow_engine
def test_a_wrong_quota_and_what_is_missing(engine: Engine) -> None:
    said = refused(engine, "bench-32", BREAKEVEN_VCPU_QUOTA="many", BREAKEVEN_OWNER="")
    assert "found vcpuQuota 'many'" in said
    assert "found no owner" in said


@pytest.mark.slow_engine
def test_text_that_the_engine_takes_for_another_number(engine: Engine) -> None:
    text = (engine.project / "Pulumi.bench-32.yaml").read_text()
    (engine.project / "Pulumi.octal.yaml").write_text(text.replace("nodes: 16", "nodes: 016"))
    assert "Pulumi.octal.yaml, line 9: found '016'" in refused(engine, "octal")
