"""The built book, read as files: pages there, nothing broken, nothing fetched from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from course_utils.lessons import book
from course_utils.lessons.catalogue import CourseError, lessons, repository


class Page(HTMLParser):
    """What the tests look at in a page: its elements and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._quiet = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        self._quiet += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._quiet -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._quiet:
            self.text += data

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def pages(built_book):
    return {path.relative_to(built_book).as_posix(): Page(path) for path in built_book.rglob("*.html")}


def lesson_page(lesson) -> str:
    return f"notebooks/{lesson.phase}/{lesson.id}.html"


def test_every_lesson_and_page_is_there(pages):
    wanted = [lesson_page(lesson) for lesson in lessons()]
    for name in (
        "index",
        "phase-1",
        "phase-2",
        "phase-3",
        "phase-4",
        "notation",
        "glossary",
        "bibliography",
        "results",
    ):
        wanted.append(f"book/{name}.html")
    assert [name for name in wanted if name not in pages] == []


def test_lessons_carry_their_outputs(pages):
    for lesson in lessons():
        page = pages[lesson_page(lesson)]
        assert lesson.title in page.text
        assert any("output" in e.get("class", "") for _, e in page.elements), lesson.id
        assert "in this build)" in page.text


def test_no_traceback_and_no_raw_markup(pages):
    for name, page in pages.items():
        assert "Traceback (most recent call last)" not in page.text, name
        assert not re.search(r"\{(ref|doc|cite|numref|term)\}`", page.text), name
        assert "problematic" not in " ".join(e.get("class", "") for _, e in page.elements), name


def test_every_image_has_alt_text_and_exists(pages, built_book):
    for name, page in pages.items():
        for image in page.all("img"):
            if "logo" in image.get("class", ""):
                continue  # its link carries the name
            assert image.get("alt", "").strip(), f"{name}: {image.get('src', '')[:80]}"
            source = image["src"]
            if not source.startswith("data:"):
                assert (page.path.parent / unquote(urlparse(source).path)).exists(), f"{name}: {source}"


def test_no_page_loads_anything_from_elsewhere(pages, built_book):
    for name, page in pages.items():
        for tag, attributes in page.elements:
            loads = attributes.get("src") if tag in ("script", "img", "iframe", "source", "video") else None
            if tag == "link" and attributes.get("rel") not in (
                "canonical",
                "author",
                "license",
                "search",
                "next",
                "prev",
            ):
                loads = attributes.get("href")
            assert not re.match(r"(https?:)?//", loads or ""), f"{name}: {tag} {loads}"
    for sheet in built_book.rglob("*.css"):
        found = re.findall(
            r"url\(['\"]?(?:https?:)?//[^)]*|@import\s+['\"](?:https?:)?//[^'\"]*",
            sheet.read_text(errors="replace"),
        )
        assert not found, f"{sheet.name}: {found}"


def test_internal_links_lead_to_pages_and_anchors(pages, built_book):
    anchors = {name: {e["id"] for _, e in page.elements if "id" in e} for name, page in pages.items()}
    missing = []
    for name, page in pages.items():
        for link in page.all("a"):
            url = urlparse(link.get("href", ""))
            if (
                url.scheme
                or url.netloc
                or not (url.path or url.fragment)
                or name in ("search.html", "genindex.html")
            ):
                continue
            target = (page.path.parent / unquote(url.path)).resolve() if url.path else page.path
            if not target.exists():
                missing.append(f"{name}: {link['href']}")
            elif url.fragment and target.suffix == ".html":
                inside = target.relative_to(built_book.resolve()).as_posix()
                if unquote(url.fragment) not in anchors[inside]:
                    missing.append(f"{name}: {link['href']}")
    assert not missing


def test_colab_repository_and_download_buttons_are_right(pages, built_book):
    address, branch = repository()
    slug = address.removeprefix("https://github.com/")
    for lesson in lessons():
        page = pages[lesson_page(lesson)]
        links = [link.get("href", "") for link in page.all("a")]
        inside = f"notebooks/{lesson.phase}/{lesson.id}.ipynb"
        assert f"https://colab.research.google.com/github/{slug}/blob/{branch}/{inside}" in links
        assert any(link.rstrip("/") == address for link in links)
        downloads = [link for link in links if link.endswith(".ipynb") and "_sources" in link]
        assert downloads and all((page.path.parent / link).resolve().exists() for link in downloads)


def test_results_page_shows_what_was_measured(pages, lesson_runs):
    text = pages["book/results.html"].text
    for run in lesson_runs("sample").values():
        assert run.lesson.title in text
        for result in run.results:
            assert result["name"] in text and result["text"] in text
    assert "processors" in text and "tensorflow" in text


def test_search_knows_the_lessons(built_book):
    index = (built_book / "searchindex.js").read_text(encoding="utf-8")
    for lesson in lessons():
        assert lesson.id in index
    assert "novikoff" in index.lower()


def test_mathematics_is_set_by_the_books_own_files(pages):
    page = pages[lesson_page(next(x for x in lessons() if x.id == "01_perceptron"))]
    assert any("tex-svg" in script.get("src", "") for script in page.all("script"))
    assert any("math" in e.get("class", "").split() for _, e in page.elements)


def test_a_failed_lesson_stops_the_book(lesson_runs):
    import copy

    broken = copy.copy(next(iter(lesson_runs("sample").values())))
    broken.error = "ZeroDivisionError"
    with pytest.raises(CourseError, match=broken.lesson.id):
        book.build([broken])
