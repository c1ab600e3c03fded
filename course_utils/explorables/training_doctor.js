// TrainingDoctor: small networks, each trained with one fault, and a reader who names it from the curves.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const DOC_UPDATES = 400;
const DOC_BATCH = 16;
const DOC_EVERY = 4;
const DOC_BEST = 0.1148; // cross-entropy of the true class probabilities
const DOC_TOP = 1.6; // the loss axis ends here
const DOC_CENTRES = [[1, 1], [-1, 1], [-1, -1], [1, -1]];

// Each cause: its name, the signs by which it is known, what repairs it.
const DOC_CAUSES = {
  "rate too high": {
    label: "learning rate too high",
    signs: "Both curves leap up and down and never settle. The update ratio says why: several times that of the healthy network and far more at first, so that a step jumps over the valley it was to go down.",
    cure: "Divide the rate by three, then by ten, until the curve is smooth.",
  },
  "rate too low": {
    label: "learning rate too low",
    signs: "Both losses stay where they began, but for the noise of the batches, though the gradient is large. The update ratio says why: several hundred times smaller than the healthy one.",
    cure: "Multiply the rate by ten until the loss falls at once; a range test finds the place.",
  },
  "sorted data": {
    label: "data sorted by class, not shuffled",
    signs: "The losses are saw teeth, one tooth in every epoch of 20 updates: the network learns to answer the class of the moment, and pays when the class changes.",
    cure: "Shuffle the training points in each epoch.",
  },
  "shuffled labels": {
    label: "labels shuffled",
    signs: "Training and validation loss stay near ln 2, which is guessing, while the gradient is of ordinary size and all units live: the network works hard and there is nothing to learn.",
    cure: "Look at twenty points with their labels. Somewhere inputs and labels were brought into different orders.",
  },
  leak: {
    label: "validation points leaked into training",
    signs: "The validation loss follows the training loss down, below what the overlap of the classes allows on new points. It is too good to be true.",
    cure: "Split first, and look for duplicates across the split.",
  },
  overfitting: {
    label: "overfitting: too few points",
    signs: "The training loss goes on falling while the validation loss turns and rises: a gap that grows. Up to the turn all was well.",
    cure: "More data, augmentation, weight decay or dropout; or stop at the turn.",
  },
  "dead units": {
    label: "dead ReLUs",
    signs: "Hardly any hidden unit is above zero for even one point. The few that live learn slowly what they can, and both losses stay far above those of the healthy network.",
    cure: "Begin with biases of zero and the weights of He; lower the rate if one large step has killed them; or take a leaky ReLU.",
  },
  "unscaled inputs": {
    label: "inputs not scaled",
    signs: "Before the first update the loss is already above ln 2, mostly far above, and the first gradients are ten times a healthy network's or more. The first steps wreck the weights.",
    cure: "Subtract the mean and divide by the standard deviation of the training set.",
  },
  "zero weights": {
    label: "all weights begin at zero",
    signs: "The loss starts at ln 2 exactly and stays; the gradient of the weights is not small but zero, and no hidden unit is above zero: zero times zero all the way.",
    cure: "Draw the weights at random, of the size of Xavier or He. Zero is fine for biases.",
  },
  "softmax twice": {
    label: "softmax applied twice",
    signs: "Smooth curves that look well but level off above 0.313, far from the healthy ones. The second softmax sees numbers from 0 to 1 and cannot give more than 73 % to a class; −ln 0.73 is the floor.",
    cure: "Give the loss logits (`from_logits=True`) or probabilities, and say which.",
  },
};
const DOC_NAMES = Object.keys(DOC_CAUSES);

const docStream = (seed, purpose) => (seed + Math.imul(purpose, 0x9e3779b9)) >>> 0;
const docClouds = (seed, purpose, count) => {
  const normal = ui.gaussian(ui.mulberry32(docStream(seed, purpose)));
  const X = new Float64Array(2 * count);
  for (let i = 0; i < 2 * count; i += 1) X[i] = DOC_CENTRES[(i >> 1) % 4][i % 2] + 0.5 * normal();
  return { X, y: Uint8Array.from({ length: count }, (_, i) => i % 2) };
};
const docShuffle = (random, count) => {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
};

// One layer: rows of x (n, a) times W (a, c) plus b; negative numbers become zero if relu.
function docLayer(x, n, W, b, relu) {
  const c = b.length;
  const a = W.length / c;
  const out = new Float64Array(n * c);
  for (let r = 0; r < n; r += 1) {
    for (let i = 0; i < a; i += 1) {
      const v = x[r * a + i];
      if (v === 0) continue;
      for (let j = 0, w = i * c, o = r * c; j < c; j += 1, w += 1, o += 1) out[o] += v * W[w];
    }
    for (let j = 0, o = r * c; j < c; j += 1, o += 1) {
      out[o] += b[j];
      if (relu && !(out[o] > 0)) out[o] = 0;
    }
  }
  return out;
}
// Mean cross-entropy of logits z (n, 2), and the gradient with respect to them.
function docLoss(z, y, twice) {
  const n = y.length;
  const grad = new Float64Array(2 * n);
  let total = 0;
  const soft = (u, v) => {
    const m = Math.max(u, v);
    const [eu, ev] = [Math.exp(u - m), Math.exp(v - m)];
    return { p: [eu / (eu + ev), ev / (eu + ev)], log: [u - m - Math.log(eu + ev), v - m - Math.log(eu + ev)] };
  };
  for (let r = 0; r < n; r += 1) {
    let inner = [z[2 * r], z[2 * r + 1]];
    const q = twice ? (inner = soft(...inner).p) : null;
    const { p, log } = soft(...inner);
    total -= log[y[r]];
    let g = [p[0] - (y[r] === 0), p[1] - (y[r] === 1)];
    if (q) {
      const mean = q[0] * g[0] + q[1] * g[1];
      g = [q[0] * (g[0] - mean), q[1] * (g[1] - mean)];
    }
    grad[2 * r] = g[0] / n;
    grad[2 * r + 1] = g[1] / n;
  }
  return { loss: total / n, grad };
}
const docSquares = (arrays) => Math.sqrt(arrays.reduce((sum, a) => { for (const v of a) sum += v * v; return sum; }, 0));

// Train the network of a case; see `train` in training_doctor.py for what each case changes.
function docTrain(name, seed) {
  const few = name === "overfitting" || name === "leak";
  const rate = { "rate too high": 1.5, "rate too low": 3e-5 }[name] || (few ? 0.3 : 0.1);
  const [n, hidden] = few ? [DOC_BATCH, 64] : [320, 24];
  const { X, y } = docClouds(seed, 1, n);
  let { X: V, y: v } = docClouds(seed, 2, 200);
  if (few) y[0] = 1 - y[0];
  if (name === "leak") [V, v] = [X, y];
  if (name === "shuffled labels") {
    y.set(docShuffle(ui.mulberry32(docStream(seed, 5)), n).map((i) => y[i]));
    v.set(docShuffle(ui.mulberry32(docStream(seed, 7)), 200).map((i) => v[i]));
  }
  if (name === "unscaled inputs") for (const A of [X, V]) for (let i = 0; i < A.length; i += 2) A[i] *= 20;

  const sizes = [2, hidden, hidden, 2];
  const normal = ui.gaussian(ui.mulberry32(docStream(seed, 3)));
  const W = [];
  const b = [];
  for (let l = 0; l < 3; l += 1) {
    const [a, c] = [sizes[l], sizes[l + 1]];
    const deviation = name === "zero weights" ? 0 : Math.sqrt((c > 2 ? 2 : 0.5) / a);
    W.push(Float64Array.from({ length: a * c }, () => normal() * deviation));
    b.push(new Float64Array(c));
  }
  if (name === "dead units") {
    b[0].fill(-10, 2);
    b[1].fill(-10, 3);
  }
  const forward = (x, count) => {
    const h1 = docLayer(x, count, W[0], b[0], true);
    const h2 = docLayer(h1, count, W[1], b[1], true);
    return [h1, h2, docLayer(h2, count, W[2], b[2], false)];
  };
  const twice = name === "softmax twice";
  const out = { train: [], val: [], gradient: [], ratio: [], live: [] };
  const look = () => {
    out.val.push(docLoss(forward(V, v.length)[2], v, twice).loss);
    const layers = forward(X, n);
    let alive = 0;
    for (const h of layers.slice(0, 2))
      for (let j = 0; j < hidden; j += 1)
        for (let i = j; i < h.length; i += hidden) if (h[i] > 0) { alive += 1; break; }
    out.live.push(alive / (2 * hidden));
  };
  look();
  const random = ui.mulberry32(docStream(seed, 4));
  const epoch = n / DOC_BATCH;
  let order = name === "sorted data" ? [...y.keys()].sort((i, j) => y[i] - y[j] || i - j) : [];
  let sums = [0, 0, 0];
  const xb = new Float64Array(2 * DOC_BATCH);
  const yb = new Uint8Array(DOC_BATCH);
  for (let t = 0; t < DOC_UPDATES; t += 1) {
    if (t % epoch === 0 && name !== "sorted data") order = docShuffle(random, n);
    for (let r = 0; r < DOC_BATCH; r += 1) {
      const i = order[(t % epoch) * DOC_BATCH + r];
      xb[2 * r] = X[2 * i];
      xb[2 * r + 1] = X[2 * i + 1];
      yb[r] = y[i];
    }
    const [h1, h2, z] = forward(xb, DOC_BATCH);
    const { loss, grad } = docLoss(z, yb, twice);
    // back through the layers: the gradient of each layer's sums, of its weights and of its biases
    const inputs = [xb, h1, h2];
    const dW = [];
    const db = [];
    let delta = grad;
    for (let l = 2; l >= 0; l -= 1) {
      const [a, c] = [sizes[l], sizes[l + 1]];
      const x = inputs[l];
      dW[l] = new Float64Array(a * c);
      db[l] = new Float64Array(c);
      const before = new Float64Array(DOC_BATCH * a);
      for (let r = 0; r < DOC_BATCH; r += 1) {
        for (let j = 0; j < c; j += 1) db[l][j] += delta[r * c + j];
        for (let i = 0; i < a; i += 1) {
          const v0 = x[r * a + i];
          if (l > 0 && !(v0 > 0)) continue; // a silent unit passes nothing on and has no part in the weights' gradient
          let sum = 0;
          for (let j = 0, w = i * c, d = r * c; j < c; j += 1, w += 1, d += 1) {
            dW[l][w] += v0 * delta[d];
            sum += W[l][w] * delta[d];
          }
          before[r * a + i] = sum;
        }
      }
      delta = before;
    }
    const size = docSquares(dW);
    const weights = docSquares(W);
    sums = [sums[0] + loss, sums[1] + size, sums[2] + (weights > 0 ? (rate * size) / weights : 0)];
    for (let l = 0; l < 3; l += 1) {
      for (let i = 0; i < W[l].length; i += 1) W[l][i] -= rate * dW[l][i];
      for (let j = 0; j < b[l].length; j += 1) b[l][j] -= rate * db[l][j];
    }
    if ((t + 1) % DOC_EVERY === 0) {
      ["train", "gradient", "ratio"].forEach((key, i) => out[key].push(sums[i] / DOC_EVERY));
      sums = [0, 0, 0];
      look();
    }
  }
  return out;
}
// answers: [[patient, cause], ...] in order -> how many patients were tried, and how many were right at the first try.
function docScore(cases, answers) {
  const first = new Map();
  for (const [i, cause] of answers) if (!first.has(i)) first.set(i, cases[i] === cause);
  return { tried: first.size, right: [...first.values()].filter(Boolean).length };
}

export const math = { causes: DOC_NAMES, train: docTrain, score: docScore, best: DOC_BEST };

const DOC_STATE = ["cases", "seed", "current", "answers", "cursor"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "doctor",
    question: "Which cause fits these symptoms?",
    lead: "A small network (two hidden layers of ReLU units) learns to tell two classes of points apart, with one fault. "
      + "Read its curves, choose a cause, press Diagnose. In grey: the same network in good health.",
    tries: [
      "Look at the very first point of the loss. Is it near ln 2? What would put it far above?",
      "If the loss does not move: is the gradient zero, or the update too small, or is there nothing to learn? Three charts tell them apart.",
      "A curve that is too good is a symptom too.",
      "Choose a wrong cause on purpose: its curves are then drawn behind those of the patient.",
    ],
  });
  const { clamp, fixed, number, superscript } = ui;
  const get = () => Object.fromEntries(DOC_STATE.map((name) => [name, model.get(name)]));
  const opening = JSON.parse(JSON.stringify(get()));
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const runs = new Map();
  const runOf = (name) => {
    const key = `${model.get("seed")},${name}`;
    if (!runs.has(key)) runs.set(key, docTrain(name, model.get("seed")));
    return runs.get(key);
  };
  let behind = "healthy";
  const patient = () => clamp(model.get("current"), 0, model.get("cases").length - 1);
  const tried = () => model.get("answers").filter(([i]) => i === patient()).map(([, cause]) => cause);
  const solved = () => tried().includes(model.get("cases")[patient()]);

  // ---- the charts ----
  const heading = ui.h("p", { class: "dr-heading" });
  const charts = ui.h("div", { class: "dr-charts" });
  const big = ui.h("div", { class: "dr-big" });
  const small = ui.h("div", { class: "dr-small" });
  charts.append(big, small);
  cx.stage.append(heading, charts);
  const legend = ui.h("p", { class: "dr-keys", "aria-hidden": "true" });
  const marks = ui.svg("g", { "aria-hidden": "true" });
  const area = ui.svg("rect", { class: "dr-area" });
  const ring = ui.svg("rect", { class: "cx-ring", rx: 4 });
  const cursor = ui.svg("g", { "data-cx-handle": true, role: "slider", tabindex: 0, focusable: "true", "aria-label": "Reading the curves, number of updates" }, area, ring);
  const lossChart = ui.svg("svg", { role: "group" }, marks, cursor);
  const readout = ui.h("p", { class: "dr-readout" });
  const notes = ui.h("p", { class: "dr-lines", text: "Dotted: ln 2 is guessing; best is the lowest loss that the overlap of the classes allows on new points. "
    + "Update ratio: ‖Δw‖ / ‖w‖ of one update." });
  big.append(legend, lossChart);
  cx.stage.append(readout, notes);
  const SMALL = [
    { key: "gradient", title: "Gradient norm", range: [-4, 3], ticks: [-4, -2, 0, 2] },
    { key: "ratio", title: "Update ratio", range: [-7, 1], ticks: [-6, -4, -2, 0] },
    { key: "live", title: "Live hidden units", range: [0, 1], ticks: [0, 0.5, 1], share: true },
  ].map((chart) => {
    const node = ui.svg("svg", { role: "img" });
    small.append(node);
    return { ...chart, node };
  });
  const wide = { big: 0, small: 0 };
  let place = null;
  const at = (event) => {
    const box = lossChart.getBoundingClientRect();
    const scale = lossChart.viewBox.baseVal.width / box.width || 1;
    return clamp(Math.round((((event.clientX - box.left) * scale - place.left) / place.wide) * 100), 0, 100);
  };
  let held = null;
  cx.on(cursor, "pointerdown", (event) => {
    if (event.button !== 0) return;
    held = event.pointerId;
    cursor.focus({ preventScroll: true, focusVisible: false });
    cursor.setPointerCapture(held);
    put({ cursor: at(event) }, false);
  });
  cx.on(cursor, "pointermove", (event) => { if (held === event.pointerId) put({ cursor: at(event) }, false); });
  cx.on(cursor, "pointerup pointercancel", (event) => {
    if (held !== event.pointerId) return;
    held = null;
    model.save_changes();
  });
  cx.on(cursor, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const k = model.get("cursor");
    const by = event.shiftKey ? 5 : 1;
    const to = { ArrowLeft: k - by, ArrowDown: k - by, ArrowRight: k + by, ArrowUp: k + by, PageDown: k - 10, PageUp: k + 10, Home: 0, End: 100 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    put({ cursor: clamp(to, 0, 100) });
  });

  // ---- the choice ----
  const choice = cx.choice({ legend: "What is wrong with this network?", value: "", options: DOC_NAMES.map((name) => [name, DOC_CAUSES[name].label]) });
  choice.element.classList.add("dr-choice");
  const labels = new Map(DOC_NAMES.map((name, i) => [name, choice.element.querySelectorAll("label")[i]]));
  const row = cx.row();
  const diagnose = cx.button({ label: "Diagnose", primary: true, parent: row, onClick: answer });
  const next = cx.button({ label: "Next patient", parent: row, onClick: () => go(patient() + 1) });
  cx.resetButton(() => {
    behind = "healthy";
    put(JSON.parse(JSON.stringify(opening)));
    choice.set("");
    message = null;
    cx.announce("Back to the opening state.");
    request();
  }, row);
  const score = ui.h("p", { class: "dr-score" });
  const compare = cx.select({ label: "Thin grey curves", inline: true, value: "healthy", options: [["healthy", "the healthy network"], ["", "none"]],
    onChange: (v) => { behind = v; request(); } });
  row.append(score);
  const verdict = ui.h("div", { class: "dr-verdict", role: "group", "aria-label": "What the doctor's book says" });
  cx.panel.append(verdict, compare.element);

  let message = null; // {kind: "right" | "wrong" | "none" | "done", head, text}
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const show = (kind, head, text) => {
    message = { kind, head, text };
    cx.announce(`${head} ${text}`.replaceAll("`", ""));
    request();
  };
  function answer() {
    const picked = choice.value;
    const i = patient();
    const truth = model.get("cases")[i];
    if (!picked) {
      show("none", "No cause is chosen.", "Choose the one that fits best, then press Diagnose.");
      return;
    }
    if (solved()) return;
    put({ answers: [...model.get("answers"), [i, picked]] });
    const { label, signs, cure } = DOC_CAUSES[picked];
    if (picked === truth) {
      behind = "healthy";
      const { tried: seen, right } = docScore(model.get("cases"), model.get("answers"));
      show("right", `✔ Right: ${label}.`, `${signs} Cure: ${cure} (Right at the first try: ${right} of ${seen}.)`);
      draw();
      next.element.focus({ preventScroll: true });
    } else {
      behind = picked;
      show("wrong", `✘ Not here. “${capital(label)}” would look like the grey curves.`, signs);
    }
  }
  function go(to) {
    const count = model.get("cases").length;
    const { tried: seen, right } = docScore(model.get("cases"), model.get("answers"));
    behind = "healthy";
    choice.set("");
    message = null;
    if (to >= count) {
      if (seen >= count) {
        put({ current: 0, answers: [] });
        show("done", `All ${count} patients seen: ${right} right at the first try.`, "Here is the first one again.");
        return;
      }
      to = model.get("cases").findIndex((_, i) => !model.get("answers").some(([j]) => j === i)); // one that was passed over
    }
    put({ current: to, cursor: 100 });
    cx.announce(`Patient ${to + 1} of ${count}. ${summary(runOf(model.get("cases")[to]))}`);
    request();
  }

  // ---- words ----
  const short = (v) => (v === 0 ? "0" : v >= 999.5 || v < 0.001 ? number(v) : v < 0.0995 ? fixed(v, 3) : v < 99.5 ? fixed(v, 2) : fixed(v, 0));
  const end = (values) => values[values.length - 1];
  const summary = (run) => `Training loss from ${short(run.train[0])} to ${short(end(run.train))}, validation loss from ${short(run.val[0])} to ${short(end(run.val))}, `
    + `lowest ${short(Math.min(...run.val))}, highest ${short(Math.max(...run.val))}. Gradient norm from ${short(run.gradient[0])} to ${short(end(run.gradient))}, `
    + `update ratio from ${short(run.ratio[0])} to ${short(end(run.ratio))}, live hidden units ${fixed(100 * end(run.live), 0)} %.`;
  // the value of a curve after 4 k updates; the means over four updates begin at k = 1
  const value = (run, key, k) => run[key][key === "val" || key === "live" ? k : Math.max(k - 1, 0)];

  function path(values, X, Y) {
    const offset = 101 - values.length;
    return `M${values.map((v, k) => `${X(k + offset).toFixed(1)} ${Y(v).toFixed(1)}`).join("L")}`;
  }
  function draw() {
    if (!wide.big) return;
    const state = get();
    const i = patient();
    const truth = state.cases[i];
    const own = runOf(truth);
    const other = behind ? runOf(behind) : null;
    const k = state.cursor;

    // the losses
    const left = 44, right = 16, top = 8, tall = 264;
    const width = Math.min(wide.big, 640);
    const w = width - left - right;
    const height = top + tall + 40;
    place = { left, wide: w };
    ui.set(lossChart, { width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `Loss over the updates. ${summary(own)}` });
    const X = (at_) => left + (at_ / 100) * w;
    const Y = (v) => top + tall * (1 - clamp(v, 0, DOC_TOP) / DOC_TOP);
    const out = [];
    const add = (tag, attrs) => out.push(ui.svg(tag, attrs));
    const text = (x, y, words, attrs = {}) => add("text", { x, y, text: words, ...attrs });
    add("rect", { class: "cx-plot", x: left, y: top, width: w, height: tall });
    for (const v of [0, 0.5, 1, 1.5]) {
      add("path", { class: "cx-grid", d: `M${left} ${Y(v)}h${w}` });
      text(left - 6, Y(v) + 4.5, String(v), { class: "cx-tick", "text-anchor": "end" });
    }
    for (const t of [0, 100, 200, 300, 400]) text(X(t / 4), top + tall + 16, String(t), { class: "cx-tick", "text-anchor": "middle" });
    text(left + w / 2, height - 6, "updates", { "text-anchor": "middle" });
    add("path", { class: "dr-level", d: `M${left} ${Y(Math.LN2)}h${w}` });
    add("path", { class: "dr-level", d: `M${left} ${Y(DOC_BEST)}h${w}` });
    if (other) add("path", { class: "dr-other", d: path(other.train, X, Y) });
    if (other) add("path", { class: "dr-other dr-dash", d: path(other.val, X, Y) });
    add("path", { class: "dr-train", d: path(own.train, X, Y) });
    add("path", { class: "dr-val dr-dash", d: path(own.val, X, Y) });
    text(left - 6, Y(Math.LN2) + 4.5, "ln 2", { class: "dr-note", "text-anchor": "end" });
    text(left - 6, Y(DOC_BEST) + 4.5, "best", { class: "dr-note", "text-anchor": "end" });
    const most = Math.max(...own.train, ...own.val);
    if (most > DOC_TOP) text(left + w - 4, top + 15, `▲ beyond the chart, up to ${short(most)}`, { class: "dr-beyond cx-halo", "text-anchor": "end" });
    add("path", { class: "dr-now", d: `M${X(k)} ${top}v${tall}` });
    for (const key of ["train", "val"]) add("circle", { class: `dr-dot dr-dot-${key}`, cx: X(Math.max(k, key === "train" ? 1 : 0)), cy: Y(value(own, key, k)), r: 4 });
    marks.replaceChildren(...out);
    ui.set(area, { x: left, y: top, width: w, height: tall });
    ui.set(ring, { x: left - 1, y: top - 1, width: w + 2, height: tall + 2 });
    const reading = `after ${4 * k} updates: training loss ${short(value(own, "train", k))}, validation loss ${short(value(own, "val", k))}, gradient norm ${short(value(own, "gradient", k))}, `
      + `update ratio ${short(value(own, "ratio", k))}, live units ${fixed(100 * value(own, "live", k), 0)}\u00a0%`;
    ui.set(cursor, { "aria-valuenow": 4 * k, "aria-valuemin": 0, "aria-valuemax": 400, "aria-valuetext": reading });
    readout.textContent = `${capital(reading)}.`;

    // the small charts
    for (const { key, title, range, ticks, share, node } of SMALL) {
      const sw = Math.min(wide.small, 640);
      const [sl, st, sh] = [52, 24, 70];
      const plot = sw - sl - 8;
      const SX = (at_) => sl + (at_ / 100) * plot;
      const level = (v) => (share ? v : v > 0 ? Math.log10(v) : -99);
      const SY = (v) => st + sh * (1 - (clamp(level(v), ...range) - range[0]) / (range[1] - range[0]));
      ui.set(node, { width: sw, height: st + sh + 8, viewBox: `0 0 ${sw} ${st + sh + 8}`,
        "aria-label": `${title}: ${share ? `${fixed(100 * own.live[0], 0)} % at first, ${fixed(100 * end(own.live), 0)} % at last` : `${short(own[key][0])} at first, ${short(end(own[key]))} at last`}` });
      const parts = [ui.svg("text", { x: sl, y: 16, text: title, class: "dr-title" }),
        ui.svg("text", { x: sw - 8, y: 16, "text-anchor": "end", class: "dr-figure", text: share ? `${fixed(100 * value(own, key, k), 0)} %` : short(value(own, key, k)) }),
        ui.svg("rect", { class: "cx-plot", x: sl, y: st, width: plot, height: sh })];
      for (const v of ticks) {
        const y = SY(share ? v : 10 ** v);
        parts.push(ui.svg("path", { class: "cx-grid", d: `M${sl} ${y}h${plot}` }),
          ui.svg("text", { class: "cx-tick", x: sl - 6, y: y + 4.5, "text-anchor": "end", text: share ? `${100 * v} %` : v === 0 ? "1" : `10${superscript(v)}` }));
      }
      if (other) parts.push(ui.svg("path", { class: "dr-other", d: path(other[key], SX, SY) }));
      parts.push(ui.svg("path", { class: `dr-line dr-line-${key}`, d: path(own[key], SX, SY) }), ui.svg("path", { class: "dr-now", d: `M${SX(k)} ${st}v${sh}` }));
      node.replaceChildren(...parts);
    }

    // the words and the controls
    const done = solved();
    const { tried: seen, right: first } = docScore(state.cases, state.answers);
    heading.textContent = `Patient ${i + 1} of ${state.cases.length}${done ? `: ${DOC_CAUSES[truth].label}` : ""}`;
    score.textContent = seen ? `Right at the first try: ${first} of ${seen}` : "";
    const gone = tried();
    for (const [name, label] of labels) ui.set(label, { "data-tried": gone.includes(name) ? (name === truth ? "right" : "wrong") : null });
    choice.disable(done);
    if (done) choice.set(truth);
    diagnose.disable(done);
    next.set(i + 1 >= state.cases.length && seen >= state.cases.length ? "Start again" : "Next patient");
    const options = [["healthy", "the healthy network"], ["", "none"], ...gone.filter((name) => name !== truth).map((name) => [name, DOC_CAUSES[name].label])];
    const key = options.map(([name]) => name).join();
    if (compare.input.dataset.key !== key) {
      compare.input.dataset.key = key;
      compare.input.replaceChildren(...options.map(([v, t]) => ui.h("option", { value: v, text: t })));
    }
    compare.set(behind);
    const swatch = (cls, words) => ui.h("span", {}, ui.h("i", { class: cls }), words);
    legend.replaceChildren(swatch("dr-k-train", "training loss"), swatch("dr-k-val", "validation loss"),
      ...(behind ? [swatch("dr-k-other", behind === "healthy" ? "healthy" : DOC_CAUSES[behind].label.split(":")[0])] : []));
    const now = message || (done ? { kind: "right", head: `✔ Right: ${DOC_CAUSES[truth].label}.`, text: `${DOC_CAUSES[truth].signs} Cure: ${DOC_CAUSES[truth].cure}` } : null);
    verdict.hidden = !now;
    if (now) {
      ui.set(verdict, { "data-kind": now.kind });
      verdict.replaceChildren(ui.h("p", { class: "dr-head", text: now.head }), ui.h("p", {}, ui.rich(now.text)));
    }
  }

  const measure = () => {
    wide.big = Math.floor(big.clientWidth);
    wide.small = Math.floor(small.firstChild ? small.clientWidth : 0);
    if (wide.big) request();
  };
  cx.onResize(() => measure());
  cx.observe(model, DOC_STATE.map((name) => `change:${name}`).join(" "), request);
  measure();
  draw();
  return cx.dispose;
}

export default { render };
