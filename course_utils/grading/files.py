"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; in the end it takes the place of ``path``, or is removed after an error."""
    # Not tempfile: it makes files that only their owner may read, also in a course that teachers share.
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write ``content``, text as UTF-8; folders above ``path`` are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
