"""One stack as the rules over settings see it."""

import functools
from dataclasses import dataclass
from datetime import datetime

from plan import sizing
from plan.person import Person
from plan.rules.violation import Violation
from plan.settings import Settings
from plan.sizing import Size


@dataclass(frozen=True)
class Case:
    """A stack's settings, whose quotas it is judged by (None: not judged), and when."""

    settings: Settings
    person: Person | None
    now: datetime

    @functools.cached_property
    def sizes(self) -> dict[str, Size]:
        """Every platform by name, functions included."""
        return sizing.sizes(self.settings)

    @property
    def clusters(self) -> list[Size]:
        """Every platform but the functions."""
        return [size for name, size in self.sizes.items() if name in self.settings.clusters]

    @property
    def hours(self) -> float:
        """Hours for which the stack costs, at most: `ttlH`, or until a moved expiry where that is later."""
        declared = self.settings.ttl_h or 0.0
        moved = self.person.expires_at if self.person else None
        if moved is None:
            return declared
        return max(declared, (datetime.fromisoformat(moved) - self.now).total_seconds() / 3600)

    def refused(self, rule: str, key: str, found: str, wanted: str, fix: str) -> Violation:
        """A violation at one key of the stack's file."""
        return Violation(rule, f"Pulumi.{self.settings.stack}.yaml, {key}", found, wanted, fix)
