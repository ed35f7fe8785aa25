"""Colour palettes of photographs: six colours by median cut, one image per task (EXPERIMENTS A4)."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.objects import Access
from tasks.upload import read_bytes

COLOURS = 6


@dataclass(frozen=True)
class Palette:
    """Colours of one image as (red, green, blue), 0 to 255, the one of most pixels first. `failed` says why not."""

    uri: str
    colours: tuple[tuple[int, int, int], ...] = ()
    failed: str | None = None


def extract(access: Access, uri: str, colours: int = COLOURS) -> Palette:
    """The palette of one image. An image that cannot be read gives a palette that says so: others go on."""
    from PIL import Image  # noqa: PLC0415  the other tasks need no image library

    data = read_bytes(access, uri)
    if data is None:
        return Palette(uri, failed="the object is gone")
    try:
        with Image.open(io.BytesIO(data)) as image:
            reduced = _rgb(image).quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    except Exception as error:  # decoders of damaged files raise whatever they trip over
        return Palette(uri, failed=f"{type(error).__name__}: {error}")
    flat = reduced.getpalette() or []
    # Ties by colour, so that equal images give equal palettes whatever the order in which the library counts.
    counted = sorted(reduced.getcolors() or [], key=lambda found: (-found[0], flat[3 * found[1] : 3 * found[1] + 3]))
    return Palette(uri, tuple((flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) for _, i in counted))


def _rgb(image: Any) -> Any:
    """Eight bits a channel. Pillow itself would clip greys of more at 255: of sixteen bits, that is nearly all."""
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I;16"):
        high = 0 if image.mode == "I;16B" else 1  # which byte of a word: B is for big-endian
        return Image.frombytes("L", image.size, image.tobytes()[high::2]).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise ValueError(f"greys as {kind} have no black and white of their own: convert it to 8 or 16 bits")
    return image.convert("RGB")


def extract_all(access: Access, uris: Sequence[str]) -> list[Palette]:
    """Several images in one call, where a call costs more than an image."""
    return [extract(access, uri) for uri in uris]


def checksum(palettes: Sequence[Palette]) -> str:
    """First 16 hexadecimal digits of the SHA-256 over all palettes in the order of the work list."""
    digest = hashlib.sha256()
    for palette in palettes:
        digest.update(repr((palette.uri.rpartition("/")[2], palette.colours, bool(palette.failed))).encode())
    return digest.hexdigest()[:16]
