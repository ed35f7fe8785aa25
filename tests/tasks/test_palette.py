"""Greys of more than eight bits keep their steps; what has no black and white of its own is a failed item."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.objects import Access
from tasks.palette import extract

STEPS = np.linspace(0, 255, 9600).astype(np.uint8).reshape(80, 120)


def saved(path: Path, pixels: np.ndarray, kind: str) -> str:
    Image.fromarray(pixels).save(path / f"x.{kind}")
    return str(path / f"x.{kind}")


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_give_the_palette_of_eight(kind: str, tmp_path: Path) -> None:
    eight = extract(Access(), saved(tmp_path, STEPS, kind))
    sixteen = extract(Access(), saved(tmp_path, STEPS.astype(np.uint16) * 257, kind))
    assert eight.colours
    assert sixteen == eight


def test_big_endian_words_are_read_as_such(tmp_path: Path) -> None:
    """A TIFF file of the other byte order, by hand: Pillow writes none."""
    pixels = (STEPS.astype(np.uint16) * 257).astype(">u2").tobytes()
    tags = [(256, 120), (257, 80), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 80), (279, len(pixels))]
    directory = len(tags).to_bytes(2, "big") + b"".join(
        tag.to_bytes(2, "big") + b"\0\4" + (1).to_bytes(4, "big") + value.to_bytes(4, "big") for tag, value in tags
    )
    (tmp_path / "b.tif").write_bytes(b"MM\0*" + (8 + len(pixels)).to_bytes(4, "big") + pixels + directory + b"\0" * 4)
    wanted = extract(Access(), saved(tmp_path, STEPS, "tiff"))
    assert extract(Access(), str(tmp_path / "b.tif")).colours == wanted.colours


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_greys_without_a_range_are_a_failed_item(kind: type, tmp_path: Path) -> None:
    found = extract(Access(), saved(tmp_path, STEPS.astype(kind), "tiff"))
    assert not found.colours
    assert "convert it to 8 or 16 bits" in str(found.failed)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp", "gif"])
def test_damage_is_a_failed_item_whatever_the_decoder_raises(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(STEPS).save(out, kind)
    data = out.getvalue()
    for number in range(0, len(data), max(1, len(data) // 60)):
        (tmp_path / "x").write_bytes(data[:number] + bytes([data[number] ^ 255]) + data[number + 1 :])
        found = extract(Access(), str(tmp_path / "x"))
        assert found.colours or found.failed
