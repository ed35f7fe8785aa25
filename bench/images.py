"""Photographs in the stack's bucket: those that scikit-image's wheel carries, or a folder of the user's own."""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.dataset import DataError
from tasks.objects import Access
from tasks.upload import put_stream, stat

PACKAGE = "skimage"
# What its data folder (0.26) holds of photographs and scans; the rest are drawings, patterns and masks.
SHIPPED = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Images:
    """Distinct images below one prefix; `sizes` in bytes by address, in the order of their names."""

    base: str
    sizes: dict[str, int]

    def work(self, count: int) -> list[str]:
        """`count` addresses: the images over and over, by reference."""
        uris = list(self.sizes)
        return [uris[number % len(uris)] for number in range(count)]

    def size_bytes(self, count: int) -> int:
        """Bytes that a list of `count` makes its readers read."""
        return sum(self.sizes[uri] for uri in self.work(count))


def sources(folder: Path | None) -> list[Path]:
    """The image files of a folder, or those shipped. Raises DataError."""
    if folder is not None:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"{folder}: found no image, wanted files that end in {', '.join(SUFFIXES)}")
        return found
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError("found no scikit-image, whose photographs are the default: install it, or give --images FOLDER")
    shipped = [Path(spec.origin).parent / "data" / name for name in SHIPPED]
    missing = [path.name for path in shipped if not path.is_file()]
    if missing:
        raise DataError(f"scikit-image lacks {', '.join(missing)}: wanted version 0.26, or give --images FOLDER")
    return shipped


def upload(access: Access, bucket: str, paths: Iterable[Path], prefix: str) -> Images:
    """Put the files below s3://bucket/prefix, those of the same size left as they stand; their addresses and sizes."""
    base = f"s3://{bucket}/images/{prefix}"
    sizes: dict[str, int] = {}
    for path in sorted(paths, key=lambda path: path.name):
        uri, size = f"{base}/{path.name}", path.stat().st_size
        there = stat(access, uri)
        if there is None or there.size_bytes != size:
            put_stream(access, uri, [path.read_bytes()])
        sizes[uri] = size
    return Images(base, sizes)
