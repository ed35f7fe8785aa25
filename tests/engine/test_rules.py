"""Each changed stack file that the rules refuse stops a real engine's preview of the real program, without a flag."""

import json
import re

import pytest
import yaml

from plan.rules import SETTINGS_RULES
from plan.settings import CONFIG_KEY
from tests.engine.conftest import Engine
from tests.plan.conftest import changed_document
from tests.plan.rules.test_settings_rules import REFUSED
from tests.policy.test_pack import WRONG, titles

pytestmark = pytest.mark.engine


def refusal(engine: Engine, stack: str, document: object) -> str:
    """What the preview of a stack with these settings says, which must fail."""
    (engine.project / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": {CONFIG_KEY: document}}))
    engine.init(stack)
    said = engine.run("preview", "-s", stack, check=False)
    assert re.search(r"error: \d+ rules? refused", said), said[-3000:]
    assert "Traceback" not in said, said[-3000:]
    return said


def test_rules_over_settings_refuse_a_preview(engine: Engine) -> None:
    """All that can speak of one file at once: an unknown type silences the others, and a region is a person's."""
    said = refusal(engine, "wrong", WRONG)
    assert titles(SETTINGS_RULES) - {"region-priced"} <= set(re.findall(r"\[([a-z0-9-]+)\]", said))


@pytest.mark.slow_engine
@pytest.mark.parametrize(("rule", "stack", "changes", "shown"), REFUSED)
def test_a_changed_stack_file_is_refused(
    engine: Engine, rule: str, stack: str, changes: dict[str, object], shown: str
) -> None:
    document = changed_document(stack, changes)
    said = refusal(engine, f"c-{stack}", json.loads(json.dumps(document)))
    line = next(line for line in said.splitlines() if f"[{rule}]" in line and shown in line)
    assert "found" in line
    assert "wanted" in line
