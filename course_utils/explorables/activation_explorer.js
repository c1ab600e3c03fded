// ActivationExplorer: a function, its derivative, and what a chain of such units does to a gradient.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const ACT_LEAK = 0.2; // slope of leaky ReLU for z < 0, the default of keras.ops.leaky_relu
const ACT_SATURATED = 0.05; // |derivative| below this is called "nearly zero"

// erf by a series whose terms are all positive (no cancellation): exact to double precision.
function actErf(x) {
  const a = Math.abs(x);
  if (a >= 6) return Math.sign(x); // 1 - erf(6) is about 2e-17
  let term = a;
  let sum = a;
  for (let n = 1; n < 400 && term > 1e-17 * sum; n += 1) {
    term *= (2 * a * a) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * Math.min(1, (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum);
}

const actSigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const actNormalCdf = (z) => 0.5 * (1 + actErf(z / Math.SQRT2));
const actNormalPdf = (z) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

// name -> label, formula of the function and of its derivative, value f(z), derivative d(z).
// At a corner the derivative is the one TensorFlow uses (0 for ReLU, the leak for leaky ReLU, 1 for ELU).
const ACTIVATIONS = {
  step: {
    label: "step",
    formula: "φ(z) = 1 if z ≥ 0, else 0",
    slope: "φ′(z) = 0 (no slope at z = 0)",
    f: (z) => (z >= 0 ? 1 : 0),
    d: () => 0,
    jumps: true,
  },
  identity: {
    label: "identity",
    formula: "φ(z) = z",
    slope: "φ′(z) = 1",
    f: (z) => z,
    d: () => 1,
  },
  sigmoid: {
    label: "sigmoid",
    formula: "φ(z) = 1 / (1 + e⁻ᶻ)",
    slope: "φ′(z) = φ(z) (1 − φ(z))",
    f: actSigmoid,
    d: (z) => actSigmoid(z) * actSigmoid(-z),
  },
  tanh: {
    label: "tanh",
    formula: "φ(z) = tanh z",
    slope: "φ′(z) = 1 − tanh² z",
    f: (z) => Math.tanh(z),
    d: (z) => 1 - Math.tanh(z) ** 2,
  },
  relu: {
    label: "ReLU",
    formula: "φ(z) = max(0, z)",
    slope: "φ′(z) = 1 if z > 0, else 0",
    f: (z) => Math.max(0, z),
    d: (z) => (z > 0 ? 1 : 0),
    corner: true,
  },
  leaky_relu: {
    label: "leaky ReLU",
    formula: `φ(z) = z if z > 0, else ${ACT_LEAK} z`,
    slope: `φ′(z) = 1 if z > 0, else ${ACT_LEAK}`,
    f: (z) => (z > 0 ? z : ACT_LEAK * z),
    d: (z) => (z > 0 ? 1 : ACT_LEAK),
    corner: true,
  },
  elu: {
    label: "ELU",
    formula: "φ(z) = z if z > 0, else eᶻ − 1",
    slope: "φ′(z) = 1 if z > 0, else eᶻ",
    f: (z) => (z > 0 ? z : Math.expm1(z)),
    d: (z) => (z > 0 ? 1 : Math.exp(z)),
  },
  gelu: {
    label: "GELU",
    formula: "φ(z) = z Φ(z), exact, Φ = normal cdf",
    slope: "φ′(z) = Φ(z) + z Φ′(z)",
    f: (z) => z * actNormalCdf(z),
    d: (z) => actNormalCdf(z) + z * actNormalPdf(z),
  },
  silu: {
    label: "SiLU (Swish)",
    formula: "φ(z) = z σ(z)",
    slope: "φ′(z) = σ(z) (1 + z (1 − σ(z)))",
    f: (z) => z * actSigmoid(z),
    d: (z) => actSigmoid(z) * (1 + z * actSigmoid(-z)),
  },
};

// Intervals of [low, high] where |derivative| < ACT_SATURATED; ends found by bisection.
function actSaturatedIntervals(name, low = -6, high = 6) {
  const { d } = ACTIVATIONS[name];
  const dead = (z) => Math.abs(d(z)) < ACT_SATURATED;
  const steps = 2400;
  const at = (i) => low + ((high - low) * i) / steps;
  const edge = (a, b) => {
    const side = dead(a);
    for (let i = 0; i < 50; i += 1) {
      const middle = 0.5 * (a + b);
      if (dead(middle) === side) a = middle;
      else b = middle;
    }
    return 0.5 * (a + b);
  };
  const intervals = [];
  let start = dead(low) ? low : null;
  for (let i = 1; i <= steps; i += 1) {
    const here = dead(at(i));
    if (here && start === null) start = edge(at(i - 1), at(i));
    if (!here && start !== null) {
      intervals.push([start, edge(at(i - 1), at(i))]);
      start = null;
    }
  }
  if (start !== null) intervals.push([start, high]);
  return intervals;
}

// A chain of units: a₁ = φ(z), then zₗ = w aₗ₋₁ + b and aₗ = φ(zₗ).
// gradients[l-1] is ∂aₗ/∂z₁ = φ′(z₁) · w φ′(z₂) · … · w φ′(zₗ).
function actChain(name, z, depth, weight, bias) {
  const { f, d } = ACTIVATIONS[name];
  const inputs = [];
  const outputs = [];
  const slopes = [];
  const gradients = [];
  let pre = z;
  let gradient = 1;
  for (let layer = 1; layer <= depth; layer += 1) {
    if (layer > 1) pre = weight * outputs[layer - 2] + bias;
    const slope = d(pre);
    gradient *= layer > 1 ? weight * slope : slope;
    inputs.push(pre);
    outputs.push(f(pre));
    slopes.push(slope);
    gradients.push(gradient);
  }
  return { inputs, outputs, slopes, gradients };
}

export const math = {
  names: Object.keys(ACTIVATIONS),
  value: (name, z) => ACTIVATIONS[name].f(z),
  derivative: (name, z) => ACTIVATIONS[name].d(z),
  erf: actErf,
  saturatedIntervals: actSaturatedIntervals,
  chain: actChain,
};

const ACT_EXPONENTS = [-12, 6]; // decades shown by the bars; what lies outside gets an arrow
const ACT_RANGES = { step: [-0.5, 1.5], sigmoid: [-0.5, 1.5], tanh: [-1.5, 1.5], identity: [-6.5, 6.5] };
const ACT_STATE = ["function", "z", "depth", "weight", "bias"];

const actVerdict = (gradient) => {
  const size = Math.abs(gradient);
  if (size === 0) return "dead";
  if (size < 0.1) return "vanishes";
  return size > 10 ? "explodes" : "healthy";
};

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "activation",
    question: "Where does the gradient die?",
    lead: "Drag the point along the curve, or select it and use the arrow keys. Its slope is the share of the gradient that passes back through the unit.",
    tries: [
      "Sigmoid: find the steepest place. Even there the slope is only one quarter, so with `w = 1` every layer costs at least a factor of four.",
      "ReLU: walk from z = 1 to z = −1 and watch the bars. What survives, and what can never come back?",
      "Tanh with z = 0.1, `b = 0` and `w = 2`: the bars rise first and sink then. Follow the small dots along the curve to see why; then try z = 0.",
      "Sigmoid again: with z = 0 there is one pair of `w` and `b` that keeps every bar level. (Each unit must see z = 0, and `w` must undo the quarter.)",
    ],
  });
  const opening = Object.fromEntries(ACT_STATE.map((name) => [name, model.get(name)]));
  const get = (name) => model.get(name);
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  let chosenLayer = null; // the layer whose numbers are read out; null: the last one

  // ---- the curve ----
  const plane = ui.plane(cx, {
    x: [-6, 6],
    y: [-0.5, 1.5],
    aspect: 0.62,
    maxWidth: 640,
    xLabel: "input of the unit, z",
    label: "The activation function and its derivative",
  });
  const shades = ui.svg("g", { "aria-hidden": "true" });
  const units = ui.svg("g", { "aria-hidden": "true" });
  const drop = ui.svg("path", { class: "act-drop" });
  const slopeCurve = ui.svg("path", { class: "act-slope" });
  const curve = ui.svg("path", { class: "act-curve" });
  const slopeLabel = ui.svg("text", { class: "act-slope-label cx-halo", text: "slope φ′(z)" });
  const curveLabel = ui.svg("text", { class: "act-curve-label cx-halo", text: "φ(z)" });
  const tangent = ui.svg("path", { class: "act-tangent" });
  const slopeDot = ui.svg("circle", { class: "act-slope-dot", r: 5 });
  const shadeLabels = ui.svg("g", { "aria-hidden": "true" });
  plane.back.append(shades);
  plane.layer.append(drop, slopeCurve, curve, units, slopeLabel, curveLabel, shadeLabels);
  const knob = ui.svg("g", { class: "act-knob" },
    ui.svg("circle", { class: "act-hit", r: 24 }), ui.svg("circle", { class: "cx-ring", r: 14 }),
    ui.svg("circle", { class: "act-dot", r: 9 }));
  const tag = ui.svg("text", { class: "act-tag cx-halo", "aria-hidden": "true" });
  plane.front.append(tangent, slopeDot, tag, knob);
  const clampZ = (z) => ui.clamp(Math.round(z * 100) / 100, -6, 6);
  const value = () => ACTIVATIONS[get("function")].f(get("z"));
  const slope = () => ACTIVATIONS[get("function")].d(get("z"));
  const jump = (z) => () => { put({ z: clampZ(z()) }); grip.refresh(); };
  const grip = cx.handle(knob, {
    label: "Point on the curve: input z of the unit",
    role: "slider",
    value: () => ({
      now: get("z"), min: -6, max: 6,
      text: `z ${ui.fixed(get("z"))}, function ${ui.number(value())}, slope ${ui.number(slope())}`,
    }),
    point: (event) => plane.point(event),
    at: () => ({ x: get("z"), y: 0 }),
    move: (p, event) => {
      // an arrow key up means the same as right: one number moves
      const z = event.type === "keydown" ? p.x + p.y : p.x;
      put({ z: clampZ(z) }, false);
    },
    end: () => model.save_changes(),
    step: 0.1,
    keys: {
      Home: jump(() => -6), End: jump(() => 6),
      PageUp: jump(() => get("z") + 1), PageDown: jump(() => get("z") - 1),
    },
  });
  cx.on(plane.svg, "click", (event) => {
    const p = plane.point(event);
    if (plane.inside(p)) put({ z: clampZ(p.x) });
  });

  const chooser = cx.select({
    label: "Function", value: get("function"),
    options: Object.entries(ACTIVATIONS).map(([name, { label }]) => [name, label]),
    onChange: (name) => put({ function: name }),
  });
  const formula = ui.h("p", { class: "act-formula" });
  const slopeFormula = ui.h("p", { class: "act-formula" });
  const zOut = ui.h("output", {});
  const valueOut = ui.h("output", { class: "act-value" });
  const slopeOut = ui.h("output", { class: "act-slope-value" });
  const verdict = ui.h("p", { class: "act-verdict" });
  cx.panel.append(
    ui.h("div", {}, formula, slopeFormula),
    ui.h("div", { class: "act-numbers" },
      ui.h("div", {}, ui.h("span", { text: "z" }), zOut),
      ui.h("div", {}, ui.h("span", { text: "φ(z)" }), valueOut),
      ui.h("div", {}, ui.h("span", { text: "slope φ′(z)" }), slopeOut)),
    verdict,
  );
  cx.note("Small dots on the curve: where the later units of the chain below stand.");

  // ---- the chain ----
  const chainStage = ui.h("div", { class: "cx-stage" });
  const chainPanel = ui.h("div", { class: "cx-panel" });
  cx.stage.parentNode.append(chainStage, chainPanel);
  const chainTitle = ui.h("p", { class: "act-title" });
  const readout = ui.h("p", { class: "cx-note act-readout" });
  const bars = ui.svg("g", {});
  const scale = ui.svg("g", {});
  const over = ui.svg("g", { class: "act-over" });
  const cover = ui.svg("rect", { class: "act-cover" });
  over.append(ui.svg("rect", { class: "cx-ring act-over-ring", rx: 4 }), cover);
  const chart = ui.svg("svg", { role: "group", "aria-label": "Size of the gradient after each layer, log scale" }, scale, bars, over);
  chainStage.append(chainTitle, chart, readout);

  const layerAt = (event) => {
    const box = chart.getBoundingClientRect();
    const along = (event.clientX - box.left - frame.left) / frame.width;
    return ui.clamp(Math.floor(along * get("depth")) + 1, 1, get("depth"));
  };
  const choose = (layer) => {
    chosenLayer = layer;
    request();
  };
  const shown = () => Math.min(chosenLayer ?? get("depth"), get("depth"));
  const picker = cx.handle(over, {
    label: "Layer to read out",
    role: "slider",
    value: () => ({ now: shown(), min: 1, max: get("depth"), text: readout.textContent || `layer ${shown()}` }),
    point: (event) => ({ x: layerAt(event), y: 0 }),
    at: () => ({ x: shown(), y: 0 }),
    move: (p, event) => choose(ui.clamp(Math.round(event.type === "keydown" ? p.x + p.y : p.x), 1, get("depth"))),
    start: (event) => choose(layerAt(event)),
    step: 1,
  });
  cx.on(over, "pointermove", (event) => event.pointerType === "mouse" && choose(layerAt(event)));
  cx.on(over, "pointerleave blur", () => choose(null));

  const chainSlider = (name, label, min, max, step, format) =>
    cx.slider({
      label, min, max, step, format, value: get(name), parent: chainPanel,
      onInput: (v) => put({ [name]: v }, false),
      onChange: () => { model.save_changes(); cx.announce(result.textContent); },
    });
  const sliders = {
    depth: chainSlider("depth", "layers L", 1, 20, 1, String),
    weight: chainSlider("weight", "weight w", -4, 4, 0.1, (v) => ui.fixed(v, 1)),
    bias: chainSlider("bias", "bias b", -4, 4, 0.1, (v) => ui.fixed(v, 1)),
  };
  const result = ui.h("p", { class: "act-result" });
  chainPanel.append(result);
  cx.resetButton(() => {
    chosenLayer = null;
    put(opening);
    cx.announce("Back to the opening state.");
  }, cx.row(chainPanel));

  // ---- drawing ----
  let drawnFunction = null;
  let drawnWidth = 0;
  let saturated = [];

  function drawCurves(name) {
    const { f, d, jumps } = ACTIVATIONS[name];
    plane.range(null, ACT_RANGES[name] || [-1.5, 6.5]);
    const trace = (g) => {
      const points = [];
      for (let i = 0; i <= 480; i += 1) {
        const z = -6 + i / 40;
        points.push(`${i && !(jumps && g === f && i === 240) ? "L" : "M"}${plane.X(z).toFixed(1)} ${plane.Y(g(z)).toFixed(1)}`);
      }
      return points.join("");
    };
    ui.set(curve, { d: trace(f) });
    ui.set(slopeCurve, { d: trace(d) });
    saturated = actSaturatedIntervals(name).filter(([a, b]) => b - a > 1e-6);
    shades.replaceChildren(...saturated.map(([a, b]) =>
      ui.svg("rect", { class: "act-shade", x: plane.X(a), y: plane.top, width: plane.X(b) - plane.X(a), height: plane.height })));
    shadeLabels.replaceChildren(...saturated.filter(([a, b]) => plane.X(b) - plane.X(a) > 56).map(([a, b]) => {
      const x = (plane.X(a) + plane.X(b)) / 2;
      const low = plane.Y(f((a + b) / 2)) > plane.top + plane.height / 2; // write where the curve is not
      const lines = plane.X(b) - plane.X(a) > 150 ? ["gradient nearly zero"] : ["gradient", "nearly zero"];
      const y = low ? plane.top + 20 : plane.top + plane.height + 6 - 16 * lines.length;
      return ui.svg("text", { class: "act-shade-label cx-halo", "text-anchor": "middle" },
        lines.map((text, i) => ui.svg("tspan", { x, y: y + 16 * i, text })));
    }));
    const steep = d(4.6) > 0.5;
    if (steep) ui.set(curveLabel, { x: plane.X(4.6) - 12, y: plane.Y(f(4.6)) - 9, "text-anchor": "end" });
    else ui.set(curveLabel, { x: plane.X(5.9), y: plane.Y(f(5.9)) + 19, "text-anchor": "end" });
    ui.set(slopeLabel, { x: plane.X(5.9), y: plane.Y(d(5.9)) - 9, "text-anchor": "end" });
    if (name === "step") ui.set(slopeLabel, { x: plane.X(-5.9), "text-anchor": "start" });
  }

  const frame = { left: 46, top: 20, width: 0, height: 0 };
  function drawBars(chain, layer) {
    const depth = get("depth");
    const total = Math.max(200, Math.floor(chainStage.clientWidth));
    frame.width = total - frame.left - 12;
    frame.height = 178;
    const height = frame.top + frame.height + 46;
    ui.set(chart, { width: total, height, viewBox: `0 0 ${total} ${height}` });
    const [low, high] = ACT_EXPONENTS;
    const Y = (e) => frame.top + ((high - e) / (high - low)) * frame.height;
    const slot = frame.width / depth;
    const bottom = Y(low);
    const marks = [ui.svg("rect", { class: "cx-plot", x: frame.left, y: frame.top, width: frame.width, height: frame.height })];
    for (let e = low; e <= high; e += 3)
      marks.push(
        ui.svg("path", { class: e === 0 ? "act-one" : "cx-grid", d: `M${frame.left} ${Y(e)}h${frame.width}` }),
        ui.svg("text", { class: "cx-tick", x: frame.left - 6, y: Y(e) + 4.5, "text-anchor": "end", text: e === 0 ? "1" : `10${ui.superscript(e)}` }));
    const every = slot < 17 ? (slot < 10 ? 5 : 2) : 1;
    const drawn = [];
    chain.gradients.forEach((gradient, i) => {
      const x = frame.left + slot * (i + 0.5);
      const width = Math.min(34, slot * 0.72);
      const exponent = gradient === 0 ? low : Math.log10(Math.abs(gradient));
      const y = Y(ui.clamp(exponent, low, high));
      const kind = actVerdict(gradient);
      const current = i + 1 === layer ? " act-current" : "";
      drawn.push(ui.svg("rect", {
        class: `act-bar act-${kind}${current}`, x: x - width / 2, width,
        y: Math.min(y, Y(0)) - (exponent === 0 ? 1.5 : 0), height: Math.max(3, Math.abs(y - Y(0))),
      }));
      if (exponent > high || (exponent < low && gradient !== 0)) {
        const up = exponent > high ? 1 : -1;
        const tip = up > 0 ? frame.top : bottom;
        drawn.push(ui.svg("path", { class: `act-tip act-${kind}`, d: `M${x - width / 2} ${tip}L${x} ${tip - 9 * up}L${x + width / 2} ${tip}Z` }));
      }
      if (gradient === 0 && (slot > 14 || i + 1 === layer))
        drawn.push(ui.svg("text", { class: "act-zero", x, y: bottom - 6, "text-anchor": "middle", text: "0" }));
      if ((i + 1) % every === 0 || (i === 0 && every === 5))
        marks.push(ui.svg("text", { class: "cx-tick", x, y: bottom + 22, "text-anchor": "middle", text: i + 1 }));
    });
    marks.push(ui.svg("text", { x: frame.left + frame.width / 2, y: height - 4, "text-anchor": "middle", text: "layer of the chain" }));
    // the number of the read-out layer stands at its bar
    const gradient = chain.gradients[layer - 1];
    const exponent = gradient === 0 ? low : ui.clamp(Math.log10(Math.abs(gradient)), low, high);
    const x = frame.left + slot * (layer - 0.5);
    const anchor = x > frame.left + frame.width - 60 ? "end" : x < frame.left + 60 ? "start" : "middle";
    const edge = anchor === "end" ? frame.left + frame.width - 5 : anchor === "start" ? frame.left + 5 : x;
    const y = exponent > 0 ? Math.max(frame.top + 16, Y(exponent) - 8) : Y(0) - 8;
    if (gradient !== 0) drawn.push(ui.svg("text", { class: "act-bar-label cx-halo", x: edge, y, "text-anchor": anchor, text: ui.number(Math.abs(gradient)) }));
    scale.replaceChildren(...marks);
    bars.replaceChildren(...drawn);
    ui.set(cover, { x: frame.left, y: frame.top, width: frame.width, height: frame.height });
    ui.set(over.firstChild, { x: frame.left - 1, y: frame.top - 1, width: frame.width + 2, height: frame.height + 2 });
  }

  function draw() {
    const name = get("function");
    const z = get("z");
    const depth = get("depth");
    const weight = get("weight");
    const bias = get("bias");
    const { label, formula: f1, slope: f2 } = ACTIVATIONS[name];
    if (name !== drawnFunction || plane.width !== drawnWidth) {
      drawnFunction = name;
      drawnWidth = plane.width;
      drawCurves(name);
      formula.textContent = f1;
      slopeFormula.textContent = f2;
      ui.set(plane.svg, { "aria-label": `${label} and its derivative for z from −6 to 6` });
    }
    chooser.set(name);
    sliders.depth.set(depth);
    sliders.weight.set(weight);
    sliders.bias.set(bias);

    const a = value();
    const d = slope();
    const px = plane.X(z);
    const py = plane.Y(a);
    ui.set(knob, { transform: `translate(${px} ${py})` });
    ui.set(slopeDot, { cx: px, cy: plane.Y(d) });
    ui.set(drop, { d: `M${px} ${py}V${plane.Y(d)}` });
    // the tangent has the same length in pixels everywhere
    const dx = plane.X(1) - plane.X(0);
    const dy = -d * (plane.Y(0) - plane.Y(1));
    const reach = Math.min(95, plane.width / 5) / Math.hypot(dx, dy);
    ui.set(tangent, { d: `M${px - dx * reach} ${py - dy * reach}L${px + dx * reach} ${py + dy * reach}` });
    placeTag(px, py, d);

    const dead = Math.abs(d) < ACT_SATURATED;
    zOut.textContent = ui.fixed(z);
    valueOut.textContent = ui.number(a);
    slopeOut.textContent = ui.number(d);
    knob.classList.toggle("act-dead", dead);
    verdict.textContent = d === 0
      ? "No gradient passes: a weight behind this unit learns nothing here."
      : dead
        ? "Gradient nearly zero: less than a twentieth of it passes back."
        : `On its way back through this unit, the gradient is multiplied by ${ui.number(d)}.`;
    verdict.classList.toggle("act-dead", dead);

    const chain = actChain(name, z, depth, weight, bias);
    const layer = shown();
    units.replaceChildren(...chain.inputs.slice(1).map((input, i) => {
      if (Math.abs(input) > 6) return "";
      return ui.svg("circle", {
        class: i + 2 === layer && chosenLayer ? "act-unit act-current" : "act-unit",
        cx: plane.X(input), cy: plane.Y(chain.outputs[i + 1]), r: i + 2 === layer && chosenLayer ? 6 : 3.5,
      });
    }));
    drawBars(chain, layer);
    const last = chain.gradients[depth - 1];
    const kind = actVerdict(last);
    chainTitle.replaceChildren(
      ui.h("strong", { text: "What is left of the gradient" }),
      " after each layer of a chain ",
      ui.h("span", { class: "act-together", text: "a = φ(w·a + b)" }),
      " that starts at this z");
    readout.textContent =
      `Layer ${layer}: z = ${ui.number(chain.inputs[layer - 1])}, slope ${ui.number(chain.slopes[layer - 1])}` +
      (layer > 1 ? `, so the gradient is multiplied by w·slope = ${ui.number(weight * chain.slopes[layer - 1])}` : "") +
      `; size ${ui.number(Math.abs(chain.gradients[layer - 1]))}.`;
    const layersText = depth === 1 ? "1 layer" : `${depth} layers`;
    result.textContent = {
      dead: `After ${layersText}: exactly 0. The gradient is dead.`,
      vanishes: `After ${layersText}: ${ui.number(Math.abs(last))}. The gradient vanishes.`,
      explodes: `After ${layersText}: ${ui.number(Math.abs(last))}. The gradient explodes.`,
      healthy: `After ${layersText}: ${ui.number(Math.abs(last))}. The gradient survives.`,
    }[kind];
    result.className = `act-result act-${kind}`;
    chainStage.dataset.last = String(last);
    grip.refresh();
    picker.refresh();
  }

  // The slope is written where neither tangent nor curve run: below right or above left of a rising curve.
  function placeTag(px, py, d) {
    const room = 104;
    const right = plane.left + plane.width;
    const rising = d >= 0;
    const below = py + 62 < plane.top + plane.height - 40 && (rising ? px + room < right : px - room > plane.left);
    let toRight = rising === below;
    if (!below && toRight && px + room > right) toRight = false;
    if (!below && !toRight && px - room < plane.left) toRight = true;
    const lift = !below && toRight === rising ? 30 : 16;
    ui.set(tag, {
      x: px + (toRight ? 12 : -12), y: below ? py + 26 : py - lift,
      "text-anchor": toRight ? "start" : "end", text: `slope ${ui.number(d)}`,
    });
    tag.classList.toggle("act-hidden", !below && py - lift < plane.top + 12); // the panel says it too
    const x = px + (toRight ? room / 2 : -room / 2);
    const y = Number(tag.getAttribute("y"));
    for (const label of [curveLabel, slopeLabel]) {
      const anchor = label.getAttribute("text-anchor");
      const width = label === curveLabel ? 30 : 84;
      const middle = Number(label.getAttribute("x")) + (anchor === "end" ? -width / 2 : width / 2);
      const level = Number(label.getAttribute("y"));
      const meets = (u, v, half, high) => Math.abs(middle - u) < width / 2 + half && Math.abs(level - 5 - v) < high;
      label.classList.toggle("act-hidden", meets(x, y - 5, room / 2, 15) || meets(px, py, 10, 16));
    }
  }

  const request = cx.frame(draw);
  cx.observe(model, ACT_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize(request);
  draw();
  return cx.dispose;
}

export default { render };
