// DropoutViewer: a small network under dropout, one mask after the other, beside the same network at inference.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const DRO_SIZES = [4, 6, 6, 2];
const DRO_UNITS = DRO_SIZES[1];
const DRO_MAX_STEPS = 500;

const droRound = (value, digits) => Math.floor(value * 10 ** digits + 0.5) / 10 ** digits;
const droStream = (seed, purpose) => ui.mulberry32((seed + 1) * 2654435761 + purpose);
// { x: 4 numbers, weights: three matrices (inputs, outputs), biases: three rows }
function droNetwork(seed) {
  const random = droStream(seed, 26); // leaves few units silent for seed 0
  const normal = ui.gaussian(random);
  const weights = [0, 1, 2].map((c) =>
    Array.from({ length: DRO_SIZES[c] }, () => Array.from({ length: DRO_SIZES[c + 1] }, () => droRound(normal() / Math.sqrt(DRO_SIZES[c]), 2))));
  const biases = [0.5, 0.5, 0].map((b, c) => new Array(DRO_SIZES[c + 1]).fill(b));
  const input = droStream(seed, 2);
  return { x: Array.from({ length: DRO_SIZES[0] }, () => droRound(0.2 + 1.3 * input(), 1)), weights, biases };
}
// Masks of the steps 1 ... steps, each two rows of six; 1 keeps a unit.
function droMasks(steps, rate, seed, place) {
  const random = droStream(seed, 3);
  return Array.from({ length: steps }, () => [0, 1].map((layer) => Array.from({ length: DRO_UNITS }, () => {
    const keep = random() >= rate;
    return keep || (place === "last" && layer === 0) ? 1 : 0;
  })));
}
const droTimes = (row, M, b) => M[0].map((_, j) => row.reduce((sum, v, i) => sum + v * M[i][j], b[j]));
// One pass; no mask: inference. h before dropout, d after it.
function droForward({ x, weights, biases }, mask = null, rate = 0, scaled = true, place = "both") {
  const scale = scaled && mask ? 1 / (1 - rate) : 1;
  const drop = (h, layer) => (mask && !(place === "last" && layer === 0) ? h.map((v, j) => v * mask[layer][j] * scale) : h.slice());
  const relu = (z) => z.map((v) => Math.max(v, 0));
  const z1 = droTimes(x, weights[0], biases[0]);
  const h1 = relu(z1);
  const d1 = drop(h1, 0);
  const z2 = droTimes(d1, weights[1], biases[1]);
  const h2 = relu(z2);
  const d2 = drop(h2, 1);
  return { z1, h1, d1, z2, h2, d2, output: droTimes(d2, weights[2], biases[2]) };
}
// The mean output over all masks: the second mask enters linearly, the 64 first ones are gone through.
function droExpected(net, rate, scaled, place) {
  const keep = 1 - rate;
  const scale = scaled ? 1 / keep : 1;
  const total = net.biases[2].slice();
  const ones = new Array(DRO_UNITS).fill(1);
  for (let code = 0; code < (place === "last" ? 1 : 2 ** DRO_UNITS); code += 1) {
    const first = place === "last" ? ones : ones.map((_, i) => (code >> i) & 1);
    const kept = first.reduce((a, b) => a + b, 0);
    const share = place === "last" ? 1 : keep ** kept * rate ** (DRO_UNITS - kept);
    const { h2 } = droForward(net, [first, ones], rate, scaled, place);
    droTimes(h2.map((v) => v * keep * scale), net.weights[2], [0, 0]).forEach((v, k) => { total[k] += share * v; });
  }
  return total;
}
const droOutputs = (net, masks, rate, scaled, place) => masks.map((mask) => droForward(net, mask, rate, scaled, place).output);

export const math = { network: droNetwork, masks: droMasks, forward: droForward, expected: droExpected, outputs: droOutputs };

const DRO_STATE = ["rate", "seed", "mode", "scaled", "dropped_in", "step", "unit", "flips"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "dropout",
    question: "What does dropping units do, and why is the rest scaled up?",
    lead: "Each training step draws a fresh mask. Click a hidden unit, or move to it with the arrow keys and press Enter, to drop it or bring it back yourself.",
    tries: [
      "Press Step a few times. How much do the outputs jump from mask to mask, and what becomes of their running mean?",
      "Switch the scaling off. Where does the mean go? The weights would learn to suit that mean: what do they meet at inference?",
      "Drop units in the last hidden layer only. Now the mean over all masks is the output at inference exactly. Which part of the network between the first mask and the output spoils that with both layers?",
      "Raise the rate to 0.8. What does the scaling cost, if you look at the spread of the dots?",
    ],
  });
  const { fixed, clamp } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(DRO_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const mean = (rows) => rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);

  // Everything that does not depend on the step is computed once for each setting.
  let key = "";
  let made = null;
  function current() {
    const { rate, seed, scaled, dropped_in: place } = get();
    const now = JSON.stringify([rate, seed, scaled, place]);
    if (now !== key) {
      key = now;
      const net = droNetwork(seed);
      const masks = droMasks(DRO_MAX_STEPS, rate, seed, place);
      const outputs = droOutputs(net, masks, rate, scaled, place);
      const running = [];
      outputs.reduce((sum, row, n) => {
        const next = sum.map((v, k) => v + row[k]);
        running.push(next.map((v) => v / (n + 1)));
        return next;
      }, [0, 0]);
      made = { net, masks, outputs, running, exact: droExpected(net, rate, scaled, place), inference: droForward(net) };
    }
    return made;
  }
  const training = () => model.get("mode") === "training";
  const drops = (unit) => training() && (unit >= DRO_UNITS || model.get("dropped_in") === "both");
  // The mask in force, with what was changed by hand.
  function maskNow() {
    const mask = copy(current().masks[model.get("step") - 1]);
    for (const unit of model.get("flips")) if (drops(unit)) mask[Math.floor(unit / DRO_UNITS)][unit % DRO_UNITS] ^= 1;
    return mask;
  }

  // ---- the network ----
  const back = ui.svg("g", { "aria-hidden": "true" });
  const front = ui.svg("g", {});
  const drawing = ui.svg("svg", { role: "group", "aria-label": "The network with the values of its units" }, back, front);
  cx.stage.append(drawing);
  let width = 0;
  const R = 20;
  const SIDE = R + 6;
  const ROW = 46;
  const TOP = 46;
  const place = (c, j) => ({ x: SIDE + (c * (width - 2 * SIDE)) / 3, y: TOP + R + ROW * (j + (6 - DRO_SIZES[c]) / 2) });
  const units = Array.from({ length: 2 * DRO_UNITS }, (_, unit) => {
    const disc = ui.svg("circle", { r: R, class: "dv-disc" });
    const text = ui.svg("text", { "text-anchor": "middle", y: 4.6, "aria-hidden": "true" });
    const node = ui.svg("g", { class: "dv-unit", role: "button", tabindex: -1, focusable: "true", "data-unit": unit, "data-cx-handle": true }, disc, text, ui.svg("circle", { r: R + 3.5, class: "cx-ring" }));
    cx.on(node, "focus", () => put({ unit }));
    cx.on(node, "click", () => { node.focus({ preventScroll: true, focusVisible: false }); put({ unit }); flip(unit); });
    cx.on(node, "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const [layer, j] = [Math.floor(unit / DRO_UNITS), unit % DRO_UNITS];
      const to = { ArrowUp: [layer, j - 1], ArrowDown: [layer, j + 1], ArrowLeft: [0, j], ArrowRight: [1, j] }[event.key];
      if (to) units[to[0] * DRO_UNITS + clamp(to[1], 0, DRO_UNITS - 1)].node.focus();
      else if (event.key === "Enter" || event.key === " ") flip(unit);
      else return;
      event.preventDefault();
    });
    front.append(node);
    return { node, disc, text };
  });
  function flip(unit) {
    player.stop();
    if (drops(unit)) {
      const flips = model.get("flips");
      put({ flips: flips.includes(unit) ? flips.filter((u) => u !== unit) : [...flips, unit] });
      tell();
    } else cx.announce(training() ? "There is no dropout after this layer." : "At inference no unit is dropped.");
    request();
  }

  // ---- stepping ----
  const go = (step, save = true) => put({ step: clamp(step, 1, DRO_MAX_STEPS), flips: [] }, save);
  let since = 0;
  const player = cx.animate((now, passed) => {
    since += Math.min(passed, 100);
    if (since < 350) return true;
    since = 0;
    go(model.get("step") + 1, false);
    if (model.get("step") < DRO_MAX_STEPS) return true;
    model.save_changes();
    tell();
    return false;
  });
  const halt = () => { if (player.running) { player.stop(); model.save_changes(); } };
  const bar = cx.row(cx.stage);
  bar.classList.add("dv-bar");
  const one = cx.button({ label: "Step", primary: true, parent: bar, title: "Draw a fresh mask", onClick: () => { halt(); go(model.get("step") + 1); tell(); request(); } });
  const play = cx.button({ label: "Play", parent: bar, title: "Draw one mask after the other", onClick: () => {
    if (player.running) { halt(); tell(); }
    else if (cx.calm) { go(model.get("step") + 1); tell(); } // no motion: one step each time
    else {
      since = 0;
      player.start();
    }
    request();
  } });
  const many = cx.button({ label: "100 steps", parent: bar, title: "Draw a hundred masks at once", onClick: () => { halt(); go(model.get("step") + 100); tell(); request(); } });
  const where = ui.h("span", { class: "dv-where" });
  bar.append(where);
  const readout = ui.h("div", { class: "dv-readout", role: "group", "aria-label": "The chosen unit" });
  cx.stage.append(readout);

  // ---- the outputs over the steps ----
  const legend = ui.h("p", { class: "dv-legend", "aria-hidden": "true" });
  const charts = ui.h("div", { class: "dv-charts" });
  cx.stage.append(legend, charts);
  const planes = [0, 1].map((k) => {
    const box = ui.h("div", {});
    charts.append(ui.h("div", {}, ui.h("p", { class: "dv-title", text: `Output ${k + 1}` }), box));
    return ui.plane(cx, { parent: box, x: [0, 20], y: [-1, 1], aspect: 0.72, maxWidth: 330, xLabel: "training step", role: "img",
      label: `Output ${k + 1} of each training step, its running mean, and the output at inference`, onLayout: () => queueMicrotask(() => request()) });
  });
  const traces = planes.map((plane) => {
    const g = ui.svg("g", { "aria-hidden": "true" });
    plane.layer.append(g);
    return g;
  });

  // ---- controls ----
  const rate = cx.slider({ label: "Rate", min: 0, max: 0.9, step: 0.05, value: model.get("rate"), format: (v) => `${fixed(v, 2)}, keeps ${fixed(1 - v, 2)}`,
    onInput: (v) => put({ rate: Math.round(v * 100) / 100 }, false), onChange: () => { model.save_changes(); tell(); } });
  const mode = cx.choice({ legend: "Mode", value: model.get("mode"), options: [["training", "training"], ["inference", "inference"]], onChange: (v) => { halt(); put({ mode: v }); tell(); } });
  const scaled = cx.choice({ legend: "Survivors in training", value: String(model.get("scaled")), options: [["true", "÷ (1 − rate)"], ["false", "no scaling"]],
    onChange: (v) => { put({ scaled: v === "true" }); tell(); } });
  const where2 = cx.choice({ legend: "Dropout after", value: model.get("dropped_in"), options: [["both", "both hidden layers"], ["last", "the last one only"]],
    onChange: (v) => { put({ dropped_in: v, flips: [] }); tell(); } });
  const cells = [0, 1].map(() => [0, 1, 2, 3].map(() => ui.h("td", {})));
  const names = ["now", "mean so far", "mean, all masks", "inference"];
  const verdict = ui.h("p", { class: "dv-verdict" });
  cx.panel.append(ui.h("table", { class: "dv-table" }, ui.h("caption", { class: "cx-hidden", text: "The outputs" }),
    ui.h("thead", {}, ui.h("tr", {}, ui.h("th", { scope: "col", text: "output" }), [1, 2].map((k) => ui.h("th", { scope: "col", text: String(k) })))),
    ui.h("tbody", {}, names.map((name, r) => ui.h("tr", {}, ui.h("th", { scope: "row", text: name }), cells[0][r], cells[1][r])))), verdict);
  cx.resetButton(() => {
    player.stop();
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  // ---- words ----
  const pair = (values) => values.map((v) => fixed(v, 2)).join(" and ");
  function sentence() {
    const { exact, inference } = current();
    const { rate: p, scaled: s, dropped_in: at } = get();
    if (!training()) return "Nothing is drawn, dropped or scaled: the same input gives the same output each time.";
    if (p === 0) return "At rate 0 every unit is kept, and training is inference.";
    if (!s) return `Without the scaling the outputs of training average ${pair(exact)}, and at inference all units are there at once: ${pair(inference.output)}.`;
    if (at === "last") return "The mean over all masks is the output at inference exactly: after the mask comes only a weighted sum.";
    return "The mean over all masks comes near the output at inference, not quite to it: a ReLU stands between the first mask and the output.";
  }
  function tell() {
    const { running } = current();
    const step = model.get("step");
    const mask = maskNow();
    const dropped = mask.flat().filter((m) => !m).length;
    cx.announce(training() ? `Step ${step}: ${dropped} of ${2 * DRO_UNITS} hidden units dropped. Mean output of ${step} steps ${pair(running[step - 1])}. ${sentence()}`
      : `Inference: outputs ${pair(current().inference.output)}. ${sentence()}`);
  }

  function draw() {
    if (!width) return;
    const state = get();
    const { net, outputs, running, exact, inference } = current();
    const { rate: p, step, scaled: s, dropped_in: at } = state;
    const on = training();
    const mask = on ? maskNow() : [0, 1].map(() => new Array(DRO_UNITS).fill(1));
    const pass = on ? droForward(net, mask, p, s, at) : inference;
    const values = [net.x, pass.d1, pass.d2, pass.output];
    const live = [net.x.map(() => 1), mask[0], mask[1], [1, 1]];
    const height = TOP + 6 * ROW + 2;
    ui.set(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
    const out = [];
    ["input", "hidden 1", "hidden 2", "output"].forEach((name, c) => {
      const { x } = place(c, 0);
      out.push(ui.svg("text", { x, y: 14, "text-anchor": c === 0 ? "start" : c === 3 ? "end" : "middle", dx: c === 0 ? -R - 4 : c === 3 ? R + 4 : 0, text: name }));
      if ((c === 1 || c === 2) && on) out.push(ui.svg("text", { class: "cx-tick", x, y: 31, "text-anchor": "middle",
        text: c === 1 && at === "last" ? "no dropout" : s ? `÷ ${fixed(1 - p, 2)}` : "not scaled" }));
    });
    const dead = [];
    for (let c = 0; c < 3; c += 1)
      for (let i = 0; i < DRO_SIZES[c]; i += 1)
        for (let j = 0; j < DRO_SIZES[c + 1]; j += 1) {
          const [a, b] = [place(c, i), place(c + 1, j)];
          const d = `M${a.x} ${a.y}L${b.x} ${b.y}`;
          if (live[c][i] && live[c + 1][j]) out.push(ui.svg("path", { class: "dv-edge", d, "stroke-width": (0.5 + 1.6 * Math.min(Math.abs(net.weights[c][i][j]), 1.5)).toFixed(2) }));
          else dead.push(d);
        }
    out.unshift(ui.svg("path", { class: "dv-dead", d: dead.join("") }));
    for (const c of [0, 3])
      values[c].forEach((v, j) => {
        const { x, y } = place(c, j);
        out.push(ui.svg("circle", { class: "dv-end", cx: x, cy: y, r: c ? R + 2.5 : R }), ui.svg("text", { class: c === 3 ? "dv-output" : "dv-input", x, y: y + 4.6, "text-anchor": "middle", text: fixed(v, c ? 2 : 1) }));
      });
    back.replaceChildren(...out);
    const top = Math.max(1, ...pass.d1, ...pass.d2);
    units.forEach(({ node, disc, text }, unit) => {
      const [layer, j] = [Math.floor(unit / DRO_UNITS), unit % DRO_UNITS];
      const { x, y } = place(layer + 1, j);
      const [h, d] = layer ? [pass.h2[j], pass.d2[j]] : [pass.h1[j], pass.d1[j]];
      const kept = live[layer + 1][j] === 1;
      const words = kept ? fixed(d, Math.abs(d) >= 9.995 ? 1 : 2) : "×";
      if (text.textContent !== words) text.textContent = words;
      disc.style.setProperty("--share", `${Math.round((50 * (kept ? d : 0)) / top)}%`);
      ui.set(node, { transform: `translate(${x} ${y})`, class: `dv-unit${kept ? "" : " dv-dropped"}${unit === state.unit ? " dv-chosen" : ""}`, tabindex: unit === state.unit ? 0 : -1,
        "aria-pressed": String(!kept), "aria-label": `Hidden layer ${layer + 1}, unit ${j + 1}: ${kept ? (d === h ? fixed(d, 2) : `${fixed(h, 2)}, scaled to ${fixed(d, 2)}`) : "dropped"}` });
    });

    // the chosen unit, written out
    const [layer, j] = [Math.floor(state.unit / DRO_UNITS), state.unit % DRO_UNITS];
    const [z, h, d] = layer ? [pass.z2[j], pass.h2[j], pass.d2[j]] : [pass.z1[j], pass.h1[j], pass.d1[j]];
    const lines = [ui.h("b", { text: `Hidden ${layer + 1}, unit ${j + 1}: ` }), `relu(${fixed(z, 2)}) = ${fixed(h, 2)}`];
    if (!on || !drops(state.unit)) lines.push(", passed on as it is.");
    else if (!mask[layer][j]) lines.push(", dropped: it passes on 0.");
    else lines.push(s ? `, kept: ${fixed(h, 2)} ÷ ${fixed(1 - p, 2)} = ` : ", kept, not scaled: ", ui.h("b", { text: fixed(d, 2) }), ".");
    const second = [];
    if (layer === 1 && on && at === "both") {
      const left = mask[0].reduce((a, b) => a + b, 0);
      second.push(ui.h("p", { text: `Its sum is ${fixed(z, 2)} from ${left} unit${left === 1 ? "" : "s"} of hidden 1; with all six there, ${fixed(inference.z2[j], 2)}.` }));
    } else if (layer === 1) second.push(ui.h("p", { text: "All six units of hidden 1 are in its sum." }));
    else second.push(ui.h("p", { text: "Its sum comes from the inputs, which are never dropped here." }));
    readout.replaceChildren(ui.h("p", {}, ...lines), ...second);

    // the charts
    const window = [20, 50, 100, 200, 500].find((n) => n >= step);
    const seen = outputs.slice(0, 200);
    planes.forEach((plane, k) => {
      const all = [...seen.map((row) => row[k]), exact[k], inference.output[k]];
      const [low, high] = [Math.min(...all), Math.max(...all)];
      const pad = 0.06 * (high - low) + 0.1;
      const want = [[0, window + window / 40], [low - pad, high + pad]];
      if (JSON.stringify(want) !== JSON.stringify([plane.x, plane.y])) plane.range(...want);
      const { X, Y } = plane;
      const r = window > 100 ? 1.6 : 2.6;
      const dots = outputs.slice(0, step).map((row, n) => `M${(X(n + 1) - r).toFixed(1)} ${Y(row[k]).toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`).join("");
      const line = running.slice(0, step).map((row, n) => `${X(n + 1).toFixed(1)} ${Y(row[k]).toFixed(1)}`).join("L");
      const level = (v, cls) => ui.svg("path", { class: cls, d: `M${plane.left} ${Y(v)}h${plane.width}` });
      traces[k].replaceChildren(ui.svg("path", { class: "dv-dots", d: dots }), level(exact[k], "dv-exact"), level(inference.output[k], "dv-inference"),
        ui.svg("path", { class: "dv-under", d: `M${line}` }), ui.svg("path", { class: "dv-mean", d: `M${line}` }),
        ui.svg("circle", { class: "dv-mean-end", cx: X(step), cy: Y(running[step - 1][k]), r: 4 }));
    });
    charts.classList.toggle("dv-faint", !on);
    if (!legend.childNodes.length) for (const [cls, words] of [["dots", "a training step"], ["mean", "running mean"], ["exact", "mean over all masks"], ["inference", "inference"]])
      legend.append(ui.h("span", { class: "dv-key" }, ui.h("i", { class: `dv-k-${cls}` }), words));

    // the words and the controls
    [pass.output, running[step - 1], exact, inference.output].forEach((row, r) => row.forEach((v, k) => { cells[k][r].textContent = fixed(v, 2); }));
    verdict.textContent = sentence();
    where.textContent = on ? `mask ${step}${state.flips.some(drops) ? ", changed by hand (not in the mean)" : ""}` : "no mask at inference";
    play.set(player.running ? "Pause" : "Play");
    for (const button of [one, play, many]) button.disable(!on || step >= DRO_MAX_STEPS);
    rate.set(p);
    mode.set(state.mode);
    scaled.set(String(s));
    where2.set(at);
  }

  cx.onResize((w) => {
    width = Math.min(w, 560);
    request();
  });
  cx.observe(model, DRO_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
