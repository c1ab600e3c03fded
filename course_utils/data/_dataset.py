"""What :func:`course_utils.data.load` returns, and the one error it raises for data that cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

ABOUT_FIELDS = ("name", "version", "about", "licence", "citation")


class DataError(RuntimeError):
    """A data set cannot be had; the message is one sentence that says why and what to do."""


class Dataset:
    """A loaded data set: its arrays as attributes, and where they come from.

    Parameters
    ----------
    name : str
        The name it was loaded by.
    version : {"sample", "full", "generated"}
        ``"sample"`` and ``"full"`` have the same fields; ``"generated"`` means made by the course itself.
    about, licence, citation : str
        What it is, under which terms it may be used, and what to cite.
    fields : Any
        The data themselves: arrays, lists of names and numbers.

    Notes
    -----
    Attributes cannot be set or deleted. The arrays are the caller's own copies and may be written to.
    """

    name: str
    version: str
    about: str
    licence: str
    citation: str

    def __init__(
        self, *, name: str, version: str, about: str, licence: str, citation: str, **fields: Any
    ) -> None:
        self.__dict__.update(name=name, version=version, about=about, licence=licence, citation=citation)
        self.__dict__.update(fields)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the data fields, in their order."""
        return tuple(key for key in self.__dict__ if key not in ABOUT_FIELDS)

    def __getattr__(self, key: str) -> Any:
        # Called only for what is not there. Dunder look-ups (copy, pickle, NumPy) must fail plainly.
        if key.startswith("__") or "name" not in self.__dict__:
            raise AttributeError(key)
        raise AttributeError(f"{self.name!r} has no field {key!r}; it has {', '.join(self.fields)}.")

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"A data set cannot be changed; keep your own array instead of setting {key!r}.")

    def __delattr__(self, key: str) -> None:
        raise AttributeError(f"A data set cannot be changed; {key!r} cannot be deleted.")

    def __dir__(self) -> Iterator[str]:
        yield from (*ABOUT_FIELDS, "fields", *self.fields)

    def __repr__(self) -> str:
        lines = [f"{self.name} ({self.version}): {self.about}"]
        width = max((len(key) for key in self.fields), default=0)
        for key in self.fields:
            lines.append(f"  {key:<{width}}  {_describe(getattr(self, key))}")
        lines.append(f"  licence: {self.licence}")
        return "\n".join(lines)


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        dtype = "str" if value.dtype.kind == "U" else str(value.dtype)
        return f"{value.shape} {dtype}" if value.size > 4 else f"{value.shape} {dtype}: {value}"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(str(item) for item in value[:10])
        return shown + (", ..." if len(value) > 10 else "")
    return str(value)
