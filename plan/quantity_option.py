"""The type of an option that is a quantity: a finite number within bounds, refused in one line that names them."""

import math
from typing import Any

import click


class Quantity(click.FloatRange):
    """As click's range, without NaN, which lies in no range and yet passes click's."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises click.BadParameter."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a number in the range {self._describe_range()}.", param, ctx)
        return found


GIGABYTES = Quantity(min=0, min_open=True, max=1e9)
"""Data of one run; 1e9 GB is a thousand times what has been published."""
