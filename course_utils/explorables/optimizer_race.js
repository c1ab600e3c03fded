// OptimizerRace: optimisers side by side on one surface, by the update rules of Keras 3.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const RACE_STEPS = 200; // the race ends here
const RACE_EDGE = 4; // farther from the map's centre than this many half-widths, a path has left for good
const RACE_MOMENTUM = 0.9;
const RACE_RHO = 0.9;
const RACE_BETA_1 = 0.9;
const RACE_BETA_2 = 0.999;
const RACE_EPSILON = 1e-7;
const RACE_WEIGHT_DECAY = 0.004;
const RACE_BANANA = 10;
const RACE_TILT = 0.3;

// name -> label in prose, letter at the head of the path, dashes, colour; families share a learning rate.
const OPTIMIZERS = {
  sgd: { label: "gradient descent", letter: "G", colour: "blue", dash: "" },
  momentum: { label: "momentum", letter: "M", colour: "purple", dash: "9 3" },
  nesterov: { label: "Nesterov", letter: "N", colour: "green", dash: "3 3" },
  rmsprop: { label: "RMSprop", letter: "R", colour: "orange", dash: "12 3 2 3", adaptive: true },
  adam: { label: "Adam", letter: "A", colour: "red", dash: "", adaptive: true },
  adamw: { label: "AdamW", letter: "W", colour: "sky", dash: "6 3 2 3", adaptive: true },
};

function raceTiltedMinimum(x) {
  for (let i = 0; i < 50; i += 1) x -= (2 * x * (x * x - 1) + RACE_TILT) / (6 * x * x - 2); // Newton's method
  return x;
}

// Value f, gradient g, second derivatives h = [xx, xy, yy]; `k` is the condition number of the ravine.
// `choose` is what a change of the surface sets: a start and rates that suit it.
const RACE_SURFACES = {
  ravine: {
    label: "ravine", formula: "½ (x² + κ y²)", x: [-2.2, 2.2], y: [-1.65, 1.65],
    f: (x, y, k) => 0.5 * (x * x + k * y * y),
    g: (x, y, k) => [x, k * y],
    h: (x, y, k) => [1, 0, k],
    minima: [[0, 0]],
    choose: { start: [-1.8, 1.2], learning_rate: 0.05, adaptive_rate: 0.05 },
  },
  rosenbrock: {
    label: "banana valley (Rosenbrock)", formula: `(1 − x)² + ${RACE_BANANA} (y − x²)²`, x: [-2.2, 2.2], y: [-0.8, 2.5],
    f: (x, y) => (1 - x) ** 2 + RACE_BANANA * (y - x * x) ** 2,
    g: (x, y) => [-2 * (1 - x) - 4 * RACE_BANANA * x * (y - x * x), 2 * RACE_BANANA * (y - x * x)],
    h: (x, y) => [2 - 4 * RACE_BANANA * (y - 3 * x * x), -4 * RACE_BANANA * x, 2 * RACE_BANANA],
    minima: [[1, 1]],
    choose: { start: [-1.5, 1.8], learning_rate: 0.005, adaptive_rate: 0.05 },
  },
  saddle: {
    label: "saddle", formula: "½ x² − ½ y² + ¼ y⁴", x: [-2.2, 2.2], y: [-1.65, 1.65],
    f: (x, y) => 0.5 * x * x - 0.5 * y * y + 0.25 * y ** 4,
    g: (x, y) => [x, -y + y ** 3],
    h: (x, y) => [1, 0, 3 * y * y - 1],
    minima: [[0, 1], [0, -1]],
    choose: { start: [-1.8, 0.02], learning_rate: 0.05, adaptive_rate: 0.05 },
  },
  "two minima": {
    label: "two minima", formula: `½ (x² − 1)² + ${RACE_TILT} x + y²`, x: [-2.2, 2.2], y: [-1.65, 1.65],
    f: (x, y) => 0.5 * (x * x - 1) ** 2 + RACE_TILT * x + y * y,
    g: (x, y) => [2 * x * (x * x - 1) + RACE_TILT, 2 * y],
    h: (x) => [6 * x * x - 2, 0, 2],
    minima: [[raceTiltedMinimum(-1), 0], [raceTiltedMinimum(1), 0]],
    choose: { start: [1.9, 1.2], learning_rate: 0.05, adaptive_rate: 0.05 },
  },
};

const raceLowest = (surface, k) => RACE_SURFACES[surface].f(...RACE_SURFACES[surface].minima[0], k);

function raceCurvature(surface, x, y, k) {
  const [xx, xy, yy] = RACE_SURFACES[surface].h(x, y, k);
  return (xx + yy) / 2 + Math.hypot((xx - yy) / 2, xy);
}

// How many half-widths of the map a point lies from its centre: at most 1 on the map.
function raceFar(surface, [px, py]) {
  const { x, y } = RACE_SURFACES[surface];
  return Math.max(
    Math.abs(px - (x[0] + x[1]) / 2) / ((x[1] - x[0]) / 2),
    Math.abs(py - (y[0] + y[1]) / 2) / ((y[1] - y[0]) / 2));
}
const raceGone = (surface, p) => !(raceFar(surface, p) <= RACE_EDGE);

// The path of an optimiser: [x, y] for step 0, 1, ...; shorter than steps + 1 if it leaves for good.
function raceRun(optimizer, surface, start, rate, k, steps = RACE_STEPS) {
  const { g } = RACE_SURFACES[surface];
  let w = [...start];
  const path = [w];
  const first = [0, 0]; // velocity, or mean gradient
  const second = [0, 0]; // mean squared gradient
  for (let t = 1; t <= steps; t += 1) {
    const slope = g(w[0], w[1], k);
    w = w.map((at, i) => {
      const d = slope[i];
      switch (optimizer) {
        case "sgd":
          return at - rate * d;
        case "momentum":
          first[i] = RACE_MOMENTUM * first[i] - rate * d;
          return at + first[i];
        case "nesterov":
          first[i] = RACE_MOMENTUM * first[i] - rate * d;
          return at + RACE_MOMENTUM * first[i] - rate * d;
        case "rmsprop":
          second[i] = RACE_RHO * second[i] + (1 - RACE_RHO) * d * d;
          return at - (rate * d) / Math.sqrt(second[i] + RACE_EPSILON);
        default: { // adam, adamw
          if (optimizer === "adamw") at -= at * RACE_WEIGHT_DECAY * rate;
          first[i] += (d - first[i]) * (1 - RACE_BETA_1);
          second[i] += (d * d - second[i]) * (1 - RACE_BETA_2);
          const alpha = (rate * Math.sqrt(1 - RACE_BETA_2 ** t)) / (1 - RACE_BETA_1 ** t);
          return at - (first[i] * alpha) / (Math.sqrt(second[i]) + RACE_EPSILON);
        }
      }
    });
    path.push(w);
    if (raceGone(surface, w)) break;
  }
  return path;
}

// The step from which on a path that is gone was outside the map; null if it is not gone.
function raceLeftAt(surface, path) {
  if (!raceGone(surface, path[path.length - 1])) return null;
  let step = path.length - 1;
  while (step > 0 && !(raceFar(surface, path[step - 1]) <= 1)) step -= 1;
  return step;
}

// The learning rate above which steps along a direction of this curvature grow, where there is one.
function raceLimit(optimizer, curvature) {
  if (curvature <= 0) return null;
  const b = RACE_MOMENTUM;
  const factor = { sgd: 2, momentum: 2 * (1 + b), nesterov: (2 * (1 + b)) / (1 + 2 * b) }[optimizer];
  return factor ? factor / curvature : null;
}

const raceDistance = (surface, [x, y]) => Math.min(...RACE_SURFACES[surface].minima.map(([a, b]) => Math.hypot(x - a, y - b)));

export const math = {
  surfaces: Object.keys(RACE_SURFACES),
  optimizers: Object.keys(OPTIMIZERS),
  value: (surface, x, y, k) => RACE_SURFACES[surface].f(x, y, k),
  gradient: (surface, x, y, k) => RACE_SURFACES[surface].g(x, y, k),
  minima: (surface) => RACE_SURFACES[surface].minima,
  curvature: raceCurvature,
  run: raceRun,
  leftAt: raceLeftAt,
  limit: raceLimit,
  distance: raceDistance,
};

const RACE_STATE = ["surface", "optimizers", "learning_rate", "adaptive_rate", "start", "condition", "step"];
const RACE_FLOOR = -8; // the loss axis ends at 10^-8

const raceNumber = (value) => ui.number(Number.isFinite(value) ? value : Infinity);
const raceRate = (v) => String(Number(v.toPrecision(2)));

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "race",
    question: "Which optimiser gets down first, and why?",
    lead: "Drag the large dot, or select it and use the arrow keys: all optimisers start there. Crosses mark the minima.",
    tries: [
      "Ravine: raise the learning rate of gradient descent past `2/κ`. It zigzags across the steep direction, and beyond that value every zigzag is larger than the last.",
      "Ravine: drag the start onto the long axis, `y = 0`. What is left of the zigzag? Then compare Adam's path with the others from a corner of the map.",
      "Saddle: start on the ridge, `y = 0`, then one arrow key beside it. Who leaves the ridge first?",
      "Two minima: find a start from which gradient descent ends in the upper hollow and momentum runs through it into the lower one.",
    ],
  });
  const opening = Object.fromEntries(RACE_STATE.map((name) => [name, structuredClone(model.get(name))]));
  const get = (name) => model.get(name);
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const surface = () => RACE_SURFACES[get("surface")];
  const rateOf = (name) => (OPTIMIZERS[name].adaptive ? get("adaptive_rate") : get("learning_rate"));
  const onMap = ([x, y]) => {
    const s = surface();
    return [ui.clamp(Math.round(x * 100) / 100, ...s.x), ui.clamp(Math.round(y * 100) / 100, ...s.y)];
  };

  // ---- the map ----
  const canvas = ui.h("canvas", { class: "race-map", "aria-hidden": "true" });
  const mapBox = ui.h("div", { class: "race-box" }, canvas);
  cx.stage.append(mapBox);
  let drawnMap = "";
  const plane = ui.plane(cx, {
    x: surface().x, y: surface().y, maxWidth: 560, parent: mapBox, zero: false, xLabel: "x", yLabel: "y",
    label: "Contour map of the loss with the optimisers' paths",
    onLayout: (p) => {
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      ui.set(canvas, { width: Math.round(p.width * ratio), height: Math.round(p.height * ratio),
        style: `left:${p.left}px;top:${p.top}px;width:${p.width}px;height:${p.height}px` });
      drawnMap = "";
      queueMicrotask(() => request?.());
    },
  });
  const crosses = ui.svg("g", { class: "race-crosses", "aria-hidden": "true" });
  const trails = ui.svg("g", { "aria-hidden": "true" });
  const heads = ui.svg("g", { "aria-hidden": "true" });
  const origin = ui.svg("g", { class: "race-start" },
    ui.svg("circle", { class: "race-hit", r: 24 }), ui.svg("circle", { class: "cx-ring", r: 14 }),
    ui.svg("circle", { class: "race-dot", r: 8 }));
  plane.layer.append(crosses, trails, heads);
  plane.front.append(origin);
  const say = () => cx.announce(summary.textContent);
  const grip = cx.handle(origin, {
    label: () => `Start of all optimisers, at x ${ui.fixed(get("start")[0])}, y ${ui.fixed(get("start")[1])}`,
    point: (event) => plane.point(event),
    at: () => ({ x: get("start")[0], y: get("start")[1] }),
    move: (p) => put({ start: onMap([p.x, p.y]) }, false),
    end: () => { model.save_changes(); say(); },
    step: 0.02,
  });
  cx.on(plane.svg, "click", (event) => {
    const p = plane.point(event);
    if (plane.inside(p)) put({ start: onMap([p.x, p.y]) });
  });

  // ---- the losses ----
  const lossTitle = ui.h("p", { class: "race-title" }, ui.h("strong", { text: "Loss above the lowest minimum" }), ", by step (log scale)");
  const lossBox = ui.h("div", {});
  cx.stage.append(lossTitle, lossBox);
  const lossPlane = ui.plane(cx, {
    x: [0, RACE_STEPS + 7], y: [RACE_FLOOR, 2], aspect: 0.42, maxWidth: 560, parent: lossBox, zero: false, role: "img",
    xLabel: "step", yLabel: "power of ten", yTicks: [-8, -6, -4, -2, 0, 2], xTicks: [0, 50, 100, 150, 200],
    label: "Loss of each optimiser against the step, on a log scale",
    onLayout: () => queueMicrotask(() => request?.()),
  });
  const now = ui.svg("path", { class: "race-now" });
  const lossLines = ui.svg("g", {});
  const lossHeads = ui.svg("g", {});
  lossPlane.layer.append(now, lossLines, lossHeads);

  // ---- controls ----
  const chooser = cx.select({
    label: "Surface", value: get("surface"),
    options: Object.entries(RACE_SURFACES).map(([name, { label }]) => [name, label]),
    onChange: (name) => { player.stop(); put({ surface: name, ...structuredClone(RACE_SURFACES[name].choose) }); say(); },
  });
  const formula = ui.h("p", { class: "race-formula" });
  cx.panel.append(formula);
  const condition = cx.slider({
    label: "condition number κ", min: 1, max: 100, step: 1, value: get("condition"), format: String,
    onInput: (v) => put({ condition: v }, false), onChange: () => { model.save_changes(); say(); },
  });
  const boxes = {};
  const family = (legend, adaptive, trait) => {
    const names = Object.keys(OPTIMIZERS).filter((name) => Boolean(OPTIMIZERS[name].adaptive) === adaptive);
    const options = ui.h("div", { class: "cx-options" });
    cx.panel.append(ui.h("fieldset", { class: "cx-choice" }, ui.h("legend", { text: legend }), options));
    for (const name of names) {
      boxes[name] = cx.checkbox({
        label: OPTIMIZERS[name].label, value: get("optimizers").includes(name), parent: options,
        onChange: (flag) => {
          const chosen = Object.keys(OPTIMIZERS).filter((o) => (o === name ? flag : get("optimizers").includes(o)));
          put({ optimizers: chosen });
        },
      });
      boxes[name].element.insertBefore(
        ui.h("span", { class: `race-badge race-${name}`, "aria-hidden": "true", text: OPTIMIZERS[name].letter }),
        boxes[name].element.lastChild);
    }
    return cx.slider({
      label: "learning rate", min: -4, max: 0, step: 0.02, value: Math.log10(get(trait)),
      format: (v) => raceRate(10 ** v),
      onInput: (v) => put({ [trait]: Number((10 ** v).toPrecision(4)) }, false),
      onChange: () => { model.save_changes(); say(); },
    });
  };
  const rates = {
    learning_rate: family("One rate for all directions", false, "learning_rate"),
    adaptive_rate: family("A rate for each direction (adaptive)", true, "adaptive_rate"),
  };
  rates.learning_rate.input.setAttribute("aria-label", "learning rate of gradient descent, momentum and Nesterov");
  rates.adaptive_rate.input.setAttribute("aria-label", "learning rate of RMSprop, Adam and AdamW");
  const stepper = cx.slider({
    label: "steps", min: 0, max: RACE_STEPS, step: 1, value: get("step"), format: String,
    onInput: (v) => { player.stop(); put({ step: v }, false); }, onChange: () => { model.save_changes(); say(); },
  });

  let carry = 0;
  const player = cx.animate((_, passed) => {
    carry += ui.clamp(passed, 0, 100) / 50; // twenty steps a second
    const whole = Math.floor(carry);
    carry -= whole;
    if (whole) put({ step: Math.min(RACE_STEPS, get("step") + whole) }, false);
    if (get("step") < RACE_STEPS) return true;
    rest();
    return false;
  });
  const rest = () => { model.save_changes(); say(); request(); };
  const row = cx.row();
  const play = cx.button({
    label: "Play", primary: true, parent: row,
    onClick: () => {
      if (player.running) { player.stop(); rest(); return; }
      if (cx.calm) { put({ step: get("step") >= RACE_STEPS ? 0 : RACE_STEPS }); rest(); return; }
      if (get("step") >= RACE_STEPS) put({ step: 0 }, false);
      carry = 0;
      player.start();
      request();
    },
  });
  const one = cx.button({
    label: "Step", parent: row, title: "One step further",
    onClick: () => { player.stop(); put({ step: Math.min(RACE_STEPS, get("step") + 1) }); say(); request(); },
  });
  cx.resetButton(() => { player.stop(); put(structuredClone(opening)); cx.announce("Back to the opening state."); request(); }, row);

  // ---- the table ----
  const tableBox = ui.h("div", { class: "race-results" });
  cx.stage.parentNode.append(tableBox);
  const summary = ui.h("p", { class: "race-summary" });
  const body = ui.h("tbody", {});
  tableBox.append(summary,
    ui.h("table", {}, ui.h("caption", { class: "cx-hidden", text: "Where each optimiser stands" }),
      ui.h("thead", {}, ui.h("tr", {}, ["optimiser", "loss above minimum", "distance to the nearest minimum"].map((text) => ui.h("th", { scope: "col", text })))),
      body));
  const why = ui.h("div", { class: "race-why" });
  tableBox.append(why);

  // ---- drawing ----
  // The bands of the contour map: each doubling of the height (plus a little) is one band.
  function drawMap() {
    const s = surface();
    const key = [get("surface"), get("condition"), canvas.width, canvas.height, cx.theme].join();
    if (key === drawnMap || !canvas.width) return;
    drawnMap = key;
    const { width, height } = canvas;
    const low = raceLowest(get("surface"), get("condition"));
    const k = get("condition");
    const rgb = (name) => {
      const text = cx.resolve(name).replace("#", "");
      return [0, 2, 4].map((i) => parseInt(text.slice(i, i + 2), 16));
    };
    const [ground, ink] = [rgb("plot"), rgb("blue")];
    const band = new Int16Array(width * height);
    for (let j = 0; j < height; j += 1) {
      const y = s.y[1] - ((j + 0.5) / height) * (s.y[1] - s.y[0]);
      for (let i = 0; i < width; i += 1) {
        const x = s.x[0] + ((i + 0.5) / width) * (s.x[1] - s.x[0]);
        band[j * width + i] = Math.floor(1.5 * Math.log2(Math.max(s.f(x, y, k) - low, 0) + 0.02));
      }
    }
    const bottom = Math.floor(1.5 * Math.log2(0.02));
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const thick = width > plane.width * 1.5 ? 2 : 1;
    for (let j = 0; j < height; j += 1)
      for (let i = 0; i < width; i += 1) {
        const b = band[j * width + i];
        const edge = b !== band[j * width + Math.min(i + thick, width - 1)] || b !== band[Math.min(j + thick, height - 1) * width + i];
        const share = edge ? 0.42 : Math.min(0.3, 0.03 + 0.0135 * (b - bottom));
        const at = 4 * (j * width + i);
        for (let c = 0; c < 3; c += 1) image.data[at + c] = ground[c] + share * (ink[c] - ground[c]);
        image.data[at + 3] = 255;
      }
    context.putImageData(image, 0, 0);
  }

  const head = (name, x, y) =>
    ui.svg("g", { class: `race-head race-${name}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` },
      ui.svg("circle", { r: 9 }), ui.svg("text", { "text-anchor": "middle", y: 4.6, text: OPTIMIZERS[name].letter }));

  function explain(name, left, path) {
    const { label } = OPTIMIZERS[name];
    const k = get("condition");
    const rate = rateOf(name);
    const ravine = get("surface") === "ravine";
    const curvature = raceCurvature(get("surface"), ...get("start"), k);
    const limit = raceLimit(name, curvature);
    const begin = label[0].toUpperCase() + label.slice(1);
    if (left !== null) {
      if (limit !== null && rate > limit) {
        const bound = name === "sgd" ? (ravine ? "2/κ" : "2/λ") : name === "momentum" ? (ravine ? "3.8/κ" : "3.8/λ") : ravine ? "1.36/κ" : "1.36/λ";
        return `${begin} left the map at step ${left}: its learning rate ${raceRate(rate)} is above ${bound} = ${raceRate(limit)}, ` +
          `where ${ravine ? "κ is the steepest curvature" : `λ = ${raceNumber(curvature)} is the steepest curvature at the start`}, so every swing is larger than the last.`;
      }
      return `${begin} left the map at step ${left}: somewhere on its way the learning rate ${raceRate(rate)} was too large for the curvature.`;
    }
    const end = path[path.length - 1];
    const slope = surface().g(...end, k);
    if (Math.hypot(...slope) < 1e-3 && raceDistance(get("surface"), end) > 0.2)
      return `${begin} stands on a place without slope that is no minimum; nothing tells it which way is down.`;
    const hollow = surface().minima.length > 1 && get("surface") === "two minima" && Math.hypot(end[0] - surface().minima[1][0], end[1]) < 0.1;
    if (hollow) return `${begin} is in the upper of the two hollows. All slopes there point inwards.`;
    return null;
  }

  function draw() {
    const name = get("surface");
    const s = surface();
    const k = get("condition");
    const step = get("step");
    const chosen = get("optimizers");
    if (plane.x !== s.x || plane.y !== s.y) plane.range(s.x, s.y);
    drawMap();
    chooser.set(name);
    formula.textContent = `loss = ${s.formula}`;
    condition.set(k);
    condition.element.hidden = name !== "ravine";
    for (const trait of ["learning_rate", "adaptive_rate"]) rates[trait].set(Math.log10(get(trait)));
    for (const [o, box] of Object.entries(boxes)) box.set(chosen.includes(o));
    stepper.set(step);
    play.set(player.running ? "Pause" : "Play");
    one.disable(step >= RACE_STEPS);

    const [sx, sy] = get("start");
    ui.set(origin, { transform: `translate(${plane.X(sx)} ${plane.Y(sy)})` });
    crosses.replaceChildren(...s.minima.map(([x, y]) =>
      ui.svg("path", { d: `M${plane.X(x) - 7} ${plane.Y(y)}h14M${plane.X(x)} ${plane.Y(y) - 7}v14` })));
    const low = raceLowest(name, k);
    const power = (p) => {
      const loss = s.f(p[0], p[1], k) - low;
      return ui.clamp(loss > 0 ? Math.log10(loss) : RACE_FLOOR, RACE_FLOOR, 2);
    };
    const drawn = { trails: [], heads: [], lines: [], marks: [] };
    const rows = [];
    for (const optimizer of chosen) {
      const whole = raceRun(optimizer, name, [sx, sy], rateOf(optimizer), k);
      const path = whole.slice(0, step + 1);
      const left = path.length <= step || raceGone(name, path[path.length - 1]) ? raceLeftAt(name, path) : null;
      const { dash } = OPTIMIZERS[optimizer];
      const place = (p) => `${ui.clamp(plane.X(p[0]), -2000, 3000).toFixed(1)} ${ui.clamp(plane.Y(p[1]), -2000, 3000).toFixed(1)}`;
      drawn.trails.push(
        ui.svg("path", { class: `race-trail race-${optimizer}`, d: path.map((p, i) => `${i ? "L" : "M"}${place(p)}`).join(""), "stroke-dasharray": dash || null }),
        ui.svg("path", { class: `race-dots race-${optimizer}`, d: path.map((p) => `M${place(p)}h0`).join("") }));
      const end = path[path.length - 1];
      if (raceFar(name, end) <= 1.05) drawn.heads.push(head(optimizer, plane.X(end[0]), plane.Y(end[1])));
      const level = path.map((p, i) => `${i ? "L" : "M"}${lossPlane.X(i).toFixed(1)} ${lossPlane.Y(power(p)).toFixed(1)}`);
      drawn.lines.push(ui.svg("path", { class: `race-trail race-${optimizer}`, d: level.join(""), "stroke-dasharray": dash || null }));
      const x = lossPlane.X(path.length - 1);
      drawn.marks.push(head(optimizer, ui.clamp(x, lossPlane.left + 10, lossPlane.left + lossPlane.width - 10),
        ui.clamp(lossPlane.Y(power(end)), lossPlane.top + 10, lossPlane.top + lossPlane.height - 10)));
      rows.push({ optimizer, left, path, loss: s.f(end[0], end[1], k) - low, distance: raceDistance(name, end) });
    }
    trails.replaceChildren(...drawn.trails);
    heads.replaceChildren(...drawn.heads);
    lossLines.replaceChildren(...drawn.lines);
    lossHeads.replaceChildren(...drawn.marks);
    ui.set(now, { d: `M${lossPlane.X(step)} ${lossPlane.top}v${lossPlane.height}` });

    rows.sort((a, b) => (a.left !== null) - (b.left !== null) || a.loss - b.loss);
    body.replaceChildren(...rows.map(({ optimizer, left, loss, distance }) =>
      ui.h("tr", {},
        ui.h("th", { scope: "row" }, ui.h("div", { class: "race-name" },
          ui.h("span", { class: `race-badge race-${optimizer}`, "aria-hidden": "true", text: OPTIMIZERS[optimizer].letter }), OPTIMIZERS[optimizer].label)),
        left !== null
          ? ui.h("td", { colspan: 2, text: `left the map at step ${left}` })
          : [ui.h("td", { text: raceNumber(Math.max(loss, 0)) }), ui.h("td", { text: raceNumber(distance) })])));
    const first = rows.find((r) => r.left === null);
    const steps = step === 1 ? "1 step" : `${step} steps`;
    const names = rows.filter((r) => r.left === null).map((r) => OPTIMIZERS[r.optimizer].label);
    summary.textContent = !rows.length
      ? "No optimiser is chosen."
      : step === 0
        ? "At the start. Press Play."
        : !first
          ? `After ${steps}: all have left the map.`
          : `After ${steps} ${OPTIMIZERS[first.optimizer].label} is lowest, ${raceNumber(Math.max(first.loss, 0))} above the minimum` +
            (names.length > 1 ? `; then ${names.slice(1).join(", ")}.` : ".");
    why.replaceChildren(...rows.map((r) => explain(r.optimizer, r.left, r.path)).filter(Boolean).map((text) => ui.h("p", { class: "cx-note", text })));
    ui.set(plane.svg, { "aria-label": `Contour map of the ${s.label}. ${summary.textContent}` });
    grip.refresh();
  }

  const request = cx.frame(draw);
  cx.observe(model, RACE_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onTheme(request);
  draw();
  return cx.dispose;
}

export default { render };
