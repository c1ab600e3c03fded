"""Showing one output with several representations, in a notebook or in a plain terminal."""

from __future__ import annotations

from typing import Any


def show(bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Display a MIME bundle; outside IPython print its ``text/plain`` entry."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(bundle["text/plain"])
    else:
        display(bundle, metadata=metadata or {}, raw=True)
