// SignalPropagation: a batch sent through deep random layers, and a gradient sent back, for many weight scales.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const SP_BATCH = 32;
const SP_SCALES = Array.from({ length: 23 }, (_, k) => 2 ** ((k - 12) / 6)); // 0.25 ... 3.17; 1 and √2 are among them
const SP_ACTIVATIONS = ["linear", "tanh", "sigmoid", "relu"];
const SP_NAMES = { linear: "no activation (linear)", tanh: "tanh", sigmoid: "sigmoid", relu: "ReLU" };
const SP_SPAN = 4; // the colours end at 10^-4 and 10^4
const SP_BINS = 40;

// The nearest column of a weight scale.
const spColumn = (scale) => ui.clamp(Math.round(6 * Math.log2(scale)) + 12, 0, SP_SCALES.length - 1);

const spCopy = (random, count) => Float64Array.from({ length: count }, random);
// What the seed decides: the batch (32, width), standard normal weights (depth times (width, width)), and the
// gradient (32, width) that arrives at the last layer. A deeper network begins with the same layers.
function spDraws(seed, width, depth) {
  const normal = ui.gaussian(ui.mulberry32(seed));
  const batch = spCopy(normal, SP_BATCH * width);
  const weights = Array.from({ length: depth }, () => spCopy(normal, width * width));
  const back = spCopy(ui.gaussian(ui.mulberry32((seed ^ 0x9e3779b9) >>> 0)), SP_BATCH * width);
  return { seed, width, batch, weights, back };
}
function spApply(activation, z) {
  if (activation === "tanh") for (let i = 0; i < z.length; i += 1) z[i] = Math.tanh(z[i]);
  else if (activation === "sigmoid") for (let i = 0; i < z.length; i += 1) z[i] = 1 / (1 + Math.exp(-z[i]));
  else if (activation === "relu") for (let i = 0; i < z.length; i += 1) z[i] = Math.max(z[i], 0);
}
// The slope of the activation, from its value.
const spSlope = {
  linear: () => 1,
  tanh: (a) => 1 - a * a,
  sigmoid: (a) => a * (1 - a),
  relu: (a) => (a > 0 ? 1 : 0),
};
const spRms = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
// How far the examples of a batch differ: the root mean square, over units and examples, of the distance from the unit's mean.
function spSpread(values, width) {
  let total = 0;
  for (let j = 0; j < width; j += 1) {
    let mean = 0;
    for (let i = j; i < values.length; i += width) mean += values[i];
    mean /= SP_BATCH;
    for (let i = j; i < values.length; i += width) total += (values[i] - mean) ** 2;
  }
  return Math.sqrt(total / values.length);
}
// One network: layers[l] are the activations (32 * width), l = 0 (the batch) ... depth; three measures of each layer.
function spRun(draws, activation, scale) {
  const { width: n, weights } = draws;
  const s = scale / Math.sqrt(n);
  const layers = [draws.batch];
  for (const W of weights) {
    const from = layers[layers.length - 1];
    const z = new Float64Array(from.length);
    for (let b = 0; b < SP_BATCH; b += 1) {
      const row = b * n;
      for (let i = 0; i < n; i += 1) {
        const v = from[row + i] * s;
        if (v === 0) continue;
        for (let j = 0, w = i * n; j < n; j += 1, w += 1) z[row + j] += v * W[w];
      }
    }
    spApply(activation, z);
    layers.push(z);
  }
  const slope = spSlope[activation];
  const gradient = new Array(layers.length);
  let delta = draws.back;
  gradient[weights.length] = spRms(delta);
  for (let l = weights.length; l >= 1; l -= 1) {
    const inner = delta.map((d, i) => d * slope(layers[l][i]) * s);
    const W = weights[l - 1];
    delta = new Float64Array(inner.length);
    for (let b = 0; b < SP_BATCH; b += 1) {
      const row = b * n;
      for (let i = 0; i < n; i += 1) {
        let sum = 0;
        for (let j = 0, w = i * n; j < n; j += 1, w += 1) sum += inner[row + j] * W[w];
        delta[row + i] = sum;
      }
    }
    gradient[l - 1] = spRms(delta);
  }
  return { layers, activations: layers.map(spRms), differences: layers.map((a) => spSpread(a, n)), gradient };
}
const SP_RANGE = { linear: [-4, 4], tanh: [-1, 1], sigmoid: [0, 1], relu: [0, 4] };
// Shares of the activations in 40 equal bins over the activation's range; what lies outside counts in the end bins.
function spHistogram(values, activation) {
  const [low, high] = SP_RANGE[activation];
  const bins = new Array(SP_BINS).fill(0);
  for (const v of values) bins[ui.clamp(Math.floor(((v - low) / (high - low)) * SP_BINS), 0, SP_BINS - 1)] += 1 / values.length;
  return bins;
}
// The share of values where the activation hardly answers: a slope below a tenth of its largest; outside the drawing for linear.
function spQuiet(values, activation) {
  const slope = spSlope[activation];
  const most = activation === "sigmoid" ? 0.25 : 1;
  let count = 0;
  for (const v of values) count += activation === "linear" ? Math.abs(v) > 4 : slope(v) < 0.1 * most;
  return count / values.length;
}

export const math = {
  scales: SP_SCALES,
  column: spColumn,
  draws: ({ seed, width, depth }) => {
    const d = spDraws(seed, width, depth);
    return { batch: [...d.batch], last: [...d.weights[depth - 1]], back: [...d.back] };
  },
  run({ seed, width, depth, activation, scale }) {
    const { layers, ...measures } = spRun(spDraws(seed, width, depth), activation, scale);
    return { ...measures, last: [...layers[depth]], quiet: spQuiet(layers[depth], activation), histogram: spHistogram(layers[depth], activation) };
  },
};

const SP_STATE = ["activation", "depth", "scale", "width", "seed", "view", "layer"];
const SP_VIEWS = { activations: "size of the activations", differences: "differences within the batch", gradient: "size of the gradient" };

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "signal",
    question: "How does a signal's size survive depth?",
    lead: "Each column is a deep random network whose weights have the standard deviation (weight scale) / √(inputs). "
      + "Choose a cell of the map: click, or use the arrow keys.",
    tries: [
      "No activation: which weight scale keeps the signal at its size? How far off may it be in 20 layers?",
      "ReLU sets half of the signal to zero. Which scale makes up for that? Compare with the mark “He”.",
      "tanh at a large scale: the activations keep their size. Look at their histogram, then switch the colour to the gradient.",
      "Sigmoid: the size stays near a half at every scale. Switch to the differences within the batch: what is left of the inputs?",
    ],
  });
  const { clamp, fixed, number, superscript } = ui;
  const get = () => Object.fromEntries(SP_STATE.map((name) => [name, model.get(name)]));
  const opening = get();
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  let width = 0;

  // ---- the networks: the chosen column at once, the others a few per frame ----
  let draws = null;
  let key = "";
  let columns = [];
  let layersOf = { column: -1, layers: [] };
  const compute = (k) => {
    const { layers, ...measures } = spRun(draws, model.get("activation"), SP_SCALES[k]);
    columns[k] = measures;
    return layers;
  };
  const worker = cx.animate(() => {
    const until = performance.now() + 14;
    const chosen = spColumn(model.get("scale"));
    const todo = SP_SCALES.map((_, k) => k).filter((k) => !columns[k]).sort((a, b) => Math.abs(a - chosen) - Math.abs(b - chosen));
    while (todo.length && performance.now() < until) compute(todo.shift());
    request();
    return todo.length > 0;
  });
  const prepare = (state) => {
    const now = [state.activation, state.depth, state.width, state.seed].join();
    const k = spColumn(state.scale);
    if (now !== key) {
      if (!draws || draws.seed !== state.seed || draws.width !== state.width || draws.weights.length !== state.depth)
        draws = spDraws(state.seed, state.width, state.depth);
      key = now;
      columns = new Array(SP_SCALES.length).fill(null);
      layersOf = { column: -1, layers: [] };
      worker.start();
    }
    if (layersOf.column !== k) layersOf = { column: k, layers: compute(k) };
    cx.root.dataset.ready = String(columns.every(Boolean));
    return k;
  };

  // ---- the map ----
  const cells = ui.svg("g", { "shape-rendering": "crispEdges", "aria-hidden": "true" });
  const marks = ui.svg("g", { "aria-hidden": "true" });
  const area = ui.svg("rect", { class: "sp-area" });
  const frame = ui.svg("rect", { class: "sp-frame" });
  const ring = ui.svg("rect", { class: "cx-ring", rx: 3 });
  const cursor = ui.svg("g", { "data-cx-handle": true, role: "slider", tabindex: 0, focusable: "true", "aria-label": "Chosen weight scale and layer" }, area, frame, ring);
  const map = ui.svg("svg", { role: "group", "aria-label": "Map of the signal's size: weight scale across, depth downwards" }, cells, marks, cursor);
  cx.stage.append(map);
  let place = null;
  const at = (event) => {
    const box = map.getBoundingClientRect();
    const ratio = map.viewBox.baseVal.width / box.width || 1;
    return {
      scale: SP_SCALES[clamp(Math.floor(((event.clientX - box.left) * ratio - place.left) / place.col), 0, SP_SCALES.length - 1)],
      layer: clamp(Math.floor(((event.clientY - box.top) * ratio - place.top) / place.row), 0, model.get("depth")),
    };
  };
  let held = null;
  cx.on(cursor, "pointerdown", (event) => {
    if (event.button !== 0) return;
    held = event.pointerId;
    cursor.focus({ preventScroll: true, focusVisible: false });
    cursor.setPointerCapture(held);
    put(at(event), false);
  });
  cx.on(cursor, "pointermove", (event) => { if (held === event.pointerId) put(at(event), false); });
  cx.on(cursor, "pointerup pointercancel", (event) => {
    if (held !== event.pointerId) return;
    held = null;
    model.save_changes();
    tell();
  });
  cx.on(cursor, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 5 : 1;
    const k = spColumn(model.get("scale"));
    const { depth, layer } = get();
    const to = {
      ArrowLeft: { scale: k - by }, ArrowRight: { scale: k + by }, ArrowUp: { layer: layer - by }, ArrowDown: { layer: layer + by },
      Home: { layer: 0 }, End: { layer: depth },
    }[event.key];
    if (!to) return;
    event.preventDefault();
    if ("scale" in to) put({ scale: SP_SCALES[clamp(to.scale, 0, SP_SCALES.length - 1)] });
    else put({ layer: clamp(to.layer, 0, depth) });
    tell();
  });
  const legend = ui.svg("svg", { role: "img", "aria-label": "Colours from one ten-thousandth, blue, over one, neutral, to ten thousand, orange" });
  cx.stage.append(legend);

  // ---- the profile ----
  const profileTitle = ui.h("p", { class: "sp-title" });
  const profile = ui.svg("svg", { role: "img" });
  const keys = ui.h("p", { class: "sp-keys", "aria-hidden": "true" },
    ...[["sp-k-activations", "activations"], ["sp-k-differences", "differences in the batch"], ["sp-k-gradient", "gradient"]]
      .map(([cls, words]) => ui.h("span", {}, ui.h("i", { class: cls }), words)));
  cx.stage.append(profileTitle, keys, profile);

  // ---- controls ----
  const activation = cx.select({ label: "Activation", inline: true, value: model.get("activation"),
    options: SP_ACTIVATIONS.map((name) => [name, SP_NAMES[name]]), onChange: (v) => { put({ activation: v }); tell(); } });
  const view = cx.choice({ legend: "Colour shows", value: model.get("view"), options: Object.entries(SP_VIEWS),
    onChange: (v) => { put({ view: v }); tell(); } });
  const depth = cx.slider({ label: "Layers", min: 4, max: 40, step: 1, value: model.get("depth"),
    onInput: (v) => put({ depth: v, layer: model.get("layer") >= model.get("depth") ? v : Math.min(model.get("layer"), v) }, false),
    onChange: () => { model.save_changes(); tell(); } });
  const table = ui.h("tbody", {});
  const caption = ui.h("caption", {});
  cx.panel.append(ui.h("table", { class: "sp-table" }, caption,
    ui.h("thead", {}, ui.h("tr", {}, ["", "input", "end", "per layer"].map((text) => ui.h("th", { scope: "col", text })))), table));
  const verdict = ui.h("p", { class: "sp-verdict" });
  const stripTitle = ui.h("p", { class: "sp-title" });
  const strips = ui.svg("svg", { role: "img" });
  cx.panel.append(verdict, stripTitle, strips);
  const row = cx.row();
  cx.button({ label: "New weights", parent: row, title: "Draw other random weights of the same size",
    onClick: () => { put({ seed: (model.get("seed") + 1) % 2147483648 }); tell(); } });
  cx.resetButton(() => { put({ ...opening }); cx.announce("Back to the opening state."); request(); }, row);

  // ---- words ----
  const short = (v) => (v !== 0 && (v < 0.001 || v >= 9999.5) ? number(v) : fixed(v, v < 0.0995 ? 3 : v < 9.995 ? 2 : v < 99.95 ? 1 : 0));
  const named = (k) => (k === 12 ? " (Xavier)" : k === 15 ? " (He)" : "");
  const scaleText = (k) => fixed(SP_SCALES[k], 2);
  const fate = (ratio, things) => (ratio < 0.01 ? `${things} vanish${things === "the gradient" ? "es" : ""}` : ratio > 100 ? `${things} explode${things === "the gradient" ? "s" : ""}` : null);
  function judge(state, c) {
    const D = state.depth;
    const parts = [fate(c.activations[D] / c.activations[0], "the activations"), fate(c.gradient[0] / c.gradient[D], "the gradient")].filter(Boolean);
    const same = c.differences[D] < 0.01 * c.activations[D] ? "the inputs can no longer be told apart at the end" : null;
    if (same && !(parts[0] || "").startsWith("the activations v")) parts.push(same);
    if (!parts.length) return "Signal and gradient both pass within a factor of 100.";
    const text = parts.join(", and ");
    return `${text[0].toUpperCase()}${text.slice(1)}.`;
  }
  const cellWords = (state, k) => `weight scale ${scaleText(k)}${named(k)}, layer ${state.layer} of ${state.depth}: ${SP_VIEWS[state.view]} ${short(columns[k][state.view][state.layer])}`;
  function tell() {
    const state = get();
    const k = prepare(state);
    cx.announce(`${cellWords(state, k)}. ${judge(state, columns[k])}`);
  }

  const rgb = (name) => {
    const text = cx.resolve(name).replace("#", "");
    return [0, 2, 4].map((i) => parseInt(text.slice(i, i + 2), 16));
  };
  function draw() {
    if (!width) return;
    const state = get();
    state.layer = clamp(state.layer, 0, state.depth);
    const k = prepare(state);
    const c = columns[k];
    const D = state.depth;
    const [neutral, low, high] = [rgb("plot"), rgb("blue"), rgb("orange")];
    const colour = (value) => {
      const x = clamp(Math.log10(Math.max(value, 1e-300)) / SP_SPAN, -1, 1);
      const end = x < 0 ? low : high;
      const share = Math.abs(x) ** 0.8;
      return `rgb(${neutral.map((v, i) => Math.round(v + share * (end[i] - v))).join()})`;
    };

    // the map
    const left = 46, top = 42, count = SP_SCALES.length;
    const col = (width - left - 10) / count;
    const tall = clamp(Math.round(width * 0.62), 220, 320);
    const cell = tall / (D + 1);
    place = { left, top, col, row: cell };
    const height = top + tall + 44;
    ui.set(map, { width, height, viewBox: `0 0 ${width} ${height}` });
    const X = (i) => left + i * col;
    while (cells.children.length < count * (D + 1)) cells.append(ui.svg("rect", {}));
    while (cells.children.length > count * (D + 1)) cells.lastChild.remove();
    for (let i = 0; i < count; i += 1)
      for (let l = 0; l <= D; l += 1)
        ui.set(cells.children[i * (D + 1) + l], { x: X(i), y: top + l * cell, width: col + 0.5, height: cell + 0.5,
          fill: columns[i] ? colour(columns[i][state.view][l]) : "transparent" });
    const out = [];
    const text = (x, y, words, attrs = {}) => out.push(ui.svg("text", { x, y, text: words, ...attrs }));
    out.push(ui.svg("rect", { class: "sp-border", x: left, y: top, width: count * col, height: tall }));
    for (const [i, words, anchor, dx] of [[12, "Xavier 1", "end", 3], [15, "He √2", "start", -3]]) {
      const x = X(i) + col / 2;
      text(x + dx, 28, words, { "text-anchor": anchor, class: "sp-mark" });
      out.push(ui.svg("path", { class: "sp-tip", d: `M${x - 5} ${top - 9}h10l-5 8z` }));
    }
    for (const v of [0.25, 0.5, 1, 2, 3]) {
      const x = left + (6 * Math.log2(v) + 12.5) * col;
      out.push(ui.svg("path", { class: "sp-tick", d: `M${x} ${top + tall}v4` }));
      text(x, top + tall + 18, String(v), { "text-anchor": "middle", class: "cx-tick" });
    }
    text(left + (count * col) / 2, height - 6, width > 380 ? "weight scale (deviation of the weights × √inputs)" : "weight scale", { "text-anchor": "middle" });
    const every = cell * 5 >= 15 ? 5 : 10;
    for (let l = 0; l <= D; l += every) text(left - 6, top + (l + 0.5) * cell + 4.5, String(l), { "text-anchor": "end", class: "cx-tick" });
    out.push(ui.svg("text", { transform: `translate(12 ${top + tall / 2}) rotate(-90)`, "text-anchor": "middle", text: "layer (0: input)" }));
    out.push(ui.svg("rect", { class: "sp-column", x: X(k) - 1, y: top, width: col + 2, height: tall }));
    marks.replaceChildren(...out);
    ui.set(area, { x: left, y: top, width: count * col, height: tall });
    ui.set(frame, { x: X(k) - 1.5, y: top + state.layer * cell - 1.5, width: col + 3, height: cell + 3 });
    ui.set(ring, { x: X(k) - 5, y: top + state.layer * cell - 5, width: col + 10, height: cell + 10 });
    ui.set(cursor, { "aria-valuenow": state.layer, "aria-valuemin": 0, "aria-valuemax": D, "aria-valuetext": cellWords(state, k) });

    // the colours
    const wide = width - left - 10;
    ui.set(legend, { width, height: 36, viewBox: `0 0 ${width} 36` });
    const steps = 48;
    legend.replaceChildren(
      ...Array.from({ length: steps }, (_, i) => ui.svg("rect", { "shape-rendering": "crispEdges", x: left + (i * wide) / steps, y: 2, width: wide / steps + 0.5, height: 12,
        fill: colour(10 ** (SP_SPAN * (-1 + (2 * i + 1) / steps))) })),
      ui.svg("rect", { class: "sp-border", x: left, y: 2, width: wide, height: 12 }),
      ...[-4, -2, 0, 2, 4].map((e) => ui.svg("text", { class: "cx-tick", x: left + ((e + 4) / 8) * wide, y: 30,
        "text-anchor": e === -4 ? "start" : e === 4 ? "end" : "middle", text: e === -4 ? "≤ 10⁻⁴" : e === 4 ? "≥ 10⁴" : e ? `10${superscript(e)}` : "1" })));

    // the profile of the chosen column
    const series = ["differences", "gradient", "activations"].map((name) => [name, c[name].map((v) => clamp(Math.log10(Math.max(v, 1e-300)), -12, 12))]);
    const all = series.flatMap(([, v]) => v);
    const [y0, y1] = [Math.min(-1, Math.floor(Math.min(...all))), Math.max(1, Math.ceil(Math.max(...all)))];
    const pTop = 8, pTall = 128, pWide = wide;
    const Y = (v) => pTop + ((y1 - v) / (y1 - y0)) * pTall;
    const XL = (l) => left + (l / D) * pWide;
    ui.set(profile, { width, height: pTop + pTall + 40, viewBox: `0 0 ${width} ${pTop + pTall + 40}`,
      "aria-label": `Over the layers: activations from ${short(c.activations[0])} to ${short(c.activations[D])}, differences to ${short(c.differences[D])}, gradient ${short(c.gradient[0])} at the input` });
    const lines = [ui.svg("rect", { class: "cx-plot", x: left, y: pTop, width: pWide, height: pTall })];
    const leap = Math.max(1, Math.ceil((y1 - y0) / 5));
    for (let e = Math.ceil(y0 / leap) * leap; e <= y1; e += leap)
      lines.push(ui.svg("path", { class: e === 0 ? "cx-zero" : "cx-grid", d: `M${left} ${Y(e)}h${pWide}` }),
        ui.svg("text", { class: "cx-tick", x: left - 6, y: Y(e) + 4.5, "text-anchor": "end", text: e === 0 ? "1" : Math.abs(e) === 1 ? String(10 ** e) : `10${superscript(e)}` }));
    for (let l = 0; l <= D; l += D > 25 ? 10 : 5)
      lines.push(ui.svg("text", { class: "cx-tick", x: XL(l), y: pTop + pTall + 16, "text-anchor": "middle", text: String(l) }));
    lines.push(ui.svg("path", { class: "sp-now", d: `M${XL(state.layer)} ${pTop}v${pTall}` }),
      ui.svg("text", { x: left + pWide / 2, y: pTop + pTall + 34, "text-anchor": "middle", text: "layer" }));
    for (const [name, values] of series) {
      const d = `M${values.map((v, l) => `${XL(l).toFixed(1)} ${Y(v).toFixed(1)}`).join("L")}`;
      lines.push(ui.svg("path", { class: `sp-line sp-${name}`, d }));
    }
    lines.push(...series.map(([name, values]) => ui.svg("circle", { class: `sp-dot sp-d-${name}`, cx: XL(state.layer), cy: Y(values[state.layer]), r: 4 })));
    profile.replaceChildren(...lines);
    profileTitle.replaceChildren(ui.h("b", { text: `Sizes at weight scale ${scaleText(k)}${named(k)}` }), ", log scale");

    // the table and the verdict
    caption.textContent = `Weight scale ${scaleText(k)}${named(k)}, ${SP_NAMES[state.activation]}`;
    const line = (name, words, a, b) => ui.h("tr", {}, ui.h("th", { scope: "row", text: words }),
      ui.h("td", { text: short(c[name][0]) }), ui.h("td", { text: short(c[name][D]) }), ui.h("td", { text: `×${short((c[name][b] / c[name][a]) ** (1 / D))}` }));
    table.replaceChildren(line("activations", "activations", 0, D), line("differences", "differences", 0, D), line("gradient", "gradient", D, 0));
    verdict.textContent = judge(state, c);
    ui.set(verdict, { "data-fate": /vanish|apart/.test(verdict.textContent) ? "small" : /explode/.test(verdict.textContent) ? "large" : "fine" });

    // strips of the activations
    const shown = [...new Set([1, Math.round(D / 3), Math.round((2 * D) / 3), D, state.layer])].sort((a, b) => a - b);
    const sWide = Math.max(Math.min(cx.panel.clientWidth, 420), 160);
    const sRow = 50;
    const total = shown.length * sRow + 24;
    ui.set(strips, { width: sWide, height: total, viewBox: `0 0 ${sWide} ${total}`, "aria-label": `Histograms of the activations at layers ${shown.join(", ")}` });
    const bars = [];
    const bin = (sWide - 2) / SP_BINS;
    const [from, to] = SP_RANGE[state.activation];
    shown.forEach((l, i) => {
      const values = layersOf.layers[l];
      const shares = spHistogram(values, l ? state.activation : "linear");
      const most = Math.max(...shares);
      const base = i * sRow + sRow - 4;
      const quiet = l ? spQuiet(values, state.activation) : 0;
      const what = { linear: "beyond ±4", tanh: "saturated", sigmoid: "saturated", relu: "zero" }[state.activation];
      bars.push(ui.svg("text", { x: 1, y: base - 30, class: l === state.layer ? "sp-here" : null, text: `layer ${l}` }));
      bars.push(ui.svg("text", { x: sWide - 1, y: base - 30, "text-anchor": "end", class: "cx-tick", text: l ? `${fixed(100 * quiet, 0)} % ${what}` : "input, from −4 to 4" }));
      bars.push(ui.svg("path", { class: "cx-grid", d: `M1 ${base + 0.5}h${sWide - 2}` }));
      shares.forEach((share, b) => {
        if (share) bars.push(ui.svg("rect", { class: `sp-bar${l === state.layer ? " sp-bar-now" : ""}`, x: 1 + b * bin + 0.4, width: Math.max(bin - 0.8, 0.8), y: base - (26 * share) / most, height: (26 * share) / most }));
      });
    });
    [[1, "start", from], [sWide / 2, "middle", (from + to) / 2], [sWide - 1, "end", to]].forEach(([x, anchor, v]) =>
      bars.push(ui.svg("text", { class: "cx-tick", x, y: total - 8, "text-anchor": anchor, text: `${v === 4 ? "≥ " : v === -4 ? "≤ " : ""}${String(v).replace("-", "−")}` })));
    strips.replaceChildren(...bars);
    stripTitle.replaceChildren(ui.h("b", { text: "Activations" }), " at a few layers");

    activation.set(state.activation);
    view.set(state.view);
    depth.set(D);
  }

  cx.onResize((w) => {
    width = Math.min(w, 600);
    request();
  });
  cx.observe(model, SP_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onTheme(request);
  draw();
  return cx.dispose;
}

export default { render };
