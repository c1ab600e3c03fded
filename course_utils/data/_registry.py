"""The registry of data sets: what each is, and where its files may be had. Read from data/registry.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class File:
    """One file of a public data set.

    ``path`` is its place inside a mirror and inside the cache, ``urls`` are full public addresses,
    ``sha256`` is in lower-case hexadecimal and ``size`` in bytes.
    """

    path: str
    urls: tuple[str, ...]
    sha256: str
    size: int


@dataclass(frozen=True)
class Version:
    """One version of a data set: what it is, its terms, and its files by role (none: nothing to fetch)."""

    about: str
    short: str
    licence: str
    citation: str
    files: Mapping[str, File]


@lru_cache(maxsize=1)
def data_folder() -> Path:
    """The folder ``data/``: inside the installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"


@lru_cache(maxsize=8)
def read(path: Path | None = None) -> dict[str, dict[str, Version]]:
    """Read and check the registry.

    Parameters
    ----------
    path : Path, optional
        The YAML file; by default ``registry.yaml`` in :func:`data_folder`.

    Returns
    -------
    dict
        Name of the data set -> name of the version ("sample", "full" or "generated") -> :class:`Version`.

    Raises
    ------
    ValueError
        If an entry is incomplete or malformed; the message names it.
    """
    import yaml

    path = path or data_folder() / "registry.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        name: {version: _version(f"{name}, {version}", entry) for version, entry in versions.items()}
        for name, versions in content.items()
    }


def _version(where: str, entry: dict[str, Any]) -> Version:
    texts = {}
    for key in ("about", "short", "licence", "citation"):
        text = entry.get(key)
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Registry, {where}: {key} is missing.")
        texts[key] = " ".join(text.split())
    files = {role: _file(f"{where}, {role}", file) for role, file in entry.get("files", {}).items()}
    return Version(**texts, files=files)


def _file(where: str, entry: dict[str, Any]) -> File:
    path = entry.get("path")
    if not isinstance(path, str) or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"Registry, {where}: path must be relative and stay inside the mirror.")
    urls = entry.get("urls")
    if not urls or not all(isinstance(url, str) and re.match(r"https?://", url) for url in urls):
        raise ValueError(f"Registry, {where}: urls must be a list of http(s) addresses.")
    sha256 = entry.get("sha256")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"Registry, {where}: sha256 must be 64 lower-case hexadecimal digits.")
    size = entry.get("size")
    if not isinstance(size, int) or size <= 0:
        raise ValueError(f"Registry, {where}: size must be a number of bytes.")
    return File(path, tuple(urls), sha256, size)
