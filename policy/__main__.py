"""Entry of the policy pack: the engine runs this file. `PolicyPack(...)` serves until the engine ends it."""

import sys
from pathlib import Path

# The engine starts this folder and not the repository: its packages lie one level up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pulumi_policy import EnforcementLevel, PolicyPack

from policy.policies import policies

PolicyPack("breakeven", policies=policies(), enforcement_level=EnforcementLevel.MANDATORY)
