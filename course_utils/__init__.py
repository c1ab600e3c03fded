"""Helpers of the course: plumbing only, never the subject of a lesson.

Importing this package loads none of its parts: each is imported at its first use, and none of them
imports TensorFlow unless the caller asks for it (``start(seed=1, keras=True)``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> (module, attribute or None for the module itself)
_LAZY: dict[str, tuple[str, str | None]] = {
    "start": ("course_utils.session", "start"),
    "record": ("course_utils.results", "record"),
    "quiz": ("course_utils.explorables.quiz", "quiz"),
    "checks": ("course_utils.checks", None),
    "data": ("course_utils.data", None),
    "explorables": ("course_utils.explorables", None),
    "gpu": ("course_utils.gpu", None),
    "lessons": ("course_utils.lessons", None),
    "plotting": ("course_utils.plotting", None),
}

__all__ = ["__version__", *sorted(_LAZY)]

if TYPE_CHECKING:
    from course_utils import checks, data, explorables, gpu, lessons, plotting
    from course_utils.explorables.quiz import quiz
    from course_utils.results import record
    from course_utils.session import start


def __getattr__(name: str) -> Any:
    try:
        module_name, attribute = _LAZY[name]
    except KeyError:
        raise AttributeError(f"module 'course_utils' has no attribute {name!r}") from None
    module = importlib.import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
