"""Stack files, changed at random: each is refused in a line that names file or key, or the plan shows what it says.

Seeded, so that a failure can be run again. BREAKEVEN_FUZZ=5000 makes as many changes, for longer than `make test` does.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from catalog.instances import instances
from plan.__main__ import main
from plan.settings import CONFIG_KEY, load
from tests.plan.conftest import changed_document

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("BREAKEVEN_FUZZ", "200"))
STACKS = ("bench-128", "k8s-autoscale", "multiprocessing", "autoscale", "dev", "base")
ODD = [
    *(
        "yes",
        "off",
        "~",
        "",
        "''",
        "064",
        "0x10",
        "1e3",
        "1_000",
        "1:30",
        ".inf",
        ".nan",
        "-1",
        "0",
        "1",
        "2",
        "3.5",
        "4.0",
    ),
    *('"2"', "true", "null", "[]", "{}", "[1, 2]", "{a: 1}", "ray", "eks", "local", "arm64", "2026-11-27", "9" * 30),
    *(
        "&a 1",
        "*a",
        "!!int 3",
        "!!python/name:os.system",
        "@x",
        "`x`",
        "%x",
        "ü",
        "a b",
        "../x",
        "x" * 300,
        "17",
        "1000",
    ),
]
NOISE = [
    "\t",
    " ",
    "  ",
    ":",
    "#",
    "-",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    '"',
    "&",
    "*",
    "!",
    "\\",
    "\x00",
    "\x07",
    "é",
    "\n",
]


def changed_text(text: str, chance: random.Random) -> bytes:
    """The file's text with one slip of a hand, an editor or a merge in it."""
    lines, at = text.splitlines(keepends=True), chance.randrange(len(text))
    line = chance.randrange(len(lines))
    kind = chance.choice(
        ["noise", "drop", "twice", "swap", *["value", "form"] * 4, "cut", "indent", "encoding", "join", "end"]
    )
    if kind == "noise":
        return (text[:at] + chance.choice(NOISE) + text[at + chance.choice([0, 1]) :]).encode()
    if kind == "swap":
        other = chance.randrange(len(lines))
        lines[line], lines[other] = lines[other], lines[line]
    elif kind == "value":
        spots = list(re.finditer(r"(?<=: )[^\s{}\[\],#]+(?=[^\n#]*$)", text, re.MULTILINE))
        spot = chance.choice(spots)
        return (text[: spot.start()] + chance.choice(ODD) + text[spot.end() :]).encode()
    elif kind == "form":  # the same number as another reader might take it
        spot = chance.choice(
            list(re.finditer(r"(?<=: )[0-9]+(?=[^\n#]*$)", text, re.MULTILINE)) or [re.search("", text)]
        )
        number = int(spot.group() or 0)
        form = chance.choice(["0{0:o}", "0o{0:o}", "0x{0:x}", "{0}.0", '"{0}"', "+{0}", "{0}e0", "{0}_", "0{0}", "yes"])
        return (text[: spot.start()] + form.format(number) + text[spot.end() :]).encode()
    elif kind == "cut":
        return text[:at].encode()
    elif kind == "encoding":
        return text.replace("a", "ä", 1).encode(chance.choice(["latin-1", "utf-16", "utf-8-sig"]))
    elif kind == "join":
        lines[line] = lines[line].rstrip("\n")
    elif kind == "end":
        lines.append(chance.choice(["---\n", "...\n", "x: 1\n", "  x: 1\n", "- a\n", "config: {}\n", "}\n"]))
    else:
        lines[line : line + 1] = {"drop": [], "twice": [lines[line]] * 2, "indent": [f" {lines[line]}"]}[kind]
    return "".join(lines).encode()


def changed_settings(stack: str, chance: random.Random) -> bytes:
    """The file's settings with one key set otherwise, dropped, misspelt, or put where it does not belong."""
    document = changed_document(stack, {})
    places = list(_places(document))
    above, key = chance.choice(places)
    kind = chance.choice(["set", "set", "drop", "misspell", "move", "type"])
    if kind == "set":
        values = [0, 1, 2, 3, 17, 1000, 10**6, 10**30, -1, 2.5, 1e300, True, None, "", "x", [], {}, ["ray"], "arm64"]
        above[key] = chance.choice(values)
    elif kind == "type":
        above["instanceType"] = chance.choice(list(instances()))
    else:
        value = above.pop(key)
        if kind == "misspell":
            above[f"{key}s"] = value
        elif kind == "move":
            chance.choice(places)[0][key] = value
    return json.dumps({"config": {CONFIG_KEY: document}}).encode()  # JSON is YAML


def _places(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for key, value in document.items():
        yield document, key
        if isinstance(value, dict):
            yield from _places(value)


def planned(stack: str, text: bytes, folder: Path) -> Result:
    (folder / f"Pulumi.{stack}.yaml").write_bytes(text)
    return CliRunner().invoke(main, ["--stack", stack])


@pytest.mark.parametrize("part", range(8))
def test_every_change_is_refused_clearly_or_seen(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for key in [key for key in os.environ if key.startswith("BREAKEVEN_")]:
        monkeypatch.delenv(key)
    for number in range(part, COUNT, 8):
        chance = random.Random(number)
        stack = chance.choice(STACKS)
        original = (ROOT / f"Pulumi.{stack}.yaml").read_text()
        text = changed_text(original, chance) if number % 2 else changed_settings(stack, chance)
        done = planned(stack, text, tmp_path)
        where = f"change {number} of {stack}: {text[-1500:]!r}\n{done.output}"
        assert done.exception is None or isinstance(done.exception, SystemExit), where
        if done.exit_code:
            assert_refused_clearly(stack, done, where)
        else:
            assert_seen(stack, text, done, where)


def assert_refused_clearly(stack: str, done: Result, where: str) -> None:
    refusals = [line for line in done.output.splitlines() if line.startswith(("Error: ", "refused: "))]
    assert refusals, where
    for line in refusals:
        assert f"Pulumi.{stack}.yaml" in line, where
    if refusals[0].startswith("Error: "):
        assert len(done.output.splitlines()) == 1, where


def assert_seen(stack: str, text: bytes, done: Result, where: str) -> None:
    """Each value that is written is the one that was taken, and stands in the output."""
    taken = load(stack, Path.cwd()).model_dump(by_alias=True)
    written = yaml.load(text, yaml.BaseLoader)["config"][CONFIG_KEY]  # noqa: S506  strings only
    for path, value in _leaves(written):
        found = taken
        for part in path:
            found = found[int(part) if isinstance(found, list) else part]
        assert _plain(found) == _plain(value), where
        if path[-1] != "program":
            assert f"{path[-1]}" in done.output or str(value) in done.output, where


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path, value
        return
    for key, below in inner:
        yield from _leaves(below, (*path, str(key)))


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
