"""The type of every command's `--stack`: a name is checked before anything is made or removed by it."""

from typing import Any

import click

from plan import stack_file
from plan.stack_file import SettingsError


class StackName(click.ParamType[str]):
    """A name that a stack may have. Whether it has a file is said by what reads the file, with the nearest names."""

    name = "stack"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself. Raises click.ClickException, which is one line."""
        try:
            return stack_file.checked(str(value))
        except SettingsError as error:
            raise click.ClickException(str(error)) from None
