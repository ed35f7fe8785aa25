"""Tasks that do nothing: what is left is the engine's own time."""

from collections.abc import Sequence


def empty(number: int) -> int:
    """One task."""
    return number


def empties(numbers: Sequence[int]) -> list[int]:
    """Several tasks in one call."""
    return [empty(number) for number in numbers]
