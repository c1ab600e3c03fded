// GateViewer: one LSTM or GRU unit over time, every gate drawn, and the gradient along its state.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const GAT_LIMIT = 3;
const GAT_WEIGHT = 10;
const GAT_VANISHED = 0.01;
const GAT_FLOOR = 1e-4;
const GAT_NAMES = { lstm: ["i", "f", "c", "o"], gru: ["z", "r", "h"] };
const GAT_NOISE = [0.4, -0.7, 0.2, 0.9, -0.3, -1.1, 0.6, 0.1, -0.5, 0.8, -0.2, 0.3, -0.9, 0.5, -0.4, 1.0, -0.6, 0.7, -0.1, 0.2];
const GAT_INPUTS = ["store", "latch", "pulses", "noise"];
const GAT_CELLS = {
  lstm: {
    start: { i: [1, 0.5, 0], f: [0, 0.5, 1], c: [1, 0.5, 0], o: [1, 0.5, 0] },
    latch: { i: [7, -10, -4], f: [5, 0, 10], c: [1, 0, 0], o: [0, 0, 4] },
    read: { i: [8, 0, -4], f: [5, 0, 10], c: [1, 0, 0], o: [-8, 0, -4] },
    sum: { i: [0, 0, 5], f: [0, 0, 8], c: [0.5, 0, 0], o: [0, 0, 4] },
  },
  gru: {
    start: { z: [0, 0.5, 1], r: [1, 0.5, 0], h: [1, 0.5, 0] },
    latch: { z: [-8, 8, 5], r: [0, 0, 0], h: [-0.5, 0, 1.5] },
    mean: { z: [0, 0, 1.5], r: [0, 0, 0], h: [1, 0, 0] },
  },
};

function gatPreset(name, steps, kind) {
  const x = new Array(steps).fill(0);
  if (name === "store") {
    x[1] = 1;
    x[steps - 2] = -1;
  } else if (name === "latch") {
    x[1] = 1;
    x[Math.floor((2 * steps) / 5)] = 0.8;
    x[Math.floor(steps / 2)] = -0.5;
    x[Math.floor((3 * steps) / 4)] = kind === "lstm" ? -3 : 3;
  } else if (name === "pulses") return x.map((_, t) => (t % 4 === 1 ? [1, -1][Math.floor(t / 4) % 2] : 0));
  else return GAT_NOISE.slice(0, steps);
  return x;
}
const gatSigmoid = (z) => 0.5 * (1 + Math.tanh(0.5 * z));
// Lists over time: i, f, g (candidate), o, c, h.
function gatLstm(inputs, gates) {
  const out = { i: [], f: [], g: [], o: [], c: [], h: [] };
  let [c, h] = [0, 0];
  for (const x of inputs) {
    const z = (name) => gates[name][0] * x + gates[name][1] * h + gates[name][2];
    const [i, f, o, g] = [gatSigmoid(z("i")), gatSigmoid(z("f")), gatSigmoid(z("o")), Math.tanh(z("c"))];
    c = f * c + i * g;
    h = o * Math.tanh(c);
    for (const [name, v] of Object.entries({ i, f, g, o, c, h })) out[name].push(v);
  }
  return out;
}
// Lists over time: z, r, g (candidate), h. As Keras with reset_after=True, without a recurrent bias.
function gatGru(inputs, gates) {
  const out = { z: [], r: [], g: [], h: [] };
  let h = 0;
  for (const x of inputs) {
    const [z, r] = ["z", "r"].map((name) => gatSigmoid(gates[name][0] * x + gates[name][1] * h + gates[name][2]));
    const g = Math.tanh(gates.h[0] * x + gates.h[2] + r * gates.h[1] * h);
    h = z * h + (1 - z) * g;
    for (const [name, v] of Object.entries({ z, r, g, h })) out[name].push(v);
  }
  return out;
}
const gatRun = (kind, inputs, gates) => (kind === "lstm" ? gatLstm : gatGru)(inputs, gates);
function gatPlain(inputs, weight, recurrent) {
  let h = 0;
  return inputs.map((x) => (h = Math.tanh(weight * x + recurrent * h)));
}
// For each step the product of the factors of all later steps; 1 at the end.
function gatAfter(factors) {
  const out = new Array(factors.length).fill(1);
  for (let t = factors.length - 2; t >= 0; t -= 1) out[t] = out[t + 1] * factors[t + 1];
  return out;
}
// The last state with respect to the state after each step: along the state alone, by all ways, and of a plain tanh unit.
function gatGradients(kind, inputs, gates, recurrent) {
  const v = gatRun(kind, inputs, gates);
  const T = inputs.length;
  const slope = (name, s) => v[name][s] * (1 - v[name][s]) * gates[name][1];
  let total;
  if (kind === "lstm") {
    const bend = v.c.map((c) => 1 - Math.tanh(c) ** 2);
    total = inputs.map((_, t) => {
      let [dc, dh] = [1, v.o[t] * bend[t]];
      for (let s = t + 1; s < T; s += 1) {
        const dg = (1 - v.g[s] ** 2) * gates.c[1] * dh;
        dc = v.f[s] * dc + v.c[s - 1] * slope("f", s) * dh + v.g[s] * slope("i", s) * dh + v.i[s] * dg;
        dh = slope("o", s) * dh * Math.tanh(v.c[s]) + v.o[s] * bend[s] * dc;
      }
      return dc;
    });
  } else
    total = gatAfter(inputs.map((_, s) => {
      if (!s) return 1;
      const before = v.h[s - 1];
      const dg = (1 - v.g[s] ** 2) * gates.h[1] * (v.r[s] + before * slope("r", s));
      return v.z[s] + (before - v.g[s]) * slope("z", s) + (1 - v.z[s]) * dg;
    }));
  const plain = gatPlain(inputs, gates[kind === "lstm" ? "c" : "h"][0], recurrent);
  return { direct: gatAfter(kind === "lstm" ? v.f : v.z), total, plain: gatAfter(plain.map((h) => recurrent * (1 - h * h))) };
}
// The latest step from 1 to T whose gradient is below one per cent, or 0.
function gatVanished(list) {
  for (let t = list.length; t >= 1; t -= 1) if (Math.abs(list[t - 1]) < GAT_VANISHED) return t;
  return 0;
}

export const math = { cells: GAT_CELLS, preset: gatPreset, lstm: gatLstm, gru: gatGru, plain: gatPlain, gradients: gatGradients, vanished: gatVanished };

const GAT_STATE = ["kind", "inputs", "gates", "recurrent", "step"];
const GAT_WORDS = { i: "input gate", f: "forget gate", o: "output gate", z: "update gate", r: "reset gate", c: "candidate", h: "candidate" };
const GAT_TEXT = {
  lstm: {
    start: "Small weights and a forget bias of 1, as Keras begins.",
    latch: "The input gate opens for about 1, but not when something is stored (its weight of the state is −10). The forget gate closes at −3 only: that is the reset.",
    read: "The output gate is shut, and opens at an input of −1: the cell gives its value out only when asked.",
    sum: "Input, forget and output gate stay open: the cell adds its inputs up.",
  },
  gru: {
    start: "Small weights and an update bias of 1. With z near 1 the old state stays.",
    latch: "z falls to 0, and lets something in, at an input of about 1 when nothing is stored, and at 3, where the candidate is 0: that is the reset.",
    mean: "A steady z: the state is a running mean of the candidates.",
  },
};
const GAT_CELL_NAMES = { start: "plain start", latch: "latch a value", read: "read on request", sum: "add up", mean: "running mean" };
const GAT_SUB = (n) => String(n).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[Number(c)]);

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "gates",
    question: "What do the gates do to the memory?",
    lead: "One unit reads one number a step. Drag the bars of the input, move the weights of a gate, and put the cursor on a step to see its arithmetic.",
    tries: [
      "Move the forget bias (the update bias of a GRU) from −3 to 5. What happens to the state between the two inputs, and what to the blue bars at the bottom?",
      "Choose “latch a value”. At which step does which gate let something through, and why does the second value not get in?",
      "In the latch, drag the reset pulse to 0. How long does the value stay now? Compare the blue bars with the orange ones, those of the plain unit.",
      "For a plain tanh unit find a recurrent weight whose gradient reaches as far. What does a larger input do to it?",
    ],
  });
  const { fixed, clamp, number } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(GAT_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  // Kind and gates belong together; while one of them is already new the figure waits for the other.
  const settled = () => Object.keys(model.get("gates")).length === GAT_NAMES[model.get("kind")].length;
  const request = cx.frame(draw);
  let width = 0;
  const line = timeline(cx, model, { label: "Input, gates, state, output and gradient over time", limit: GAT_LIMIT, pause: 850, put, request, tell });
  const legend = ui.h("p", { class: "gv-legend", "aria-hidden": "true" });
  const readout = ui.h("div", { class: "gv-readout", role: "group", "aria-label": "The step written out" });
  cx.stage.append(legend, readout);

  // ---- controls ----
  const change = (values, save) => {
    line.still();
    put(values, save);
    request();
  };
  const same = (a, b) => a.length === b.length && a.every((v, k) => Math.abs(v - b[k]) < 1e-9);
  const foundInputs = (kind = model.get("kind")) => {
    const inputs = model.get("inputs");
    return GAT_INPUTS.find((name) => same(gatPreset(name, inputs.length, kind), inputs)) || "";
  };
  const foundCell = () => {
    const [kind, gates] = [model.get("kind"), model.get("gates")];
    return Object.keys(GAT_CELLS[kind]).find((name) => GAT_NAMES[kind].every((g) => gates[g] && same(GAT_CELLS[kind][name][g], gates[g]))) || "";
  };
  const choose = (kind, cell, inputs) => {
    const T = model.get("inputs").length;
    const name = { latch: "latch", read: "store" }[cell] || inputs;
    change({ kind, gates: copy(GAT_CELLS[kind][cell]), ...(name ? { inputs: gatPreset(name, T, kind) } : {}) });
    tell();
  };
  const kindChoice = cx.choice({ legend: "Cell", value: model.get("kind"), options: [["lstm", "LSTM"], ["gru", "GRU"]],
    onChange: (kind) => {
      const cell = foundCell();
      choose(kind, GAT_CELLS[kind][cell] ? cell : "start", foundInputs());
    } });
  const cellSelect = cx.select({ label: "Weights", inline: true, value: "", options: [["", "set by hand"]],
    onChange: (cell) => { if (cell) choose(model.get("kind"), cell, ""); request(); } });
  const inputSelect = cx.select({ label: "Inputs", inline: true, value: "",
    options: [["", "drawn by hand"], ["store", "store, wait, read"], ["latch", "value, disturbances, reset"], ["pulses", "pulses"], ["noise", "noise"]],
    onChange: (name) => { if (name) change({ inputs: gatPreset(name, model.get("inputs").length, model.get("kind")) }); tell(); request(); } });
  const table = ui.h("div", { class: "gv-table", role: "group", "aria-label": "Weights of the gates" });
  table.append(ui.h("p", { class: "gv-tablehead", text: "Each gate: w · input + u · h before + bias b" }));
  cx.panel.append(table);
  const setGate = (name, k, value, save) => {
    const gates = copy(model.get("gates"));
    gates[name][k] = value;
    change({ gates }, save);
  };
  const rows = Object.fromEntries(["lstm", "gru"].map((kind) => [kind, GAT_NAMES[kind].map((name) => {
    const sliders = ["w", "u", "b"].map((letter, k) => {
      const slider = cx.slider({ label: letter, min: -GAT_WEIGHT, max: GAT_WEIGHT, step: 0.1, value: 0, parent: table, format: (v) => fixed(v, 1),
        onInput: (v) => setGate(name, k, v, false), onChange: () => { model.save_changes(); tell(); } });
      slider.input.setAttribute("aria-label", `${GAT_WORDS[name]} ${name}: ${["weight of the input, w", "weight of the state before, u", "bias b"][k]}`);
      slider.input.dataset.gate = `${name}${letter}`;
      return slider;
    });
    const letter = name === "c" ? "c̃" : name === "h" ? "h̃" : name;
    const element = ui.h("div", { class: `gv-row gv-row-${name}` }, ui.h("p", {}, `${GAT_WORDS[name]} `, ui.h("b", { text: letter })),
      ui.h("div", { class: "gv-three" }, sliders.map((s) => s.element)));
    table.append(element);
    return { name, element, sliders };
  })]));
  const recurrent = cx.slider({ label: "Plain tanh unit: recurrent weight", min: 0, max: 1.6, step: 0.01, value: model.get("recurrent"), format: (v) => fixed(v, 2),
    onInput: (v) => change({ recurrent: v }, false), onChange: () => { model.save_changes(); tell(); } });
  const steps = cx.slider({ label: "Steps T", min: 8, max: 20, step: 1, value: model.get("inputs").length,
    onInput: (T) => {
      const name = foundInputs();
      const old = model.get("inputs");
      const inputs = name ? gatPreset(name, T, model.get("kind")) : Array.from({ length: T }, (_, t) => old[t] ?? 0);
      change({ inputs, step: Math.min(model.get("step"), T) }, false);
    },
    onChange: () => { model.save_changes(); tell(); } });
  const verdict = ui.h("div", { class: "gv-verdict" });
  cx.panel.append(verdict);
  const remark = cx.note("");
  cx.resetButton(() => {
    line.still();
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  // ---- words ----
  const paren = (v, digits = 2) => (fixed(v, digits).startsWith("−") ? `(${fixed(v, digits)})` : fixed(v, digits));
  const reach = (list) => {
    const gone = gatVanished(list);
    return `${number(Math.abs(list[0]))}${gone > 1 ? ` (below 1 % from step ${gone} back)` : ""}`;
  };
  const sentence = (d) => `Back at step 1 the gradient is ${reach(d.direct)} along the state and ${reach(d.plain)} in the plain tanh unit.`;
  function tell() {
    if (!settled()) return;
    const { kind, inputs, gates, recurrent: u, step } = get();
    const v = gatRun(kind, inputs, gates);
    const t = clamp(step, 1, inputs.length) - 1;
    const parts = ["i", "f", "o", "z", "r"].filter((k) => v[k]).map((k) => `${GAT_WORDS[k]} ${fixed(v[k][t], 2)}`);
    cx.announce(`Step ${t + 1}: input ${fixed(inputs[t], 2)}, ${parts.join(", ")}, ${kind === "lstm" ? `cell state ${fixed(v.c[t], 2)}, output` : "state"} ${fixed(v.h[t], 2)}. `
      + sentence(gatGradients(kind, inputs, gates, u)));
  }

  function draw() {
    if (!width || !settled()) return;
    const { kind, inputs, gates, recurrent: plainWeight, step: wanted } = get();
    const T = inputs.length;
    const step = clamp(wanted, 1, T);
    const v = gatRun(kind, inputs, gates);
    const d = gatGradients(kind, inputs, gates, plainWeight);
    const lstm = kind === "lstm";
    const wide = width > 440;
    const left = wide ? 106 : 46;
    const col = (width - left - 4) / T;
    const X = (t) => left + (t - 1) * col;
    const charts = [
      { key: "x", words: "input", letter: "x", values: inputs, cls: "gv-x", height: 64, top: GAT_LIMIT },
      ...(lstm ? ["i", "g", "f", "c", "o", "h"] : ["r", "g", "z", "h"]).map((key) => {
        const gate = "ifozr".includes(key);
        const top = gate ? 1 : Math.max(1, ...v[key].map(Math.abs));
        return { key, gate, values: v[key], height: gate ? 34 : 44, top, cls: gate ? "gv-gate" : key === "g" ? "gv-g" : "gv-state",
          letter: key === "g" ? (lstm ? "c̃" : "h̃") : key,
          words: gate ? GAT_WORDS[key] : key === "g" ? "candidate" : key === "c" ? "cell state" : lstm ? "output" : "state" };
      }),
    ];
    let y = 6;
    for (const chart of charts) {
      chart.y = y;
      y += chart.height + 9;
    }
    const gradTop = y + 22;
    const gradHeight = 112;
    const base = gradTop + gradHeight;
    const height = base + 40;
    const inputZero = charts[0].y + charts[0].height / 2;
    const inputUnit = (charts[0].height / 2 - 3) / GAT_LIMIT;
    ui.set(line.drawing, { width, height, viewBox: `0 0 ${width} ${height}` });

    const out = [];
    const add = (tag, attrs) => out.push(ui.svg(tag, attrs));
    const text = (x, ty, words, attrs = {}) => add("text", { x, y: ty, text: words, ...attrs });
    const rect = (x, y0, y1, w, cls) => add("rect", { class: cls, x, y: Math.min(y0, y1), width: w, height: Math.max(Math.abs(y1 - y0), 1) });
    for (const chart of charts) add("rect", { class: "cx-plot", x: left, y: chart.y, width: T * col, height: chart.height });
    add("rect", { class: "cx-plot", x: left, y: gradTop, width: T * col, height: gradHeight });
    add("rect", { class: "gv-band", x: X(step), y: charts[0].y, width: col, height: base + 20 - charts[0].y });

    for (const { key, gate, words, letter, values, cls, height: tall, top, y: at } of charts) {
      const middle = at + tall / 2;
      const scale = gate ? "0 … 1" : `±${number(top)}`;
      if (wide) {
        out.push(ui.svg("text", { x: 0, y: middle - 3 }, `${words} `, ui.svg("tspan", { class: "gv-letter", text: letter })));
        text(0, middle + 13, key === "x" ? `drag, ${scale}` : scale, { class: "cx-tick" });
      } else {
        text(0, middle - 3, letter, { class: "gv-letter" });
        text(0, middle + 13, scale.replace(" … ", "…"), { class: "cx-tick" });
      }
      const zero = gate ? at + tall - 1 : middle;
      const unit = gate ? tall - 2 : (tall / 2 - 3) / top;
      if (!gate) add("path", { class: "cx-zero", d: `M${left} ${zero}h${T * col}` });
      values.forEach((value, k) => {
        const fade = line.walking && key !== "x" && k + 1 > step ? " gv-faint" : "";
        const x = X(k + 1);
        if (gate) add("rect", { class: "gv-frame", x: x + 0.14 * col, y: at + 1, width: 0.72 * col, height: tall - 2 });
        rect(x + (gate ? 0.14 : 0.2) * col, zero, zero - value * unit, (gate ? 0.72 : 0.6) * col, `${cls}${fade}`);
        if (key === "x") add("rect", { class: "gv-grip", x: x + 0.14 * col, y: zero - value * unit - 2.5, width: 0.72 * col, height: 5, rx: 2.5 });
      });
    }

    // the gradients, logarithmic
    const low = Math.log10(GAT_FLOOR);
    const most = Math.max(1, ...Object.values(d).flat().map(Math.abs));
    const high = Math.max(0.5, Math.ceil(Math.log10(most) - 1e-9));
    const level = (value) => base - (gradHeight * (clamp(Math.log10(Math.max(Math.abs(value), 1e-30)), low, high) - low)) / (high - low);
    const state = lstm ? "c" : "h";
    text(wide ? left : 0, gradTop - 8, `Gradient of ${state}${GAT_SUB(T)} with respect to ${state}ₜ${wide ? ", logarithmic" : " (log)"}`);
    for (let e = low; e <= high; e += 2) {
      add("path", { class: e === -2 ? "gv-limit" : "cx-grid", d: `M${left} ${level(10 ** e)}h${T * col}` });
      text(left - 6, level(10 ** e) + 4.5, { "-4": "10⁻⁴", "-2": "1 %", 0: "1", 2: "100", 4: "10⁴" }[e] || `10${ui.superscript(e)}`, { class: "cx-tick", "text-anchor": "end" });
    }
    for (let t = 1; t <= T; t += 1) {
      [["direct", 0.12, "gv-direct"], ["plain", 0.5, "gv-plain"]].forEach(([name, shift, cls]) => {
        const value = d[name][t - 1];
        const x = X(t) + shift * col;
        const w = 0.36 * col;
        if (Math.abs(value) >= GAT_FLOOR) rect(x, base, level(value), w, `${cls}${Math.abs(value) < GAT_VANISHED ? " gv-gone" : ""}`);
        else add("path", { class: cls, d: `M${x} ${base - 7}h${w}l${-w / 2} 6z` });
      });
      if (Math.abs(d.total[t - 1]) >= GAT_FLOOR) {
        const r = Math.min(5, 0.2 * col);
        add("path", { class: "gv-total", d: `M${X(t) + 0.3 * col} ${level(d.total[t - 1]) - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z` });
      }
    }
    const every = col >= 20 ? 1 : 2;
    for (let t = 1; t <= T; t += 1)
      if ((T - t) % every === 0 || t === step) {
        if (every === 2 && t !== step && Math.abs(t - step) === 1) continue;
        text(X(t) + col / 2, base + 16, String(t), { "text-anchor": "middle", class: t === step ? "gv-here" : "cx-tick" });
      }
    text(left + (T * col) / 2, base + 34, "step t", { "text-anchor": "middle" });
    line.marks.replaceChildren(...out);

    const t = step - 1;
    line.place({ left, col, inputZero, inputUnit, pads: { y: charts[0].y - 3, height: charts[0].height + 6 },
      area: { y: charts[1].y - 3, height: base + 23 - charts[1].y }, ring: { y: charts[1].y - 3, height: base + 20 - charts[1].y },
      valuetext: `${lstm ? `cell state ${fixed(v.c[t], 2)}, output` : "state"} ${fixed(v.h[t], 2)}, gradient ${number(d.direct[t])}` });

    // the words
    const swatch = (cls, words) => ui.h("span", { class: "gv-key" }, ui.h("i", { class: cls }), words);
    if (legend.dataset.key !== kind) {
      legend.dataset.key = kind;
      legend.replaceChildren(swatch("gv-kgate", "gate: empty shut, full open"), swatch("gv-kd", `along the state: product of later ${lstm ? "f" : "z"}`),
        swatch("gv-kt", "by all ways"), swatch("gv-kp", "plain tanh unit"));
      cellSelect.input.replaceChildren(...[["", "set by hand"], ...Object.keys(GAT_CELLS[kind]).map((name) => [name, GAT_CELL_NAMES[name]])]
        .map(([value, words]) => ui.h("option", { value, text: words })));
    }
    const x = inputs[t];
    const hb = t ? v.h[t - 1] : 0;
    const cb = t && lstm ? v.c[t - 1] : 0;
    const n = GAT_SUB(step);
    const b4 = GAT_SUB(step - 1);
    const equation = (cls, name, sum, value) => ui.h("p", {}, ui.h("span", { class: `gv-name gv-name-${cls}`, text: name }), `= ${sum} = `, ui.h("b", { text: fixed(value, 2) }));
    const inner = (name, extra = "") => `${fixed(gates[name][0], 1)}·${paren(x)} + ${extra}${paren(gates[name][1], 1)}·${paren(hb)} + ${paren(gates[name][2], 1)}`;
    const lines = lstm
      ? [equation("gate", `i${n}`, `σ(${inner("i")})`, v.i[t]), equation("g", `c̃${n}`, `tanh(${inner("c")})`, v.g[t]), equation("gate", `f${n}`, `σ(${inner("f")})`, v.f[t]),
        equation("state", `c${n}`, `f·c${b4} + i·c̃ = ${fixed(v.f[t], 2)}·${paren(cb)} + ${fixed(v.i[t], 2)}·${paren(v.g[t])}`, v.c[t]),
        equation("gate", `o${n}`, `σ(${inner("o")})`, v.o[t]), equation("state", `h${n}`, `o·tanh(c) = ${fixed(v.o[t], 2)}·${paren(Math.tanh(v.c[t]))}`, v.h[t])]
      : [equation("gate", `r${n}`, `σ(${inner("r")})`, v.r[t]),
        equation("g", `h̃${n}`, `tanh(${fixed(gates.h[0], 1)}·${paren(x)} + ${paren(gates.h[2], 1)} + r·${paren(gates.h[1], 1)}·${paren(hb)})`, v.g[t]),
        equation("gate", `z${n}`, `σ(${inner("z")})`, v.z[t]),
        equation("state", `h${n}`, `z·h${b4} + (1 − z)·h̃ = ${fixed(v.z[t], 2)}·${paren(hb)} + ${fixed(1 - v.z[t], 2)}·${paren(v.g[t])}`, v.h[t])];
    readout.replaceChildren(ui.h("p", { class: "gv-head", text: `Step ${step}, input ${fixed(x, 2)}, h before ${fixed(hb, 2)}` }), ...lines,
      ui.h("p", {}, `Gradient of ${state}${GAT_SUB(T)} with respect to ${state}${n}: `, ui.h("b", { text: number(d.direct[t]) }),
        ` along the state, ${number(d.total[t])} by all ways; plain unit `, ui.h("b", { text: number(d.plain[t]) }), "."));
    verdict.replaceChildren(ui.h("p", { text: sentence(d) }));
    const cell = foundCell();
    const words = cell ? GAT_TEXT[kind][cell] : "";
    if (remark.textContent !== words) remark.textContent = words;
    remark.hidden = !words;
    kindChoice.set(kind);
    cellSelect.set(cell);
    inputSelect.set(foundInputs());
    recurrent.set(plainWeight);
    steps.set(T);
    for (const [name, list] of Object.entries(rows))
      for (const row of list) {
        row.element.hidden = name !== kind;
        if (name === kind) row.sliders.forEach((slider, k) => slider.set(gates[row.name][k]));
      }
  }

  cx.onResize((w) => {
    width = Math.min(w, 620);
    request();
  });
  cx.observe(model, GAT_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
