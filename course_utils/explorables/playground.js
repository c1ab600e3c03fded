// Playground: a small network of dense layers learns two classes of points, in the browser.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.
//
// Layer l: Z = A W + b, A = φ(Z), W of shape (inputs, outputs), arrays stored row by row as in NumPy.
// The output is one logit; the loss is the mean binary cross-entropy computed from the logit.

const PG_PHI = {
  identity: { f: (z) => z, fromOutput: () => 1 },
  tanh: { f: Math.tanh, fromOutput: (a) => 1 - a * a },
  relu: { f: (z) => (z > 0 ? z : 0), fromOutput: (a) => (a > 0 ? 1 : 0) },
  sigmoid: { f: (z) => pgSigmoid(z), fromOutput: (a) => a * (1 - a) },
};

function pgSigmoid(z) {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

// One stream of random numbers for each purpose: more noise must not give other initial weights.
const pgStream = (seed, purpose) => ui.mulberry32(Math.imul(seed + 1, 2654435761) + purpose);
const PG_DATA = 1;
const PG_INIT = 2;
const PG_ORDER = 3;

function pgNormal(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

// n points of two classes inside about [-2, 2]²: x (n·2, row by row), y (n). Labels alternate.
function pgPoints(kind, n, noise, seed) {
  const random = pgStream(seed, PG_DATA);
  const x = new Float64Array(2 * n);
  const y = new Float64Array(n);
  for (let i = 0; i < n; i += 1) {
    const label = i % 2;
    const t = random();
    const u = random();
    const g1 = pgNormal(random);
    const g2 = pgNormal(random);
    let p;
    if (kind === "moons") {
      const angle = Math.PI * t;
      const side = label ? -1 : 1;
      p = [1.1 * side * (Math.cos(angle) - 0.5), 1.3 * side * (Math.sin(angle) - 0.25)];
    } else if (kind === "circles") {
      const radius = label ? 0.6 : 1.4;
      p = [radius * Math.cos(2 * Math.PI * t), radius * Math.sin(2 * Math.PI * t)];
    } else if (kind === "xor") {
      // class 1 where the signs of the two coordinates differ
      const right = u < 0.5 ? 1 : -1;
      p = [right * (0.15 + 1.35 * t), (label ? -right : right) * (0.15 + 1.35 * ((u * 2) % 1))];
    } else if (kind === "spirals") {
      const radius = 0.2 + 1.4 * t;
      const angle = 2.2 * Math.PI * t + label * Math.PI;
      p = [radius * Math.cos(angle), radius * Math.sin(angle)];
    } else {
      const centre = label ? 0.8 : -0.8;
      p = [centre + 0.25 * pgNormal(random), centre + 0.25 * pgNormal(random)];
    }
    x[2 * i] = p[0] + noise * g1;
    x[2 * i + 1] = p[1] + noise * g2;
    y[i] = label;
  }
  return { x, y };
}

// A network: sizes [2, …hidden…, 1]; every parameter lives in one array theta, layer after layer, W then b.
function pgNetwork(sizes, activation, seed) {
  const layers = [];
  let length = 0;
  for (let l = 0; l + 1 < sizes.length; l += 1) {
    layers.push({ inputs: sizes[l], outputs: sizes[l + 1], w: length, b: length + sizes[l] * sizes[l + 1] });
    length += (sizes[l] + 1) * sizes[l + 1];
  }
  const net = { sizes: [...sizes], activation, layers, theta: new Float64Array(length) };
  const random = pgStream(seed, PG_INIT);
  for (const layer of layers) {
    const glorot = Math.sqrt(6 / (layer.inputs + layer.outputs));
    const he = Math.sqrt(2 / layer.inputs);
    for (let k = layer.w; k < layer.b; k += 1) {
      // He initialisation for ReLU, Glorot uniform for the others; biases start at 0
      net.theta[k] = activation === "relu" ? he * pgNormal(random) : glorot * (2 * random() - 1);
    }
  }
  return net;
}

// Room for the activations of m examples, made once and used again.
const pgWorkspace = (net, m) => net.sizes.map((units) => new Float64Array(units * m));

// Forward propagation; A[0] holds the m inputs, A[l] gets layer l; the last entry are the logits.
function pgForward(net, A, m) {
  const { theta, layers } = net;
  const phi = PG_PHI[net.activation].f;
  layers.forEach(({ inputs, outputs, w, b }, l) => {
    const before = A[l];
    const after = A[l + 1];
    const hidden = l + 1 < layers.length;
    for (let i = 0; i < m; i += 1) {
      for (let j = 0; j < outputs; j += 1) {
        let z = theta[b + j];
        for (let k = 0; k < inputs; k += 1) z += before[i * inputs + k] * theta[w + k * outputs + j];
        after[i * outputs + j] = hidden ? phi(z) : z;
      }
    }
  });
  return A[layers.length];
}

// Mean of log(1 + exp(z)) - y z, written so that no exponential overflows.
function pgLoss(logits, y, m) {
  let sum = 0;
  for (let i = 0; i < m; i += 1) {
    const z = logits[i];
    sum += Math.max(z, 0) - y[i] * z + Math.log1p(Math.exp(-Math.abs(z)));
  }
  return sum / m;
}

function pgAccuracy(logits, y, m) {
  let right = 0;
  for (let i = 0; i < m; i += 1) right += (logits[i] > 0) === (y[i] === 1) ? 1 : 0;
  return right / m;
}

// Backpropagation after pgForward(net, A, m): fills grad (like theta) with the gradient of
// mean cross-entropy + l2 · Σ W². D has the shape of A and takes ∂loss/∂Z of each layer.
function pgBackward(net, A, D, y, m, l2, grad) {
  const { theta, layers } = net;
  const slope = PG_PHI[net.activation].fromOutput;
  const last = layers.length;
  for (let i = 0; i < m; i += 1) D[last][i] = (pgSigmoid(A[last][i]) - y[i]) / m;
  for (let l = last - 1; l >= 0; l -= 1) {
    const { inputs, outputs, w, b } = layers[l];
    const before = A[l];
    const delta = D[l + 1];
    for (let k = w; k < b; k += 1) grad[k] = 2 * l2 * theta[k];
    for (let j = 0; j < outputs; j += 1) grad[b + j] = 0;
    for (let i = 0; i < m; i += 1) {
      for (let j = 0; j < outputs; j += 1) {
        const d = delta[i * outputs + j];
        grad[b + j] += d;
        for (let k = 0; k < inputs; k += 1) grad[w + k * outputs + j] += before[i * inputs + k] * d;
      }
      if (l > 0) {
        for (let k = 0; k < inputs; k += 1) {
          let sum = 0;
          for (let j = 0; j < outputs; j += 1) sum += delta[i * outputs + j] * theta[w + k * outputs + j];
          D[l][i * inputs + k] = sum * slope(before[i * inputs + k]);
        }
      }
    }
  }
  return grad;
}

// Stochastic gradient descent on mini-batches: a new shuffled pass over the data in every epoch.
function pgTrainer(net, data, { learningRate, batchSize, l2, seed }) {
  const random = pgStream(seed, PG_ORDER);
  const grad = new Float64Array(net.theta.length);
  let order; // the rows of this epoch, shuffled
  let next; // the first row not yet used in this epoch
  let A;
  let D;
  let y;
  const trainer = { net, data: null, learningRate, batchSize: 0, l2, steps: 0, epochs: 0 };
  trainer.setData = (points) => {
    const n = points.y.length;
    if (n !== trainer.data?.y.length) {
      order = Int32Array.from({ length: n }, (_, i) => i);
      next = n;
    }
    trainer.data = points;
  };
  trainer.setBatchSize = (size) => {
    if (size === trainer.batchSize) return;
    trainer.batchSize = size;
    A = pgWorkspace(net, size);
    D = pgWorkspace(net, size);
    y = new Float64Array(size);
  };
  trainer.setData(data);
  trainer.setBatchSize(batchSize);
  trainer.step = () => {
    const n = order.length;
    const { x, y: labels } = trainer.data;
    if (next >= n) {
      for (let i = n - 1; i > 0; i -= 1) {
        const j = Math.floor(random() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      next = 0;
    }
    const m = Math.min(trainer.batchSize, n - next);
    for (let i = 0; i < m; i += 1) {
      const row = order[next + i];
      A[0][2 * i] = x[2 * row];
      A[0][2 * i + 1] = x[2 * row + 1];
      y[i] = labels[row];
    }
    pgForward(net, A, m);
    pgBackward(net, A, D, y, m, trainer.l2, grad);
    for (let k = 0; k < grad.length; k += 1) net.theta[k] -= trainer.learningRate * grad[k];
    next += m;
    trainer.steps += 1;
    trainer.epochs += m / n;
  };
  return trainer;
}

// Loss and accuracy of a network on points, without the L2 term.
function pgEvaluate(net, { x, y }) {
  const m = y.length;
  if (m === 0) return { loss: NaN, accuracy: NaN };
  const A = pgWorkspace(net, m);
  A[0].set(x);
  const logits = pgForward(net, A, m);
  return { loss: pgLoss(logits, y, m), accuracy: pgAccuracy(logits, y, m) };
}

// The same functions with plain nested arrays, for tests: weights[l] is (inputs, outputs), biases[l] (outputs).
function pgFromArrays(weights, biases, activation) {
  const net = pgNetwork([weights[0].length, ...biases.map((b) => b.length)], activation, 0);
  net.layers.forEach(({ w, b }, l) => {
    net.theta.set(weights[l].flat(), w);
    net.theta.set(biases[l], b);
  });
  return net;
}

function pgRows(flat, columns) {
  const rows = [];
  for (let i = 0; i < flat.length; i += columns) rows.push(Array.from(flat.slice(i, i + columns)));
  return rows;
}

// Forward pass, loss and gradients for given weights and inputs: everything a test wants to compare.
function pgInspect({ weights, biases, activation, x, y, l2 = 0 }) {
  const net = pgFromArrays(weights, biases, activation);
  const m = y.length;
  const A = pgWorkspace(net, m);
  const D = pgWorkspace(net, m);
  A[0].set(x.flat());
  const logits = pgForward(net, A, m);
  const grad = pgBackward(net, A, D, Float64Array.from(y), m, l2, new Float64Array(net.theta.length));
  const penalty = net.layers.reduce((sum, { w, b }) => sum + net.theta.slice(w, b).reduce((s, v) => s + v * v, 0), 0);
  return {
    hidden: A.slice(1, -1).map((a, l) => pgRows(a, net.sizes[l + 1])),
    logits: Array.from(logits),
    probabilities: Array.from(logits, pgSigmoid),
    loss: pgLoss(logits, y, m) + l2 * penalty,
    gradWeights: net.layers.map(({ w, b, outputs }) => pgRows(grad.slice(w, b), outputs)),
    gradBiases: net.layers.map(({ b, outputs }) => Array.from(grad.slice(b, b + outputs))),
  };
}

// Points, initial weights and the course of the loss, all from a seed: what playground.py repeats in NumPy.
function pgTrain({ dataset, noise, seed, layers, activation, learningRate, batchSize, l2 = 0, steps, n = PG_TRAIN }) {
  const all = pgPoints(dataset, n, noise, seed);
  const net = pgNetwork([2, ...layers, 1], activation, seed);
  const initial = Array.from(net.theta);
  const trainer = pgTrainer(net, all, { learningRate, batchSize, l2, seed });
  const losses = [pgEvaluate(net, all).loss];
  for (let s = 0; s < steps; s += 1) {
    trainer.step();
    losses.push(pgEvaluate(net, all).loss);
  }
  return { x: pgRows(all.x, 2), y: Array.from(all.y), initial, theta: Array.from(net.theta), losses,
    accuracy: pgEvaluate(net, all).accuracy };
}

const PG_TRAIN = 160;
const PG_HELD_OUT = 80;

export const math = {
  points: pgPoints,
  network: pgNetwork,
  trainer: pgTrainer,
  evaluate: pgEvaluate,
  inspect: pgInspect,
  train: pgTrain,
};

// ---- the figure ----

const PG_DATASETS = [["moons", "two moons"], ["circles", "circles"], ["xor", "XOR"], ["spirals", "spirals"], ["blobs", "blobs"]];
const PG_ACTIVATIONS = [["tanh", "tanh"], ["relu", "ReLU"], ["sigmoid", "sigmoid"], ["identity", "identity"]];
const PG_STATE = ["dataset", "layers", "activation", "learning_rate", "noise", "seed", "batch_size", "l2"];
const PG_SPEEDS = [["slow", "one step a frame"], ["normal", "normal"], ["fast", "as fast as it can"]];
const PG_PACE = 30; // epochs a second at normal speed
const PG_MAX_LAYERS = 4;
const PG_MAX_UNITS = 8;
const PG_MAX_POINTS = 400;
const PG_SPAN = 2; // the plane shows [-2, 2]²
const PG_CELLS = 50; // the surface is computed on 50 × 50 cells and drawn smoothed
const PG_GRID = PG_CELLS + 2; // one row and column more on each side, so that it is exact up to the edge
const PG_THUMB = 26; // pixels of a unit's own small picture: every second grid point
const PG_PALETTE = {
  light: { low: [232, 166, 38], middle: [250, 250, 250], high: [64, 148, 204] },
  dark: { low: [160, 108, 8], middle: [24, 29, 36], high: [24, 104, 158] },
};

// 511 colours from class 0 (orange) over the undecided middle to class 1 (blue)
function pgPalette(theme) {
  const { low, middle, high } = PG_PALETTE[theme];
  const colours = new Uint32Array(511);
  for (let i = 0; i < 511; i += 1) {
    const t = (i - 255) / 255;
    const share = Math.abs(t) ** 0.8;
    const end = t < 0 ? low : high;
    const [r, g, b] = middle.map((m, c) => Math.round(m + (end[c] - m) * share));
    colours[i] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
  return colours;
}

const pgWeight = (v) => ui.fixed(v, 2);
const pgUnits = (n) => (n === 1 ? "1 unit" : `${n} units`);

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "playground",
    question: "What can a hidden layer bend?",
    lead: "Predict the boundary first, then press Play. Drag points, click to add some, change the network while it learns.",
    tries: [
      "Choose identity as activation and play: two hidden layers, and the boundary stays a straight line. Then give it tanh.",
      "Circles with one hidden layer: how few tanh units can close the loop? Point at a hidden unit to see the line that it contributes.",
      "Spirals, two layers of 8 units, noise 0.3, speed as fast as it can: the two losses go together at first. When do they part, and what does the boundary do then?",
      "Learning rate 3, then 0.001, with Restart before each: what does the loss curve tell you about each?",
    ],
  });
  const get = (name) => model.get(name);
  const opening = Object.fromEntries(PG_STATE.map((name) => [name, get(name)]));

  // ---- state ----
  let points = []; // {x, y, label, held}; the held-out ones are never trained on
  let net;
  let trainer;
  let trainData;
  let heldData;
  let history; // {epoch, train, held}
  let scores = { train: null, held: null };
  let grid; // activations of every layer on the grid
  let speed = "normal";
  let addLabel = 1;
  let shownUnit = null; // {layer, unit}: this unit's picture fills the plane
  let shownWeight = null; // {layer, from, to}
  let chosen = 0; // the point that the keys move
  let broken = false;

  const collect = (held) => {
    const some = points.filter((p) => p.held === held);
    return {
      x: Float64Array.from(some.flatMap((p) => [p.x, p.y])),
      y: Float64Array.from(some, (p) => p.label),
    };
  };
  function refreshData() {
    trainData = collect(false);
    heldData = collect(true);
    trainer?.setData(trainData);
  }
  function newPoints() {
    const { x, y } = pgPoints(get("dataset"), PG_TRAIN + PG_HELD_OUT, get("noise"), get("seed"));
    points = Array.from(y, (label, i) => ({ x: x[2 * i], y: x[2 * i + 1], label, held: i >= PG_TRAIN }));
    chosen = 0;
    refreshData();
  }
  function newNetwork() {
    net = pgNetwork([2, ...get("layers"), 1], get("activation"), get("seed"));
    trainer = pgTrainer(net, trainData, {
      learningRate: get("learning_rate"), batchSize: get("batch_size"), l2: get("l2"), seed: get("seed"),
    });
    grid = pgWorkspace(net, PG_GRID * PG_GRID);
    for (let row = 0; row < PG_GRID; row += 1) {
      for (let column = 0; column < PG_GRID; column += 1) {
        const k = 2 * (row * PG_GRID + column);
        grid[0][k] = PG_SPAN * ((2 * (column - 0.5)) / PG_CELLS - 1);
        grid[0][k + 1] = PG_SPAN * (1 - (2 * (row - 0.5)) / PG_CELLS);
      }
    }
    shownUnit = null;
    shownWeight = null;
    history = [];
    broken = false;
    measure();
  }
  function measure() {
    scores = { train: pgEvaluate(net, trainData), held: pgEvaluate(net, heldData) };
    const last = history[history.length - 1];
    const entry = { epoch: trainer.epochs, train: scores.train.loss, held: scores.held.loss };
    if (last && last.epoch >= entry.epoch - 1e-9) history[history.length - 1] = entry;
    else history.push(entry);
    if (history.length > 500) history = history.filter((_, i) => i % 2 === 0 || i === history.length - 1);
  }

  // ---- frame of the figure ----
  const main = cx.root.querySelector(".cx-main");
  const bar = ui.h("div", { class: "pg-bar" });
  const netBox = ui.h("div", { class: "pg-net" });
  const lossBox = ui.h("div", { class: "pg-loss" });
  const tools = ui.h("div", { class: "pg-tools" });
  main.prepend(bar);
  cx.stage.after(netBox, lossBox);

  // buttons and numbers
  const buttons = cx.row(bar);
  const playButton = cx.button({ label: "Play", primary: true, parent: buttons, onClick: () => (loop.running ? pause() : play()) });
  cx.button({ label: "Step", title: "One step of gradient descent: one mini-batch", parent: buttons, onClick: () => { pause(true); advance(1); measure(); request(); say(); } });
  cx.button({ label: "Restart", title: "The initial weights again, everything else as it is", parent: buttons, onClick: restart });
  cx.resetButton(reset, buttons);
  const epochOut = ui.h("output", {});
  const trainOut = ui.h("output", {});
  const heldOut = ui.h("output", {});
  const trainRight = ui.h("span", { class: "pg-right" });
  const heldRight = ui.h("span", { class: "pg-right" });
  bar.append(ui.h("div", { class: "pg-numbers" },
    ui.h("div", {}, ui.h("span", { text: "epoch" }), epochOut),
    ui.h("div", { class: "pg-train" }, ui.h("span", { text: "training loss" }), trainOut, trainRight),
    ui.h("div", { class: "pg-held" }, ui.h("span", { text: "held-out loss" }), heldOut, heldRight)));

  // ---- the plane with the decision surface ----
  const surface = ui.h("canvas", { class: "pg-surface", "aria-hidden": "true" });
  const planeBox = ui.h("div", { class: "pg-plane" }, surface);
  cx.stage.append(planeBox);
  const surfaceContext = surface.getContext("2d");
  const small = ui.h("canvas", { width: PG_GRID, height: PG_GRID });
  const smallContext = small.getContext("2d");
  const smallImage = smallContext.createImageData(PG_GRID, PG_GRID);
  const smallPixels = new Uint32Array(smallImage.data.buffer);
  let palette = pgPalette(cx.theme);

  const plane = ui.plane(cx, {
    x: [-PG_SPAN, PG_SPAN], y: [-PG_SPAN, PG_SPAN], maxWidth: 460, parent: planeBox, zero: false, xTicks: [-2, -1, 0, 1, 2], yTicks: [-2, -1, 0, 1, 2],
    label: "The points and the decision surface of the network",
    onLayout: (p) => {
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      ui.set(surface, { width: Math.round(p.width * ratio), height: Math.round(p.height * ratio),
        style: `left:${p.left}px;top:${p.top}px;width:${p.width}px;height:${p.height}px` });
      queueMicrotask(() => { if (net) { placePoints(); drawSurface(); } });
    },
  });
  const caption = ui.h("p", { class: "cx-note pg-caption" });
  cx.stage.append(caption, tools);
  const adder = cx.choice({
    legend: "A click adds a point of", parent: tools, value: "1",
    options: [["0", "class 0 (orange circle)"], ["1", "class 1 (blue square)"]],
    onChange: (v) => { addLabel = Number(v); },
  });
  cx.note("Hollow points are held out: they are never trained on. Drag a point outside the square to remove it.", tools);

  const dots = ui.svg("g", {});
  const ring = ui.svg("g", { class: "pg-cursor" }, ui.svg("circle", { class: "pg-cursor-hit", r: 11 }), ui.svg("circle", { class: "cx-ring", r: 11 }));
  plane.layer.append(dots, ring);
  const shape = (label, r) => (label === 0 // class 0: circle, class 1: square, as in the course's plots
    ? `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`
    : `M${-0.88 * r} ${-0.88 * r}h${1.76 * r}v${1.76 * r}h${-1.76 * r}Z`);
  let nodes = [];
  function drawPoints() {
    const r = plane.width < 300 ? 3.8 : 4.6;
    nodes = points.map((p) => ui.svg("path", {
      class: `pg-point ${p.label ? "pg-one" : "pg-zero"}${p.held ? " pg-hollow" : ""}`, d: shape(p.label, p.held ? r - 0.4 : r),
    }));
    dots.replaceChildren(...nodes);
    placePoints();
  }
  function placePoints() {
    points.forEach((_, i) => placePoint(i));
    placeRing();
  }
  const placePoint = (i) => nodes[i]?.setAttribute("transform", `translate(${plane.X(points[i].x).toFixed(1)} ${plane.Y(points[i].y).toFixed(1)})`);
  function placeRing() {
    const p = points[chosen];
    ring.style.display = p ? "" : "none";
    if (p) ui.set(ring, { transform: `translate(${plane.X(p.x)} ${plane.Y(p.y)})` });
    if (!grabbed) cursor.refresh();
  }
  const describe = (p) => `class ${p.label}, ${p.held ? "held out" : "training"}, at ${ui.fixed(p.x, 1)}, ${ui.fixed(p.y, 1)}`;
  const inside = (v) => ui.clamp(v, -PG_SPAN, PG_SPAN);
  const choosePoint = (i) => {
    if (!points.length) return;
    chosen = (i + points.length) % points.length;
    placeRing();
    cx.announce(`Point ${chosen + 1} of ${points.length}: ${describe(points[chosen])}`);
  };
  function movePoint(i, x, y) {
    points[i].x = x;
    points[i].y = y;
    placePoint(i);
    refreshData();
    changed();
  }
  function addPoint(x, y, label) {
    if (points.length >= PG_MAX_POINTS) {
      cx.announce(`There are ${PG_MAX_POINTS} points; remove one first.`);
      return;
    }
    points.push({ x, y, label, held: false });
    chosen = points.length - 1;
    refreshData();
    drawPoints();
    changed();
    cx.announce(`Added: ${describe(points[chosen])}`);
  }
  function removePoint(i) {
    if (points.filter((p) => !p.held).length <= 2 && !points[i].held) {
      placePoint(i);
      cx.announce("At least two training points stay.");
      return;
    }
    points.splice(i, 1);
    chosen = Math.min(chosen, points.length - 1);
    refreshData();
    drawPoints();
    changed();
    cx.announce(`Removed; ${points.length} points left.`);
  }
  const cursor = cx.handle(ring, {
    label: () => {
      const p = points[chosen];
      return p ? `Point ${chosen + 1} of ${points.length}, ${describe(p)}. Arrow keys move it, N and P choose another, A adds one, C changes its class, Delete removes it` : "No points";
    },
    point: (event) => plane.point(event),
    at: () => points[chosen] || { x: 0, y: 0 },
    move: (p) => movePoint(chosen, inside(p.x), inside(p.y)) || placeRing(),
    step: 0.1,
    keys: {
      n: () => choosePoint(chosen + 1), N: () => choosePoint(chosen + 1),
      p: () => choosePoint(chosen - 1), P: () => choosePoint(chosen - 1),
      a: () => addPoint(inside(points[chosen].x + 0.2), points[chosen].y, addLabel),
      c: () => {
        points[chosen].label = 1 - points[chosen].label;
        refreshData();
        drawPoints();
        changed();
        cx.announce(describe(points[chosen]));
      },
      Delete: () => removePoint(chosen), Backspace: () => removePoint(chosen),
    },
  });

  const nearest = (p, reach) => {
    let best = -1;
    let least = reach;
    points.forEach((q, i) => {
      const distance = Math.hypot(plane.X(q.x) - plane.X(p.x), plane.Y(q.y) - plane.Y(p.y));
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  };
  let grabbed = null;
  const reach = (event) => (event.pointerType === "touch" ? 20 : 11);
  const press = (event) => {
    if (event.button !== 0 || grabbed) return;
    const p = plane.point(event);
    if (!plane.inside(p)) return;
    const i = nearest(p, reach(event));
    grabbed = { id: event.pointerId, i, start: p, moved: false, dx: i < 0 ? 0 : points[i].x - p.x, dy: i < 0 ? 0 : points[i].y - p.y };
    if (i >= 0) {
      event.preventDefault();
      event.stopPropagation();
      chosen = i;
      placeRing();
      plane.svg.setPointerCapture(event.pointerId);
      nodes[i].classList.add("pg-grabbed");
    }
  };
  // before the keyboard cursor's own handler: the nearest point is meant, not the one that has the cursor
  cx.on(plane.svg, "pointerdown", press, { capture: true });
  cx.on(plane.svg, "touchstart", (event) => {
    const touch = event.touches[0];
    if (nearest(plane.point(touch), 20) >= 0) event.preventDefault(); // a point moves, the page does not scroll
  }, { passive: false });
  cx.on(plane.svg, "pointermove", (event) => {
    if (!grabbed || grabbed.id !== event.pointerId) {
      plane.svg.style.cursor = event.buttons === 0 && nearest(plane.point(event), reach(event)) >= 0 ? "grab" : "";
      return;
    }
    const p = plane.point(event);
    if (Math.hypot(plane.X(p.x) - plane.X(grabbed.start.x), plane.Y(p.y) - plane.Y(grabbed.start.y)) > 4) grabbed.moved = true;
    if (grabbed.i < 0 || !grabbed.moved) return;
    plane.svg.style.cursor = "grabbing";
    const x = p.x + grabbed.dx;
    const y = p.y + grabbed.dy;
    nodes[grabbed.i].classList.toggle("pg-leaving", !plane.inside(p));
    movePoint(grabbed.i, inside(x), inside(y));
    placeRing();
  });
  const release = (event) => {
    if (!grabbed || grabbed.id !== event.pointerId) return;
    const { i, moved } = grabbed;
    const p = plane.point(event);
    grabbed = null;
    plane.svg.style.cursor = "";
    nodes[i]?.classList.remove("pg-grabbed", "pg-leaving");
    cursor.refresh();
    if (event.type !== "pointerup") return;
    if (i >= 0 && moved && !plane.inside(p)) removePoint(i);
    else if (i < 0 && !moved && plane.inside(p)) addPoint(p.x, p.y, addLabel);
    else if (i >= 0) cx.announce(describe(points[i]));
  };
  cx.on(plane.svg, "pointerup pointercancel", release);

  // colours of one layer's unit on the grid; tanh is shown on [-1, 1], sigmoid on [0, 1], the rest by its largest
  function toneOf(layer) {
    if (layer === net.sizes.length - 1) return (z) => 2 * pgSigmoid(z) - 1;
    if (layer === 0) return (a) => a / PG_SPAN;
    if (net.activation === "tanh") return (a) => a;
    if (net.activation === "sigmoid") return (a) => 2 * a - 1;
    return null;
  }
  function largest(layer, unit) {
    const units = net.sizes[layer];
    let most = 1e-9;
    for (let i = unit; i < grid[layer].length; i += units) most = Math.max(most, Math.abs(grid[layer][i]));
    return most;
  }
  const shade = (t) => palette[t < -1 ? 0 : t > 1 ? 510 : (t * 255 + 255.5) | 0];

  function drawSurface() {
    if (!surface.width) return;
    const layer = shownUnit ? shownUnit.layer : net.sizes.length - 1;
    const unit = shownUnit ? shownUnit.unit : 0;
    const units = net.sizes[layer];
    const values = grid[layer];
    const tone = toneOf(layer) || ((most) => (a) => a / most)(largest(layer, unit));
    for (let i = 0, k = unit; i < smallPixels.length; i += 1, k += units) smallPixels[i] = shade(tone(values[k]));
    smallContext.putImageData(smallImage, 0, 0);
    const c = surfaceContext;
    const { width, height } = surface;
    const cell = width / PG_CELLS;
    c.imageSmoothingEnabled = true;
    c.imageSmoothingQuality = "low";
    c.drawImage(small, -cell, -cell, PG_GRID * cell, PG_GRID * cell);
    // where the value crosses its middle, by marching squares
    const ratio = width / plane.width;
    const level = layer > 0 && layer < net.sizes.length - 1 && net.activation === "sigmoid" ? 0.5
      : layer > 0 && layer < net.sizes.length - 1 && net.activation === "relu" ? 1e-6 : 0;
    c.beginPath();
    for (let row = 0; row < PG_GRID - 1; row += 1) {
      for (let column = 0; column < PG_GRID - 1; column += 1) {
        const k = row * PG_GRID + column;
        const a = values[k * units + unit] - level;
        const b = values[(k + 1) * units + unit] - level;
        const d = values[(k + PG_GRID) * units + unit] - level;
        const e = values[(k + PG_GRID + 1) * units + unit] - level;
        const kind = (a > 0 ? 8 : 0) | (b > 0 ? 4 : 0) | (e > 0 ? 2 : 0) | (d > 0 ? 1 : 0);
        if (kind === 0 || kind === 15) continue;
        const x = (column - 0.5) * cell;
        const y = (row - 0.5) * cell;
        const top = x + (cell * a) / (a - b);
        const bottom = x + (cell * d) / (d - e);
        const left = y + (cell * a) / (a - d);
        const right = y + (cell * b) / (b - e);
        const up = kind & 8 ? !(kind & 4) : kind & 4;
        const down = kind & 1 ? !(kind & 2) : kind & 2;
        const west = kind & 8 ? !(kind & 1) : kind & 1;
        const east = kind & 4 ? !(kind & 2) : kind & 2;
        const ends = [];
        if (up) ends.push(top, y);
        if (west) ends.push(x, left);
        if (down) ends.push(bottom, y + cell);
        if (east) ends.push(x + cell, right);
        c.moveTo(ends[0], ends[1]);
        c.lineTo(ends[2], ends[3]);
        if (ends.length === 8) {
          c.moveTo(ends[4], ends[5]);
          c.lineTo(ends[6], ends[7]);
        }
      }
    }
    c.lineWidth = 2.2 * ratio;
    c.lineCap = "round";
    c.strokeStyle = inkColour;
    c.stroke();
  }

  // ---- the network diagram ----
  const netHead = ui.h("div", { class: "pg-net-head" });
  const layersText = ui.h("span", { class: "pg-layers-text" });
  netHead.append(ui.h("strong", { text: "Hidden layers" }));
  const fewer = cx.button({ label: "−", title: "Remove the last hidden layer", parent: netHead, onClick: () => changeLayers(get("layers").slice(0, -1)) });
  netHead.append(layersText);
  const more = cx.button({ label: "+", title: "Add a hidden layer", parent: netHead, onClick: () => changeLayers([...get("layers"), Math.min(4, get("layers").at(-1) || 4)]) });
  fewer.element.setAttribute("aria-label", "Remove the last hidden layer");
  more.element.setAttribute("aria-label", "Add a hidden layer");
  const diagram = ui.h("canvas", { class: "pg-diagram", "aria-hidden": "true" });
  const focusBox = ui.h("div", {
    class: "pg-diagram-box", tabindex: 0, role: "group", "aria-roledescription": "network diagram",
    "aria-label": "Network diagram. Arrow keys go from unit to unit, Enter steps through the weights that enter it, Escape leaves",
  }, diagram);
  const steppers = ui.h("div", { class: "pg-steppers" });
  const netRead = ui.h("p", { class: "cx-note pg-net-read" });
  netBox.append(netHead, focusBox, steppers, netRead);
  const diagramContext = diagram.getContext("2d");
  let box = { width: 0, height: 0, node: 30, columns: [] };
  let thumbs = [];
  let inkColour = "#000";
  let colours = {};

  function changeLayers(layers) {
    const next = layers.slice(0, PG_MAX_LAYERS).map((units) => ui.clamp(units, 1, PG_MAX_UNITS));
    put({ layers: next });
    cx.announce(next.length ? `Hidden layers: ${next.join(", ")} units` : "No hidden layer");
  }
  function buildSteppers() {
    const layers = get("layers");
    layersText.textContent = String(layers.length);
    fewer.disable(layers.length === 0);
    more.disable(layers.length >= PG_MAX_LAYERS);
    const active = cx.root.getRootNode().activeElement;
    const keep = steppers.contains(active) ? active.dataset.key : null;
    steppers.style.gridTemplateColumns = `repeat(${layers.length + 2}, minmax(0, 1fr))`;
    const cells = [ui.h("span", { class: "pg-count", text: "input" })];
    layers.forEach((units, l) => {
      const stepper = (sign, by, word) => {
        const node = ui.h("button", { type: "button", "data-key": `${l}${sign}`, disabled: units + by < 1 || units + by > PG_MAX_UNITS,
          "aria-label": `${word} in hidden layer ${l + 1}, now ${units}`, title: `${word} in hidden layer ${l + 1}`, text: sign });
        node.addEventListener("click", () => changeLayers(get("layers").map((u, k) => (k === l ? u + by : u))));
        return node;
      };
      cells.push(ui.h("span", { class: "pg-count" },
        ui.h("span", { class: "pg-pair" }, stepper("−", -1, "One unit less"), stepper("+", 1, "One unit more")),
        ui.h("span", { text: pgUnits(units) })));
    });
    cells.push(ui.h("span", { class: "pg-count", text: "output" }));
    steppers.replaceChildren(...cells);
    if (keep) [...steppers.querySelectorAll("button")].find((b) => b.dataset.key === keep && !b.disabled)?.focus();
  }
  function layoutDiagram() {
    const width = Math.floor(focusBox.clientWidth);
    if (!width || !net) return;
    const tallest = Math.max(...net.sizes);
    const height = width < 330 ? 270 : cx.root.clientWidth > 650 ? 372 : 300; // beside the plane, about as high as it
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const columnWidth = width / net.sizes.length;
    const node = Math.max(20, Math.min(38, Math.floor(columnWidth * 0.55), Math.floor(height / tallest) - 5));
    ui.set(diagram, { width: Math.round(width * ratio), height: Math.round(height * ratio), style: `width:${width}px;height:${height}px` });
    box = {
      width, height, node, ratio,
      columns: net.sizes.map((units, l) => {
        const gap = Math.min(66, (height - 6) / units);
        return Array.from({ length: units }, (_, j) => ({ x: columnWidth * (l + 0.5), y: height / 2 + (j - (units - 1) / 2) * gap }));
      }),
    };
    thumbs = net.sizes.map((units) => Array.from({ length: units }, () => {
      const canvas = ui.h("canvas", { width: PG_THUMB, height: PG_THUMB });
      const context = canvas.getContext("2d");
      const image = context.createImageData(PG_THUMB, PG_THUMB);
      return { canvas, context, image, pixels: new Uint32Array(image.data.buffer) };
    }));
    drawThumbs();
    drawDiagram();
  }
  function drawThumbs() {
    thumbs.forEach((column, layer) => {
      const units = net.sizes[layer];
      column.forEach(({ context, image, pixels }, unit) => {
        const tone = toneOf(layer) || ((most) => (a) => a / most)(largest(layer, unit));
        const values = grid[layer];
        for (let row = 0; row < PG_THUMB; row += 1) {
          for (let c = 0; c < PG_THUMB; c += 1) pixels[row * PG_THUMB + c] = shade(tone(values[(2 * row * PG_GRID + 2 * c) * units + unit]));
        }
        context.putImageData(image, 0, 0);
      });
    });
  }
  const weightOf = (layer, from, to) => net.theta[net.layers[layer].w + from * net.sizes[layer + 1] + to];
  const edge = (layer, from, to) => {
    const a = box.columns[layer][from];
    const b = box.columns[layer + 1][to];
    const half = box.node / 2;
    return { x1: a.x + half, y1: a.y, x2: b.x - half, y2: b.y, bend: (b.x - a.x - box.node) * 0.45 };
  };
  function drawDiagram() {
    if (!box.width) return;
    const c = diagramContext;
    c.setTransform(box.ratio, 0, 0, box.ratio, 0, 0);
    c.clearRect(0, 0, box.width, box.height);
    for (let layer = 0; layer < net.layers.length; layer += 1) {
      for (let from = 0; from < net.sizes[layer]; from += 1) {
        for (let to = 0; to < net.sizes[layer + 1]; to += 1) {
          const w = weightOf(layer, from, to);
          const { x1, y1, x2, y2, bend } = edge(layer, from, to);
          const here = shownWeight && shownWeight.layer === layer && shownWeight.from === from && shownWeight.to === to;
          const into = shownUnit && shownUnit.layer === layer + 1 && shownUnit.unit === to;
          const faded = (shownWeight || (shownUnit && shownUnit.layer > 0)) && !here && !(into && !shownWeight);
          c.globalAlpha = faded ? 0.25 : 1;
          c.strokeStyle = w < 0 ? colours.orange : colours.blue;
          c.lineWidth = Math.min(7, 0.5 + 1.5 * Math.abs(w)) + (here ? 2 : 0);
          c.setLineDash(w < 0 ? [6, 4] : []);
          c.beginPath();
          c.moveTo(x1, y1);
          c.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
          c.stroke();
        }
      }
    }
    c.globalAlpha = 1;
    c.setLineDash([]);
    c.imageSmoothingEnabled = true;
    c.font = "600 13px system-ui, sans-serif";
    c.textBaseline = "middle";
    box.columns.forEach((column, layer) => column.forEach(({ x, y }, unit) => {
      const half = box.node / 2;
      const here = shownUnit && shownUnit.layer === layer && shownUnit.unit === unit;
      c.drawImage(thumbs[layer][unit].canvas, x - half, y - half, box.node, box.node);
      c.lineWidth = here ? 3 : 1.2;
      c.strokeStyle = here ? colours.focus : colours.ink;
      c.strokeRect(x - half, y - half, box.node, box.node);
      if (layer === 0) {
        c.fillStyle = colours.ink;
        c.textAlign = "center";
        c.fillText(unit ? "x₂" : "x₁", x, y - half - 9);
      }
    }));
  }
  const unitName = (layer, unit) =>
    layer === 0 ? (unit ? "input x₂" : "input x₁")
      : layer === net.sizes.length - 1 ? "the output" : `hidden layer ${layer}, unit ${unit + 1}`;
  function readNetwork() {
    if (shownWeight) {
      const { layer, from, to } = shownWeight;
      return `Weight from ${unitName(layer, from)} to ${unitName(layer + 1, to)}: ${pgWeight(weightOf(layer, from, to))}`;
    }
    if (shownUnit) {
      const { layer, unit } = shownUnit;
      const name = unitName(layer, unit);
      if (layer === 0) return `${name[0].toUpperCase()}${name.slice(1)}, shown in the plane.`;
      return `${name[0].toUpperCase()}${name.slice(1)}, shown in the plane: bias ${pgWeight(net.theta[net.layers[layer - 1].b + unit])}`;
    }
    return "Blue lines are positive weights, orange dashed ones negative; thick is large. Point at a unit or a line.";
  }
  function show(unit, weight, speak) {
    const same = JSON.stringify([unit, weight]) === JSON.stringify([shownUnit, shownWeight]);
    if (same) return;
    shownUnit = unit;
    shownWeight = weight;
    if (!loop.running) request();
    else netRead.textContent = readNetwork();
    if (speak) cx.announce(readNetwork());
  }
  cx.on(focusBox, "pointermove pointerdown", (event) => {
    const area = diagram.getBoundingClientRect();
    const x = event.clientX - area.left;
    const y = event.clientY - area.top;
    const half = box.node / 2 + 3;
    for (let layer = 0; layer < box.columns.length; layer += 1) {
      for (let unit = 0; unit < box.columns[layer].length; unit += 1) {
        const p = box.columns[layer][unit];
        if (Math.abs(x - p.x) < half && Math.abs(y - p.y) < half) return show({ layer, unit }, null);
      }
    }
    let best = null;
    let least = 8;
    for (let layer = 0; layer < net.layers.length; layer += 1) {
      for (let from = 0; from < net.sizes[layer]; from += 1) {
        for (let to = 0; to < net.sizes[layer + 1]; to += 1) {
          const { x1, y1, x2, y2, bend } = edge(layer, from, to);
          if (x < x1 || x > x2) continue;
          for (let i = 0; i <= 24; i += 1) {
            const t = i / 24;
            const s = 1 - t;
            const px = s * s * s * x1 + 3 * s * s * t * (x1 + bend) + 3 * s * t * t * (x2 - bend) + t * t * t * x2;
            const py = (s * s * s + 3 * s * s * t) * y1 + (3 * s * t * t + t * t * t) * y2;
            const distance = Math.hypot(x - px, y - py);
            if (distance < least) [best, least] = [{ layer, from, to }, distance];
          }
        }
      }
    }
    return show(null, best);
  });
  cx.on(focusBox, "pointerleave blur", () => show(null, null));
  cx.on(focusBox, "keydown", (event) => {
    const now = shownWeight ? { layer: shownWeight.layer + 1, unit: shownWeight.to } : shownUnit;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (moves[event.key]) {
      event.preventDefault();
      if (!now) return show({ layer: Math.min(1, net.sizes.length - 1), unit: 0 }, null, true);
      const layer = ui.clamp(now.layer + moves[event.key][0], 0, net.sizes.length - 1);
      return show({ layer, unit: ui.clamp(now.unit + moves[event.key][1], 0, net.sizes[layer] - 1) }, null, true);
    }
    if ((event.key === "Enter" || event.key === " ") && now && now.layer > 0) {
      event.preventDefault();
      const from = shownWeight ? (shownWeight.from + 1) % net.sizes[now.layer - 1] : 0;
      return show(null, { layer: now.layer - 1, from, to: now.unit }, true);
    }
    if (event.key === "Escape") return show(null, null);
    return undefined;
  });

  // ---- the loss ----
  lossBox.append(ui.h("strong", { text: "Loss" }), " (mean cross-entropy)");
  const lossArea = ui.h("div", { class: "pg-loss-area" });
  lossBox.append(lossArea);
  const lossOptions = {
    x: [0, 20], y: [0, 0.8], aspect: 0.5, maxWidth: 620, xLabel: "epoch", parent: lossArea, zero: false, role: "img",
    label: "Training and held-out loss over the epochs", onLayout: () => queueMicrotask(() => history && drawLoss()),
  };
  const lossPlane = ui.plane(cx, lossOptions);
  const trainLine = ui.svg("path", { class: "pg-train-line" });
  const heldLine = ui.svg("path", { class: "pg-held-line" });
  const trainLabel = ui.svg("text", { class: "pg-train-label cx-halo" });
  const heldLabel = ui.svg("text", { class: "pg-held-label cx-halo" });
  const trainEnd = ui.svg("circle", { class: "pg-train-end", r: 3.5 });
  const heldEnd = ui.svg("circle", { class: "pg-held-end", r: 3.5 });
  lossPlane.layer.append(heldLine, trainLine, heldEnd, trainEnd, heldLabel, trainLabel);
  const nice = (v) => [1, 1.5, 2, 3, 5, 7, 10].map((m) => m * 10 ** Math.floor(Math.log10(v))).find((s) => s >= v * 0.9999);
  let drawingLoss = false;
  function drawLoss() {
    if (drawingLoss) return;
    const last = history[history.length - 1];
    // the labels stand to the right of the lines, so the axis is longer than the course so far
    const wide = Math.max(20, nice(Math.max(1, last.epoch) / Math.max(0.3, 1 - 116 / lossPlane.width)));
    const finite = history.flatMap((p) => [p.train, p.held]).filter((v) => Number.isFinite(v));
    const tall = Math.min(5, Math.max(0.8, Math.ceil(Math.max(...finite, 0) * 5) / 5));
    if (lossPlane.x[1] !== wide || lossPlane.y[1] !== tall) {
      drawingLoss = true;
      lossOptions.xTicks = ui.ticks([0, wide], lossPlane.width < 340 ? 4 : 7).filter((v) => v < 0.97 * wide); // a number at the very end would be cut
      lossPlane.range([0, wide], [0, tall]);
      drawingLoss = false;
    }
    const path = (key) => history.filter((p) => Number.isFinite(p[key]))
      .map((p, i) => `${i ? "L" : "M"}${lossPlane.X(p.epoch).toFixed(1)} ${lossPlane.Y(Math.min(p[key], tall)).toFixed(1)}`).join("");
    trainLine.setAttribute("d", path("train"));
    heldLine.setAttribute("d", path("held"));
    const x = lossPlane.X(last.epoch);
    const ends = [[last.train, trainEnd, trainLabel, "training"], [last.held, heldEnd, heldLabel, "held-out"]];
    const above = last.held >= last.train ? 1 : 0;
    ends.forEach(([v, dot, label, name], i) => {
      const y = lossPlane.Y(Number.isFinite(v) ? Math.min(v, tall) : tall);
      ui.set(dot, { cx: x, cy: y });
      const gap = Math.abs(lossPlane.Y(last.train) - lossPlane.Y(last.held));
      const level = gap < 17 ? (lossPlane.Y(last.train) + lossPlane.Y(last.held)) / 2 + (i === above ? -5 : 13) : y + 4;
      // both labels stay inside the plot, the upper one above the other
      const bottom = lossPlane.top + lossPlane.height - (i === above ? 22 : 6);
      const roof = lossPlane.top + (i === above ? 14 : 30);
      ui.set(label, { x: x + 9, y: ui.clamp(level, roof, bottom), text: `${name} ${ui.fixed(v, 3)}` });
    });
  }

  // ---- settings ----
  const withValue = (list, value) => [...new Set([...list, value])].sort((a, b) => a - b);
  const controls = ui.h("div", { class: "pg-controls" });
  cx.panel.append(controls);
  const datasetIn = cx.select({ label: "Data set", options: PG_DATASETS, value: get("dataset"), parent: controls, onChange: (v) => put({ dataset: v }) });
  const activationIn = cx.select({ label: "Activation φ", options: PG_ACTIVATIONS, value: get("activation"), parent: controls, onChange: (v) => put({ activation: v }) });
  let rates = withValue([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3], get("learning_rate"));
  const rateIn = cx.slider({
    label: "Learning rate", min: 0, max: rates.length - 1, step: 1, value: rates.indexOf(get("learning_rate")), parent: controls,
    format: (i) => String(rates[i]), onInput: (i) => put({ learning_rate: rates[i] }),
  });
  const noiseIn = cx.slider({
    label: "Noise", min: 0, max: 0.5, step: 0.01, value: get("noise"), parent: controls,
    format: (v) => ui.fixed(v, 2), onInput: (v) => put({ noise: v }, false), onChange: () => model.save_changes(),
  });
  const batchOptions = withValue([1, 4, 16, 64, PG_TRAIN], get("batch_size")).map((n) => [n, n === PG_TRAIN ? `all ${n}` : String(n)]);
  const batchIn = cx.select({ label: "Batch size", options: batchOptions, value: get("batch_size"), parent: controls, onChange: (v) => put({ batch_size: Number(v) }) });
  const l2Options = withValue([0, 0.0003, 0.001, 0.003, 0.01, 0.03], get("l2")).map((v) => [v, v ? String(v) : "none"]);
  const l2In = cx.select({ label: "L2 penalty", options: l2Options, value: get("l2"), parent: controls, onChange: (v) => put({ l2: Number(v) }) });
  const speedIn = cx.select({ label: "Speed", options: PG_SPEEDS, value: speed, parent: controls, onChange: (v) => { speed = v; } });
  const seedBox = ui.h("div", { class: "cx-field pg-seed" });
  const seedOut = ui.h("output", {});
  controls.append(seedBox);
  seedBox.append(ui.h("span", { class: "pg-label", text: "Seed" }), seedOut);
  cx.button({ label: "Next seed", title: "Other points, other initial weights", parent: seedBox, onClick: () => put({ seed: get("seed") + 1 }) });

  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };

  // ---- what happens when something changes ----
  function applyRates() {
    if (!rates.includes(get("learning_rate"))) {
      rates = withValue(rates, get("learning_rate"));
      rateIn.input.max = rates.length - 1;
    }
    rateIn.set(rates.indexOf(get("learning_rate")));
    trainer.learningRate = get("learning_rate");
    trainer.l2 = get("l2");
    trainer.setBatchSize(get("batch_size"));
    batchIn.set(get("batch_size"));
    l2In.set(get("l2"));
  }
  function syncControls() {
    datasetIn.set(get("dataset"));
    activationIn.set(get("activation"));
    noiseIn.set(get("noise"));
    seedOut.textContent = get("seed");
    applyRates();
  }
  function rebuild({ data, network }) {
    if (data) newPoints();
    if (network) newNetwork();
    syncControls();
    if (data) drawPoints();
    if (network) {
      buildSteppers();
      layoutDiagram();
    }
    measure();
    request();
  }
  // points have changed, the network has not: the losses follow in the next frame
  function changed() {
    if (!loop.running) requestScores();
  }
  cx.observe(model, "change:dataset change:seed", () => rebuild({ data: true, network: true }));
  cx.observe(model, "change:noise", () => rebuild({ data: true }));
  cx.observe(model, "change:layers change:activation", () => rebuild({ network: true }));
  cx.observe(model, "change:learning_rate change:batch_size change:l2", applyRates);

  function restart() {
    newNetwork();
    request();
    cx.announce("Epoch 0: the initial weights again.");
  }
  function reset() {
    pause(true);
    put(opening);
    speed = "normal";
    speedIn.set(speed);
    addLabel = 1;
    adder.set("1");
    rebuild({ data: true, network: true });
    cx.announce("Back to the opening state.");
  }
  const say = () => cx.announce(
    `Epoch ${ui.fixed(trainer.epochs, 1)}: training loss ${ui.fixed(scores.train.loss, 3)}, held-out loss ${ui.fixed(scores.held.loss, 3)}, ` +
    `${Math.round(100 * scores.held.accuracy)} percent of the held-out points right.`);
  function play() {
    if (broken) restart();
    loop.start();
    playButton.set("Pause");
    cx.root.dataset.playing = "true";
  }
  function pause(silent) {
    if (!loop.running) return;
    loop.stop();
    playButton.set("Play");
    cx.root.dataset.playing = "false";
    measure();
    request();
    if (silent !== true) say();
  }

  // ---- training and drawing, one animation frame after the other ----
  function advance(steps, budget = Infinity) {
    const end = performance.now() + budget;
    let done = 0;
    while (done < steps && (done % 4 !== 3 || performance.now() < end)) {
      trainer.step();
      done += 1;
    }
    if (!net.theta.every(Number.isFinite)) {
      broken = true;
      pause(true);
      cx.announce("The weights are no longer numbers: the learning rate is too large.");
    }
    return done;
  }
  let visible = true;
  const watcher = new IntersectionObserver((entries) => { visible = entries[entries.length - 1].isIntersecting; });
  watcher.observe(cx.root);
  cx.defer(() => watcher.disconnect());

  let frames = 0;
  let drawing = 4; // milliseconds that drawing takes, smoothed: it decides how much is drawn in one frame
  let owed = 0; // steps that the pace asks for, with their fraction
  const loop = cx.animate((now, passed) => {
    if (!visible) return;
    // the pace follows the clock, not the frames: a slow machine draws fewer pictures of the same course
    owed = Math.min(owed, 1) + (PG_PACE * trainData.y.length * Math.min(passed, 80)) / (1000 * trainer.batchSize);
    const wanted = { slow: 1, normal: Math.floor(owed), fast: Infinity }[speed];
    // the faster the drawing, the more time is left for training in a frame of 16 ms
    owed -= Math.min(owed, advance(wanted, ui.clamp(11 - drawing, 2, 8)));
    frames += 1;
    const began = performance.now();
    drawFrame(frames);
    drawing = 0.9 * drawing + 0.1 * (performance.now() - began);
  });

  const right = ({ accuracy }) => (Number.isFinite(accuracy) ? `${Math.floor(100 * accuracy + 1e-9)} % right` : "no points");
  function captionText() {
    if (broken) return "The weights grew beyond all numbers: the learning rate is too large. Lower it and restart.";
    if (shownUnit) return `Shown: the value of ${unitName(shownUnit.layer, shownUnit.unit)} at every place${shownUnit.layer ? ", and the line where it changes sides" : ""}.`;
    if (!get("layers").length) return "No hidden layer: the boundary is a straight line, whatever the weights.";
    if (get("activation") === "identity") return "Identity: linear layers collapse into one, so the boundary is a straight line.";
    return "On the line the network says 50 : 50; the fuller the colour, the surer it is.";
  }
  // k = 0 draws everything; while playing, network and loss take turns, with the surface too if that is slow
  function drawFrame(k) {
    if (!trainer) return;
    const heavy = drawing > 6;
    const turn = k % (heavy ? 3 : 2);
    if (k === 0 || !heavy || turn === 2) {
      pgForward(net, grid, PG_GRID * PG_GRID);
      drawSurface();
    }
    if (k === 0 || turn === 0) {
      drawThumbs();
      drawDiagram();
    }
    if (k === 0 || turn === 1) {
      if (k) measure();
      drawLoss();
    }
    if (k === 0 || k % 6 === 1) writeNumbers();
  }
  function writeNumbers() {
    epochOut.textContent = trainer.epochs < 100 ? ui.fixed(trainer.epochs, 1) : String(Math.floor(trainer.epochs));
    trainOut.textContent = ui.fixed(scores.train.loss, 3);
    heldOut.textContent = ui.fixed(scores.held.loss, 3);
    trainRight.textContent = right(scores.train);
    heldRight.textContent = right(scores.held);
    const text = captionText();
    if (caption.textContent !== text) caption.textContent = text;
    const read = readNetwork();
    if (netRead.textContent !== read) netRead.textContent = read;
    cx.root.dataset.epoch = trainer.epochs.toFixed(2);
    cx.root.dataset.loss = scores.train.loss;
    cx.root.dataset.accuracy = scores.train.accuracy;
    cx.root.dataset.points = points.length;
  }
  const request = cx.frame(() => drawFrame(0));
  const requestScores = cx.frame(() => {
    measure();
    drawLoss();
    writeNumbers();
  });
  const retheme = () => {
    palette = pgPalette(cx.theme);
    colours = Object.fromEntries(["ink", "blue", "orange", "focus"].map((name) => [name, cx.resolve(name)]));
    inkColour = colours.ink;
    request();
  };
  cx.onTheme(retheme);
  const resized = new ResizeObserver(layoutDiagram);
  resized.observe(focusBox);
  cx.defer(() => resized.disconnect());

  retheme();
  rebuild({ data: true, network: true });
  drawFrame(0);
  return cx.dispose;
}

export default { render };
