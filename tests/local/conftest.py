"""State folders of stacks that are ended whatever the test did."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import local


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "stack"
    yield folder
    local.down(folder, drop_data=True)
