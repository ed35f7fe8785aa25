"""Photographs in the stack's bucket: those that scikit-image's wheel carries, or a folder of the user's own."""

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.dataset import DataError
from tasks.listing import shown
from tasks.objects import Access
from tasks.upload import put_stream, stat

PACKAGE = "skimage"
# What its data folder (0.26) holds of photographs and scans; the rest are drawings, patterns and masks.
SHIPPED = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")


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


@dataclass(frozen=True)
class Sources:
    """Image files by their names. left_out: names of what is beside them and is none."""

    files: dict[str, Path]
    left_out: list[str] = field(default_factory=list)

    def told(self) -> str:
        """How much there is and what was left out, in one line."""
        size = sum(path.stat().st_size for path in self.files.values())
        names = ", ".join(shown(name) for name in self.left_out[:3]) + (", ..." if len(self.left_out) > 3 else "")
        left = f"; left out: {len(self.left_out)} that are no images ({names})" if self.left_out else ""
        return f"images: {len(self.files)} files, {size:,} bytes{left}"


def sources(folder: Path | None) -> Sources:
    """The image files of a folder, those in folders below it too, or those shipped. Raises DataError."""
    if folder is not None:
        return Sources({folder.name: folder}) if folder.is_file() else _own(folder)
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError("found no scikit-image, whose photographs are the default: install it, or give --images FOLDER")
    shipped = [Path(spec.origin).parent / "data" / name for name in SHIPPED]
    missing = [path.name for path in shipped if not path.is_file()]
    if missing:
        raise DataError(f"scikit-image lacks {', '.join(missing)}: wanted version 0.26, or give --images FOLDER")
    return Sources({path.name: path for path in shipped})


def _own(folder: Path) -> Sources:
    found = Sources({})
    wrong = []
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_unlisted):
        here = Path(place).stat()
        if (here.st_dev, here.st_ino) in seen:  # a link that leads round
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place) / name for name in sorted(names)):
            name = str(path.relative_to(folder))
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                found.left_out.append(name)
            elif not path.is_file() or not os.access(path, os.R_OK):
                wrong.append(shown(name))
            else:
                found.files[name] = path
    if wrong:
        raise DataError(f"{folder}: can't read {', '.join(wrong[:5])}: wanted files that this user may read")
    if not found.files:
        others = ", ".join(shown(name) for name in found.left_out[:5]) or "nothing"
        raise DataError(f"{folder}: found no image ({others}), wanted files that end in {', '.join(SUFFIXES)}")
    return found


def _unlisted(error: OSError) -> None:
    raise DataError(f"{error.filename}: can't be listed: {error.strerror}")


def upload(access: Access, bucket: str, files: dict[str, Path], prefix: str) -> Images:
    """Put the files into the bucket, below a prefix that their contents give; their addresses and sizes.

    Whatever stands there was put by an upload of the same files: put again only where it is not all there.
    """
    digest = hashlib.sha256()
    names: Sequence[str] = sorted(files)
    for name in names:
        digest.update(f"{name}\0{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    base = f"s3://{bucket}/images/{prefix}-{digest.hexdigest()[:16]}"
    sizes: dict[str, int] = {}
    for name in names:
        data, uri = files[name].read_bytes(), f"{base}/{name}"
        there = stat(access, uri)
        if there is None or there.size_bytes != len(data) or not _same(there.version, data):
            put_stream(access, uri, [data])
        sizes[uri] = len(data)
    return Images(base, sizes)


def _same(etag: str, data: bytes) -> bool:
    """Is it the ETag of such an object: its MD5, or that of its one part's? Encrypted by KMS it is neither."""
    md5 = hashlib.md5(data, usedforsecurity=False)
    of_one_part = hashlib.md5(md5.digest(), usedforsecurity=False).hexdigest()
    return etag in (md5.hexdigest(), f"{of_one_part}-1")
