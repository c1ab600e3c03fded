// AttentionEditor: scaled dot-product self-attention of one head, every array in view and to be edited.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const AT_LIMIT = 6;
const [AT_WORDS, AT_MATRICES] = [31, 588];
const [AT_MIN, AT_MAX, AT_LONGEST] = [2, 10, 20];

// FNV-1a of the UTF-8 bytes, 32 bits.
function atHash(word) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(word)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
const atRound = (v) => Math.min(Math.max(Math.round(100 * v) / 100 + 0, -AT_LIMIT), AT_LIMIT);
const atNormals = (seed, purpose, count) => {
  const normal = ui.gaussian(ui.mulberry32((seed + 1) * 2654435761 + purpose));
  return Array.from({ length: count }, () => normal());
};
const atEmbedding = (word, dim, seed) => atNormals(seed, atHash(word) + AT_WORDS, dim).map(atRound);
// W_Q, W_K, W_V: three matrices of normal numbers of variance 1 / dim.
const atProjections = (dim, seed) => {
  const all = atNormals(seed, AT_MATRICES, 3 * dim * dim);
  return [0, 1, 2].map((m) => Array.from({ length: dim }, (_, r) => Array.from({ length: dim }, (__, c) => all[(m * dim + r) * dim + c] / Math.sqrt(dim))));
};
const atProduct = (A, B) => A.map((row) => B[0].map((_, c) => row.reduce((sum, v, k) => sum + v * B[k][c], 0)));
const atDot = (a, b) => a.reduce((sum, v, k) => sum + v * b[k], 0);
// The rows of Q, K and V before anybody edits them, to two decimals.
function atStart(tokens, dim, seed, preset) {
  const X = tokens.map((word) => atEmbedding(word, dim, seed));
  if (preset === "identity") return [X, X.map((r) => [...r]), X.map((r) => [...r])];
  return atProjections(dim, seed).map((W) => atProduct(X, W).map((row) => row.map(atRound)));
}
function atAllowed(n, mask, padding, flipped) {
  const out = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => (mask === "causal" ? j <= i : mask === "padding" ? j < n - padding : true)));
  for (const [i, j] of flipped) if (i < n && j < n) out[i][j] = !out[i][j];
  return out;
}
// scores (n, n), weights (n, n), output (n, d); a row where nothing is allowed is 0 / 0, NaN.
function atAttend(Q, K, V, allowed, scaled) {
  const by = scaled ? Math.sqrt(Q[0].length) : 1;
  const scores = Q.map((q, i) => K.map((k, j) => (allowed[i][j] ? atDot(q, k) / by : -Infinity)));
  const weights = scores.map((row) => {
    const top = Math.max(...row);
    const powers = row.map((s) => Math.exp(s - top));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((p) => p / sum);
  });
  return { scores, weights, output: atProduct(weights, V) };
}
// Entropy of each row in bits.
const atEntropies = (weights) => weights.map((row) => row.reduce((sum, w) => (w === 0 ? sum : sum - w * Math.log2(w)), 0) + 0);
const atWords = (text) => text.split(/\s+/u).filter(Boolean);

export const math = { hash: atHash, embedding: atEmbedding, projections: atProjections, start: atStart, allowed: atAllowed, attend: atAttend, entropies: atEntropies };

const AT_STATE = ["tokens", "dim", "seed", "mask", "padding", "flipped", "scaled", "row", "Q", "K", "V"];
const AT_NAMES = { Q: "Query", K: "Key", V: "Value" };

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "attention",
    question: "What does each token take from the others?",
    lead: "Point at a row of the weights A, or click it: the table below writes that token's output out as a sum of weighted values. "
      + "Drag a cell of Q, K or V up or down, click a score to mask it, and write your own tokens. Blue is positive, orange negative.",
    tries: [
      "The two “the” have the same embedding. Compare their rows of A and Y. Then choose the causal mask: why do they differ now?",
      "Choose a key and make it longer, in its own direction. Which tokens look at it now, and which look away? What decides?",
      "Set the dimension to 64 and switch the scaling off. What happens to the entropy of the rows?",
      "With the causal mask, click one masked score to open it, then change that token's value. Which rows of the output hear of it?",
    ],
  });
  const { h, svg, set, fixed, clamp, number } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(AT_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  let width = 0;
  let hover = null; // the row under the pointer, shown while it is there
  let plan = null; // where each matrix stands
  const at = { Q: [model.get("row"), 0], K: [1, 0], V: [1, 0], S: [model.get("row"), 1] }; // the chosen cell of each
  const mark = (word) => `“${word}”`;

  // ---- measuring and shortening ----
  const pen = h("canvas").getContext("2d");
  const measure = (text) => {
    pen.font = `600 13px ${getComputedStyle(cx.root).fontFamily}`;
    return pen.measureText(text).width;
  };
  const cutTo = (word, most) => {
    if (measure(word) <= most) return word;
    const parts = Array.from(word);
    while (parts.length > 1 && measure(`${parts.join("")}…`) > most) parts.pop();
    return `${parts.join("")}…`;
  };

  // ---- the tokens ----
  const fieldId = ui.uid("in");
  const helpId = ui.uid("in");
  const field = h("input", { type: "text", id: fieldId, class: "at-tokens", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-describedby": helpId });
  const help = h("span", { class: "at-help", id: helpId });
  cx.stage.append(h("div", { class: "at-line" }, h("label", { for: fieldId, text: "Tokens" }), field, help));
  field.value = model.get("tokens").join(" ");
  const faultOf = (words) => (words.length < AT_MIN ? "at least 2 words, please" : words.length > AT_MAX ? "at most 10 words, please"
    : words.some((w) => Array.from(w).length > AT_LONGEST) ? "at most 20 letters a word, please" : "");
  function retoken() {
    const words = atWords(field.value);
    const fault = faultOf(words);
    set(field, { "aria-invalid": fault ? "true" : null });
    help.textContent = fault || "2 to 10 words";
    help.classList.toggle("at-bad", Boolean(fault));
    if (fault) return;
    const s = get();
    if (words.join(" ") === s.tokens.join(" ")) return;
    const fresh = atStart(words, s.dim, s.seed, found() === "identity" ? "identity" : "projections");
    const free = s.tokens.map(() => true); // a word that stays keeps its rows
    const tables = { Q: [], K: [], V: [] };
    words.forEach((word, i) => {
      const old = s.tokens.findIndex((w, k) => w === word && free[k]);
      if (old >= 0) free[old] = false;
      ["Q", "K", "V"].forEach((name, m) => tables[name].push(old >= 0 ? [...s[name][old]] : fresh[m][i]));
    });
    const n = words.length;
    put({ tokens: words, ...tables, row: Math.min(s.row, n - 1), padding: clamp(s.padding, 1, n - 1),
      flipped: n === s.tokens.length ? s.flipped : [] });
    hover = null;
    request();
  }
  cx.on(field, "input", retoken);
  cx.on(field, "change", () => {
    if (faultOf(atWords(field.value))) field.value = model.get("tokens").join(" ");
    retoken();
    tell();
  });

  // ---- the drawing ----
  const marks = svg("g", { "aria-hidden": "true" });
  const hits = svg("g", { "aria-hidden": "true" });
  const handles = svg("g", {});
  const drawing = svg("svg", { role: "group", "aria-label": "Queries, keys, values, scores, weights and output" }, marks, hits, handles);
  cx.stage.append(drawing);
  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width || 1;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const rowAt = (name, event) => clamp(Math.floor((point(event).y - plan[name].y) / plan.tall), 0, plan.n - 1);
  const cellAt = (name, event) => [rowAt(name, event), clamp(Math.floor((point(event).x - plan[name].x) / plan[name].cell), 0, plan[name].columns - 1)];

  // Q, K, V: a slider that stands on the chosen cell
  const write = (name, i, c, value, save) => {
    const table = copy(model.get(name));
    table[i][c] = clamp(Math.round(value * 20) / 20 + 0, -AT_LIMIT, AT_LIMIT);
    put({ [name]: table, ...(name === "Q" ? { row: i } : {}) }, save);
    request();
  };
  const saidCell = (name, [i, c]) => `${AT_NAMES[name]} of ${model.get("tokens")[i]}, token ${i + 1}, component ${c + 1}`;
  const editors = {};
  for (const name of ["Q", "K", "V"]) {
    const area = svg("rect", { class: "at-area" });
    const ring = svg("rect", { class: "cx-ring" });
    const node = svg("g", { "data-cx-handle": true, class: "at-pad", role: "slider", tabindex: 0, focusable: "true", "aria-orientation": "vertical",
      "aria-valuemin": -AT_LIMIT, "aria-valuemax": AT_LIMIT }, area, ring);
    let held = null;
    cx.on(node, "pointerdown", (event) => {
      if (event.button !== 0 || held) return;
      event.preventDefault();
      node.focus({ preventScroll: true, focusVisible: false });
      node.setPointerCapture(event.pointerId);
      at[name] = cellAt(name, event);
      const [i, c] = at[name];
      held = { id: event.pointerId, y: point(event).y, value: model.get(name)[i][c] };
      if (name === "Q") put({ row: i }, false);
      request();
    });
    cx.on(node, "pointermove", (event) => {
      if (held?.id !== event.pointerId) return;
      const up = held.y - point(event).y;
      if (Math.abs(up) < 2 && !held.moved) return;
      held.moved = true;
      write(name, ...at[name], held.value + up * 0.025, false);
    });
    cx.on(node, "pointerup pointercancel lostpointercapture", (event) => {
      if (held?.id !== event.pointerId) return;
      held = null;
      model.save_changes();
      tell(name);
    });
    cx.on(node, "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const s = get();
      const [i, c] = at[name];
      const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
      const place = i * s.dim + c;
      const to = { ArrowLeft: place - 1, ArrowRight: place + 1, PageUp: place - s.dim, PageDown: place + s.dim, Home: i * s.dim, End: (i + 1) * s.dim - 1 }[event.key];
      if (by) write(name, i, c, s[name][i][c] + by * (event.shiftKey ? 5 : 1), true);
      else if (["Delete", "Backspace", "0"].includes(event.key)) write(name, i, c, 0, true);
      else if (to !== undefined) {
        if (to >= 0 && to < s.tokens.length * s.dim) at[name] = [Math.floor(to / s.dim), to % s.dim];
        if (name === "Q") put({ row: at.Q[0] });
        request();
      } else return;
      event.preventDefault();
      tell(name);
    });
    handles.append(node);
    editors[name] = { node, area, ring };
  }

  // S: a click or Enter masks a score, or lets it through
  const sArea = svg("rect", { class: "at-area" });
  const sRing = svg("rect", { class: "cx-ring" });
  const sNode = svg("g", { "data-cx-handle": true, class: "at-masker", role: "button", tabindex: 0, focusable: "true" }, sArea, sRing);
  handles.append(sNode);
  const flip = ([i, j]) => {
    const flipped = model.get("flipped");
    const rest = flipped.filter(([a, b]) => a !== i || b !== j);
    put({ flipped: rest.length < flipped.length ? rest : [...flipped, [i, j]], row: i });
    request();
  };
  cx.on(sNode, "click", (event) => {
    at.S = cellAt("S", event);
    hover = null;
    flip(at.S);
    tell("S");
  });
  cx.on(sNode, "pointerdown", (event) => {
    event.preventDefault();
    sNode.focus({ preventScroll: true, focusVisible: false });
  });
  cx.on(sNode, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const n = model.get("tokens").length;
    const [i, j] = at.S;
    const to = { ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], Home: [i, 0], End: [i, n - 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") flip(at.S);
    else if (to) {
      at.S = to.map((v) => clamp(v, 0, n - 1));
      hover = null;
      put({ row: at.S[0] });
      request();
    } else return;
    event.preventDefault();
    tell("S");
  });

  // rows that are looked at: S, A, Y and the words
  const lookers = ["A", "Y", "word0", "word1", "word2", "word3"].map((name) => {
    const rect = svg("rect", { class: "at-hit" });
    hits.append(rect);
    cx.on(rect, "click", (event) => {
      choose(rowAt(name, event));
    });
    return { name, node: rect };
  });
  for (const { name, node } of [...lookers, { name: "S", node: sNode }]) {
    cx.on(node, "pointermove", (event) => {
      if (event.pointerType === "touch" || !plan?.[name]) return;
      const row = rowAt(name, event);
      if (hover !== row) { hover = row; request(); }
    });
    cx.on(node, "pointerleave", () => { if (hover !== null) { hover = null; request(); } });
  }
  const choose = (row) => {
    hover = null;
    at.S = [row, at.S[1]];
    put({ row });
    tell();
    request();
  };

  // ---- the sum, written out ----
  const sum = h("table", { class: "at-sum" });
  const headline = h("p", { class: "at-head" });
  const readout = h("div", { class: "at-readout", role: "group", "aria-label": "The chosen token written out" }, headline, sum);
  cx.panel.before(readout);

  // ---- controls ----
  const box = () => {
    const node = h("div", { class: "at-box" });
    cx.panel.append(node);
    return node;
  };
  const [one, two, three] = [box(), box(), box()];
  const change = (values) => { hover = null; put(values); tell(); request(); };
  const written = cx.select({ label: "Written out", parent: one, inline: true, value: "", options: [], onChange: (v) => choose(Number(v)) });
  const scaled = cx.checkbox({ label: "divide the scores by √d", parent: one, value: opening.scaled, onChange: (v) => change({ scaled: v }) });
  const restart = (dim, preset) => {
    const { tokens, seed } = get();
    const [Q, K, V] = atStart(tokens, dim, seed, preset);
    change({ dim, Q, K, V });
  };
  const dim = cx.choice({ legend: "Dimension d", parent: one, value: String(opening.dim), options: [["4", "4"], ["16", "16"], ["64", "64"]],
    onChange: (v) => restart(Number(v), found() === "identity" ? "identity" : "projections") });
  const mask = cx.choice({ legend: "Mask", parent: two, value: opening.mask, options: [["none", "none"], ["causal", "causal"], ["padding", "padding"]],
    onChange: (v) => change({ mask: v, flipped: [] }) });
  const padding = cx.slider({ label: "Padding tokens", parent: two, min: 1, max: 9, step: 1, value: opening.padding,
    onInput: (v) => { put({ padding: v, flipped: [] }, false); request(); }, onChange: () => { model.save_changes(); tell(); } });
  const preset = cx.select({ label: "Q, K, V", parent: two, value: "", options: [["projections", "X times random W"], ["identity", "Q = K = V = X"], ["", "edited by hand"]],
    onChange: (v) => { if (v) restart(model.get("dim"), v); else request(); } });
  let stretch = null; // the key's direction while its length is dragged
  const longest = (row) => { const most = Math.max(...row.map(Math.abs)); return most > 0 ? (AT_LIMIT / most) * Math.hypot(...row) : 0; };
  const length = cx.slider({ label: "Length of the key", parent: three, min: 0.1, max: 12, step: 0.1, value: 1, format: (v) => fixed(v, 1),
    onInput: (v) => {
      const j = at.K[0];
      const K = copy(model.get("K"));
      if (stretch?.j !== j) stretch = { j, row: [...K[j]] };
      const size = Math.hypot(...stretch.row);
      if (!size) return;
      const to = Math.min(v, longest(stretch.row));
      K[j] = stretch.row.map((x) => (x * to) / size);
      put({ K }, false);
      request();
    },
    onChange: () => { stretch = null; model.save_changes(); tell("key"); request(); } });
  const keyOf = cx.select({ label: "of", parent: three, inline: true, value: "", options: [], onChange: (v) => { at.K = [Number(v), 0]; stretch = null; request(); } });
  const verdict = h("div", { class: "at-verdict" });
  three.append(verdict);
  cx.resetButton(() => {
    hover = null;
    stretch = null;
    put(copy(opening));
    field.value = opening.tokens.join(" ");
    retoken();
    at.Q = [opening.row, 0];
    at.K = [1, 0];
    at.V = [1, 0];
    at.S = [opening.row, 1];
    cx.announce("Back to the opening state.");
    request();
  }, cx.row(one));

  let foundFor = null;
  function found() { // which preset the tables are, or ""
    const { tokens, dim: d, seed, Q, K, V } = get();
    const key = JSON.stringify([tokens, d, seed, Q, K, V]);
    if (foundFor?.key !== key)
      foundFor = { key, name: ["projections", "identity"].find((name) => JSON.stringify(atStart(tokens, d, seed, name)) === JSON.stringify([Q, K, V])) || "" };
    return foundFor.name;
  }
  const compute = (s) => {
    const allowed = atAllowed(s.tokens.length, s.mask, s.padding, s.flipped);
    const out = atAttend(s.Q, s.K, s.V, allowed, s.scaled);
    return { allowed, ...out, bits: atEntropies(out.weights) };
  };
  function takes(s, r, i) { // "“sat” takes 0.41 from “mat”, 0.22 from “cat”"
    if (!r.allowed[i].some(Boolean)) return `${mark(s.tokens[i])} may look at nothing: its softmax is 0 / 0.`;
    const order = s.tokens.map((_, j) => j).sort((a, b) => r.weights[i][b] - r.weights[i][a] || a - b).slice(0, 2).filter((j, k) => k === 0 || r.weights[i][j] >= 0.005);
    return `${mark(s.tokens[i])} (token ${i + 1}) takes ${order.map((j) => `${fixed(r.weights[i][j], 2)} from ${j === i ? "itself" : mark(s.tokens[j])}${j !== i && s.tokens.filter((w) => w === s.tokens[j]).length > 1 ? ` (${j + 1})` : ""}`).join(", ")}.`;
  }
  function tell(what) {
    const s = get();
    const r = compute(s);
    const i = clamp(s.row, 0, s.tokens.length - 1);
    let first = "";
    if (editors[what]) {
      const [a, c] = at[what];
      first = `${saidCell(what, at[what])}: ${fixed(s[what][a][c], 2)}. `;
    } else if (what === "S") first = `${saidScore(s, r)}. `;
    else if (what === "key") first = `The key of ${s.tokens[at.K[0]]} has the length ${fixed(Math.hypot(...s.K[at.K[0]]), 1)}. `;
    cx.announce(`${first}${takes(s, r, i)} Entropy ${fixed(r.bits[i], 2)} bits.`);
  }
  const saidScore = (s, r) => {
    const [i, j] = at.S;
    return `Score of query ${s.tokens[i]} (${i + 1}) for key ${s.tokens[j]} (${j + 1}): ${r.allowed[i][j] ? fixed(r.scores[i][j], 2) : "masked, minus infinity"}`;
  };

  // ---- the layout ----
  function arrange(s) {
    const { tokens, dim: d } = s;
    const n = tokens.length;
    const wide = width >= 540;
    const widest = Math.max(...tokens.map(measure));
    const label = Math.ceil(Math.min(widest, wide ? 88 : 62)) + 10;
    const tall = 26;
    const bits = 40;
    const rows = wide ? [["Q", "K", "V"], ["S", "A", "Y"]] : [["Q", "K"], ["S"], ["A"], ["V", "Y"]];
    const out = { n, tall, label, wide, words: [] };
    let y = 0;
    rows.forEach((names, k) => {
      const gap = names.includes("V") ? 24 : 14; // bars stand beside the values
      const room = width - label - gap * (names.length - 1) - (names.includes("A") ? bits : 0) - 2;
      const square = names.filter((name) => name === "S" || name === "A").length;
      const flat = names.length - square;
      let c = 0;
      if (square) c = Math.min(46, flat ? (d === 4 ? room / (square * n + 4) : (0.74 * room) / (square * n)) : room / n);
      const f = flat ? Math.min(d === 4 ? 52 : 20, (room - square * n * c) / (flat * d)) : 0;
      const turned = square > 0 && widest > c - 3;
      const head = 22 + (square ? (turned ? Math.min(widest, 60) + 8 : 20) : 0);
      let x = label;
      for (const name of names) {
        const isSquare = name === "S" || name === "A";
        const cell = isSquare ? c : f;
        out[name] = { x, y: y + head, cell, columns: isSquare ? n : d, turned: isSquare && turned, title: y + 15 };
        x += cell * out[name].columns + gap + (name === "A" ? bits : 0);
      }
      out[`word${k}`] = { x: 0, y: y + head };
      y += head + n * tall + 16;
    });
    out.height = y - 8;
    return out;
  }

  const digitsOf = (name, v, w) => {
    if (name === "A") return w >= 30 ? 2 : -1;
    const size = Math.abs(v);
    if (w >= 40) return size >= 9.995 ? (size >= 99.95 ? 0 : 1) : 2;
    return w >= 29 ? (size >= 9.95 ? 0 : 1) : -1;
  };

  function draw() {
    if (!width) return;
    const s = get();
    const { tokens } = s;
    const n = tokens.length;
    for (const [name, rows] of Object.entries({ Q: n, K: n, V: n, S: n })) at[name] = [clamp(at[name][0], 0, rows - 1), clamp(at[name][1], 0, (name === "S" ? n : s.dim) - 1)];
    const r = compute(s);
    const i = clamp(hover ?? s.row, 0, n - 1);
    const j = at.K[0];
    plan = arrange(s);
    const { tall, label } = plan;
    set(drawing, { width, height: plan.height, viewBox: `0 0 ${width} ${plan.height}` });
    const out = [];
    const add = (tag, attrs) => out.push(svg(tag, attrs));
    const tables = { Q: s.Q, K: s.K, V: s.V, S: r.scores, A: r.weights, Y: r.output };
    const titles = { Q: "Q, queries", K: "K, keys", V: "V, values", S: s.scaled ? `S = Q Kᵀ / √${s.dim}` : "S = Q Kᵀ", A: "A = softmax(S)", Y: "Y = A V" };
    const most = (M) => Math.max(1, ...M.flat().filter(Number.isFinite).map(Math.abs));
    const scale = { Q: most([...s.Q, ...s.K]), V: most([...s.V, ...r.output]), S: most(r.scores), A: 1 };
    scale.K = scale.Q;
    scale.Y = scale.V;
    const flippedAt = new Set(s.flipped.map(([a, b]) => `${a},${b}`));
    for (const [name, M] of Object.entries(tables)) {
      const { x, y, cell, columns, title, turned } = plan[name];
      add("text", { class: "at-title", x, y: title, text: titles[name] });
      add("rect", { class: "cx-plot", x, y, width: cell * columns, height: tall * n });
      const small = cell < 29;
      M.forEach((row, a) => row.forEach((v, c) => {
        const X = x + c * cell;
        const Y = y + a * tall;
        if (name === "S" && !r.allowed[a][c]) {
          add("rect", { class: "at-masked", x: X, y: Y, width: cell, height: tall });
          if (cell >= 29) add("text", { class: "at-number at-forbidden", x: X + cell / 2, y: Y + 17.5, "text-anchor": "middle", text: "−∞" });
          else add("path", { class: "at-slash", d: `M${X + 3} ${Y + tall - 3}L${X + cell - 3} ${Y + 3}` });
        } else {
          const share = Number.isFinite(v) ? Math.min(Math.abs(v) / scale[name], 1) * (small ? 0.95 : 0.5) : 0;
          if (share > 0.004) add("rect", { class: v < 0 ? "at-minus" : "at-plus", x: X, y: Y, width: cell, height: tall, "fill-opacity": share.toFixed(3) });
          const digits = digitsOf(name, v, cell);
          if (digits >= 0) add("text", { class: "at-number", "data-of": name, x: X + cell / 2, y: Y + 17.5, "text-anchor": "middle", text: fixed(v, digits) });
        }
        if (name === "S" && flippedAt.has(`${a},${c}`)) add("path", { class: "at-flipped", d: `M${X + cell - 8} ${Y + 1}h7v7z` });
      }));
      if (cell >= 8) {
        let lines = "";
        for (let c = 1; c < columns; c += 1) lines += `M${x + c * cell} ${y}v${tall * n}`;
        for (let a = 1; a < n; a += 1) lines += `M${x} ${y + a * tall}h${cell * columns}`;
        add("path", { class: "cx-grid", d: lines });
      }
      if (name === "S" || name === "A")
        tokens.forEach((word, c) => {
          const X = x + (c + 0.5) * cell;
          const cls = `at-word${c === j ? " at-key" : ""}`;
          if (turned) add("text", { class: cls, transform: `translate(${X + 4.5} ${y - 6}) rotate(-90)`, text: cutTo(word, 60) });
          else add("text", { class: cls, x: X, y: y - 6, "text-anchor": "middle", text: word });
        });
    }
    // words to the left of every row
    for (let k = 0; plan[`word${k}`]; k += 1)
      tokens.forEach((word, a) => add("text", { class: `at-word${a === i ? " at-now" : ""}`, x: label - 7, y: plan[`word${k}`].y + a * tall + 17.5, "text-anchor": "end", text: cutTo(word, label - 10) }));
    // entropy beside A
    const ax = plan.A.x + plan.A.cell * n + 7;
    add("text", { class: "at-soft", x: ax, y: plan.A.y - 6, text: "bits" });
    r.bits.forEach((b, a) => add("text", { class: `at-bits${a === i ? " at-now" : ""}`, x: ax, y: plan.A.y + a * tall + 17.5, text: fixed(b, 2) }));
    // the weights of the chosen row, once more beside the values
    r.weights[i].forEach((w, a) => {
      const long = Number.isFinite(w) ? 18 * w : 0;
      const left = plan.wide ? plan.V.x - 3 - long : plan.V.x + plan.V.cell * s.dim + 3;
      if (long > 0.2) add("rect", { class: "at-bar", x: left, y: plan.V.y + a * tall + 5, width: long, height: tall - 10 });
    });
    // frames: the chosen key as row of K and as column, then the chosen row
    const frame = (name, cls, row, column) => {
      const { x, y, cell, columns } = plan[name];
      add("rect", { class: cls, x: x + (column === undefined ? 0 : column * cell), y: y + (row === undefined ? 0 : row * tall), width: column === undefined ? cell * columns : cell,
        height: row === undefined ? tall * n : tall, rx: 2 });
    };
    frame("K", "at-keyframe", j);
    frame("S", "at-keyframe", undefined, j);
    frame("A", "at-keyframe", undefined, j);
    for (const name of ["Q", "S", "A", "Y"]) frame(name, "at-frame", i);
    marks.replaceChildren(...out);

    // hit areas and handles
    for (const { name, node } of lookers) {
      const p = plan[name];
      node.style.display = p ? "" : "none";
      if (p) set(node, { x: p.x, y: p.y, width: name.startsWith("word") ? label - 2 : p.cell * p.columns + (name === "A" ? 40 : 0), height: tall * n });
    }
    for (const name of ["Q", "K", "V"]) {
      const { node, area, ring } = editors[name];
      const { x, y, cell, columns } = plan[name];
      const [a, c] = at[name];
      const v = s[name][a][c];
      set(area, { x, y, width: cell * columns, height: tall * n });
      set(ring, { x: x + c * cell - (cell < 8 ? 3 : 0), y: y + a * tall, width: Math.max(cell, cell < 8 ? cell + 6 : 0), height: tall });
      set(node, { "aria-label": saidCell(name, at[name]), "aria-valuenow": v, "aria-valuetext": fixed(v, 2) });
    }
    set(sArea, { x: plan.S.x, y: plan.S.y, width: plan.S.cell * n, height: tall * n });
    set(sRing, { x: plan.S.x + at.S[1] * plan.S.cell, y: plan.S.y + at.S[0] * tall, width: plan.S.cell, height: tall });
    set(sNode, { "aria-label": saidScore(s, r), "aria-pressed": String(!r.allowed[at.S[0]][at.S[1]]) });

    // the sum
    const shown = s.dim === 4 ? 4 : width < 420 ? 3 : 4;
    headline.textContent = takes(s, r, i);
    const cellOf = (v, digits = 2) => h("td", { text: v === -Infinity ? "−∞" : fixed(v, digits) });
    const values = (list) => [...list.slice(0, shown).map((v) => cellOf(v)), s.dim > shown && h("td", { class: "at-dots", text: "…" })];
    sum.replaceChildren(
      h("thead", {}, h("tr", {}, h("th", { scope: "col", text: "from" }), h("th", { scope: "col", class: "at-score", text: "score" }), h("th", { scope: "col", text: "weight" }),
        h("th", { scope: "colgroup", colspan: shown + (s.dim > shown ? 1 : 0), text: s.dim > shown ? `weight × value, ${shown} of ${s.dim}` : "weight × value" }))),
      h("tbody", {}, tokens.map((word, b) => {
        const w = r.weights[i][b];
        const weight = cellOf(w);
        weight.className = "at-weight";
        weight.style.setProperty("--share", `${Number.isFinite(w) ? (100 * w).toFixed(1) : 0}%`);
        const score = cellOf(r.scores[i][b]);
        score.className = "at-score";
        return h("tr", { class: b === j ? "at-keyrow" : null }, h("th", { scope: "row", text: cutTo(word, width < 420 ? 50 : 84) }), score, weight, ...values(s.V[b].map((v) => w * v)));
      })),
      h("tfoot", {}, h("tr", {}, h("th", { scope: "row", text: "sum" }), h("td", { class: "at-score" }), cellOf(r.weights[i].reduce((a, b) => a + b, 0)), ...values(r.output[i]))));

    // the controls
    const list = tokens.map((word, k) => `${k + 1}: ${word}`);
    for (const [control, value] of [[written, s.row], [keyOf, j]]) {
      if (control.input.dataset.for !== list.join(" ")) {
        control.input.dataset.for = list.join(" ");
        control.input.replaceChildren(...list.map((text, k) => h("option", { value: String(k), text })));
      }
      control.set(String(clamp(value, 0, n - 1)));
    }
    scaled.set(s.scaled);
    dim.set(String(s.dim));
    mask.set(s.mask);
    padding.element.hidden = s.mask !== "padding";
    set(padding.input, { max: n - 1 });
    padding.set(clamp(s.padding, 1, n - 1));
    preset.set(found());
    if (!stretch) set(length.input, { max: Math.max(0.2, Math.floor(10 * Math.min(longest(s.K[j]), 4 * Math.sqrt(s.dim) + 2)) / 10) });
    length.set(Math.hypot(...s.K[j]));
    if (!field.matches(":focus")) field.value = tokens.join(" ");
    help.textContent = help.textContent || "2 to 10 words";
    const real = r.bits.filter(Number.isFinite);
    const mean = real.length ? real.reduce((a, b) => a + b, 0) / real.length : NaN;
    const top = Math.max(...r.weights.flat().filter(Number.isFinite), 0);
    verdict.replaceChildren(
      h("p", { class: "at-big", text: `Mean entropy ${fixed(mean, 2)} of ${fixed(Math.log2(n), 2)} bits` }),
      h("p", { text: `As if ${number(2 ** mean)} of ${n} tokens shared each row. Largest weight ${fixed(top, 2)}.` }));
  }

  cx.onResize((w) => {
    width = w;
    request();
  });
  cx.observe(model, AT_STATE.map((name) => `change:${name}`).join(" "), request);
  width = Math.floor(cx.stage.clientWidth) || width;
  draw();
  return cx.dispose;
}

export default { render };
