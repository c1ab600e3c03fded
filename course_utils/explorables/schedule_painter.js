// SchedulePainter: a learning rate over the steps, and noisy gradient descent in a ravine under it.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const SCHED_KINDS = ["constant", "step", "exponential", "cosine", "warm-up", "one-cycle", "painted"];
const SCHED_FORMULA = {
  constant: "ηₜ = peak",
  step: "ηₜ = peak · 0.3ᵏ in the k-th quarter (k = 0, 1, 2, 3)",
  exponential: "ηₜ = peak · 0.01 to the power t/T",
  cosine: "ηₜ = peak · (1 + cos πt/T) / 2",
  "warm-up": "a tenth of the run straight up to the peak, then a cosine down to zero",
  "one-cycle": "peak/25 up to the peak in 30 % of the run, then down to nearly zero, both by half a cosine",
  painted: "straight lines between 21 points",
};
const SCHED_POINTS = 21;
const SCHED_TOP = 0.12; // the largest learning rate
const SCHED_LOW = 0.002; // the smallest peak
const SCHED_CURVATURES = [1, 20];
const SCHED_LIMIT = 2 / SCHED_CURVATURES[1]; // above it every step along the steep direction overshoots by more than it came
const SCHED_START = [2, 1];
const SCHED_RUNS = 32;

// When control point k stands, in steps 0 ... T - 1.
const schedTime = (k, steps) => (k * (steps - 1)) / (SCHED_POINTS - 1);

// The learning rates of steps t = 0 ... T - 1.
function schedRates({ kind, steps, peak, points }) {
  const T = steps;
  const anneal = (from, to, share) => to + ((from - to) / 2) * (1 + Math.cos(Math.PI * share));
  const warm = Math.max(1, Math.round(0.1 * T));
  const turn = 0.3 * T - 1; // as in PyTorch's OneCycleLR
  const at = {
    constant: () => peak,
    step: (t) => peak * 0.3 ** Math.floor((4 * t) / T),
    exponential: (t) => peak * 0.01 ** (t / T),
    cosine: (t) => (peak * (1 + Math.cos((Math.PI * t) / T))) / 2,
    "warm-up": (t) => (t < warm ? (peak * (t + 1)) / warm : (peak * (1 + Math.cos((Math.PI * (t - warm)) / (T - warm)))) / 2),
    "one-cycle": (t) => (t <= turn ? anneal(peak / 25, peak, t / turn) : anneal(peak, peak / 25e4, (t - turn) / (T - 1 - turn))),
    painted: (t) => {
      const x = (t * (SCHED_POINTS - 1)) / (T - 1);
      const k = Math.min(Math.floor(x), SCHED_POINTS - 2);
      return points[k] + (x - k) * (points[k + 1] - points[k]);
    },
  }[kind];
  return Array.from({ length: T }, (_, t) => at(t));
}
// The noise of the gradients: 32 runs, T steps, two directions, in this order; standard normal.
function schedNoise(seed, steps) {
  const normal = ui.gaussian(ui.mulberry32(seed));
  return Float64Array.from({ length: SCHED_RUNS * steps * 2 }, normal);
}
// The value with the share q of the sorted numbers below it, interpolated between neighbours.
function schedQuantile(sorted, q) {
  const x = q * (sorted.length - 1);
  const k = Math.min(Math.floor(x), sorted.length - 2);
  return sorted[k] + (x - k) * (sorted[k + 1] - sorted[k]);
}
// Noisy gradient descent from (2, 1): w ← w − ηₜ (curvature · w + noise · ξ). Mean loss over the runs, and the tenth and
// ninetieth percentile, after 0 ... T steps; the path of the first run.
function schedDescend(rates, normals, noise) {
  const T = rates.length;
  const [a, b] = SCHED_CURVATURES;
  const losses = Array.from({ length: T + 1 }, () => new Float64Array(SCHED_RUNS));
  const path = [];
  for (let r = 0; r < SCHED_RUNS; r += 1) {
    let [x, y] = SCHED_START;
    for (let t = 0; t <= T; t += 1) {
      losses[t][r] = 0.5 * (a * x * x + b * y * y);
      if (!r) path.push([x, y]);
      if (t === T) break;
      const i = 2 * (r * T + t);
      x -= rates[t] * (a * x + noise * normals[i]);
      y -= rates[t] * (b * y + noise * normals[i + 1]);
    }
  }
  const sorted = losses.map((row) => row.slice().sort());
  return {
    mean: losses.map((row) => row.reduce((s, v) => s + v, 0) / SCHED_RUNS),
    low: sorted.map((row) => schedQuantile(row, 0.1)),
    high: sorted.map((row) => schedQuantile(row, 0.9)),
    path,
  };
}
// The loss at which a constant rate stays in the end, on average; null if it does not.
function schedFloor(rate, noise) {
  if (rate >= SCHED_LIMIT) return null;
  return SCHED_CURVATURES.reduce((sum, h) => sum + (rate * noise * noise) / (2 * (2 - rate * h)), 0);
}
// The 21 control points that repeat a schedule.
function schedSample(state) {
  const rates = schedRates(state);
  return Array.from({ length: SCHED_POINTS }, (_, k) => Number(rates[Math.round(schedTime(k, state.steps))].toFixed(4)));
}

export const math = {
  rates: schedRates, floor: schedFloor, sample: schedSample,
  descend: ({ noise, seed, ...state }) => schedDescend(schedRates(state), schedNoise(seed, state.steps), noise),
};

const SCHED_STATE = ["kind", "steps", "peak", "noise", "points", "cursor", "seed"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "schedule",
    question: "Why start large and end small?",
    lead: "Paint the learning rate with the pointer, or choose a schedule. Below: the loss of noisy gradient descent in a ravine, "
      + "against a constant rate of the same peak.",
    tries: [
      "Choose a constant rate and lower its peak. The floor sinks; what does that cost in the first steps?",
      "Cosine: what happens to the loss in the last quarter of the run, and why not in the first?",
      "Take the noise away. Which schedule is best now?",
      "Raise the peak above 0.1. What saves a schedule that starts there? Try the warm-up too.",
      "Paint a rate that is small first and large last.",
    ],
  });
  const { clamp, fixed, number, superscript } = ui;
  const get = () => Object.fromEntries(SCHED_STATE.map((name) => [name, model.get(name)]));
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  let width = 0;
  let place = null;
  const rate = (v) => fixed(v, 4).replace(/0$/, "");

  // ---- the drawing ----
  const marks = ui.svg("g", { "aria-hidden": "true" });
  const area = ui.svg("rect", { class: "sc-area" });
  const ring = ui.svg("rect", { class: "cx-ring", rx: 4 });
  const brush = ui.svg("g", { "data-cx-handle": true, class: "sc-brush", role: "slider", tabindex: 0, focusable: "true",
    "aria-orientation": "vertical", "aria-label": "Learning rate at the cursor: up and down change it, left and right move the cursor" }, area, ring);
  const knob = ui.svg("g", { class: "sc-knob" }, ui.svg("circle", { class: "sc-hit", r: 18 }), ui.svg("circle", { class: "cx-ring", r: 12 }), ui.svg("circle", { class: "sc-dot", r: 7 }));
  const drawing = ui.svg("svg", { role: "group", "aria-label": "Learning rate and loss over the steps" }, marks, brush, knob);
  cx.stage.append(drawing);
  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width || 1;
    const px = (event.clientX - box.left) * scale;
    const py = (event.clientY - box.top) * scale;
    return { x: (px - place.left) / place.wide, y: ((place.top + place.tall - py) / place.tall) * SCHED_TOP };
  };
  const setPoints = (points, cursor, save) => put({ kind: "painted", points, cursor, peak: clamp(Math.max(...points), SCHED_LOW, SCHED_TOP) }, save);
  const present = () => (model.get("kind") === "painted" ? [...model.get("points")] : schedSample(get()));
  const round = (v) => Number(clamp(v, 0, SCHED_TOP).toFixed(4));
  let last = null;
  let held = null;
  const paint = (event) => {
    const p = point(event);
    const k = clamp(Math.round(p.x * (SCHED_POINTS - 1)), 0, SCHED_POINTS - 1);
    const points = present();
    const value = round(p.y);
    const from = last || { k, value };
    const [a, b] = [Math.min(from.k, k), Math.max(from.k, k)];
    for (let i = a; i <= b; i += 1) points[i] = k === from.k ? value : round(from.value + ((value - from.value) * (i - from.k)) / (k - from.k));
    last = { k, value };
    setPoints(points, k, false);
  };
  cx.on(brush, "pointerdown", (event) => {
    if (event.button !== 0 || held !== null) return;
    event.preventDefault();
    brush.focus({ preventScroll: true, focusVisible: false });
    held = event.pointerId;
    brush.setPointerCapture(held);
    last = null;
    paint(event);
  });
  cx.on(brush, "pointermove", (event) => { if (held === event.pointerId) paint(event); });
  cx.on(brush, "pointerup pointercancel lostpointercapture", (event) => {
    if (held !== event.pointerId) return;
    held = null;
    model.save_changes();
    tell();
  });
  cx.on(brush, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const k = model.get("cursor");
    const by = { ArrowUp: 0.002, ArrowDown: -0.002 }[event.key];
    const to = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: SCHED_POINTS - 1 }[event.key];
    if (by) {
      const points = present();
      points[k] = round(points[k] + by * (event.shiftKey ? 5 : 1));
      setPoints(points, k, true);
    } else if (to !== undefined) put({ cursor: clamp(to, 0, SCHED_POINTS - 1) });
    else return;
    event.preventDefault();
    draw();
    tell();
  });
  let peakPlace = 0;
  const grip = cx.handle(knob, {
    label: "Peak of the learning rate", role: "slider",
    value: () => ({ now: model.get("peak"), min: SCHED_LOW, max: SCHED_TOP, text: rate(model.get("peak")) }),
    point, at: () => ({ x: peakPlace, y: model.get("peak") }),
    move: (p) => setPeak(Math.round(p.y / 0.001) * 0.001),
    end: () => { model.save_changes(); tell(); },
    step: 0.002,
  });
  const legend = ui.h("p", { class: "sc-keys", "aria-hidden": "true" },
    ...[["sc-k-schedule", "this schedule"], ["sc-k-constant", "constant rate"], ["sc-k-floor", "noise floor"]]
      .map(([cls, words]) => ui.h("span", {}, ui.h("i", { class: cls }), words)));
  const verdict = ui.h("div", { class: "sc-verdict" });
  cx.stage.append(legend, verdict);

  // ---- controls ----
  const kind = cx.select({ label: "Schedule", inline: true, value: model.get("kind"), options: SCHED_KINDS.map((name) => [name, name]),
    onChange: (name) => {
      put(name === "painted" ? { points: present(), kind: name } : { kind: name });
      tell();
    } });
  const formula = ui.h("p", { class: "cx-note sc-formula" });
  cx.panel.append(formula);
  function setPeak(v) {
    const peak = Number(clamp(v, SCHED_LOW, SCHED_TOP).toFixed(4));
    if (model.get("kind") !== "painted") put({ peak }, false);
    else {
      const most = Math.max(...model.get("points"));
      if (most > 0) put({ points: model.get("points").map((p) => round((p * peak) / most)), peak }, false);
    }
  }
  const finish = () => { model.save_changes(); tell(); };
  const peak = cx.slider({ label: "Peak", min: SCHED_LOW, max: SCHED_TOP, step: 0.001, value: model.get("peak"), format: rate, onInput: setPeak, onChange: finish });
  const noise = cx.slider({ label: "Noise of the gradient σ", min: 0, max: 2, step: 0.1, value: model.get("noise"), format: (v) => fixed(v, 1),
    onInput: (v) => put({ noise: v }, false), onChange: finish });
  const steps = cx.slider({ label: "Steps T", min: 20, max: 300, step: 10, value: model.get("steps"), onInput: (v) => put({ steps: v }, false), onChange: finish });
  const mapTitle = ui.h("p", { class: "sc-title" }, ui.h("b", { text: "One of the runs" }), " in the ravine");
  const mapBox = ui.h("div", {});
  cx.panel.append(mapTitle, mapBox);
  const plane = ui.plane(cx, { x: [-2.3, 2.3], y: [-1.25, 1.25], parent: mapBox, maxWidth: 420, zero: false, role: "img", xTicks: [-2, -1, 0, 1, 2], yTicks: [-1, 0, 1],
    label: "The ravine with the path of one run under the schedule and one under the constant rate", onLayout: () => queueMicrotask(() => request?.()) });
  const row = cx.row();
  cx.button({ label: "New noise", parent: row, title: "Draw other noise for the 32 runs", onClick: () => { put({ seed: (model.get("seed") + 1) % 2147483648 }); tell(); } });
  cx.resetButton(() => { put(copy(opening)); cx.announce("Back to the opening state."); request(); }, row);

  // ---- the runs, kept until something they depend on changes ----
  let noiseKey = "";
  let normals = null;
  const compute = (state) => {
    const now = `${state.seed},${state.steps}`;
    if (now !== noiseKey) [noiseKey, normals] = [now, schedNoise(state.seed, state.steps)];
    const rates = schedRates(state);
    const top = state.kind === "painted" ? Math.max(...rates) : state.peak;
    return {
      rates, top,
      own: schedDescend(rates, normals, state.noise),
      constant: schedDescend(new Array(state.steps).fill(top), normals, state.noise),
      floor: schedFloor(top, state.noise),
    };
  };
  const sentences = (state, c) => {
    const T = state.steps;
    const [a, b] = [c.own.mean[T], c.constant.mean[T]];
    const start = c.own.mean[0];
    const name = state.kind === "painted" ? "painted schedule" : `${state.kind} schedule`;
    const out = [];
    if (c.top === 0) return [`At a learning rate of zero nothing moves: the loss stays at ${number(a)}.`];
    if (c.rates.every((v) => v === c.top)) out.push(b > start ? `The constant rate ${rate(c.top)} diverges.` : `The constant rate ends at a loss of ${number(b)}.`);
    else if (a > start) out.push(`The ${name} diverges.`);
    else {
      const ratio = b / a;
      out.push(`The ${name} ends at a loss of ${number(a)}, ${b > start ? "the constant rate diverges." : ratio > 1.05 ? `${number(Number(ratio.toPrecision(2)))} times lower than the constant rate (${number(b)}).`
        : ratio < 0.95 ? `${number(Number((1 / ratio).toPrecision(2)))} times higher than the constant rate (${number(b)}).` : `like the constant rate (${number(b)}).`}`);
    }
    if (c.floor === null) out.push(`Above 2/κ = ${SCHED_LIMIT} each step along the steep direction overshoots by more than the last.`);
    else if (state.noise === 0) out.push("Without noise there is no floor: small steps gain nothing.");
    else {
      out.push(`Noise keeps the constant rate at a floor of ${number(c.floor)}.`);
      if (b < start && b > 2 * c.floor) out.push("It has not come down to its floor yet: the rate is small for this many steps.");
    }
    return out;
  };
  function tell() {
    const state = get();
    const k = state.cursor;
    cx.announce(`${sentences(state, compute(state)).join(" ")} Cursor at step ${Math.round(schedTime(k, state.steps))}: learning rate ${rate(present()[k])}.`);
  }

  function draw() {
    if (!width) return;
    const state = get();
    const T = state.steps;
    const c = compute(state);
    const left = 50, top = 26, tall = 130, gap = 46;
    const wide = width - left - 12;
    const lossTop = top + tall + gap, lossTall = 170;
    const height = lossTop + lossTall + 40;
    place = { left, top, wide, tall };
    ui.set(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
    const XR = (t) => left + (t / (T - 1)) * wide; // rates: steps 0 ... T - 1 fill the width
    const XL = (t) => left + (t / T) * wide; // losses: after 0 ... T steps
    const YR = (v) => top + tall - (v / SCHED_TOP) * tall;
    const [low, high] = [-4, 2];
    const YL = (v) => lossTop + lossTall - ((clamp(Math.log10(Math.max(v, 1e-300)), low, high) - low) / (high - low)) * lossTall;
    const out = [];
    const add = (tag, attrs) => out.push(ui.svg(tag, attrs));
    const text = (x, y, words, attrs = {}) => add("text", { x, y, text: words, ...attrs });

    // learning rate
    add("rect", { class: "cx-plot", x: left, y: top, width: wide, height: tall });
    text(left, 16, "Learning rate ηₜ");
    if (width > 330) text(left + wide, 16, "paint here", { class: "cx-tick", "text-anchor": "end" });
    for (const v of [0, 0.04, 0.08, 0.12]) {
      add("path", { class: "cx-grid", d: `M${left} ${YR(v)}h${wide}` });
      text(left - 6, YR(v) + 4.5, String(v), { class: "cx-tick", "text-anchor": "end" });
    }
    add("path", { class: "sc-limit", d: `M${left} ${YR(SCHED_LIMIT)}h${wide}` });
    text(left + wide - 4, YR(SCHED_LIMIT) - 4, "2/κ: above it steps diverge", { class: "sc-limit-text cx-halo", "text-anchor": "end" });
    add("path", { class: "sc-line sc-constant", d: `M${left} ${YR(c.top)}h${wide}` });
    add("path", { class: "sc-fill", d: `M${XR(0)} ${YR(0)}L${c.rates.map((v, t) => `${XR(t).toFixed(1)} ${YR(v).toFixed(1)}`).join("L")}L${XR(T - 1)} ${YR(0)}Z` });
    add("path", { class: "sc-line sc-schedule", d: `M${c.rates.map((v, t) => `${XR(t).toFixed(1)} ${YR(v).toFixed(1)}`).join("L")}` });
    const points = present();
    if (state.kind === "painted") points.forEach((v, k) => add("circle", { class: "sc-point", cx: XR(schedTime(k, T)), cy: YR(v), r: 2.6 }));
    const xc = XR(schedTime(state.cursor, T));
    add("path", { class: "sc-cursor", d: `M${xc} ${top}v${tall}` });
    add("path", { class: "sc-cursor-head", d: `M${xc - 5} ${top + tall + 9}h10l-5 -8z` });
    add("rect", { class: "sc-here", x: xc - 4, y: YR(points[state.cursor]) - 4, width: 8, height: 8 });

    // loss
    add("rect", { class: "cx-plot", x: left, y: lossTop, width: wide, height: lossTall });
    text(left, lossTop - 10, width > 380 ? "Loss, mean of 32 runs and the middle 80 %" : "Loss, mean of 32 runs");
    for (let e = low; e <= high; e += 1) {
      const y = YL(10 ** e);
      add("path", { class: "cx-grid", d: `M${left} ${y}h${wide}` });
      text(left - 6, y + 4.5, Math.abs(e) < 3 ? String(10 ** e) : `10${superscript(e)}`, { class: "cx-tick", "text-anchor": "end" });
    }
    for (const t of ui.ticks([0, T], width < 380 ? 4 : 5)) text(XL(t), lossTop + lossTall + 16, String(t), { class: "cx-tick", "text-anchor": "middle" });
    text(left + wide / 2, lossTop + lossTall + 34, "step t", { "text-anchor": "middle" });
    const band = (run, cls) => add("path", { class: cls,
      d: `M${run.high.map((v, t) => `${XL(t).toFixed(1)} ${YL(v).toFixed(1)}`).join("L")}L${run.low.map((v, t) => `${XL(t).toFixed(1)} ${YL(v).toFixed(1)}`).reverse().join("L")}Z` });
    const curve = (run, cls) => add("path", { class: cls, d: `M${run.mean.map((v, t) => `${XL(t).toFixed(1)} ${YL(v).toFixed(1)}`).join("L")}` });
    band(c.constant, "sc-band sc-band-constant");
    band(c.own, "sc-band sc-band-schedule");
    if (c.floor !== null && state.noise > 0) add("path", { class: "sc-floor", d: `M${left} ${YL(c.floor)}h${wide}` });
    curve(c.constant, "sc-line sc-constant");
    curve(c.own, "sc-line sc-schedule");
    marks.replaceChildren(...out);

    // the handles
    ui.set(area, { x: left - 4, y: top - 4, width: wide + 8, height: tall + 14 });
    ui.set(ring, { x: left - 2, y: top - 2, width: wide + 4, height: tall + 4 });
    ui.set(brush, { "aria-valuenow": points[state.cursor], "aria-valuemin": 0, "aria-valuemax": SCHED_TOP,
      "aria-valuetext": `step ${Math.round(schedTime(state.cursor, T))}: ${rate(points[state.cursor])}` });
    const most = state.kind === "constant" ? Math.round(0.5 * T) : c.rates.indexOf(Math.max(...c.rates));
    peakPlace = most / (T - 1);
    knob.style.display = state.kind === "painted" ? "none" : "";
    ui.set(knob, { transform: `translate(${Math.max(XR(most), left + 9)} ${YR(state.peak)})` });
    grip.refresh();

    // the ravine
    const rings = [0.05, 0.3, 1, 2.5, 5, 10].map((level) => ui.svg("ellipse", { class: "sc-contour", cx: plane.X(0), cy: plane.Y(0),
      rx: (Math.sqrt((2 * level) / SCHED_CURVATURES[0]) * plane.width) / 4.6, ry: (Math.sqrt((2 * level) / SCHED_CURVATURES[1]) * plane.height) / 2.5 }));
    const trail = (path, cls) => {
      const spots = path.map(([x, y]) => `${clamp(plane.X(x), -999, 1999).toFixed(1)} ${clamp(plane.Y(y), -999, 1999).toFixed(1)}`);
      const end = path[path.length - 1];
      return [ui.svg("path", { class: `sc-trail ${cls}`, d: `M${spots.join("L")}` }),
        ...(plane.inside({ x: end[0], y: end[1] }) ? [ui.svg("circle", { class: `sc-end ${cls}`, cx: plane.X(end[0]), cy: plane.Y(end[1]), r: 5 })] : [])];
    };
    plane.layer.replaceChildren(...rings, ...trail(c.constant.path, "sc-constant"), ...trail(c.own.path, "sc-schedule"),
      ui.svg("path", { class: "sc-cross", d: `M${plane.X(0) - 6} ${plane.Y(0)}h12M${plane.X(0)} ${plane.Y(0) - 6}v12` }),
      ui.svg("circle", { class: "sc-begin", cx: plane.X(SCHED_START[0]), cy: plane.Y(SCHED_START[1]), r: 5 }));

    // the words and the controls
    const [first, ...rest] = sentences(state, c);
    verdict.replaceChildren(ui.h("p", { class: "sc-big", text: first }), ui.h("p", { text: rest.join(" ") }));
    formula.textContent = SCHED_FORMULA[state.kind];
    kind.set(state.kind);
    peak.set(state.peak);
    noise.set(state.noise);
    steps.set(T);
  }

  cx.onResize((w) => {
    width = Math.min(w, 620);
    request();
  });
  cx.observe(model, SCHED_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
