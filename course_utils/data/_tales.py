"""Text to learn to write from: the course's own tales, or the plays of Tiny Shakespeare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from course_utils.data._dataset import DataError
from course_utils.data._registry import data_folder

TEST_SHARE = 0.1


def make_sample() -> dict[str, Any]:
    """The course's tales, the last tenth of them laid aside; fields as in :func:`read_text`."""
    return read_text(data_folder() / "tales.txt")


def read_text(path: Path) -> dict[str, Any]:
    """A text, split at a blank line so that the last tenth is for testing.

    Returns
    -------
    dict
        ``text_train`` and ``text_test``, str; one after the other they are the file.

    Raises
    ------
    DataError
        If the file is not UTF-8 or has no blank line to split at.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text; delete it and load the data again.") from error
    split = text.rfind("\n\n", 0, int((1 - TEST_SHARE) * len(text))) + 2
    if split < 2:
        raise DataError(f"{path} has no blank line to split at; delete it and load the data again.")
    return {"text_train": text[:split], "text_test": text[split:]}
