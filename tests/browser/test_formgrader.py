"""Formgrader in a real browser, on submissions that try to act there."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest

from tests.browser import harness
from tests.browser.test_lab import until
from tests.grading.toy import Course, needs_sandbox  # noqa: F401

WRITTEN = """# My answer

It **sharpens** the distribution when $T<1$ and `if x<y` too.

<script>window.pwned = 'script'</script>
<img src="x" onerror="window.pwned = 'handler'">
<img src="http://127.0.0.1:@PORT@/tag.png">
<iframe srcdoc="<script>parent.pwned = 'frame'</script>"></iframe>
<svg onload="window.pwned = 'svg'"></svg>
![picture](http://127.0.0.1:@PORT@/markdown.png)
[click](javascript:window.pwned='link') [r][r] <a href="javascript:window.pwned='a'">a</a>
<style>body { display: none }</style><meta http-equiv="refresh" content="0;url=http://127.0.0.1:@PORT@/meta">
$\\href{javascript:window.pwned='tex'}{x}$ $\\style{background:url(http://127.0.0.1:@PORT@/style)}{y}$

```mermaid
graph TD; A[<img src=x onerror="window.pwned='mermaid'">]
```

[r]: javascript:window.pwned='reference'
"""
SOFTMAX = """from IPython.display import HTML, Javascript, Image, SVG, Markdown, Latex, display

class Loud:
    def _repr_html_(self):
        return "<script>window.pwned = 'repr'</script>"
    def _repr_png_(self):
        return '" onerror="window.pwned=1'

display(HTML("<img src=x onerror=\\"window.pwned='html'\\"><script>window.pwned = 'html'</script>"))
display(Javascript("window.pwned = 'javascript'"))
display(Markdown("<script>window.pwned = 'markdown'</script>"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload=\\"window.pwned='svg'\\"/>"))
display({"text/html": "<script>window.pwned = 'bundle'</script>", "image/png": "\\" onerror=\\"window.pwned=1"}, raw=True)
print("<script>window.pwned = 'stdout'</script>")
Loud()

def softmax(logits):
    raise type("<img src=x onerror=window.pwned='name'>", (Exception,), {})("<script>window.pwned = 'error'</script>")
"""


@pytest.fixture(scope="module")
def asked():
    """Paths that anything on the pages asked of a server; and that server's port."""
    paths: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield paths, server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="module")
def formgrader(tmp_path_factory, asked, needs_sandbox):  # noqa: F811
    """The address of `course teach` on a course with one hostile submission graded, its token, and the course."""
    folder = tmp_path_factory.mktemp("formgrader")
    course = Course(folder / "course")
    written = WRITTEN.replace("@PORT@", str(asked[1]))
    course.hand_in("mallory", course.good(softmax=SOFTMAX, why=written))
    assert course.grade()["mallory"].points == 5
    for name in ("config", "runtime"):
        (folder / name).mkdir()
    (folder / "config" / "jupyter_lab_config.json").write_text(
        json.dumps({"LabApp": {"expose_app_in_browser": True}})
    )
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
           "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "spaces"),
           "COURSE_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "course_utils.cli",
        "teach",
        "--course-dir",
        str(course.root),
        "--no-browser",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        yield next(line.strip() for line in server.stdout if "http://" in line), course
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def driver():
    reason = harness.missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"Browser tests must run in CI, but {reason}.")
        pytest.skip(f"Browser tests need chromium and chromedriver: {reason}.")
    opened = harness.open_browser()
    yield opened
    harness.close_browser(opened)


def _opened(driver, address, page):
    base, token = address.split("?")[0].split("/formgrader")[0], address.split("token=")[1]
    driver.get(f"{base}/{page}?token={token}")
    return driver.page_source


def test_the_teachers_page_lists_the_assignment(driver, formgrader):
    address, _ = formgrader
    driver.get(address)
    until(driver, "return document.body.innerText.includes('toy')")
    assert "Formgrader" in driver.title or "nbgrader" in driver.page_source


@pytest.fixture(scope="module")
def submission_page(driver, formgrader):
    """Formgrader's page of the hostile submission, shown and settled."""
    from nbgrader.api import Gradebook

    address, course = formgrader
    coursedir = course.coursedir()
    with Gradebook(coursedir.db_url, coursedir.course_id) as book:
        page = book.find_submission_notebook("toy", "toy", "mallory").id
    _opened(driver, address, f"formgrader/submissions/{page}/")
    until(driver, "return document.querySelectorAll('.nbgrader_cell, .nbgrader_score').length > 3")
    until(driver, "return document.readyState === 'complete'")
    for link in driver.find_elements("css selector", ".text_cell_render a, .jp-RenderedMarkdown a"):
        driver.execute_script("arguments[0].click()", link)
    return driver


def test_nothing_of_the_submission_acts_in_formgrader(submission_page, asked):
    assert submission_page.execute_script("return window.pwned") is None
    text = submission_page.execute_script("return document.body.innerText")
    assert "sharpens" in text and "<script>" in text.replace("\u200b", "")
    assert asked[0] == []


def test_the_teacher_grades_the_written_answer_there(submission_page, formgrader):
    from nbgrader.api import Gradebook
    from selenium.webdriver.common.keys import Keys

    _, course = formgrader
    box = submission_page.find_elements("css selector", "input.score")[-1]
    submission_page.execute_script("arguments[0].scrollIntoView()", box)
    box.clear()
    box.send_keys("1.5", Keys.TAB)
    coursedir = course.coursedir()

    def saved(_):
        with Gradebook(coursedir.db_url, coursedir.course_id) as book:
            return book.find_grade("why", "toy", "toy", "mallory").manual_score == 1.5

    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(submission_page, 20).until(saved)


def test_feedback_does_nothing_either(driver, formgrader, asked, tmp_path):
    _, course = formgrader
    done = course.api().generate_feedback("toy", "mallory")
    assert done["success"], done
    page = course.root / "feedback" / "mallory" / "toy" / "toy.html"
    shutil.copy(page, tmp_path / "feedback.html")
    driver.get((tmp_path / "feedback.html").as_uri())
    until(driver, "return document.readyState === 'complete'")
    for link in driver.find_elements("css selector", "a[href^='javascript'], a[href^='data']"):
        driver.execute_script("arguments[0].click()", link)
    assert driver.execute_script("return window.pwned") is None
    assert asked[0] == []
    assert "sharpens" in driver.page_source


def test_the_button_of_formgrader_grades_in_the_sandbox(driver, formgrader):
    address, course = formgrader
    course.hand_in("ann", course.good())
    _opened(driver, address, "formgrader/manage_submissions/toy")
    until(driver, "return document.body.innerText.includes('ann')")
    row = driver.find_element("xpath", "//tr[.//*[contains(text(), 'ann')]]")
    button = row.find_element("css selector", ".autograde a, td.autograde-cell a, [class*=autograde] a")
    driver.execute_script("arguments[0].click()", button)
    until(driver, "return document.body.innerText.includes('Success')")
    assert course.marks()["ann"]["softmax-values"] == 3
