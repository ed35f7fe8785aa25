"""A stack file's text is read as one thing by every reader, or refused in one line with file and line."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plan.settings import SettingsError
from plan.strict_yaml import config, read

REFUSED: dict[str, tuple[bytes, str]] = {
    "yes": (b"config:\n  a: yes\n", "line 2: found 'yes'"),
    "off": (b"config: {a: off}", "found 'off'"),
    "leading zero": (b"config:\n  a: 064\n", "line 2: found '064'"),
    "hexadecimal": (b"config: {a: 0x10}", "found '0x10'"),
    "underscores": (b"config: {a: 1_000}", "found '1_000'"),
    "sexagesimal": (b"config: {a: 1:30}", "found '1:30'"),
    "infinite": (b"config: {a: .inf}", "found '.inf'"),
    "not a number": (b"config: {a: .nan}", "found '.nan'"),
    "huge": (b"config: {a: 1234567890123456789012}", "found '1234567890123456789012'"),
    "a date": (b"config: {a: 2026-11-27}", "found '2026-11-27'"),
    "a key twice": (b"config:\n  a: 1\n  a: 2\n", "line 3: found the key 'a' again, first in line 2"),
    "anchors": (b"config: {a: &x [1], b: [*x, *x]}", "anchor or alias 'x'"),
    "merge": (b"config: {<<: {a: 1}}", "merge key"),
    "a list as key": (b"config: {? [a] : 1}", "list or mapping as a key"),
    "tags": (b'config: {a: !!int "3"}', "the tag '!!int'"),
    "objects": (b'config: {a: !!python/name:os.system ""}', "the tag '!!python/name:os.system'"),
    "a tab": (b"config:\n\ta: 1\n", "line 2: while scanning"),
    "an open quote": (b'config:\n  a: "x\n', "line 3: while scanning a quoted scalar"),
    "two documents": (b"a: 1\n---\nb: 2\n", "line 2: expected a single document"),
    "latin-1": (b"config: {}\n# F\xfcr\n", "line 2: found the byte 0xfc"),
    "utf-16": ("config: {}\n".encode("utf-16"), "found the byte 0xff"),
    "control characters": (b"config: {a: \x07}", "unacceptable character"),
    "deep": (b"config: " + b"[" * 5000, "nested too deeply"),
    "large": (b"#" * 300_000, "300000 bytes"),
    "a list": (b"- a\n", "found a list, wanted a mapping with the key `config`"),
    "config is a list": (b"config: [a]\n", "config: found a list, wanted a mapping"),
    "text": (b"hello", "found a string"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack") / "Pulumi.t.yaml"


@pytest.mark.parametrize("case", REFUSED)
def test_what_readers_take_differently_is_refused_in_one_line(case: str, file: Path) -> None:
    text, said = REFUSED[case]
    file.write_bytes(text)
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        config(file)
    assert str(refused.value).startswith("Pulumi.t.yaml")
    assert "\n" not in str(refused.value)


def test_plain_values_are_what_they_are_in_json(file: Path) -> None:
    file.write_text('config: {a: 64, b: -1.5, c: true, d: text, e: "yes", f: [1, {g: null}], h: "064"}')
    found = {"a": 64, "b": -1.5, "c": True, "d": "text", "e": "yes", "f": [1, {"g": None}], "h": "064"}
    assert config(file) == found


def test_an_empty_file_and_an_empty_config_hold_nothing(file: Path) -> None:
    for text in ("", "# a comment\n", "config:\n", "config: {}\n"):
        file.write_text(text)
        assert config(file) == {}


@given(text=st.one_of(st.binary(max_size=60), st.text("config:{}[]&*<>!%@'\" \n\t-?,0x1eE.yn|#", max_size=60)))
def test_no_text_ends_in_anything_but_a_document_or_a_refusal(file: Path, text: bytes | str) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with suppress(SettingsError):
        read(file)
