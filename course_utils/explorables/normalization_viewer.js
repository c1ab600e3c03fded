// NormalizationViewer: a batch before and after batch or layer normalisation, and who answers to whom.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const NOR_EPSILON = 1e-3;
const NOR_MAX = 8; // examples of a batch
const NOR_LIMIT = 6;
const NOR_PROBE = 0.1;

const norStream = (seed, purpose) => ui.mulberry32((seed + 1) * 2654435761 + purpose);
// Batch number `index`, NOR_MAX rows; mean and spread of the features belong to the seed.
function norBatch(features, seed, index) {
  const kind = norStream(seed, 1);
  const kinds = Array.from({ length: features }, () => [5 * kind() - 2.5, 0.5 + 1.5 * kind()]);
  const normal = ui.gaussian(norStream(seed, 100 + index));
  return Array.from({ length: NOR_MAX }, () => kinds.map(([mean, spread]) =>
    ui.clamp(Math.floor(10 * (mean + spread * normal()) + 0.5) / 10, -NOR_LIMIT, NOR_LIMIT)));
}
const norMean = (row) => row.reduce((sum, v) => sum + v, 0) / row.length;
const norVariance = (row) => { const m = norMean(row); return norMean(row.map((v) => (v - m) ** 2)); };
const norTurn = (x) => x[0].map((_, j) => x.map((row) => row[j]));
// [means, variances] of the columns ("batch") or of the rows ("layer")
function norStatistics(x, method) {
  const groups = method === "batch" ? norTurn(x) : x;
  return [groups.map(norMean), groups.map(norVariance)];
}
function norNormalize(x, method, gamma, beta, running = null) {
  const [mean, variance] = method === "batch" && running ? running : norStatistics(x, method);
  return x.map((row, i) => row.map((v, j) => {
    const group = method === "batch" ? j : i;
    return (gamma[j] * (v - mean[group])) / Math.sqrt(variance[group] + NOR_EPSILON) + beta[j];
  }));
}
function norUpdate(running, x, momentum) {
  const now = norStatistics(x, "batch");
  return running.map((row, k) => row.map((v, j) => momentum * v + (1 - momentum) * now[k][j]));
}
// 1 where an output grows with x[i][j], -1 where it falls, 0 where it does not answer
function norMoves(x, [i, j], ...rest) {
  const raised = x.map((row) => row.slice());
  raised[i][j] += NOR_PROBE;
  const before = norNormalize(x, ...rest);
  return norNormalize(raised, ...rest).map((row, a) => row.map((v, b) => (Math.abs(v - before[a][b]) > 1e-9 ? Math.sign(v - before[a][b]) : 0)));
}

export const math = { batch: norBatch, statistics: norStatistics, normalize: norNormalize, update: norUpdate, moves: norMoves };

const NOR_STATE = ["features", "examples", "seed", "method", "mode", "momentum", "values", "gamma", "beta", "running_mean", "running_variance", "batch", "cell"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "norm",
    question: "Who shares statistics with whom?",
    lead: "Drag a value of the left table up or down, or walk with ← → and change it with ↑ ↓. Tinted frames on the left: the values whose mean and variance it shares. "
      + "Frames on the right: the outputs that move when it grows, ▲ up or ▼ down.",
    tries: [
      "Choose a value and switch between batch norm and layer norm. Which outputs answer to it each time?",
      "Change one value a lot, to 6. What happens to the other outputs of its group?",
      "Take the batch size down to 1. What does batch norm give now, whatever the input is? And layer norm?",
      "Batch norm: switch to inference at once. Why are the outputs so far from mean 0 and variance 1? Go back to training, press “10 batches” three times, and look again.",
      "Set γ of a feature to 0. What is left of that feature, with either method?",
    ],
  });
  const { fixed, clamp } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(NOR_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const features = opening.features;
  const chosen = () => {
    const [i, j] = model.get("cell");
    return [clamp(i, 0, model.get("examples") - 1), clamp(j, 0, features - 1)];
  };
  const inputs = () => model.get("values").slice(0, model.get("examples"));
  const asks = () => {
    const { method, mode, gamma, beta, running_mean: m, running_variance: v } = get();
    return [method, gamma, beta, method === "batch" && mode === "inference" ? [m, v] : null];
  };

  // ---- the two tables: rows of examples, then rows of what belongs to a feature ----
  const tables = ui.h("div", { class: "nv-tables" });
  cx.stage.append(tables);
  const block = (name, extra) => {
    const title = ui.h("p", { class: "nv-title" });
    const grid = ui.h("div", { class: "nv-grid" });
    grid.style.setProperty("--columns", features);
    grid.append(ui.h("span", { class: "nv-head nv-corner", "aria-hidden": "true" }), ...Array.from({ length: features }, (_, j) => ui.h("span", { class: "nv-head", "aria-hidden": "true", text: `${j + 1}` })),
      ...extra.map((text) => ui.h("span", { class: "nv-head nv-side", "aria-hidden": "true", text })));
    tables.append(ui.h("div", { class: `nv-block nv-${name}` }, title, grid));
    return { title, grid };
  };
  const left = block("before", ["mean", "var."]);
  const right = block("after", []);
  left.grid.setAttribute("role", "group");
  left.grid.setAttribute("aria-label", "The batch before normalisation: up and down change a value, left and right go to another");
  const spoken = ui.h("p", { class: "cx-hidden" }); // the right table for readers who do not see it
  right.grid.setAttribute("aria-hidden", "true");
  right.grid.after(spoken);

  const change = (i, j, value, save) => {
    const values = copy(model.get("values"));
    values[i][j] = clamp(Math.round(value * 10) / 10, -NOR_LIMIT, NOR_LIMIT);
    put({ values, cell: [i, j] }, save);
  };
  const cells = Array.from({ length: NOR_MAX }, (_, i) => {
    const name = ui.h("span", { class: "nv-row", "aria-hidden": "true", text: `${i + 1}` });
    const row = Array.from({ length: features }, (__, j) => {
      const node = ui.h("div", { class: "nv-cell nv-input", role: "slider", "data-cx-handle": true, tabindex: -1, "aria-orientation": "vertical",
        "aria-valuemin": -NOR_LIMIT, "aria-valuemax": NOR_LIMIT, "aria-label": `Example ${i + 1}, feature ${j + 1}` });
      let grip = null;
      cx.on(node, "focus", () => put({ cell: [i, j] }));
      cx.on(node, "pointerdown", (event) => {
        if (event.button !== 0 || grip) return;
        event.preventDefault();
        node.focus({ preventScroll: true, focusVisible: false });
        node.setPointerCapture(event.pointerId);
        grip = { id: event.pointerId, y: event.clientY, value: model.get("values")[i][j], moved: false };
      });
      cx.on(node, "pointermove", (event) => {
        if (!grip || event.pointerId !== grip.id || (!grip.moved && Math.abs(event.clientY - grip.y) < 3)) return;
        grip.moved = true;
        change(i, j, grip.value + (grip.y - event.clientY) * 0.05, false);
      });
      cx.on(node, "pointerup pointercancel lostpointercapture", (event) => {
        if (!grip || event.pointerId !== grip.id) return;
        const { moved } = grip;
        grip = null;
        if (moved) model.save_changes();
        tell();
      });
      cx.on(node, "keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const n = model.get("examples");
        const at = i * features + j;
        const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - features, PageDown: at + features, Home: i * features, End: i * features + features - 1 }[event.key];
        if (by) change(i, j, model.get("values")[i][j] + by * (event.shiftKey ? 5 : 1), true);
        else if (event.key === "0" || event.key === "Delete" || event.key === "Backspace") change(i, j, 0, true);
        else if (to !== undefined) {
          const next = (to + n * features) % (n * features);
          cells[Math.floor(next / features)].row[next % features].focus();
        } else return;
        event.preventDefault();
        tell();
      });
      return node;
    });
    const sides = [0, 1].map(() => ui.h("span", { class: "nv-stat nv-side" }));
    left.grid.append(name, ...row, ...sides);
    const label = ui.h("span", { class: "nv-row", text: `${i + 1}` });
    const out = Array.from({ length: features }, () => ui.h("div", { class: "nv-cell nv-output" }, ui.h("span", {}), ui.h("i", {})));
    right.grid.append(label, ...out);
    return { name, row, sides, label, out };
  });
  // rows below a table: a name and one number for each feature
  const foot = (grid, text, cls, wide) => {
    const name = ui.h("span", { class: `nv-row nv-foot ${cls}`, "aria-hidden": "true", text });
    const row = Array.from({ length: features }, () => ui.h("span", { class: `nv-stat nv-foot ${cls}` }));
    const rest = wide ? [0, 1].map(() => ui.h("span", { class: `nv-side nv-foot ${cls}`, "aria-hidden": "true" })) : [];
    grid.append(name, ...row, ...rest);
    return { name, row, show: (flag) => { for (const node of [name, ...row, ...rest]) node.hidden = !flag; } };
  };
  const batchRows = [foot(left.grid, "mean", "nv-own", true), foot(left.grid, "var.", "nv-own", true)];
  const runningRows = [foot(left.grid, "run. mean", "nv-run", true), foot(left.grid, "run. var.", "nv-run", true)];
  const gammaRow = foot(right.grid, "γ", "nv-own");
  const betaRow = foot(right.grid, "β", "nv-own");
  const verdict = ui.h("div", { class: "nv-verdict" });
  cx.stage.append(verdict);

  // ---- controls ----
  const panel = ui.h("div", { class: "nv-controls" });
  cx.panel.append(panel);
  const method = cx.choice({ legend: "Method", value: model.get("method"), parent: panel, options: [["batch", "batch norm"], ["layer", "layer norm"]], onChange: (v) => { put({ method: v }); tell(); } });
  const mode = cx.choice({ legend: "Mode", value: model.get("mode"), parent: panel, options: [["training", "training"], ["inference", "inference"]], onChange: (v) => { put({ mode: v }); tell(); } });
  const slide = (label, min, max, step, value, format, set) => cx.slider({ label, min, max, step, value, format, parent: panel,
    onInput: (v) => set(v), onChange: () => { model.save_changes(); tell(); } });
  const size = slide("Batch size", 1, NOR_MAX, 1, model.get("examples"), String, (v) => put({ examples: v, cell: [Math.min(model.get("cell")[0], v - 1), model.get("cell")[1]] }, false));
  const momentum = slide("Momentum", 0, 0.99, 0.01, model.get("momentum"), (v) => fixed(v, 2), (v) => put({ momentum: v }, false));
  const setFeature = (trait) => (v) => {
    const next = copy(model.get(trait));
    next[chosen()[1]] = Math.round(v * 10) / 10;
    put({ [trait]: next }, false);
  };
  const gamma = slide("γ", -1, 3, 0.1, 1, (v) => fixed(v, 1), setFeature("gamma"));
  const beta = slide("β", -2, 2, 0.1, 0, (v) => fixed(v, 1), setFeature("beta"));
  const buttons = cx.row();
  const advance = (count) => {
    let { running_mean: m, running_variance: v, batch, values } = get();
    const n = model.get("examples");
    for (let k = 0; k < count; k += 1) {
      if (model.get("method") === "batch" && model.get("mode") === "training") [m, v] = norUpdate([m, v], values.slice(0, n), model.get("momentum"));
      batch += 1;
      values = norBatch(features, model.get("seed"), batch);
    }
    put({ running_mean: m, running_variance: v, batch, values });
    tell();
  };
  const next = cx.button({ label: "Next batch", primary: true, parent: buttons, onClick: () => advance(1) });
  cx.button({ label: "10 batches", parent: buttons, title: "Ten times “Next batch”", onClick: () => advance(10) });
  cx.resetButton(() => {
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, buttons);
  const remark = ui.h("span", { class: "nv-remark" });
  buttons.append(remark);

  // ---- words ----
  const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  function sentence() {
    const { method: how, mode: when, examples: n, batch } = get();
    const [i, j] = chosen();
    const moved = norMoves(inputs(), [i, j], ...asks()).flat().filter(Boolean).length;
    const count = moved === 0 ? "no output moves" : `${many(moved, "output")} move${moved === 1 ? "s" : ""}`;
    if (how === "layer") return `Layer norm: example ${i + 1} is normalised over its own ${features} features, in training and at inference alike. Change its value and ${count}${moved ? ", all in its row" : ""}; the other examples might as well not be there.`;
    if (when === "inference") return `Batch norm at inference: the running mean and variance do not depend on this batch, so ${count}${moved ? ": its own" : ""}. ${batch === 0 ? "They still stand at 0 and 1, where they began." : "They were collected in training."}`;
    if (n === 1) return "Batch norm of one example: the mean is the value itself and the variance is 0, so every output is β, whatever the input.";
    return `Batch norm: feature ${j + 1} is normalised over the ${n} examples. Change one value and ${count}${moved ? ", all in its column" : ""}: what an example gives depends on who else is in the batch.`;
  }
  function tell() {
    const [i, j] = chosen();
    const y = norNormalize(inputs(), ...asks());
    cx.announce(`Example ${i + 1}, feature ${j + 1}: ${fixed(model.get("values")[i][j], 1)} becomes ${fixed(y[i][j], 2)}. ${sentence()}`);
  }

  const tint = (node, v, most) => {
    node.style.setProperty("--share", `${Math.round(47 * Math.min(Math.abs(v) / most, 1))}%`);
    node.dataset.sign = v < 0 ? "minus" : "plus";
  };
  function draw() {
    const state = get();
    const n = state.examples;
    const x = inputs();
    const [i, j] = chosen();
    const ask = asks();
    const y = norNormalize(x, ...ask);
    const moved = norMoves(x, [i, j], ...ask);
    const layer = state.method === "layer";
    const inference = state.mode === "inference";
    const [mean, variance] = norStatistics(x, state.method);
    left.grid.classList.toggle("nv-wide", layer);
    for (const node of left.grid.querySelectorAll(".nv-side")) node.classList.toggle("nv-gone", !layer);
    cells.forEach(({ name, row, sides, label, out }, a) => {
      const here = a < n;
      for (const node of [name, ...row, ...sides, label, ...out]) node.hidden = !here;
      if (!here) return;
      row.forEach((node, b) => {
        const words = fixed(x[a][b], 1);
        if (node.textContent !== words) node.textContent = words;
        tint(node, x[a][b], NOR_LIMIT);
        const shares = layer ? a === i : !inference && b === j;
        node.classList.toggle("nv-shares", shares);
        node.classList.toggle("nv-chosen", a === i && b === j);
        ui.set(node, { tabindex: a === i && b === j ? 0 : -1, "aria-valuenow": x[a][b], "aria-valuetext": `${words}, becomes ${fixed(y[a][b], 2)}` });
      });
      sides.forEach((node, k) => {
        node.textContent = layer ? fixed([mean, variance][k][a], 2) : "";
        node.classList.toggle("nv-used", layer && a === i);
      });
      out.forEach((node, b) => {
        node.firstChild.textContent = fixed(y[a][b], 2);
        node.lastChild.textContent = { 1: "▲", 0: "", "-1": "▼" }[moved[a][b]];
        tint(node, y[a][b], 3);
        node.classList.toggle("nv-moves", moved[a][b] !== 0);
      });
    });
    spoken.textContent = `After normalisation, row by row: ${y.map((row) => row.map((v) => fixed(v, 2)).join(", ")).join("; ")}.`;
    [mean, variance].forEach((values, k) => {
      batchRows[k].show(!layer);
      if (!layer) batchRows[k].row.forEach((node, b) => {
        node.textContent = fixed(values[b], 2);
        node.classList.toggle("nv-used", !inference && b === j);
        node.classList.toggle("nv-idle", inference);
      });
    });
    [state.running_mean, state.running_variance].forEach((values, k) => {
      runningRows[k].show(!layer);
      runningRows[k].row.forEach((node, b) => {
        node.textContent = fixed(values[b], 2);
        node.classList.toggle("nv-used", inference && b === j);
        node.classList.toggle("nv-idle", !inference);
      });
    });
    state.gamma.forEach((v, b) => { gammaRow.row[b].textContent = fixed(v, 1); gammaRow.row[b].classList.toggle("nv-used", b === j); });
    state.beta.forEach((v, b) => { betaRow.row[b].textContent = fixed(v, 1); betaRow.row[b].classList.toggle("nv-used", b === j); });

    left.title.replaceChildren(ui.h("b", { text: "Before" }), `: ${many(n, "example")} × ${features} features`);
    right.title.replaceChildren(ui.h("b", { text: "After" }), `: γ (x − mean) / √(var. + ${NOR_EPSILON}) + β`);
    verdict.textContent = sentence();
    method.set(state.method);
    mode.set(state.mode);
    size.set(n);
    momentum.set(state.momentum);
    momentum.disable(layer);
    for (const [control, trait, letter] of [[gamma, "gamma", "γ"], [beta, "beta", "β"]]) {
      control.set(state[trait][j]);
      const words = `${letter} of feature ${j + 1}`;
      const label = control.element.querySelector("label");
      if (label.textContent !== words) label.textContent = words;
    }
    const trains = !layer && !inference;
    ui.set(next.element, { title: trains ? "Move the running statistics towards this batch’s, then draw the next batch" : "Draw the next batch" });
    const words = `Batch ${state.batch + 1}. ${trains ? "The next one first moves the running statistics towards this one’s." : layer ? "Layer norm has no running statistics." : "At inference the running statistics stay."}`;
    if (remark.textContent !== words) remark.textContent = words;
  }

  cx.observe(model, NOR_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
