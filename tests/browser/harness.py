"""Shows explorables in headless chromium on a page of our own, without a kernel and without a server.

:func:`host_page` writes widgets and their state into one HTML file together with a minimal host for
anywidget's front-end modules; :class:`Page` opens it and offers what tests need. Used by the fixtures in
``conftest.py`` and by ``benchmarks/explorable_fps.py``.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]

# How each page that shows widgets says "dark" or "light": attributes of <html> and of <body>.
THEMES = {
    "none": ("", ""),
    "book-light": ('data-theme="light"', ""),
    "book-dark": ('data-theme="dark"', ""),
    "lab-light": ("", 'data-jp-theme-light="true"'),
    "lab-dark": ("", 'data-jp-theme-light="false"'),
    "colab-dark": ('theme="dark"', ""),
    "vscode-dark": ("", 'data-vscode-theme-kind="vscode-dark"'),
}

# Keeps models, disposers and save_changes counts where a test can look at them.
HOST = """
const items = JSON.parse(document.getElementById("items").textContent);
window.host = { errors: [], models: [], modules: [], disposers: [], saves: [], ready: false };
addEventListener("error", (e) => host.errors.push(String(e.message)));
addEventListener("unhandledrejection", (e) => host.errors.push(String(e.reason?.stack || e.reason)));
function makeModel(state, i) {
  const handlers = {};
  const fire = (name, ...rest) => (handlers[name] || []).slice().forEach((f) => f(...rest));
  host.saves[i] = 0;
  return {
    handlers,
    get: (key) => state[key],
    set(key, value) {
      const changes = typeof key === "object" ? key : { [key]: value };
      for (const k in changes) {
        if (JSON.stringify(state[k]) === JSON.stringify(changes[k])) continue;
        state[k] = changes[k];
        fire("change:" + k, {}, changes[k]);
        fire("change");
      }
    },
    save_changes() { host.saves[i] += 1; },
    send() {},
    on(names, f) { names.split(/\\s+/).forEach((n) => (handlers[n] ||= []).push(f)); },
    off(names, f) {
      if (!names) for (const n in handlers) delete handlers[n];
      else for (const n of names.split(/\\s+/)) handlers[n] = (f && handlers[n] || []).filter((g) => g !== f);
    },
  };
}
(async () => {
  for (const [i, state] of items.entries()) {
    const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const module = await import(url);
    const widget = typeof module.default === "function" ? await module.default() : module.default;
    const style = document.createElement("style");
    style.textContent = state._css;
    document.head.append(style);
    const model = makeModel(state, i);
    await widget.initialize?.({ model });
    const el = document.getElementById("widget-" + i);
    host.modules[i] = module;
    host.models[i] = model;
    host.disposers[i] = await widget.render({ model, el });
  }
  host.ready = true;
})().catch((e) => { host.errors.push(String(e.stack || e)); host.ready = true; });
"""


def host_page(
    folder: Path, widgets: Sequence[Any], *, theme: str = "book-light", width: int | None = None
) -> Path:
    """Write the page that shows ``widgets`` below each other, in a column of ``width`` pixels."""
    states = []
    for widget in widgets:
        state = {key: value for key, value in widget.get_state().items() if key not in ("layout", "style")}
        states.append(json.loads(json.dumps(state)))
    items = json.dumps(states).replace("</", "<\\/")
    on_html, on_body = THEMES[theme]
    dark = theme.endswith("dark")
    column = f"width:{width}px" if width else "max-width:900px"
    page = (
        f'<!doctype html><html lang="en" {on_html}><head><meta charset="utf-8">'
        f"<title>{html.escape(theme)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>body{{margin:8px;background:{'#14181e' if dark else '#fff'};font:16px sans-serif}}</style>"
        "</head>"
        f"<body {on_body}>"
        + "".join(f'<div id="widget-{i}" style="{column}"></div>' for i in range(len(states)))
        + f'<script type="application/json" id="items">{items}</script><script>{HOST}</script></body></html>'
    )
    path = Path(folder) / "page.html"
    path.write_text(page, encoding="utf-8")
    return path


def missing() -> str | None:
    """Why no browser can be driven here, or None."""
    if not any(map(shutil.which, CHROMIUM)):
        return "chromium is not installed"
    if not shutil.which("chromedriver"):
        return "chromedriver is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None


def open_browser(*arguments: str, reduced_motion: bool = False) -> Any:
    """Start headless chromium. Nothing is downloaded: browser and driver are the installed ones."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    profile = tempfile.mkdtemp(prefix="explorables-")
    flags = [*FLAGS, "--window-size=1000,1100", f"--user-data-dir={profile}", *arguments]
    if reduced_motion:
        flags.append("--force-prefers-reduced-motion")
    for flag in flags:
        options.add_argument(flag)
    options.binary_location = next(filter(None, map(shutil.which, CHROMIUM)))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(60)
    driver.set_script_timeout(60)
    driver.profile_folder = profile
    return driver


def close_browser(driver: Any) -> None:
    driver.quit()
    shutil.rmtree(driver.profile_folder, ignore_errors=True)


def steady(driver: Any, css: str, *, quiet: float = 0.6) -> Any:
    """Bring the first element that matches ``css`` into view; return it once it has stopped moving.

    Mathematics being set and outputs being laid out above it move a figure for a while after a page is there.
    """
    driver.set_script_timeout(60)
    return driver.execute_async_script(
        """
        const [css, quiet, done] = arguments;
        const place = () => {
          const found = document.querySelector(css);
          found?.scrollIntoView({ block: "center", behavior: "instant" });
          const r = found?.getBoundingClientRect();
          return [found, r && [r.x, r.y, r.width].join()];
        };
        let [, last] = place(), since = performance.now();
        const timer = setInterval(() => {
          const [found, now] = place();
          if (!found || now !== last) [last, since] = [now, performance.now()];
          else if (performance.now() - since > 1000 * quiet) { clearInterval(timer); done(found); }
        }, 50);
        """,
        css,
        quiet,
    )


class Page:
    """One opened page. ``page.js("return 1 + arguments[0]", 2)`` runs JavaScript."""

    def __init__(self, driver: Any, path: Path) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver = driver
        driver.get_log("browser")
        driver.get_log("performance")
        driver.get(path.as_uri())
        WebDriverWait(driver, 20).until(lambda d: d.execute_script("return window.host && host.ready"))
        self.settle()

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def settle(self, frames: int = 3) -> None:
        """Wait until pending animation frames have been drawn."""
        self.driver.execute_async_script(
            "const done = arguments[1]; let n = arguments[0];"
            "const f = () => (n-- > 0 ? requestAnimationFrame(f) : done()); f();",
            frames,
        )

    def until(self, script: str, *arguments: Any, seconds: float = 10) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(
            lambda d: d.execute_script(script, *arguments), f"never became true: {script}"
        )

    def said(self, words: str) -> None:
        """Wait until the figure has told screen readers something with these words in it."""
        self.until(
            "return [...document.querySelectorAll('[role=status]')].some(e => e.textContent.includes(arguments[0]))",
            words,
        )

    def all(self, css: str, inside: Any = None) -> list[Any]:
        from selenium.webdriver.common.by import By

        return (inside or self.driver).find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str, inside: Any = None) -> Any:
        found = self.all(css, inside)
        assert len(found) == 1, f"{len(found)} elements match {css}"
        return found[0]

    def button(self, label: str) -> Any:
        found = [b for b in self.all(".cx button") if b.text == label]
        assert len(found) == 1, f"{len(found)} buttons are called {label!r}"
        return found[0]

    def show(self, element: Any) -> Any:
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        return element

    def click(self, element: Any) -> None:
        self.show(element).click()
        self.settle()

    def drag(self, element: Any, dx: float, dy: float) -> None:
        """Press on the middle of an element, move in three steps, release."""
        from selenium.webdriver.common.action_chains import ActionChains

        self.show(element)
        chain = ActionChains(self.driver, duration=20).move_to_element(element).click_and_hold()
        for part in (0.3, 0.4, 0.3):
            chain.move_by_offset(round(dx * part), round(dy * part))
        chain.release().perform()
        self.settle()

    def click_at(self, element: Any, dx: float, dy: float) -> None:
        """Click at an offset from the middle of an element."""
        from selenium.webdriver.common.action_chains import ActionChains

        self.show(element)
        ActionChains(self.driver, duration=20).move_to_element_with_offset(element, dx, dy).click().perform()
        self.settle()

    def keys(self, *keys: str) -> None:
        """Send keys to the focused element."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver, duration=10).send_keys(*keys).perform()
        self.settle()

    def focus(self, element: Any) -> None:
        self.show(element)
        self.js("arguments[0].focus()", element)

    def choose(self, select: Any, value: str) -> None:
        """Take an entry of a drop-down list."""
        self.js(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))",
            select,
            value,
        )
        self.settle()

    def radio(self, value: str) -> None:
        """Press the radio button with this value."""
        self.click(next(r for r in self.all(".cx input[type=radio]") if r.get_attribute("value") == value))

    def slide(self, label: str, value: float) -> None:
        """Move the slider whose label begins so, and let it go."""
        field = next(f for f in self.all(".cx-field") if f.text.startswith(label) and self.all("input", f))
        self.js(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'));"
            "arguments[0].dispatchEvent(new Event('change'))",
            self.one("input", field), value,
        )  # fmt: skip
        self.settle()

    def get(self, name: str, index: int = 0) -> Any:
        """A trait of the model, as the front end holds it."""
        return self.js("return host.models[arguments[0]].get(arguments[1])", index, name)

    def set(self, name: str, value: Any, index: int = 0) -> None:
        self.js("host.models[arguments[0]].set(arguments[1], arguments[2])", index, name, value)
        self.settle()

    def problems(self) -> list[str]:
        """Everything that went wrong on the page, and every request that left the machine."""
        found = list(self.js("return host.errors"))
        found += [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:", "chrome", "about:")):
                    found.append(f"request to {url}")
        return found

    def audit(self) -> list[str]:
        """Faults any figure can have: text too small, controls without a name, ids used twice, overflow."""
        return self.js(AUDIT)

    def screenshot(self, path: str | os.PathLike[str], *, css: str = "body") -> None:
        """Save a picture of the whole page (chromium resizes its viewport for it)."""
        size = self.js(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.left + scrollX, r.top + scrollY, r.width, r.height]",
            css,
        )
        import base64

        clip = {"x": size[0], "y": size[1], "width": size[2], "height": size[3], "scale": 1}
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
        )
        Path(path).write_bytes(base64.b64decode(shot["data"]))


AUDIT = """
const faults = [];
const seen = {};
for (const node of document.querySelectorAll("[id]")) {
  if (seen[node.id]) faults.push("id used twice: " + node.id);
  seen[node.id] = true;
}
for (const root of document.querySelectorAll(".cx")) {
  if (root.scrollWidth > root.clientWidth + 1) faults.push("wider than its place: " + root.className);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || parent.closest(".cx-hidden, option") || !parent.getClientRects().length) continue;
    let size = parseFloat(getComputedStyle(parent).fontSize);
    const svg = parent.closest("svg");
    if (svg && parent.getScreenCTM) size *= parent.getScreenCTM().a || Math.abs(parent.getScreenCTM().b);
    if (size < 12.9) faults.push(`text of ${size.toFixed(1)} px: ${text.slice(0, 40)}`);
  }
  for (const input of root.querySelectorAll("input, select, button, summary, [tabindex], [role=slider]")) {
    const own = input.getAttribute("aria-label") || input.textContent.trim();
    if (!own && !input.labels?.[0]?.textContent.trim())
      faults.push("no name: " + input.outerHTML.slice(0, 80));
  }
  for (const svg of root.querySelectorAll("svg[role], canvas"))
    if (!["aria-label", "aria-labelledby", "aria-hidden"].some((name) => svg.getAttribute(name)))
      faults.push("picture without a name: " + svg.outerHTML.slice(0, 80));
}
return faults;
"""
