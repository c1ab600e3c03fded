"""What a lesson's check tests declare; `test_all_checks.py` does the judging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """The untouched stub, and wrong answers with a fragment of the message each must get.

    An answer made of several arguments (``check.name(w, b)``) is given as a tuple with ``star=True``.
    """

    stub: Any
    wrong: Sequence[tuple[Any, str]]
    star: bool = False
