"""Frames per second of every explorable while it is used, in a real headless browser.

    python benchmarks/explorable_fps.py [--seconds 3] [--only perceptron]

Real input events (pressed and moved by the browser's driver about every 8 ms) drag one part of each figure in
circles; ``requestAnimationFrame`` notes when each frame begins. The rate is 1 / the median time between
frames; "slow" is the share of frames that came more than 1.5 display periods after the one before. "work" is
the median time that the page's own scripts spent in a frame, the room that is left below 16.7 ms.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from course_utils.explorables import (
    ActivationExplorer,
    ChainRule,
    GraphStepper,
    LossExplorer,
    MatrixViewer,
    OptimizerRace,
    PerceptronBoard,
    Playground,
)
from course_utils.explorables.perceptron_board import PRESETS
from tests.browser import harness

# Every callback of requestAnimationFrame and every pointer event is timed; a probe notes the frames.
PROBE = """
const own = requestAnimationFrame;
window.meter = { on: false, frames: [], work: [], spent: 0 };
const timed = (f) => function (...a) {
  const t = performance.now();
  try { return f.apply(this, a); } finally { meter.spent += performance.now() - t; }
};
window.requestAnimationFrame = (f) => own(timed(f));
const listen = EventTarget.prototype.addEventListener;
const known = new WeakMap();
EventTarget.prototype.addEventListener = function (type, f, options) {
  if (!/^pointer|^input|^mouse/.test(type) || typeof f !== "function")
    return listen.call(this, type, f, options);
  if (!known.has(f)) known.set(f, timed(f));
  return listen.call(this, type, known.get(f), options);
};
const tick = (now) => {
  if (meter.on) { meter.frames.push(now); meter.work.push(meter.spent); }
  meter.spent = 0;
  own(tick);
};
own(tick);
"""


def measure(
    driver, page, seconds: float, element=None, reach: tuple[float, float] = (70, 50)
) -> dict[str, float]:
    """Drag ``element`` in an ellipse for some seconds (or only look on) and read the meter."""
    from selenium.webdriver.common.action_chains import ActionChains

    if element is None:
        page.js("meter.frames = []; meter.work = []; meter.on = true")
        driver.execute_async_script("setTimeout(arguments[1], arguments[0] * 1000)", seconds)
    else:
        page.show(element)
        chain = ActionChains(driver, duration=8).move_to_element(element).click_and_hold()
        count, x, y = int(seconds * 1000 / 8), 0, 0
        for i in range(1, count + 1):
            angle = 2 * math.pi * i / 125
            nx, ny = round(reach[0] * math.sin(angle)), round(reach[1] * math.sin(2 * angle))
            chain.move_by_offset(nx - x, ny - y)
            x, y = nx, ny
        page.js("meter.frames = []; meter.work = []; meter.on = true")
        chain.release().perform()
    frames, work = page.js("meter.on = false; return [meter.frames, meter.work]")
    gaps = [b - a for a, b in itertools.pairwise(frames)]
    gap = statistics.median(gaps)
    return {
        "fps": 1000 / gap,
        "p95": sorted(gaps)[int(0.95 * len(gaps))],
        "slow": sum(g > 1.5 * 1000 / 60 for g in gaps) / len(gaps),
        "work": statistics.median(work),
        "work95": sorted(work)[int(0.95 * len(work))],
        "frames": len(frames),
    }


def forty_points() -> tuple[list[list[float]], list[int]]:
    """The largest board there is, its classes mixed."""
    spots = [
        (2.5 * math.cos(i * 2.4) * math.sqrt(i / 40), 2.5 * math.sin(i * 2.4) * math.sqrt(i / 40))
        for i in range(40)
    ]
    return [list(p) for p in spots], [1 if i % 3 else -1 for i in range(40)]


def scenes():
    """(name, widget, what to do first, css of what is dragged or None, reach of the drag in pixels)."""
    point, arrow, line = ".cx-positive-point", "[aria-label^='Tip of the weight']", ".cx-line-grip-group"
    yield "perceptron: drag a point", PerceptronBoard(), None, point, (70, 50)
    yield "perceptron: drag w", PerceptronBoard(), None, arrow, (70, 50)
    yield "perceptron: drag the line", PerceptronBoard(**PRESETS["XOR"]), None, line, (40, 40)
    yield "perceptron: 40 points", PerceptronBoard(*forty_points()), None, point, (70, 50)
    handle = ".cx-activation [data-cx-handle]"
    for function in ("gelu", "sigmoid"):
        yield f"activation: drag z, {function}", ActivationExplorer(function), None, handle, (120, 0)
    play = "[...document.querySelectorAll('.cx button')].find((b) => /Play/.test(b.textContent)).click()"
    yield "playground: training", Playground(), play, None, (0, 0)
    yield "playground: training 4 x 8", Playground("spirals", layers=(8, 8, 8, 8)), play, None, (0, 0)
    yield "playground: drag while training", Playground(), play, ".cx-playground [data-cx-handle]", (60, 50)
    yield "matrix: drag a row of W", MatrixViewer(), None, ".cx-matrix [data-cx-handle]", (50, 40)
    yield "loss: drag a logit", LossExplorer(), None, ".cx-loss [data-cx-handle]", (0, 40)
    yield "chain rule: drag x", ChainRule(), None, ".cx-chain [data-cx-handle]", (30, 0)
    yield "race: drag the start", OptimizerRace(), None, ".cx-race [data-cx-handle]", (60, 40)
    yield "race: playing", OptimizerRace(), play, None, (0, 0)
    yield "graph: drag an input", GraphStepper(step=11), None, ".cx-graph input[type=range]", (50, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="", help="scenes whose name contains this text")
    options = parser.parse_args()
    if reason := harness.missing():
        sys.exit(f"The benchmark needs a browser: {reason}.")
    print(f"{'scene':34} {'frames/s':>9} {'p95 ms':>7} {'slow':>6} {'work ms':>8} {'p95':>6} {'frames':>7}")
    driver = harness.open_browser()
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": PROBE})
        with tempfile.TemporaryDirectory() as folder:
            for name, widget, first, css, reach in scenes():
                if options.only not in name:
                    continue
                page = harness.Page(driver, harness.host_page(Path(folder), [widget]))
                if first:
                    page.js(first)
                    page.settle(30)
                m = measure(driver, page, options.seconds, page.all(css)[0] if css else None, reach)
                print(
                    f"{name:34} {m['fps']:9.1f} {m['p95']:7.1f} {m['slow']:6.1%} {m['work']:8.2f} "
                    f"{m['work95']:6.2f} {m['frames']:7d}",
                    flush=True,
                )
                if problems := page.problems():
                    print("   ", problems)
    finally:
        harness.close_browser(driver)


if __name__ == "__main__":
    main()
