"""Whether identity policies and a permissions boundary allow one request, as IAM decides it within an account.

The rules are those of the IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements". An element or an
operator that is not known here raises ValueError: what cannot be judged must not pass.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

Verdict = Literal["allowed", "denied", "not allowed"]
"""`denied` by a statement that says so; `not allowed` where no statement, or not the boundary, allows it."""

Document = Mapping[str, Any]
Values = str | Sequence[str]

_ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Request:
    """One action on one resource. `context`: condition keys, whose case does not matter, to their values."""

    action: str
    resource: str
    context: Mapping[str, Values] = field(default_factory=dict)

    def values(self, key: str) -> list[str] | None:
        """The values of a condition key; None where the request does not have it."""
        found = {name.lower(): value for name, value in self.context.items()}.get(key.lower())
        return None if found is None else _listed(found)


def verdict(request: Request, policies: Iterable[Document], boundary: Document | None = None) -> Verdict:
    """What IAM says to the request of a principal with these policies under this boundary."""
    policies = list(policies)
    every = policies if boundary is None else [*policies, boundary]
    if any(_says("Deny", document, request) for document in every):
        return "denied"
    allowed = any(_says("Allow", document, request) for document in policies)
    within = boundary is None or _says("Allow", boundary, request)
    return "allowed" if allowed and within else "not allowed"


def _says(effect: str, document: Document, request: Request) -> bool:
    statements = document["Statement"]
    return any(
        statement["Effect"] == effect and applies(statement, request)
        for statement in ([statements] if isinstance(statements, Mapping) else statements)
    )


def applies(statement: Mapping[str, Any], request: Request) -> bool:
    """Whether a statement speaks of this request."""
    if unknown := set(statement) - _ELEMENTS:
        raise ValueError(f"found {', '.join(sorted(unknown))} in a statement of an identity policy")
    return (
        _named(statement, "Action", lambda pattern: _like(pattern.lower(), request.action.lower()))
        and _named(statement, "Resource", lambda pattern: _resource(pattern, request))
        and all(_holds(test, pairs, request) for test, pairs in statement.get("Condition", {}).items())
    )


def _named(statement: Mapping[str, Any], element: str, matches: Callable[[str], bool]) -> bool:
    if element in statement:
        return any(matches(pattern) for pattern in _listed(statement[element]))
    return not any(matches(pattern) for pattern in _listed(statement[f"Not{element}"]))


def _resource(pattern: str, request: Request) -> bool:
    known = _substituted(pattern, request)
    return known is not None and arn_like(known, request.resource)


def arn_like(pattern: str, arn: str) -> bool:
    """Whether an ARN matches a pattern. A wildcard does not reach over the first five colons."""
    if pattern == "*":
        return True
    wanted, found = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(found) and all(_like(part, has) for part, has in zip(wanted, found, strict=True))


def _like(pattern: str, text: str) -> bool:
    return _expression(pattern).fullmatch(text) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"([*?]|\$\{[*?$]\})", pattern)
    meant = {"*": ".*", "?": ".", "${*}": r"\*", "${?}": r"\?", "${$}": r"\$"}
    return re.compile("".join(meant.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _substituted(text: str, request: Request) -> str | None:
    """The text with its policy variables filled in; None where the request lacks one that has no default."""
    missing = False

    def fill(found: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = (part.strip() for part in found[1].partition(","))
        if name in ("*", "?", "$"):
            return found[0]
        values = request.values(name)
        if values is not None and len(values) == 1:
            return values[0]
        missing = missing or not default
        return default.strip("'")

    filled = _VARIABLE.sub(fill, text)
    return None if missing else filled


def _holds(test: str, pairs: Mapping[str, Any], request: Request) -> bool:
    operator = test.removeprefix("ForAllValues:").removeprefix("ForAnyValue:")
    quantifier = test.partition(":")[0] if operator != test else ""
    optional = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    return all(
        _key_holds(operator, quantifier, optional, request.values(key), _listed(wanted), request)
        for key, wanted in pairs.items()
    )


def _key_holds(
    operator: str, quantifier: str, optional: bool, found: list[str] | None, wanted: list[str], request: Request
) -> bool:
    if operator == "Null":
        return any((found is None) is (value == "true") for value in wanted)
    negated = "Not" in operator
    compare = _comparison(operator.replace("Not", "", 1))
    filled = [known for value in wanted if (known := _substituted(value, request)) is not None]

    def one(value: str) -> bool:
        return any(compare(pattern, value) for pattern in filled) is not negated

    if not found:
        return optional or negated or quantifier == "ForAllValues"
    if quantifier == "ForAllValues":
        return all(one(value) for value in found)
    if quantifier == "ForAnyValue" or len(found) == 1:
        return any(one(value) for value in found)
    raise ValueError(f"{operator} wants ForAllValues or ForAnyValue for a key of several values: {found}")


def _comparison(operator: str) -> Callable[[str, str], bool]:
    comparisons: dict[str, Callable[[str, str], bool]] = {
        "StringEquals": lambda pattern, value: pattern == value,
        "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
        "StringLike": _like,
        "ArnEquals": arn_like,
        "ArnLike": arn_like,
        "Bool": lambda pattern, value: pattern.lower() == value.lower(),
        "NumericEquals": lambda pattern, value: float(value) == float(pattern),
        "NumericLessThan": lambda pattern, value: float(value) < float(pattern),
        "NumericLessThanEquals": lambda pattern, value: float(value) <= float(pattern),
        "NumericGreaterThan": lambda pattern, value: float(value) > float(pattern),
        "NumericGreaterThanEquals": lambda pattern, value: float(value) >= float(pattern),
    }
    if operator not in comparisons:
        raise ValueError(f"found the condition operator {operator}, wanted one of {', '.join(comparisons)}")
    return comparisons[operator]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]
