"""The base of every interactive figure.

A figure is one ES module (``_ui.js`` + its own ``.js``, joined here into one text that imports nothing) and
one small Python class::

    class SlopeFigure(Explorable):
        _js = "slope_figure.js"       # beside this file; ends in `export default { render };`. A
                                      # slope_figure.css beside it, if there is one, follows _ui.css
        slope = traitlets.Float(1.0).tag(sync=True)       # state: simple JSON types only

        @property
        def description(self) -> str:                     # alt text: what is drawn and what it shows
            return f"A line of slope {self.slope:g} through the origin."

        def preview(self) -> str:                         # the opening state as a small SVG picture
            return svg_document(200, 100, '<line .../>')

What is displayed is a MIME bundle with three entries: the widget view (preferred by JupyterLab, Colab and
VS Code), ``text/html`` (:meth:`Explorable.fallback`: the static picture with its alt text; what remains where
no widget can be shown) and ``text/plain`` (the description).
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, ClassVar

import anywidget

_VIEW = "application/vnd.jupyter.widget-view+json"

# The same colours as course_utils.plotting, for the static pictures (a test holds them together).
BLUE, ORANGE, GREEN, PURPLE = "#0072C0", "#DF9A00", "#2FA36B", "#B0719E"
SKY, RED, YELLOW, GREY, BLACK = "#74CAF7", "#AE3A00", "#F7EC3A", "#595959", "#000000"


def _read(name: str) -> str:
    return resources.files("course_utils.explorables").joinpath(name).read_text(encoding="utf-8")


def module_text(js_name: str, parts: Sequence[str] = ()) -> str:
    """The whole ES module of a figure: the shared library, parts that some figures share, the figure's own code."""
    own = _read(js_name)
    if own.count("export default") != 1:
        raise ValueError(f"{js_name} must contain exactly one `export default`.")
    return "\n".join([_read("_ui.js"), *(_read(f"{part}.js") for part in parts), own])


def style_text(js_name: str, parts: Sequence[str] = ()) -> str:
    """The style of a figure: the shared one, those of its parts, then the figure's own ``.css`` if it has one.

    A page with several figures adds the shared style once for each, in any order. So the own rules, which
    begin with ``.cx-KIND``, get ``.cx`` before it: they win over the shared ones wherever they stand.
    """
    file = resources.files("course_utils.explorables").joinpath(js_name.removesuffix(".js") + ".css")
    shared = "\n".join([_read("_ui.css"), *(_read(f"{part}.css") for part in parts)])
    if not file.is_file():
        return shared
    own = file.read_text(encoding="utf-8")
    kind = re.search(r"\.cx-[a-z]+", own)
    if kind:
        own = re.sub(rf"(?<![\w.\-]){re.escape(kind[0])}(?![\w-])", f".cx{kind[0]}", own)
    return shared + "\n" + own


def svg_document(width: float, height: float, body: str) -> str:
    """Wrap SVG elements into a stand-alone picture on a white card, readable on light and dark pages."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif" font-size="13" fill="#222">'
        f'<rect width="100%" height="100%" rx="6" fill="#fff"/>{body}</svg>'
    )


class Explorable(anywidget.AnyWidget):
    """An interactive figure whose computation runs in the browser. See the module's text."""

    _js: ClassVar[str]
    _parts: ClassVar[tuple[str, ...]] = ()  # "_timeline" stands for _timeline.js and _timeline.css beside this file

    # ipywidgets 7 would display through this method and drop every entry but the view.
    _ipython_display_ = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "_js" in cls.__dict__:
            cls._esm = module_text(cls._js, cls._parts)
            cls._css = style_text(cls._js, cls._parts)
        super().__init_subclass__(**kwargs)

    @property
    def description(self) -> str:
        """Alt text: what is drawn, and what it shows."""
        raise NotImplementedError

    def preview(self) -> str:
        """The opening state as stand-alone SVG text, made with the same mathematics as the figure."""
        raise NotImplementedError

    def fallback(self) -> str:
        """HTML without scripts that stands in for the figure where no widget can be shown."""
        picture = base64.b64encode(self.preview().encode("utf-8")).decode("ascii")
        alt = html.escape(self.description, quote=True)
        return (
            '<figure class="explorable-static" style="margin:0">'
            f'<img src="data:image/svg+xml;base64,{picture}" alt="{alt}" style="max-width:100%;height:auto">'
            "</figure>"
        )

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        # ipywidgets hands `include` and `exclude`; anywidget takes keywords only
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": self.description, "text/html": self.fallback()}, metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.description}"
