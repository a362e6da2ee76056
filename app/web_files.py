"""The built web interface: the files that web/build.mjs wrote, held in memory by the path of their URL."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_PAGES = {"/": "index.html", "/docs": "docs.html"}
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file of the built web interface. `is_immutable`: its name has a hash of its content."""

    content: bytes
    compressed: bytes
    content_type: str
    is_immutable: bool
    etag: str


def load_web_files(folder: Path) -> Mapping[str, WebFile]:
    """Return the files of the built web interface by the path of their URL, or none if it was not built.

    They are read once: a page and its assets are of the same build, and no path of a request reaches the disk.
    """
    try:
        return dict(_read_files(folder))
    except OSError as error:
        log.info(
            "web interface not built, serving the plain table", extra={"folder": str(folder), "reason": str(error)}
        )
        return {}


def _read_files(folder: Path) -> Iterator[tuple[str, WebFile]]:
    for path, name in _PAGES.items():
        yield path, _read_file(folder / name, is_immutable=False)
    for file in sorted((folder / "assets").iterdir()):
        if file.suffix in _CONTENT_TYPES:
            yield f"/assets/{file.name}", _read_file(file, is_immutable=True)


def _read_file(file: Path, *, is_immutable: bool) -> WebFile:
    content = file.read_bytes()
    compressed = file.with_name(f"{file.name}.gz").read_bytes()
    etag = hashlib.sha256(content).hexdigest()[:16]
    return WebFile(content, compressed, _CONTENT_TYPES[file.suffix], is_immutable, etag)
