"""Colour palettes of photographs: six colours by median cut, one image per task (EXPERIMENTS A4)."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

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
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  the other tasks need no image library

    data = read_bytes(access, uri)
    if data is None:
        return Palette(uri, failed="the object is gone")
    try:
        with Image.open(io.BytesIO(data)) as image:
            reduced = image.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        return Palette(uri, failed=f"{type(error).__name__}: {error}")
    flat = reduced.getpalette() or []
    # Ties by colour, so that equal images give equal palettes whatever the order in which the library counts.
    counted = sorted(reduced.getcolors() or [], key=lambda found: (-found[0], flat[3 * found[1] : 3 * found[1] + 3]))
    return Palette(uri, tuple((flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) for _, i in counted))


def extract_all(access: Access, uris: Sequence[str]) -> list[Palette]:
    """Several images in one call, where a call costs more than an image."""
    return [extract(access, uri) for uri in uris]


def checksum(palettes: Sequence[Palette]) -> str:
    """First 16 hexadecimal digits of the SHA-256 over all palettes in the order of the work list."""
    digest = hashlib.sha256()
    for palette in palettes:
        digest.update(repr((palette.uri.rpartition("/")[2], palette.colours, bool(palette.failed))).encode())
    return digest.hexdigest()[:16]
