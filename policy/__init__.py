"""The policy pack: hands `plan.rules` to the engine. `pulumi preview --policy-pack policy` runs it."""
