// RNNUnroller: a recurrent cell of one or two units, unrolled over time, and the gradient on its way back.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const RNN_INPUT_WEIGHTS = [1, 0.5];
const RNN_LIMIT = 2;
const RNN_VANISHED = 0.01;
const RNN_FLOOR = 1e-4;
const RNN_RANDOM = [0.6, -1.1, 0.3, 1.4, -0.5, -0.9, 0.8, 0.1, -1.6, 0.7, 1.2, -0.2, -0.7, 1.0, -0.4, 0.5];
const RNN_PRESETS = ["pulse", "alternating", "steps", "random"];

function rnnPreset(name, steps) {
  const value = {
    pulse: (t) => (t ? 0 : 1),
    alternating: (t) => (t % 2 ? -1 : 1),
    steps: (t) => [0.5, -1, 1][Math.floor((3 * t) / steps)],
    random: (t) => RNN_RANDOM[t],
  }[name];
  return Array.from({ length: steps }, (_, t) => value(t));
}
// W_h, rows of numbers: the radius times a rotation by `angle` degrees, or the radius alone for one unit.
function rnnMatrix(recurrent, angle, units) {
  if (units === 1) return [[recurrent]];
  const a = (angle * Math.PI) / 180;
  return [[Math.cos(a), Math.sin(a)], [-Math.sin(a), Math.cos(a)]].map((row) => row.map((v) => recurrent * v));
}
const rnnTimes = (row, M) => M[0].map((_, j) => row.reduce((sum, v, i) => sum + v * M[i][j], 0));
// States h_0 ... h_T, each a row of numbers.
function rnnStates({ inputs, recurrent, angle, units, linear, bias }) {
  const W = rnnMatrix(recurrent, angle, units);
  const out = [new Array(units).fill(0)];
  for (const x of inputs) {
    const carried = rnnTimes(out[out.length - 1], W);
    out.push(carried.map((v, j) => {
      const z = x * RNN_INPUT_WEIGHTS[j] + v + bias;
      return linear ? z : Math.tanh(z);
    }));
  }
  return out;
}
// The largest singular value of a 1 × 1 or 2 × 2 matrix.
function rnnNorm(M) {
  if (M.length === 1) return Math.abs(M[0][0]);
  const [[a, b], [c, d]] = M;
  return (Math.hypot(a + d, b - c) + Math.hypot(a - d, b + c)) / 2;
}
// jacobians[t][i][j]: unit j of h_T with respect to unit i of h_t, t = 0 ... T; norms of them; inputs[t - 1]: with respect to x_t.
function rnnGradients(cell) {
  const H = rnnStates(cell);
  const { recurrent, angle, units, linear } = cell;
  const W = rnnMatrix(recurrent, angle, units);
  const slopes = H.map((h) => h.map((v) => (linear ? 1 : 1 - v * v)));
  const T = H.length - 1;
  const D = new Array(T + 1);
  D[T] = W.map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
  for (let t = T - 1; t >= 0; t -= 1)
    D[t] = W.map((row) => rnnTimes(row.map((v, j) => v * slopes[t + 1][j]), D[t + 1]));
  const inputs = D.slice(1).map((d, t) => rnnTimes(slopes[t + 1].map((s, j) => s * RNN_INPUT_WEIGHTS[j]), d));
  return { states: H, slopes, jacobians: D, norms: D.map(rnnNorm), inputs };
}
// The latest step from 1 to T whose gradient is below one per cent, or 0.
function rnnVanished(norms) {
  for (let t = norms.length - 1; t >= 1; t -= 1) if (norms[t] < RNN_VANISHED) return t;
  return 0;
}

export const math = { preset: rnnPreset, matrix: rnnMatrix, states: rnnStates, gradients: rnnGradients, norm: rnnNorm, vanished: rnnVanished };

const RNN_STATE = ["inputs", "recurrent", "angle", "units", "linear", "bias", "step"];
const RNN_SUB = (n) => String(n).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[Number(c)]);

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "rnn",
    question: "How far does a state remember, and how far does a gradient reach?",
    lead: "Drag the bars of the input. Each state is made from the input of its step and the state before: "
      + "`h_t = tanh(x_t W_x + h_(t−1) W_h + b)`. The lowest chart looks back from the last state.",
    tries: [
      "Press Play, or walk with the arrow keys. How long does the first input stay visible in the state?",
      "Raise the recurrent weight past 1, with tanh and without. What does tanh prevent in the state, and what happens to the gradient?",
      "At which recurrent weight do the bars of the gradient stay level? Is it the same with the random inputs?",
      "Take 16 steps and a recurrent weight of 0.6. How many steps back does the gradient fall below 1 %? Now drag the first input up and down: what moves at the end?",
    ],
  });
  const { fixed, clamp, number } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(RNN_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  let width = 0;
  const line = timeline(cx, model, { label: "The unrolled network: inputs, states and gradients over time", limit: RNN_LIMIT, pause: 750, put, request, tell });
  const legend = ui.h("p", { class: "ru-legend", "aria-hidden": "true" });
  const readout = ui.h("div", { class: "ru-readout", role: "group", "aria-label": "The step written out" });
  cx.stage.append(legend, readout);

  // ---- controls ----
  const change = (values, save) => {
    line.still();
    put(values, save);
    request();
  };
  const found = () => {
    const inputs = model.get("inputs");
    return RNN_PRESETS.find((name) => rnnPreset(name, inputs.length).every((v, t) => Math.abs(v - inputs[t]) < 1e-9)) || "";
  };
  const preset = cx.select({ label: "Inputs", inline: true, value: found(),
    options: [["", "drawn by hand"], ["pulse", "a pulse at the start"], ["alternating", "alternating"], ["steps", "steps"], ["random", "random"]],
    onChange: (name) => { if (name) change({ inputs: rnnPreset(name, model.get("inputs").length) }, true); tell(); request(); } });
  const slide = (trait, label, min, max, step, format) => cx.slider({ label, min, max, step, value: model.get(trait), format,
    onInput: (v) => change({ [trait]: v }, false), onChange: () => { model.save_changes(); tell(); } });
  const recurrent = slide("recurrent", "Recurrent weight ρ", 0, 1.6, 0.01, (v) => fixed(v, 2));
  const angle = slide("angle", "Turn of W_h", -180, 180, 5, (v) => `${fixed(v, 0)}°`);
  const bias = slide("bias", "Bias b", -1, 1, 0.05, (v) => fixed(v, 2));
  const steps = cx.slider({ label: "Steps T", min: 4, max: 16, step: 1, value: model.get("inputs").length,
    onInput: (T) => {
      const name = found();
      const old = model.get("inputs");
      const atEnd = model.get("step") >= old.length;
      const inputs = name ? rnnPreset(name, T) : Array.from({ length: T }, (_, t) => old[t] ?? 0);
      change({ inputs, step: atEnd ? T : Math.min(model.get("step"), T) }, false);
    },
    onChange: () => { model.save_changes(); tell(); } });
  const units = cx.choice({ legend: "Units", value: String(model.get("units")), options: [["1", "one"], ["2", "two"]],
    onChange: (v) => { change({ units: Number(v) }); tell(); } });
  const activation = cx.choice({ legend: "Activation", value: model.get("linear") ? "linear" : "tanh", options: [["tanh", "tanh"], ["linear", "none (linear)"]],
    onChange: (v) => { change({ linear: v === "linear" }); tell(); } });
  const verdict = ui.h("div", { class: "ru-verdict" });
  const matrix = ui.h("p", { class: "ru-matrix" });
  cx.panel.append(verdict, matrix);
  cx.resetButton(() => {
    line.still();
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  // ---- words ----
  const vector = (row) => (row.length === 1 ? fixed(row[0], 2) : `(${row.map((v) => fixed(v, 2)).join(", ")})`);
  const paren = (v) => (fixed(v, 2).startsWith("−") ? `(${fixed(v, 2)})` : fixed(v, 2));
  const sentence = (g, T) => {
    const gone = rnnVanished(g.norms);
    const grown = Math.max(...g.norms.slice(1)) > 10;
    if (gone) return `The gradient has vanished below 1 % at step ${gone}, ${T - gone} step${T - gone === 1 ? "" : "s"} back.`;
    return grown ? "The gradient does not vanish: it grows to more than ten times on its way back." : "The gradient stays above 1 % all the way back to step 1.";
  };
  function tell() {
    const state = get();
    const T = state.inputs.length;
    const t = clamp(state.step, 1, T);
    const g = rnnGradients(state);
    cx.announce(`Step ${t}: input ${fixed(state.inputs[t - 1], 2)}, state ${g.states[t].map((v) => fixed(v, 2)).join(" and ")}. `
      + `Gradient of the last state with respect to this one ${number(g.norms[t])}. ${sentence(g, T)}`);
  }

  function draw() {
    if (!width) return;
    const state = get();
    const T = state.inputs.length;
    const step = clamp(state.step, 1, T);
    const n = state.units;
    const g = rnnGradients(state);
    const H = g.states;
    const left = 48;
    const col = (width - left - 4) / T;
    const X = (t) => left + (t - 1) * col; // left edge of a step's column
    const numbers = col >= 38;
    const inputTop = 24, inputHeight = 76;
    const stateTop = inputTop + inputHeight + 44, stateHeight = 84;
    const gradTop = stateTop + stateHeight + (numbers ? 17 * n : 0) + 34, gradHeight = 124;
    const height = gradTop + gradHeight + 40;
    const inputZero = inputTop + inputHeight / 2;
    const inputUnit = inputHeight / 2 / RNN_LIMIT;
    ui.set(line.drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
    const out = [];
    const add = (tag, attrs) => out.push(ui.svg(tag, attrs));
    const text = (x, y, words, attrs = {}) => add("text", { x, y, text: words, ...attrs });
    const tick = (y, words) => text(left - 6, y + 4.5, words, { class: "cx-tick", "text-anchor": "end" });
    const rule = (y, cls = "cx-grid") => add("path", { class: cls, d: `M${left} ${y}H${left + T * col}` });
    const rect = (x, y0, y1, w, cls) => add("rect", { class: cls, x, y: Math.min(y0, y1), width: w, height: Math.max(Math.abs(y1 - y0), 1) });

    // the cursor's band, the grounds
    for (const [y, h] of [[inputTop, inputHeight], [stateTop, stateHeight], [gradTop, gradHeight]])
      add("rect", { class: "cx-plot", x: left, y, width: T * col, height: h });
    add("rect", { class: "ru-band", x: X(step), y: inputTop, width: col, height: gradTop + gradHeight - inputTop + 20 });

    // inputs
    text(left, 16, "Input xₜ");
    if (width > 420) text(left + T * col, 16, "drag the bars", { class: "cx-tick", "text-anchor": "end" });
    for (const v of [-2, 0, 2]) tick(inputZero - v * inputUnit, fixed(v, 0));
    rule(inputZero, "cx-zero");
    state.inputs.forEach((x, k) => {
      const y = inputZero - x * inputUnit;
      rect(X(k + 1) + 0.26 * col, inputZero, y, 0.48 * col, "ru-input");
      add("rect", { class: "ru-grip", x: X(k + 1) + 0.18 * col, y: y - 2.5, width: 0.64 * col, height: 5, rx: 2.5 });
    });

    // states: a cell per step, bars inside, arrows from the input and from the state before
    const top = Math.max(1, ...H.flat().map(Math.abs));
    const zero = stateTop + stateHeight / 2;
    const unit = (stateHeight / 2 - 3) / top;
    text(left, stateTop - 24, n === 1 ? "State hₜ" : "State hₜ of the two units");
    tick(zero - top * unit, number(top));
    tick(zero, "0");
    tick(zero + top * unit, `−${number(top)}`);
    const gap = Math.max(0.26 * col, 4);
    for (let t = 1; t <= T; t += 1) {
      const x = X(t) + gap / 2;
      const wide = col - gap;
      const fade = line.walking && t > step ? " ru-faint" : "";
      add("rect", { class: `ru-cell${t === step ? " ru-now" : ""}`, x, y: stateTop + 1, width: wide, height: stateHeight - 2, rx: 4 });
      add("path", { class: "cx-zero", d: `M${x} ${zero}h${wide}` });
      H[t].forEach((v, j) => {
        const w = (wide - 4) / n;
        rect(x + 2 + j * w + 0.08 * w, zero, zero - v * unit, 0.84 * w, `ru-unit${j}${fade}`);
        if (numbers) text(x + wide / 2, stateTop + stateHeight + 15 + 17 * j, Math.abs(v) >= 99.5 ? number(Math.round(v)) : fixed(v, Math.abs(v) >= 9.995 ? 1 : 2),
          { "text-anchor": "middle", class: `ru-number${fade}` });
      });
      const middle = x + wide / 2;
      const reach = Math.min(3.5, gap / 2 + 1);
      add("path", { class: `ru-arrow${fade}`, d: `M${middle} ${stateTop - 15}V${stateTop - 2}m-3.5 -4.5l3.5 4.5l3.5 -4.5` });
      if (t > 1) add("path", { class: `ru-arrow${fade}`, d: `M${x - gap} ${zero}h${gap - 1}m${-reach} -3.5l${reach} 3.5l${-reach} 3.5` });
    }
    if (numbers && n === 2) for (const j of [0, 1]) text(left - 6, stateTop + stateHeight + 15 + 17 * j, `unit ${j + 1}`, { class: "cx-tick", "text-anchor": "end" });

    // gradients, logarithmic
    const powers = Array.from({ length: T }, (_, k) => state.recurrent ** (T - 1 - k));
    const sizes = g.inputs.map((row) => Math.hypot(...row));
    const most = Math.max(1, ...g.norms.slice(1), ...powers, ...sizes);
    const low = Math.log10(RNN_FLOOR);
    const high = Math.max(1, Math.ceil(Math.log10(most) - 1e-9));
    const base = gradTop + gradHeight;
    const level = (v) => base - (gradHeight * (clamp(Math.log10(Math.max(v, 1e-30)), low, high) - low)) / (high - low);
    text(left, gradTop - 9, width > 420 ? `Gradient of the last state h${RNN_SUB(T)}: how much of it reaches step t` : `Gradient of h${RNN_SUB(T)} at step t`);
    for (let e = low; e <= high; e += 2) {
      rule(level(10 ** e));
      tick(level(10 ** e), { "-4": "10⁻⁴", "-2": "1 %", 0: "1", 2: "100", 4: "10⁴" }[e] || "");
    }
    rule(level(RNN_VANISHED), "ru-limit");
    const gone = rnnVanished(g.norms);
    for (let t = 1; t <= T; t += 1) {
      const [a, b] = [g.norms[t], sizes[t - 1]];
      const w = 0.34 * col;
      if (a >= RNN_FLOOR) rect(X(t) + 0.14 * col, base, level(a), w, `ru-grad${a < RNN_VANISHED ? " ru-gone" : ""}`);
      else add("path", { class: "ru-under", d: `M${X(t) + 0.14 * col} ${base - 7}h${w}l${-w / 2} 6z` });
      if (b >= RNN_FLOOR) rect(X(t) + 0.54 * col, base, level(b), w * 0.9, `ru-gradx${b < RNN_VANISHED ? " ru-gone" : ""}`);
    }
    if (state.recurrent > 0) {
      add("path", { class: "ru-power-under", d: `M${powers.map((v, k) => `${X(k + 1) + col / 2} ${level(v)}`).join("L")}` });
      add("path", { class: "ru-power", d: `M${powers.map((v, k) => `${X(k + 1) + col / 2} ${level(v)}`).join("L")}` });
    }
    if (gone) {
      const x = X(gone) + col;
      add("path", { class: "ru-limit", d: `M${x} ${gradTop}V${base}` });
      const right = x - left > 160;
      if (right) text(x - 6, gradTop + 16, "vanished below 1 % ◂", { class: "ru-mark cx-halo", "text-anchor": "end" });
      else text(x + 6, gradTop + 16, "◂ vanished below 1 %", { class: "ru-mark cx-halo" });
    }
    const every = col >= 20 ? 1 : 2;
    for (let t = 1; t <= T; t += 1)
      if ((T - t) % every === 0) text(X(t) + col / 2, base + 16, String(t), { "text-anchor": "middle", class: t === step ? "ru-here" : "cx-tick" });
    text(left + (T * col) / 2, base + 34, "step t", { "text-anchor": "middle" });
    line.marks.replaceChildren(...out);

    line.place({ left, col, inputZero, inputUnit, pads: { y: inputTop - 4, height: inputHeight + 8 },
      area: { y: stateTop - 16, height: base + 36 - stateTop }, ring: { y: stateTop - 3, height: base + 20 - stateTop },
      valuetext: `state ${H[step].map((v) => fixed(v, 2)).join(" and ")}, gradient ${number(g.norms[step])}` });

    // the words
    const swatch = (cls, words) => ui.h("span", { class: "ru-key" }, ui.h("i", { class: cls }), words);
    const key = `${n}${T}`;
    if (legend.dataset.key !== key) {
      legend.dataset.key = key;
      legend.replaceChildren(...(n === 2 ? [swatch("ru-k0", "unit 1, left"), swatch("ru-k1", "unit 2, right")] : []),
        swatch("ru-kg", `‖∂h${RNN_SUB(T)}/∂hₜ‖`), swatch("ru-kx", `‖∂h${RNN_SUB(T)}/∂xₜ‖`), swatch("ru-kp", "ρᵏ, k steps back"));
    }
    const W = rnnMatrix(state.recurrent, state.angle, n);
    const before = H[step - 1];
    const x = state.inputs[step - 1];
    const lines = H[step].map((v, j) => {
      const parts = before.map((h, i) => `${paren(h)}·${paren(W[i][j])}`).join(" + ");
      const z = `${fixed(x, 2)}·${fixed(RNN_INPUT_WEIGHTS[j], 1)} + ${parts} + ${paren(state.bias)}`;
      return ui.h("p", {}, ui.h("span", { class: `ru-name ru-name${j}`, text: n === 1 ? "h" : `unit ${j + 1}` }), state.linear ? `${z} = ` : `tanh(${z}) = `,
        ui.h("b", { text: fixed(v, 2) }));
    });
    const k = T - step;
    readout.replaceChildren(
      ui.h("p", { class: "ru-head", text: `Step ${step}: h${RNN_SUB(step)} = ${state.linear ? "" : "tanh("}x${RNN_SUB(step)} W_x + h${RNN_SUB(step - 1)} W_h + b${state.linear ? "" : ")"}` }),
      ...lines,
      ui.h("p", {}, `Slope ${state.linear ? "without tanh" : "1 − h²"}: ${g.slopes[step].map((v) => fixed(v, 2)).join(", ")}. From the end, ${k} step${k === 1 ? "" : "s"} back: `,
        ui.h("b", { text: `‖∂h${RNN_SUB(T)}/∂h${RNN_SUB(step)}‖ = ${number(g.norms[step])}` }), k ? `, and ρ${ui.superscript(k)} = ${number(state.recurrent ** k)}. ` : ". ",
        `∂h${RNN_SUB(T)}/∂x${RNN_SUB(step)} = ${g.inputs[step - 1].length === 1 ? number(g.inputs[step - 1][0]) : `(${g.inputs[step - 1].map(number).join(", ")})`}.`));
    verdict.replaceChildren(ui.h("p", { class: "ru-big", text: sentence(g, T) }),
      ui.h("p", { text: `‖h‖ is ${number(Math.hypot(...H[1]))} after step 1 and ${number(Math.hypot(...H[T]))} after step ${T}.` }));
    matrix.textContent = `W_x = ${vector(RNN_INPUT_WEIGHTS.slice(0, n))}; W_h ${n === 2 ? `has the rows ${W.map(vector).join(" and ")}` : `= ${fixed(W[0][0], 2)}`}.`;
    preset.set(found());
    recurrent.set(state.recurrent);
    angle.set(state.angle);
    angle.element.hidden = n === 1;
    bias.set(state.bias);
    steps.set(T);
    units.set(String(n));
    activation.set(state.linear ? "linear" : "tanh");
  }

  cx.onResize((w) => {
    width = Math.min(w, 620);
    request();
  });
  cx.observe(model, RNN_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
