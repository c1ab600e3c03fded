"""Makes what a student wrote and printed inert, whatever renders it.

Formgrader and nbgrader's feedback put Markdown into the page as it comes, so a script in a written answer
would run with the teacher's rights. :func:`markdown` therefore changes the *source*: one character between
two others that no parser may read together. No tag, link, image, diagram or active TeX command can start
then, in text, code or mathematics, and no difference between parsers matters. :func:`outputs` keeps text and
pixels only.
"""

from __future__ import annotations

import base64
import binascii
import html
import io
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_MARK = "\u200b"  # zero width space: no white space to any Markdown parser, part of no tag, name or address
_ODD = "\ufffd"

MARKDOWN_LENGTH = 20_000  # characters; parsers of Markdown take quadratic time for some texts
TEXT_LENGTH = 20_000  # characters of one text output or traceback
OUTPUTS_PER_CELL = 20
IMAGE_BYTES = 1_000_000
IMAGE_SIDE = 4_000  # pixels

# Surrogates cannot be written as UTF-8. The others are control characters and those that turn the direction
# of writing, with which a text can show something else than it says; escapes (\x1b) are taken out whole.
_IMPOSSIBLE = re.compile(r"[\ud800-\udfff\x00]")
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")

# Colours as nbconvert reads them: it fails on a code for extended colours that has no colour after it.
_COLOURS = (
    r"\x1b\[(?:(?:[0-9]|[0-4][0-79]|9[0-7]|10[0-7]"
    r"|[34]8;5;[0-9]{1,3}|[34]8;2;[0-9]{1,3};[0-9]{1,3};[0-9]{1,3})(?:;(?=[0-9])|(?=m))){0,8}m"
)
_ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
_ESCAPES = re.compile(f"({_COLOURS})|{_ESCAPE}")


def _cut(content: str, limit: int) -> str:
    """``content``, if longer than ``limit`` characters with a line in place of its middle that says so."""
    left_out = len(content) - limit
    if left_out <= 0:
        return content
    head = limit - limit // 4
    return f"{content[:head]}\n[... {left_out} characters left out ...]\n{content[head + left_out :]}"


def _without_escapes(content: str, keep: str = "") -> str:
    """Without terminal escapes; ``keep=r"\\1"`` keeps those that set a colour."""
    return _ESCAPES.sub(keep, content) if "\x1b" in content else content


def _characters(content: str) -> str:
    """Line breaks as ``\\n``, and nothing that cannot be written or that steers a terminal."""
    content = _IMPOSSIBLE.sub(_ODD, content.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", _without_escapes(content))


def text(content: Any, *, limit: int = 2_000, lines: bool = False) -> str:
    """A name or message for a terminal, a table or a log: plain, and one line unless ``lines``.

    In a page it still has to be escaped, and in a comment or cell that is rendered it has to go through
    :func:`markdown`. Anything that is no string becomes an empty one.
    """
    if not isinstance(content, str):
        return ""
    content = _characters(content)
    return _cut(content, limit) if lines else " ".join(_cut(content, limit).split())


# --- Markdown -----------------------------------------------------------------------------------------------

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

# What MathJax 2 to 4 and KaTeX know that makes links, attributes, styles or identifiers, loads something, or
# defines and builds names, with which every other one could be had. Mathematics needs none of them.
_COMMANDS = (
    "href",
    "url",
    "style",
    "class",
    "css",
    "data",
    "html",
    "mmlToken",
    "require",
    "unicode",
    "texttip",
    "mathtip",
    "toggle",
    "bbox",
    "enclose",
    "definecolor",
    "colorbox",
    "fcolorbox",
    "include",
    "input",
    "setOptions",
    "(?:re)?new(?:command|environment|tagform)",
    "providecommand",
    "Newextarrow",
    "Declare",
    "[gex]?def(?![a-z])",
    "(?:future)?let(?![a-z])",
    "global",
    "begingroup",
    "endgroup",
    "csname",
    "catcode",
    "expandafter",
)

# Each match ends where the mark goes.
_BREAKS = re.compile(
    "|".join(
        (
            r"<(?=[A-Za-z/!?])",  # a tag, comment, declaration or address in angle brackets
            r"!(?=\[)",  # an image
            r"\](?=[(\[:])",  # a link, a reference, a definition: all parsers want the two side by side
            rf"&(?=#?[^\s<&#;{_MARK}]+;)",  # an entity that a second decoding would turn into something else
            rf"\\(?=(?:{'|'.join(_COMMANDS)}))",
            # addresses that become links by themselves
            rf"(?<![A-Za-z0-9])/(?=/)|[Ww]{{3}}(?=\.)|(?<=[^\s{_MARK}])(?=@[\w-]+\.)",
        )
    )
)
_MATHEMATICS = re.compile(
    r"\$\$.{1,4000}?\$\$|\$[^$]{1,4000}\$|\\\\\(.{1,4000}?\\\\\)|\\\\\[.{1,4000}?\\\\\]"
    r"|\\begin\{(?P<name>[a-z]{1,20}\*?)\}.{1,4000}?\\end\{(?P=name)\}",
    re.DOTALL,
)
_HEADING = re.compile(rf"^[ \t>*+\-\d.):]*#{{1,6}}(?!#)[ \t]*(?=[^ \t\n{_MARK}])", re.MULTILINE)
# A code block keeps its language if it is one of these: `mermaid` draws its content without escaping it.
_LANGUAGE = r"(?:i?python3?|py|pycon|text|console|bash|sh|json|yaml|latex)"
_FENCE = re.compile(
    rf"(?:(?<!`)`{{3,}}+|(?<!~)~{{3,}}+)(?![ \t]*(?:{_LANGUAGE}{_MARK}*(?!\S)|{_MARK}|\n|\Z))"
)
_PLAIN_FENCE = re.compile(rf"(?:[ \t]*>)* {{0,3}}(?:`{{3,}}|~{{3,}})[ \t]*{_LANGUAGE}?[ \t]*")


def markdown(source: str, *, limit: int = MARKDOWN_LENGTH) -> str:
    """Markdown of a student's that shows what was meant and does nothing.

    Text, emphasis, lists, tables, code and mathematics render as before; tags, links and images are shown as
    they were typed. A heading gets an anchor that nothing else in the page has. Cleaning twice does no harm.

    Parameters
    ----------
    limit : int
        Longest answer in characters; of a longer one the middle is left out, and a line says so.
    """
    source = _cut(_characters(source if isinstance(source, str) else ""), limit)
    source = _characters(_ENTITY.sub(lambda entity: html.unescape(entity[0]), source))

    # In mathematics a space means nothing, while MathJax 2 makes room for a zero width one. Both break what
    # they stand in, so that a wrong guess at what is mathematics costs nothing.
    in_mathematics = bytearray(len(source) + 1)
    for found in _MATHEMATICS.finditer(source):
        in_mathematics[found.start() : found.end()] = b"\1" * (found.end() - found.start())
    marks = {found.end(): " " if in_mathematics[found.end()] else _MARK for found in _BREAKS.finditer(source)}
    for pattern in (_HEADING, _FENCE):
        marks |= dict.fromkeys((found.end() for found in pattern.finditer(source)), _MARK)
    marks |= dict.fromkeys(_ends_before_underlines(source), _MARK)
    ends = [0, *sorted(marks), len(source)]
    return "".join(marks.get(start, "") + source[start:end] for start, end in pairwise(ends))


def _ends_before_underlines(source: str) -> list[int]:
    """Where a line ends that a later one, of ``=`` and ``-`` only, may make a heading."""
    ends, end, text_above, text_end = [], 0, "", 0
    for line in source.split("\n"):
        content = line.lstrip(" \t>").rstrip(" \t")
        if content and set(content) <= {"=", "-"}:
            if text_above and not text_above.endswith(_MARK) and not _PLAIN_FENCE.fullmatch(text_above):
                ends.append(text_end)
            text_above = ""
        elif content:
            text_above, text_end = line, end + len(line)
        elif "\t" not in line and line.count(" ") < 4:  # else mistune does not see a blank line
            text_above = ""
        end += len(line) + 1
    return ends


# --- Outputs ------------------------------------------------------------------------------------------------


def _printed(content: Any) -> str:
    """Text as a terminal would show it at the end: overwritten lines are gone, colours are kept."""
    if isinstance(content, list):
        content = "".join(part for part in content if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    if "\r" in content:  # a progress bar writes its line again and again
        content = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in content.split("\n"))
    content = _CONTROLS.sub("", _without_escapes(_IMPOSSIBLE.sub(_ODD, content), r"\1"))
    # What is cut out may begin or end within a colour code.
    return _without_escapes(_cut(content, TEXT_LENGTH), r"\1")


@dataclass
class Room:
    """What the outputs of one notebook may still take; :func:`outputs` uses it up.

    Attributes
    ----------
    characters : int
        Characters in all, images counted as base64.
    pixels : int
        Pixels in all: encoding a large plain image takes seconds, however few bytes it has.
    """

    characters: int = 2_000_000
    pixels: int = 32_000_000


def outputs(raw: Any, room: Room | None = None) -> list[dict[str, Any]]:
    """What a cell of a student's put out, as nbformat outputs that hold only text and pixels.

    Kept are streams, ``text/plain``, PNG images encoded anew, and errors; metadata and everything else is
    dropped. What is too much is left out with a line. Nothing that comes in makes this raise.

    Parameters
    ----------
    raw : list of dict
        As captured in the student's process.
    room : Room, optional
        Shared by the cells of one notebook.
    """
    room = Room() if room is None else room
    kept: list[dict[str, Any]] = []
    left_out = 0
    merged = list(_merged(raw if isinstance(raw, list) else []))
    errors = [place for place, output in enumerate(merged) if output.get("output_type") == "error"]
    for place, output in enumerate(merged):
        # Why a cell failed is shown after however many other outputs.
        fits = len(kept) < OUTPUTS_PER_CELL or place in errors[-1:]
        cleaned = _output(output, room) if fits else None
        if cleaned and _size(cleaned) <= room.characters:
            room.characters -= _size(cleaned)
            kept.append(cleaned)
        elif cleaned or len(kept) >= OUTPUTS_PER_CELL:
            left_out += 1
    if left_out:
        kept.append(_stream("stderr", f"[... {left_out} more output{'s' * (left_out > 1)} left out ...]\n"))
    return kept


def _stream(name: str, content: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": content}


def _merged(raw: list[Any]) -> Iterable[dict[Any, Any]]:
    """The outputs that are dicts, neighbouring pieces of one stream put together."""
    pieces: list[str] = []
    name = None
    for output in raw:
        if not isinstance(output, dict):
            continue
        is_stream = output.get("output_type") == "stream"
        new = ("stderr" if output.get("name") == "stderr" else "stdout") if is_stream else None
        if pieces and new != name:
            yield _stream(str(name), "".join(pieces))
            pieces = []
        name = new
        if is_stream:
            content = output.get("text")
            content = content if isinstance(content, list) else [content]
            pieces += [part for part in content if isinstance(part, str)]
        else:
            yield output
    if pieces:
        yield _stream(str(name), "".join(pieces))


def _output(output: dict[Any, Any], room: Room) -> dict[str, Any] | None:
    """One output cleaned, or None if nothing of it is shown."""
    kind = output.get("output_type")
    if kind == "stream":
        content = _printed(output["text"])
        return _stream(output["name"], content) if content else None
    if kind == "error":
        lines = output.get("traceback")
        lines = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
        name = text(output.get("ename"), limit=200) or "Error"
        value = text(output.get("evalue"), lines=True)
        shown = _printed("\n".join(lines)) or f"{name}: {value}"
        return {"output_type": "error", "ename": name, "evalue": value, "traceback": [shown]}
    data = output.get("data")
    if kind not in ("execute_result", "display_data") or not isinstance(data, dict):
        return None
    shown = {}
    if content := _printed(data.get("text/plain")):
        shown["text/plain"] = content
    if "image/png" in data:
        picture = _picture(data["image/png"], room)
        if picture:
            shown["image/png"] = picture
        else:
            shown["text/plain"] = f"[image left out: no PNG, or too large]\n{content}".rstrip("\n")
    if not shown:
        return None
    cleaned = {"output_type": kind, "data": shown, "metadata": {}}
    if kind == "execute_result":
        count = output.get("execution_count")
        cleaned["execution_count"] = count if type(count) is int and 0 <= count < 1_000_000 else None
    return cleaned


def _size(output: dict[str, Any]) -> int:
    """Characters of an output."""
    parts = [output.get("text", ""), *output.get("traceback", ()), *output.get("data", {}).values()]
    return sum(map(len, parts))


def _picture(content: Any, room: Room) -> str | None:
    """A PNG in base64 as pixels only, in base64; None if it is none or too large."""
    from PIL import Image

    if isinstance(content, list) and all(isinstance(part, str) for part in content):
        content = "".join(content)
    if not isinstance(content, str) or len(content) > 1.5 * IMAGE_BYTES:
        return None
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    is_png = data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR"
    if not is_png or not 33 <= len(data) <= IMAGE_BYTES:
        return None
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= IMAGE_SIDE and 0 < height <= IMAGE_SIDE and width * height <= room.pixels):
        return None
    room.pixels -= width * height
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != (width, height):
                return None
            image.load()
            picture = image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA")
            pixels = Image.frombytes(picture.mode, picture.size, picture.tobytes())
        encoded = io.BytesIO()
        pixels.save(encoded, format="PNG")
    except Exception:  # a hostile file fails in many ways inside the decoder, and none of them is of interest
        return None
    return base64.b64encode(encoded.getvalue()).decode("ascii")
