"""The type of an option that names a file to be written: refused before any work is done, where it cannot be."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


class OutputFile(click.ParamType[Path]):
    """A path in a folder that is there and can be written to. suffixes: of the forms that it may have, any for none."""

    name = "file"

    def __init__(self, suffixes: Sequence[str] = ()):
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Raises click.BadParameter."""
        path = Path(value)
        if self.suffixes and path.suffix not in self.suffixes:
            self.fail(f"found {str(path)!r}, wanted a name that ends in {', '.join(self.suffixes)}", param, ctx)
        if path.is_dir():
            self.fail(f"found the folder {str(path)!r}, wanted the name of a file", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"found no folder {str(path.parent)!r}, wanted one that is there", param, ctx)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"{str(path)!r} cannot be written by this user", param, ctx)
        return path
