"""What a rule says when it refuses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One refusal: which rule, at which resource or setting, what was found, what was wanted, and how to mend it."""

    rule: str
    resource: str
    found: str
    wanted: str
    fix: str

    @property
    def message(self) -> str:
        """One line for the engine's output, the dry run and test failures."""
        return f"{self.resource}: found {self.found}, wanted {self.wanted}; {self.fix} [{self.rule}]"
