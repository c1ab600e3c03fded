"""What students write and print does nothing in the pages that teachers and students open."""

import base64
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from course_utils.grading import clean

EVIL = "https://evil.example/x"
PIXEL = "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+"

MARKDOWN = [
    # tags, on lines of their own, within text, and in what should hide them
    "<script>alert(1)</script>",
    "text <script src='https://evil.example/x.js'></script> text",
    "<ScRiPt\n>alert(1)</sCrIpT\n>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://evil.example/seen.png'>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<math><mtext><img src onerror=alert(1)></mtext></math>",
    '<iframe srcdoc="&lt;script&gt;alert(1)&lt;/script&gt;"></iframe>',
    "<object data='javascript:alert(1)'></object><embed src='javascript:alert(1)'>",
    "<form action='https://evil.example'><button formaction='javascript:alert(1)'>Full credit</button></form>",
    "<input autofocus onfocus=alert(1) id='ps0-test' class='score tabbable'>",
    "<style>body{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'><link rel=stylesheet href=//evil.example/x.css>",
    "<body onload=alert(1)><details open ontoggle=alert(1)><marquee onstart=alert(1)>",
    "<video><source onerror=alert(1)></video><audio src=x onerror=alert(1)>",
    "<div style='position:fixed;inset:0;background:url(//evil.example)' onmouseover=alert(1)>x</div>",
    "</div></div><p id=statusmessage>",
    "<!-- --><img src=x onerror=alert(1)> -->",
    "<!--><img src=x onerror=alert(1)>",
    "<![CDATA[><img src=x onerror=alert(1)>]]>",
    "<?xml-stylesheet href='x'?><!DOCTYPE html>",
    "<a href='javascript:alert(1)' onclick=alert(1)>x</a>",
    "<img src=`x` onerror=alert(1)//",
    "`<img src=x onerror=alert(1)>`",
    "``` <img src=x onerror=alert(1)>",
    "```html\n<script>alert(1)</script>\n```",
    "    <script>alert(1)</script>",
    "> - <script>alert(1)</script>",
    "| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | 2 |",
    "# <img src=x onerror=alert(1)>",
    "a\\<img src=x onerror=alert(1)>",
    "<scr\x00ipt>alert(1)</script>",
    "<\u200b\x0bscript>alert(1)</script>",
    # entities, which a later step might decode
    "&lt;img src=x onerror=alert(1)&gt;",
    "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
    "&#60;img src=x onerror=alert(1)&#62; &#x3c;script&#x3e; &lt;script",
    "&NewLine;&lpar;&lbrack;x&rsqb;&lpar;javascript&colon;alert(1)&rpar;",
    # links and images in every form
    "[x](javascript:alert(1))",
    "[x]( <javascript:alert(1)> 'title')",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](&#106;avascript:alert(1)) [x](java\nscript:alert(1)) [x](\x01javascript:alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[x][]\n\n[x]: <javascript:alert(1)> 'title'",
    "[x]\n\n   [x]:\n   javascript:alert(1)",
    "[a\\]b]\n\n[a\\]b]: javascript:alert(1)",
    "[x] (javascript:alert(1)) [x]\n[y]\n\n[y] : javascript:alert(1)",
    f"![x]({EVIL}) ![x]({PIXEL})",
    f"![x][y]\n\n[y]: {EVIL}",
    f"[![x]({EVIL})](javascript:alert(1))",
    "![x](attachment:no.png)",
    "![x](files/../../secret.png) [x](/files/x)",
    "<javascript:alert(1)> <https://evil.example> <someone@evil.example>",
    f"{EVIL} www.evil.example ftp://evil.example someone@evil.example",
    "[^1]\n\n[^1]: <script>alert(1)</script>",
    # mathematics, which goes to MathJax as it is
    "$\\href{javascript:alert(1)}{x}$",
    "$$\\url{javascript:alert(1)} \\style{position:fixed}{x} \\class{score}{x} \\cssId{ps0-test}{x}$$",
    "\\\\(\\href{javascript:alert(1)}{x}\\\\)",
    "\\\\[\\require{html}\\unicode[x;y]{65} \\bbox[url(x)]{x} \\data{x=y}{x}\\\\]",
    "\\begin{align}\\href{javascript:alert(1)}{x}\\end{align}",
    "&#36;\\&#104;ref{javascript:alert(1)}{x}&#36;",
    "$\\mmlToken{mi}[href=javascript:alert(1)]{x} \\texttip{x}{y} \\mathtip{x}{y} \\toggle{x}{y}\\endtoggle$",
    "$\\def\\x#1{\\#1}\\newcommand{\\y}{\\href}\\let\\z=\\href\\csname href\\endcsname{javascript:alert(1)}{x}$",
    "$\\includegraphics{x}\\input{x}\\htmlData{onclick=x}{y}\\fcolorbox{red;background:url(//evil.example)}{x}{y}$",
    "$<img src=x onerror=alert(1)>$ $$<script>alert(1)</script>$$ $a <img src=x onerror=alert(1)>",
    "\\begin{x}<img src=x onerror=alert(1)>\\end{x}",
    # what the renderers do beyond Markdown
    "```mermaid\nflowchart LR\nA[<img src=x onerror=alert(1)>]\nclick A href 'javascript:alert(1)'\n```",
    "~~~ m&#101;rmaid x\n<img src=x onerror=alert(1)>\n~~~",
    "> ```` mermaid\n> <img src=x onerror=alert(1)>\n> ````",
    '```x"onclick="alert(1)\ny\n```',
    "# ps0-test\n\nps0-test\n===\n\nstatusmessage\n---\n\n> - # MathJax\n\n#top#\n\n1. # comment-why #",
    "# \u00a0ps0-test\n\nps0-test\n\u00a0\n===\n\n> ps0-test\n> ---\n\nps0-test\n=-\n\nps0-test\n\t \n===",
    "x_www.evil.example _//evil.example ;@evil.example",
    "@@0@@ @@1@@ \x1b]8;;https://evil.example\x07x\x1b]8;;\x07",
    "a\u202egnp.tpircs\u2066 \ud800",
]

TAGS = {"p", "br", "hr", "em", "strong", "del", "s", "code", "pre", "span", "div", "blockquote", "a", "input"}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"ul", "ol", "li", "dl", "dt", "dd"}
ZERO_WIDTH = "%E2%80%8B"
ATTRIBUTES = {
    ("class", None): r"[\w -]*|language-\S*\u200b\S*",
    ("id", None): rf".*{ZERO_WIDTH}.*|([=-]|%3E|%0A)*",
    ("href", "a"): rf"#(.*{ZERO_WIDTH}.*|([=-]|%3E|%0A)*)",
    ("style", None): r"text-align: ?(left|center|right);?",
    ("type", "input"): "checkbox",
    ("disabled", "input"): "(disabled)?",
    ("checked", "input"): "(checked)?",
    ("start", "ol"): r"\d+",
}
ACTIVE_TEX = re.compile(
    r"\\(href|url|style|class|cssId|data|require|unicode|bbox|mmlToken|texttip|mathtip|toggle|def|let|newcommand"
    r"|csname|includegraphics|input|html|fcolorbox)"
)


class Page(HTMLParser):
    """A page's elements with their attributes, and its text with a NUL where an element begins or ends."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, attrs))
        self.text += "\0"

    def handle_endtag(self, tag):
        self.text += "\0"

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.elements.append(("comment", []))

    handle_decl = unknown_decl = handle_pi = handle_comment


def assert_inert(page):
    """Only elements and attributes that formatted text has."""
    page = Page(page)
    for tag, attrs in page.elements:
        assert tag in TAGS, tag
        for name, value in attrs:
            allowed = ATTRIBUTES.get((name, tag)) or ATTRIBUTES.get((name, None))
            assert allowed is not None, (tag, name, value)
            assert re.fullmatch(allowed, value or ""), (tag, name, value)
    assert not ACTIVE_TEX.search(page.text)  # MathJax puts nothing together across elements


def nbconvert(source):
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    return markdown2html_mistune(source)


def markdown_it(source):
    """Another parser, with what GitHub's and VS Code's have."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("gfm-like", {"html": True, "linkify": True})
    parser.linkify.set({"fuzzy_link": False})  # every word with a dot in it
    return parser.render(source)


@pytest.mark.parametrize("render", [nbconvert, markdown_it])
@pytest.mark.parametrize("source", MARKDOWN)
def test_markdown_is_inert(source, render):
    cleaned = clean.markdown(source)
    assert_inert(render(cleaned))
    cleaned.encode("utf-8")
    assert clean.markdown(cleaned) == cleaned


def test_the_payloads_would_act_if_they_were_not_cleaned():
    """The judgement of this file is not blind: most payloads fail it as they are."""
    acting = 0
    for source in MARKDOWN:
        try:
            assert_inert(nbconvert(source))
        except Exception:  # some do not render at all
            acting += 1
    assert acting > 0.75 * len(MARKDOWN)


PIECES = [
    "<img ",
    "<a ",
    "</p>",
    "<!--",
    "<",
    ">",
    "![",
    "[x",
    "](",
    "]:",
    "][",
    "]",
    "(",
    ")",
    "[x]: http://a\n",
]
PIECES += [
    ":",
    "//",
    "https:",
    "www.",
    "@x.y",
    "`",
    "```",
    "~~~",
    "mermaid",
    "$",
    "$$",
    "\\\\(",
    "\\\\)",
    "\\",
    "href",
]
PIECES += [
    "\n",
    "\n\n",
    " ",
    "\t",
    "\xa0",
    "> ",
    "- ",
    "1. ",
    ": ",
    "# ",
    "\n===\n",
    "\n---\n",
    "|",
    "\n|a|\n|-|\n",
]
PIECES += [
    "&lt;",
    "&#60;",
    "&amp;lt;",
    "&bsol;",
    "&",
    ";",
    "x",
    "*",
    "_",
    "~~",
    "!",
    "#",
    '"',
    "'",
    "{",
    "}",
    "=",
]
PIECES += ["\\begin{a}", "\\end{a}", "\\href{javascript:x}{y}", "\x00", "\x1b[", "\r", "\u200b"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=24).map("".join))
def test_any_markdown_is_inert(source):
    cleaned = clean.markdown(source)
    assert_inert(nbconvert(cleaned))
    assert_inert(markdown_it(cleaned))
    assert clean.markdown(cleaned) == cleaned


def visible(text):
    return re.sub("[\0\u200b]", "", text)


def test_honest_markdown_renders_as_meant():
    page = nbconvert(
        clean.markdown(
            "# My answer\n\nThe *gradient* is **zero** where $x<y$ and $a < b$, see `w<b` and `x = y[0]`.\n\n"
            "- one\n- two\n\n1. first\n2. second\n\n> quoted\n\n"
            "| layer | units |\n|:---|---:|\n| `hidden` | 32 |\n\n"
            "```python\nif a<b:  # compare\n    c = a[0](b)\n```\n\n"
            "$$\\begin{aligned} L &= -\\sum_i y_i \\log p_i \\\\ &\\le \\frac{1}{n} \\end{aligned}$$\n\n"
            "- [x] done (mostly)\n\nUnder\n-----\n\na &lt; b &amp; c"
        )
    )
    tags = Counter(tag for tag, _ in Page(page).elements)
    assert (
        tags["h1"] == tags["h2"] == tags["table"] == tags["em"] == tags["strong"] == tags["blockquote"] == 1
    )
    assert tags["li"] == 5
    assert tags["td"] == 2
    assert tags["input"] == 1
    text = visible(Page(page).text)
    assert "where $x< y$ and $a < b$, see w<b and x = y[0]." in text
    assert "if a<b:  # compare\n    c = a[0](b)" in text
    assert "\\begin{aligned} L &= -\\sum_i y_i \\log p_i \\\\ &\\le \\frac{1}{n} \\end{aligned}" in text
    assert "a < b & c" in text
    assert 'class="highlight"' in page
    assert 'style="text-align:right"' in page


def test_what_is_not_active_keeps_its_wording():
    source = "See [the paper](https://doi.org/10.1/x), <b>bold</b> & co."
    assert visible(clean.markdown(source)) == source


def test_a_long_answer_loses_its_middle_and_says_so():
    cleaned = clean.markdown("a" * 30_000 + "end")
    assert "[... 10003 characters left out ...]" in cleaned
    assert cleaned.endswith("end")


@pytest.mark.parametrize(
    "piece", ["\\\\(", "\\begin{a}", "$", "[", "> ", "* a\n\n  ", "`a", "<", "|a\n|-\n", "**a"]
)
def test_no_answer_keeps_the_parser_busy(piece):
    from time import process_time

    start = process_time()
    nbconvert(clean.markdown(piece * (200_000 // len(piece))))
    assert process_time() - start < 8


# --- outputs


def picture(mode="RGB", size=(3, 2), **save):
    written = io.BytesIO()
    Image.new(mode, size, "red" if mode.startswith("RGB") else 0).save(written, format="PNG", **save)
    return base64.b64encode(written.getvalue()).decode()


def only(raw, **kwargs):
    (output,) = clean.outputs([raw], **kwargs)
    return output


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def display(**data):
    return {
        "output_type": "display_data",
        "data": {key.replace("_", "/"): data[key] for key in data},
        "metadata": {},
    }


def test_only_text_and_pixels_are_kept():
    shown = only(
        {
            "output_type": "execute_result",
            "execution_count": 3,
            "data": {
                "text/plain": ["<b>", "1</b>"],
                "text/html": "<script>alert(1)</script>",
                "application/javascript": "alert(1)",
                "image/svg+xml": "<svg onload=alert(1)>",
                "text/latex": "$\\href{javascript:alert(1)}{x}$",
                "text/markdown": "<script>alert(1)</script>",
                "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
            },
            "metadata": {"text/html": {"isolated": True}},
            "transient": {"x": 1},
        }
    )
    assert shown == {
        "output_type": "execute_result",
        "execution_count": 3,
        "data": {"text/plain": "<b>1</b>"},
        "metadata": {},
    }
    assert clean.outputs([display(text_html="x"), display(), {"output_type": "clear_output"}]) == []


def test_a_picture_is_encoded_anew():
    from PIL.PngImagePlugin import PngInfo

    hidden = PngInfo()
    hidden.add_text("x", '"><script>alert(1)</script>')
    data = base64.b64decode(picture(pnginfo=hidden)) + b"<script>alert(1)</script>"
    wrapped = base64.encodebytes(data).decode()
    shown = only(display(image_png=wrapped, text_plain="<Figure>"))
    assert shown["data"]["text/plain"] == "<Figure>"
    kept = base64.b64decode(shown["data"]["image/png"], validate=True)
    assert b"script" not in kept
    with Image.open(io.BytesIO(kept)) as image:
        assert (image.format, image.size, image.mode, image.info) == ("PNG", (3, 2), "RGB", {})
        assert image.getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_of_all_kinds_are_kept(mode):
    assert "image/png" in only(display(image_png=picture(mode)))["data"]


def header(width, height):
    data = bytearray(base64.b64decode(picture()))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return base64.b64encode(bytes(data)).decode()


@pytest.mark.parametrize(
    "content",
    [
        'x" onerror="alert(1)',
        picture() + '"><script>alert(1)</script>',
        "PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+" * 3,
        base64.b64encode(b"GIF89a" + b"\0" * 99).decode(),
        picture()[:60],
        picture(size=(4001, 1)),
        header(100_000, 100_000),
        header(0, 5),
        header(4000, 4000),
        "A" * 2_000_000,
        "\ud800é",
        {"x": 1},
        [picture(), 3],
        None,
    ],
)
def test_what_is_no_picture_is_left_out_with_a_line(content):
    assert only(display(image_png=content))["data"] == {
        "text/plain": "[image left out: no PNG, or too large]"
    }


def test_pictures_share_the_notebooks_pixels():
    room = clean.Room(pixels=10)
    kept = clean.outputs([display(image_png=picture())] * 2, room)
    assert ["image/png" in each["data"] for each in kept] == [True, False]


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a\tb\n", "a\tb\n"),
        ("1/3\r2/3\r3/3\n", "3/3\n"),
        ("1/3\r2/3\r", "2/3"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("ab\x08c\x07\x0c\x7f\x9b31m", "abc31m"),
        ("\x1b[1;31mred\x1b[0m \x1b[38;5;241mgrey\x1b[39;49;00m \x1b[01;34mx\x1b[m", None),
        ("\x1b[38;2;1;2;3mx\x1b[97;101my", None),
        ("\x1b[38mx\x1b[38;5my\x1b[;;mz", "xyz"),
        ("\x1b[2J\x1b[1;1H\x1b[?25lx\x1b[K\x1b(B\x1b", "x"),
        ("\x1b]0;title\x07x\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "xlink"),
        ("\x1b\x1b[31m\x1b[3\x1b[2J1mx", "\x1b[31m1mx"),
        ("\x00\ud800\u202ex\u2066\ufeff", "\ufffd\ufffdx"),
        ("<script>alert(1)</script>", None),
    ],
)
def test_text_is_what_a_terminal_shows_at_the_end(printed, shown):
    expected = printed if shown is None else shown
    assert only(stream(printed))["text"] == expected
    assert only(display(text_plain=printed))["data"]["text/plain"] == expected


def test_pieces_of_a_stream_are_put_together():
    pieces = [stream("1/2\r"), stream(["2/2", "\n"]), stream("careful", "stderr"), stream("x", "evil")]
    assert clean.outputs(pieces) == [stream("2/2\n"), stream("careful", "stderr"), stream("x")]


def test_an_error_keeps_its_text():
    raw = {
        "output_type": "error",
        "ename": "Value\x1b[31mError\n<script>",
        "evalue": "<img src=x\nonerror=alert(1)>",
        "traceback": ["\x1b[0;31mline 1\x1b[0m", 3, "line <b>2</b>\x1b[2J"],
    }
    assert only(raw) == {
        "output_type": "error",
        "ename": "ValueError <script>",
        "evalue": "<img src=x\nonerror=alert(1)>",
        "traceback": ["\x1b[0;31mline 1\x1b[0m\nline <b>2</b>"],
    }
    assert only({"output_type": "error"})["traceback"] == ["Error: "]


def test_too_much_is_left_out_with_a_line():
    long = only(stream("a" * 1_000_000 + "end"))["text"]
    assert len(long) < 21_000
    assert "[... 980003 characters left out ...]" in long
    assert long.endswith("end")
    kept = clean.outputs([display(text_plain=str(n)) for n in range(25)])
    assert len(kept) == 21
    assert kept[-1] == stream("[... 5 more outputs left out ...]\n", "stderr")
    failed = {"output_type": "error", "ename": "ValueError", "evalue": "why", "traceback": ["why"]}
    shown = clean.outputs([*[display(text_plain=str(number)) for number in range(25)], failed])
    assert [each["output_type"] for each in shown].count("display_data") == 20
    assert shown[20]["evalue"] == "why", "the error that ends a cell is shown after however many outputs"
    room = clean.Room(characters=25_000)
    assert len(clean.outputs([display(text_plain="a" * 15_000)], room)) == 1
    assert clean.outputs([display(text_plain="a" * 15_000)], room) == [
        stream("[... 1 more output left out ...]\n", "stderr")
    ]


KINDS = st.sampled_from(["stream", "error", "execute_result", "display_data", "x"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text("\x1b[;0389mKJ\r\nx", max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["name", "text", "ename", "evalue", "traceback", "execution_count", "metadata"]
DATA = st.dictionaries(st.sampled_from(["text/plain", "image/png", "text/html"]), JSON, max_size=3)
OUTPUTS = st.fixed_dictionaries(
    {"output_type": KINDS | JSON, "data": DATA | JSON}, optional=dict.fromkeys(FIELDS, JSON)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(OUTPUTS | JSON, max_size=6) | JSON)
def test_any_outputs_give_valid_ones_that_nbconvert_can_show(raw):
    import nbformat
    from nbconvert.filters.ansi import ansi2html

    kept = clean.outputs(raw)
    for output in kept:
        nbformat.validate(output, ref="output", version=4, version_minor=5)
        parts = [output.get("text", ""), *output.get("data", {}).values(), *output.get("traceback", [])]
        for part in parts:
            ansi2html(part)
    json.dumps(kept, ensure_ascii=False).encode("utf-8")
    assert clean.outputs(kept) == kept


def test_names_and_messages_are_one_plain_line():
    assert clean.text("a\x1b[31mb\r\nc\u202e\ud800") == "ab c\ufffd"
    assert clean.text("a\nb", lines=True) == "a\nb"
    assert clean.text("a" * 300, limit=100) == "a" * 75 + " [... 200 characters left out ...] " + "a" * 25
    assert clean.text(None) == ""


# --- the pages themselves


def notebook(cells):
    import nbformat

    made = nbformat.v4.new_notebook(cells=[nbformat.from_dict(each) for each in cells])
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return made


def written(number, source, comment=""):
    meta = {"grade_id": f"why-{number}", "grade": True, "solution": True, "locked": False, "task": False}
    meta |= {"points": 1, "score": 0, "schema_version": 3, "comment": comment}
    return {"cell_type": "markdown", "id": f"why-{number}", "metadata": {"nbgrader": meta}, "source": source}


def solution(source, outputs):
    meta = {
        "grade_id": "step",
        "grade": False,
        "solution": True,
        "locked": False,
        "task": False,
        "schema_version": 3,
    }
    return {
        "cell_type": "code",
        "id": "step",
        "metadata": {"nbgrader": meta},
        "source": source,
        "outputs": outputs,
        "execution_count": 1,
    }


def feedback(nb):
    """As `nbgrader generate_feedback` renders it."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.converters import GenerateFeedback
    from nbgrader.coursedir import CourseDirectory

    config = GenerateFeedback(coursedir=CourseDirectory()).config
    marks = {"notebook": "ps0", "score": 0, "max_score": 1, "late_penalty": 0}
    return HTMLExporter(config=config).from_notebook_node(nb, resources={"nbgrader": marks})[0]


def formgrader(nb):
    """As Formgrader's page of a submission renders it."""
    import nbgrader
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    templates = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
    config.HTMLExporter.extra_template_basedirs = [str(templates)]
    page = {"assignment_id": "ps0", "notebook_id": "ps0", "submission_id": "1", "index": 0, "total": 1}
    page |= {"base_url": "", "student": "a", "last_name": "", "first_name": "", "notebook_path": "ps0.ipynb"}
    return HTMLExporter(config=config).from_notebook_node(nb, resources=page)[0]


OUTPUTS_TO_SHOW = [
    stream("<script>alert(1)</script>\x1b[31m<img src=x onerror=alert(1)>\x1b[38m"),
    stream("<iframe src=javascript:alert(1)>", "stderr"),
    display(text_html="<script>alert(1)</script>", text_plain="<svg onload=alert(1)>"),
    display(image_png='x" onerror="alert(1)', text_plain="<object data=x>"),
    {
        "output_type": "error",
        "ename": "<script>",
        "evalue": "<base href=x>",
        "traceback": ["<form>", "\x1b[<meta>"],
    },
]


def active(page):
    """What acts or loads in a page, and every element with an id or name that its scripts may look for."""
    found = Counter()
    for tag, attrs in Page(page).elements:
        attributes = dict(attrs)
        if tag not in TAGS or any(name.startswith("on") or name in ("src", "action") for name in attributes):
            found[tag, str(sorted(attributes.items()))] += 1
        for name in ("id", "name", "href"):
            value = attributes.get(name) or ""
            if value and ZERO_WIDTH not in value:
                found[name, value] += 1
    return found


@pytest.mark.parametrize("render", [feedback, formgrader])
def test_a_page_of_hostile_answers_has_nothing_that_a_page_of_harmless_ones_has_not(render):
    def page(answer, outputs, code):
        cells = [solution(code, clean.outputs(outputs))]
        cells += [written(n, answer(n), comment=answer(n)) for n in range(len(MARKDOWN))]
        return render(notebook(cells))

    harmless = page(lambda n: "my answer", [], "x = 1")
    code = "x = '<script>alert(1)</script>'\n%%html\n<img src=x onerror=alert(1)>"
    hostile = page(lambda n: clean.markdown(MARKDOWN[n]), OUTPUTS_TO_SHOW, code)
    assert "alert(1)" in hostile
    assert active(hostile) == active(harmless)


@pytest.mark.parametrize("render", [feedback, formgrader])
def test_a_page_shows_text_and_pictures(render):
    raw = [display(image_png=picture(), text_plain="<Figure>"), stream("loss \x1b[1m0.5\x1b[0m")]
    page = render(
        notebook([solution("x = 1", clean.outputs(raw)), written(1, clean.markdown("*yes*, $x<y$"))])
    )
    images = [dict(attrs) for tag, attrs in Page(page).elements if tag == "img"]
    assert len(images) == 1
    data = images[0]["src"].removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (3, 2)
    assert '<span class="ansi-bold">0.5</span>' in page
    assert "<em>yes</em>, $x&lt; y$" in page
