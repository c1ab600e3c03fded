"""What the web book makes of the outputs that lessons leave behind.

MyST-NB asks a mime render plugin about every output before it renders it itself. The plugin here,
:class:`CourseOutputs` (entry point group ``myst_nb.mime_renderers``), answers for four kinds:

* images get the alternative text that ``plotting.show`` stored in the output's metadata;
* an interactive figure (anywidget) is written as a container with the static picture of the same output
  and the view that ``book/_static/widgets-host.js`` brings to life: readers without scripts keep the picture;
* any other widget, such as ``ipywidgets.interact``, needs a running kernel: the book shows what it last
  put out, the values it was set to, and a sentence with the way to a kernel;
* a headline result (``course_utils.record``) becomes a small box.

As a Sphinx extension the module reads the glossary as MyST writes it (:func:`read_glossary`). It keeps two
things out of the pages that Jupyter Book would put there: a CDN's address (:func:`silence_thebe`), and an
icon font that a page from the file system may not load (:func:`drop_icon_font`).

An image without alternative text, a widget whose state was not saved: each is a warning that names the cell,
and the book is built with warnings as errors.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes

from course_utils.results import MIME as RESULT_MIME

IMAGE_MIMES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
VIEW_MIME = "application/vnd.jupyter.widget-view+json"
STATE_MIME = "application/vnd.jupyter.widget-state+json"
NO_STATE = "This interactive figure was saved without its state."
NEEDS_SCRIPTS = "Interactive figure: it reacts once scripts are allowed."
NEEDS_KERNEL = "This control needs a running kernel: open the lesson in {places}."


class CourseOutputs:
    """Mime render plugin of MyST-NB for the outputs of the course."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = [("*", RESULT_MIME, 5)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Return the nodes for one output, or None to leave it to MyST-NB."""
        if data.mime_type in IMAGE_MIMES:
            return _image(renderer, data)
        if data.mime_type == VIEW_MIME:
            return [nodes.raw(text=_widget(renderer, data), format="html")]
        if data.mime_type == RESULT_MIME:
            return [_result(data.content)]
        return None


def _warn(renderer: Any, data: Any, message: str) -> None:
    cells = renderer.renderer.nb_client.notebook.cells
    cell = cells[data.cell_index].get("id", data.cell_index) if data.cell_index is not None else "?"
    renderer.logger.warning(f"cell {cell!r}: {message}", subtype="course", line=data.line)


def _bundle(renderer: Any, data: Any) -> dict[str, Any]:
    """Return the whole output of which ``data`` is one representation, as ``{mime type: content}``."""
    _, outputs = renderer.renderer.nb_client.code_cell_outputs(data.cell_index)
    for output in outputs:
        if output.get("data", {}).get(data.mime_type) == data.content:
            return output["data"]
    return {}


# images


def _image(renderer: Any, data: Any) -> list[nodes.Element]:
    images = renderer.render_image(data)
    alt = data.output_metadata.get(data.mime_type, {}).get("alt", "").strip()
    # The picture that stands in for a widget describes itself, or is described by the widget's text.
    if not alt and VIEW_MIME not in _bundle(renderer, data):
        _warn(renderer, data, "image without alternative text; show figures with plotting.show(fig, alt)")
    for image in images:
        image["alt"] = alt
        image["classes"] = [*image.get("classes", []), "course-figure"]
        image.attributes.pop("height", None)  # the width fixes the size; a narrow page keeps the proportions
    return images


# headline results


def _result(content: dict[str, Any]) -> nodes.container:
    line = nodes.paragraph("", "")
    line += nodes.inline("", "Result", classes=["course-result-label"])
    line += nodes.Text(f" · {content['name']}: ")
    line += nodes.strong("", content["text"])
    return nodes.container("", line, classes=["output", "course-result"])


# widgets


def _widget(renderer: Any, data: Any) -> str:
    models = renderer.renderer.nb_client.nb_metadata.get("widgets", {}).get(STATE_MIME, {}).get("state", {})
    model = models.get(data.content.get("model_id"))
    bundle = _bundle(renderer, data)
    if model is None:
        _warn(renderer, data, "widget without saved state; run the lesson again")
        return _still(f"{_fallback(bundle)}<p class='course-widget-note'>{NO_STATE}</p>")
    if model.get("model_module") != "anywidget":
        note = NEEDS_KERNEL.format(places=_places(renderer.renderer.sphinx_env))
        return _still(f"{_saved(models, data.content['model_id'])}<p class='course-widget-note'>{note}</p>")
    view = json.dumps(data.content).replace("</", r"<\/")
    return (
        '<div class="output course-widget" data-state="waiting">'
        f'<div class="course-widget-fallback">{_fallback(bundle)}</div>'
        f"<noscript><p class='course-widget-note'>{NEEDS_SCRIPTS}</p></noscript>"
        f'<script type="{VIEW_MIME}">{view}</script></div>'
    )


def _still(body: str) -> str:
    return f'<div class="output course-widget" data-state="still">{body}</div>'


def _fallback(bundle: dict[str, Any]) -> str:
    """Return the static picture that came with a widget, as HTML; empty where none came."""
    if svg := _text(bundle.get("image/svg+xml")):
        return svg[max(svg.find("<svg"), 0) :]  # an inline SVG has no XML declaration
    if png := bundle.get("image/png"):
        alt = html.escape(_text(bundle.get("text/plain")), quote=True)
        return f'<img src="data:image/png;base64,{_text(png).strip()}" alt="{alt}">'
    return _text(bundle.get("text/html"))


def _text(content: Any) -> str:
    """Return notebook text, which may be stored as a list of lines."""
    return "".join(content) if isinstance(content, list) else content or ""


def _descend(models: dict[str, Any], model_id: str, seen: set[str]) -> Iterator[dict[str, Any]]:
    """Yield a saved model and the models shown inside it, in order."""
    if model_id in seen or model_id not in models:
        return
    seen.add(model_id)
    yield models[model_id]
    for child in models[model_id].get("state", {}).get("children", []):
        yield from _descend(models, str(child).removeprefix("IPY_MODEL_"), seen)


def _saved(models: dict[str, Any], model_id: str) -> str:
    """Return, as HTML, the values a kernel widget was saved with and what it last put out."""
    settings, shown = [], []
    for model in _descend(models, model_id, set()):
        state = model.get("state", {})
        value = state.get("value")
        if state.get("description") and isinstance(value, bool | int | float | str) and value != "":
            settings.append(f"{html.escape(str(state['description']))} = <b>{html.escape(str(value))}</b>")
        elif state.get("description") and "_options_labels" in state and state.get("index") is not None:
            label = state["_options_labels"][state["index"]]
            settings.append(f"{html.escape(str(state['description']))} = <b>{html.escape(str(label))}</b>")
        shown += [_saved_output(output) for output in state.get("outputs", [])]
    line = f"<p class='course-widget-settings'>Shown for {', '.join(settings)}.</p>" if settings else ""
    return line + "".join(shown)


def _saved_output(output: dict[str, Any]) -> str:
    if output.get("output_type") == "stream":
        return f"<pre>{html.escape(_text(output.get('text')))}</pre>"
    data = output.get("data", {})
    for mime in ("image/png", "image/jpeg"):
        if mime in data:
            described = output.get("metadata", {}).get(mime, {})
            alt = html.escape(described.get("alt", ""), quote=True)
            width = f' width="{int(described["width"])}"' if described.get("width") else ""
            source = f"data:{mime};base64,{_text(data[mime]).strip()}"
            return f'<img class="course-figure" src="{source}" alt="{alt}"{width}>'
    if "image/svg+xml" in data or "text/html" in data:
        return _fallback(data)
    return f"<pre>{html.escape(_text(data.get('text/plain')))}</pre>" if "text/plain" in data else ""


def _places(env: Any) -> str:
    """Return where a kernel is: JupyterLab, and Colab (linked) if the lesson's address there is known."""
    options = env.config.html_theme_options if env else {}
    colab = (options.get("launch_buttons") or {}).get("colab_url")
    address = options.get("repository_url") or ""
    repository = re.match(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?$", address)
    if not colab or not repository:
        return "JupyterLab"
    folder = (options.get("path_to_docs") or "").strip("/")
    path = f"{folder}/{env.docname}" if folder else env.docname
    branch = options.get("repository_branch") or "main"
    address = f"{colab.rstrip('/')}/github/{repository[1]}/blob/{branch}/{path}.ipynb"
    return f'JupyterLab or <a class="reference external" href="{html.escape(address, quote=True)}">Colab</a>'


# the glossary

_GLOSSARY = re.compile(r"^(?P<fence>:{3,}|`{3,})\{glossary\}.*?^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)


def read_glossary(app: Any, docname: str, source: list[str]) -> None:
    """Turn MyST's ``: definition`` into the indented one that Sphinx's glossary directive reads."""
    source[0] = _GLOSSARY.sub(lambda block: re.sub(r"^: +", "  ", block[0], flags=re.MULTILINE), source[0])


# the theme


def silence_thebe(app: Any) -> None:
    """Take out sphinx-thebe, which Jupyter Book loads even when it is off.

    It would write the address of a CDN into every page, twice: an error in the browser's console, too.
    """
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__.split(".")[0] == "sphinx_thebe":
                app.disconnect(listener.id)


_ICON_FONT = re.compile(r"[ \t]*<link [^>]*vendor/fontawesome/[^>]*(?:\.css|\.woff2)[^>]*>\n?")


def drop_icon_font(app: Any, exception: Exception | None) -> None:
    """Take the icon font out of the written pages: a browser refuses it on a page from the file system.

    A script of the theme draws the icons of its buttons without it; ``course.css`` replaces the others.
    """
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        without = _ICON_FONT.sub("", text)
        if without != text:
            page.write_text(without, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx (``extra_extensions`` in ``book/_config.yml``)."""
    app.connect("source-read", read_glossary)
    app.connect("builder-inited", silence_thebe, priority=1)
    app.connect("build-finished", drop_icon_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
