"""JupyterLab in a real browser: lesson 01 opens and runs, an interactive figure reacts, a quiz answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.harness import steady

WAIT = 90


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a running `course lab`, with settings and runtime files of its own."""
    folder = tmp_path_factory.mktemp("lab")
    config = folder / "config"
    config.mkdir()
    (config / "jupyter_lab_config.json").write_text(json.dumps({"LabApp": {"expose_app_in_browser": True}}))
    (folder / "runtime").mkdir()
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(config), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
           "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "spaces"),
           "COURSE_HOME": str(folder / "home"), "COURSE_DATA": "sample", "PYTHONUNBUFFERED": "1"}  # fmt: skip
    command = [sys.executable, "-m", "course_utils.cli", "lab", "perceptron", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        yield next(line.strip() for line in server.stdout if "http://" in line), folder / "home"
    finally:
        server.terminate()
        server.wait(timeout=30)


def until(driver, script, *arguments):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, WAIT, poll_frequency=0.2).until(
        lambda d: d.execute_script(script, *arguments), script
    )


@pytest.fixture(scope="module")
def executed(lab, module_browser):
    """Lesson 01 opened and run to its end in JupyterLab; nothing is saved."""
    driver, (address, home) = module_browser, lab
    driver.get(address)
    until(
        driver,
        "return window.jupyterapp && window.jupyterapp.shell.currentWidget?.content?.widgets?.length > 5",
    )
    until(
        driver,
        "return window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
    )
    driver.execute_script("window.ended = false; window.jupyterapp.commands.execute('notebook:run-all-cells')"
                          ".then(() => { window.ended = true; })")  # fmt: skip
    until(driver, "return window.ended")
    return driver, home


@pytest.fixture(scope="module")
def module_browser():
    from tests.browser import conftest, harness

    conftest._need_a_browser()
    driver = harness.open_browser("--window-size=1400,1200")
    yield driver
    harness.close_browser(driver)


def bring(driver, css):
    """Scroll the notebook until an element of that kind is rendered and in view (JupyterLab renders lazily)."""
    script = """
    const [css, done] = arguments;
    const panel = window.jupyterapp.shell.currentWidget.content;
    (async () => {
      for (let i = 0; i < panel.widgets.length; i++) {
        let found = document.querySelector(css);
        if (found) { found.scrollIntoView({block: "center"}); await new Promise(r => setTimeout(r, 300));
                     found = document.querySelector(css); if (found) return done(found); }
        panel.activeCellIndex = i;
        await panel.scrollToItem(i, "center").catch(() => {});
        await new Promise(r => setTimeout(r, 60));
      }
      done(null);
    })();"""
    driver.set_script_timeout(WAIT)
    found = driver.execute_async_script(script, css)
    assert found is not None, f"nothing matches {css}"
    return found


def test_the_lesson_runs_without_an_error(executed):
    driver, _ = executed
    cells = driver.execute_script(
        "return window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
        ".filter(c => c.cell_type === 'code' && c.source.length)"
        ".map(c => [c.id, c.execution_count, (c.outputs || []).map(o => o.output_type)])"
    )
    assert len(cells) > 10
    assert [cell for cell in cells if not cell[1]] == []
    assert [cell for cell in cells if "error" in cell[2]] == []


def test_the_board_reacts_to_a_drag_and_to_keys(executed):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver, _ = executed
    bring(driver, PERCEPTRON_POINT)
    point = steady(driver, PERCEPTRON_POINT)
    x = "return arguments[0].getBoundingClientRect().x"
    before = driver.execute_script(x, point)
    drag = ActionChains(driver, duration=50).move_to_element(point).click_and_hold()
    drag.move_by_offset(20, -25).release().perform()
    until(driver, f"{x} > arguments[1] + 8", point, before)
    dragged = driver.execute_script(x, point)
    driver.execute_script("arguments[0].focus()", point)
    ActionChains(driver).send_keys(Keys.ARROW_LEFT * 5).perform()
    until(driver, f"{x} < arguments[1] - 1", point, dragged)


def test_a_quiz_answers_and_notes_progress(executed):
    driver, home = executed
    quiz = bring(driver, ".cx-quiz fieldset")
    driver.execute_script("arguments[0].querySelector('input[type=radio]').click()", quiz)
    driver.execute_script("arguments[0].querySelector('button').click()", quiz)
    until(driver, "return arguments[0].textContent.length > 0", quiz)
    until_file = Path(home) / "progress.jsonl"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 20).until(lambda _: until_file.exists() and '"quiz"' in until_file.read_text())


# The data point of the perceptron board that is drawn last, above all others.
PERCEPTRON_POINT = ".cx-perceptron [data-point]:last-of-type"
