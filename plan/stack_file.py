"""Where a stack's file and state lie, and which names it may have: the one place by which every command goes.

Nothing here needs the file to be right, so that a stack whose file is broken can still be ended.
"""

import difflib
import os
import re
from pathlib import Path

ROOT = Path(os.environ.get("BREAKEVEN_ROOT") or Path(__file__).resolve().parents[1])
"""Where stack files and `.breakeven` lie: the checkout, unless the environment names another folder."""

STATE = ".breakeven"

LONGEST_STACK, LONGEST_CLUSTER = 22, 14
"""Characters. The longest name derived from both is a schedule's, `<stack>-end-group-<cluster>-workers-` and seven more
by Pulumi, for which EventBridge allows 64."""

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


class SettingsError(ValueError):
    """A stack's settings cannot be used; the message names stack or file, key, what was found and what to do."""


def name_problem(name: str, longest: int) -> str | None:
    """Why this cannot name a stack or cluster, or None. Both become names in AWS and Kubernetes, and a folder's."""
    if _NAME.fullmatch(name) and len(name) <= longest:
        return None
    length = f" ({len(name)} characters)" if len(name) > longest else ""
    wanted = "lower-case letters a to z, digits and hyphens, a letter first and no hyphen last"
    return f"found {name!r:.60}{length}, wanted at most {longest} {wanted}"


def checked(stack: str) -> str:
    """The name itself, where it may name a stack. Raises SettingsError, so that no path is made of anything else."""
    if problem := name_problem(stack, LONGEST_STACK):
        raise SettingsError(f"stack name: {problem}")
    return stack


def known(root: Path = ROOT) -> list[str]:
    """Names of all stack files below `root`."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))


def path_of(stack: str, root: Path = ROOT) -> Path:
    """`Pulumi.<stack>.yaml` below `root`. Raises SettingsError, which names the nearest stack that there is."""
    path = root / f"Pulumi.{checked(stack)}.yaml"
    if path.is_file():
        return path
    names = known(root)
    near = difflib.get_close_matches(stack, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise SettingsError(f"stack {stack!r}: found no {path.name} in {root}, wanted one of {', '.join(names)}{hint}")


def state_dir(stack: str, root: Path = ROOT) -> Path:
    """Where an embedded stack keeps its state, logs and data, which exists or not.

    Raises SettingsError for what is no plain name, and where a link leads elsewhere: `down` removes what is there.
    """
    where = root / STATE / checked(stack)
    for place in (where, where.parent):
        if place.is_symlink():
            raise SettingsError(
                f"stack {stack!r}: {place} is a link to {place.readlink()}, wanted a folder, since `down` removes "
                "what is below it; remove the link, or set BREAKEVEN_ROOT to keep stack files and state elsewhere"
            )
    return where


def state_of_known(stack: str, root: Path = ROOT) -> Path:
    """`state_dir` of a stack that has a file, or has left state behind. Raises SettingsError."""
    where = state_dir(stack, root)
    if not where.is_dir():
        path_of(stack, root)
    return where
