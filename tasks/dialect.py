"""How a CSV file is written, as far as it may differ, and what to advise where it was written otherwise."""

import codecs
import functools
import re
from dataclasses import dataclass

DELIMITERS = ",;\t|:^~"
# Spellings of nothing in the wild, lower case: databases' dumps, spreadsheets, R, Python.
_NOTHING = {"null", "na", "n/a", "#n/a", "nan", "none", "nil", "\\n", "-", "?", "missing"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """delimiter: one ASCII character. decimal: point or comma. nulls: spellings of a missing value beside none at all.

    Raises ValueError, saying what was wanted.
    """

    delimiter: str = ","
    decimal: str = "."
    nulls: tuple[str, ...] = ()
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n' or not self.delimiter.isascii():
            raise ValueError(
                f"found delimiter {self.delimiter!r}, wanted one ASCII character that is no quote and no line end"
            )
        if self.decimal not in (".", ",") or self.decimal == self.delimiter:
            raise ValueError(
                f"found decimal {self.decimal!r} and delimiter {self.delimiter!r}, wanted '.' or ',', and not the same"
            )
        for null in self.nulls:
            if _NUMBER.fullmatch(null.replace(self.decimal, ".")) or any(c in null for c in (self.delimiter, *'"\r\n')):
                raise ValueError(
                    f"found null {null!r}, wanted a word that is no number and holds no delimiter, quote or line end"
                )
        try:
            name = codecs.lookup(self.encoding).name
            "1".encode(name).decode(name)
        except (LookupError, UnicodeError, ValueError, TypeError) as error:
            raise ValueError(
                f"found encoding {self.encoding!r}, wanted one that Python knows: utf-8, cp1252, utf-16 ..."
            ) from error
        object.__setattr__(self, "encoding", "utf-8" if name in ("utf-8-sig", "ascii") else name)

    @property
    def transcoded(self) -> bool:
        """Must a file be read from its start and turned into UTF-8, since its bytes can't be cut like ASCII's?"""
        return self.encoding != "utf-8" and not _single_bytes(self.encoding)

    @property
    def text_encoding(self) -> str:
        """Of what reaches the parser."""
        return "utf-8" if self.transcoded else self.encoding


@functools.cache
def _single_bytes(encoding: str) -> bool:
    """Is every byte a character of its own, and those of ASCII as in ASCII?"""

    def characters(text: bytes) -> str | None:
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:
            return None

    if characters(bytes(range(128))) != bytes(range(128)).decode("ascii"):
        return False
    high = range(128, 256)
    return not any(len(characters(bytes([a, b])) or "xx") == 1 for a in high for b in (*range(0x30, 0x80), *high))


def delimiter_hint(names: tuple[str, ...], column: str, delimiter: str) -> str:
    """What to pass where a header was plainly written with another delimiter; empty where it was not."""
    text = delimiter.join(names)
    tried = [other for other in DELIMITERS if other != delimiter and other in text]
    sure = [other for other in tried if column in (name.strip('" ') for name in text.split(other))]
    likely = [max(tried, key=text.count)] if tried and len(names) == 1 else []
    found = (sure or likely or [""])[0]
    spelt = {"\t": "'\\t'"}.get(found, f"'{found}'")
    return f"; found {spelt} as delimiter: pass --delimiter {spelt}" if found else ""


def value_hint(value: str, dialect: Dialect) -> str:
    """What to pass for a value that is no number as it stands; empty where nothing is plain."""
    value = value.strip().strip('"')
    if value.lower() in _NOTHING:
        return f"; if it stands for a missing value pass --null '{value}'"
    other = "," if dialect.decimal == "." else "."
    if re.fullmatch(rf"[+-]?\d+{re.escape(other)}\d+", value):
        return f"; found '{other}' as decimal: pass --decimal '{other}'"
    digits = re.fullmatch(rf"[+-]?\d*{re.escape(dialect.decimal)}(\d+)", value)
    return f"; found {len(digits[1])} decimals: pass --decimals {len(digits[1])}" if digits else ""
