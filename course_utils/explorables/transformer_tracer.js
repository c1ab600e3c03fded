// TransformerTracer: one sentence through an exported Transformer: heads, residual stream, logit lens, heads switched off.
// _base.py puts _ui.js, _sampling.js and _transformer.js in front of this file.

const TT_STATE = ["tokens", "layer", "head", "position", "off", "quantity"];
const TT_ROWS = 6;

// [[layer, head], ...] from 1, without or with one pair more.
const ttSwitched = (off, layer, head) => (off.some(([l, k]) => l === layer && k === head) ? off.filter(([l, k]) => l !== layer || k !== head)
  : [...off, [layer, head]].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
// Runs of one sentence with different heads off, and what is read from them at a position (from 0).
function ttTracer(net, codes) {
  const runs = new Map();
  const run = (off) => {
    const key = JSON.stringify(off);
    if (!runs.has(key)) runs.set(key, transformer.forward(net, codes, off.map(([layer, head]) => [layer - 1, head - 1])));
    return runs.get(key);
  };
  const chances = (off, t) => sampling.softmax(transformer.row(run(off).logits, t, net.V));
  const lens = (off) => run(off).streams.map((stream) => {
    const logits = transformer.readOut(net, stream);
    return codes.map((_, t) => sampling.softmax(transformer.row(logits, t, net.V)));
  });
  const lengths = (array) => codes.map((_, t) => transformer.norm(transformer.row(array, t, net.d)));
  const norms = (off) => run(off).streams.map(lengths);
  const added = (off) => [lengths(run(off).embedding), ...run(off).blocks.flatMap((b) => [lengths(b.addedAttention), lengths(b.addedMlp)])];
  const adds = (off, layer, head, t) => transformer.row(run(off).blocks[layer - 1].headOutputs[head - 1], t, net.d);
  const effect = (off, layer, head, t) => transformer.directEffect(net, adds(off, layer, head, t), transformer.row(run(off).blocks[net.L - 1].stream, t, net.d));
  const attention = (layer, head, off) => codes.map((_, t) => transformer.row(run(off).blocks[layer - 1].attention[head - 1], t, codes.length));
  // The probability of `token` at t, once that one head is switched over: (L, H)
  const switched = (off, t, token) => Array.from({ length: net.L }, (_, i) => Array.from({ length: net.H }, (__, k) => chances(ttSwitched(off, i + 1, k + 1), t)[token]));
  return { run, chances, lens, norms, added, adds, effect, attention, switched };
}

export const math = { transformer, sampling, tracer: ttTracer, toggled: ttSwitched };

function render({ model, el }) {
  const net = transformer.decode(model.get("network"));
  const vocabulary = model.get("vocabulary");
  const place = new Map(vocabulary.map((token, k) => [token, k]));
  const cx = ui.shell(el, {
    kind: "tracer",
    question: "Which head moves what where?",
    lead: "One sentence runs through a trained Transformer in this page. Choose a position and a head: the head takes something from where it looks, "
      + "and adds it to the residual stream at that position. Exchange a token, or switch a head off, and see the prediction answer.",
    tries: [
      "Below each head stands what the prediction becomes without it. Which one matters most at this position, and where does it look?",
      "Switch that head off. Which entries of the residual stream change: those before its layer, or those after it?",
      "Exchange a token that the head looks at, then one that it does not look at. Does the prediction move?",
      "Follow one position down the logit lens. After which sub-block does the final answer come first?",
    ],
  });
  const { h, svg, set, fixed, clamp } = ui;
  const { glyph, short, ranked } = sampling;
  const titles = vocabulary.map(sampling.title);
  const labels = vocabulary.map(glyph);
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(TT_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
    request();
  };
  const request = cx.frame(draw);
  const mark = (token) => `“${token}”`;
  const wordy = vocabulary.some((token) => Array.from(token).length > 2);
  cx.root.classList.toggle("tt-words", wordy);
  const steps = ["embedding", ...Array.from({ length: net.L }, (_, i) => [`layer ${i + 1} attention`, `layer ${i + 1} MLP`]).flat()];
  const shortSteps = ["embed", ...Array.from({ length: net.L }, (_, i) => [`${i + 1} attn`, `${i + 1} MLP`]).flat()];

  // ---- measuring and shortening ----
  const pen = h("canvas").getContext("2d");
  const measure = (text) => {
    pen.font = `600 13px ${getComputedStyle(cx.root).fontFamily}`;
    return pen.measureText(text).width;
  };
  const cutTo = (text, most) => {
    if (measure(text) <= most) return text;
    const parts = Array.from(text);
    while (parts.length > 0 && measure(`${parts.join("")}…`) > most) parts.pop();
    return parts.length ? `${parts.join("")}…` : "";
  };

  let tracer = null;
  let traced = "";
  const codesOf = (s) => s.tokens.map((token) => place.get(token));
  const current = (s) => {
    const key = JSON.stringify(s.tokens);
    if (key !== traced) [traced, tracer] = [key, ttTracer(net, codesOf(s))];
    return tracer;
  };

  // ---- the sentence: a button for each position, and what stands at the chosen one ----
  const strip = h("div", { class: "tt-strip", role: "group", "aria-label": "Positions" });
  const stripRow = h("div", { class: "tt-line" });
  cx.stage.append(strip, stripRow);
  const moveTo = (position, focus) => {
    put({ position: clamp(position, 1, model.get("tokens").length) });
    draw();
    if (focus) strip.children[model.get("position") - 1].focus();
    tell();
  };
  cx.on(strip, "click", (event) => {
    const k = Array.from(strip.children).findIndex((node) => node.contains(event.target));
    if (k >= 0) moveTo(k + 1, true);
  });
  cx.on(strip, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = model.get("position");
    const k = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 1, End: model.get("tokens").length }[event.key];
    if (k === undefined) return;
    event.preventDefault();
    moveTo(k, true);
  });
  const exchange = cx.select({ label: "token", options: vocabulary.map((_, k) => [String(k), titles[k]]), value: "0", inline: true, parent: stripRow,
    onChange: (v) => {
      const tokens = [...model.get("tokens")];
      tokens[model.get("position") - 1] = vocabulary[Number(v)];
      put({ tokens });
      draw();
      tell();
    } });
  const changed = h("span", { class: "tt-soft" });
  stripRow.append(changed);

  // ---- the heads: small pictures, and a large one ----
  const headsNote = h("p", { class: "tt-soft" });
  const grid = h("div", { class: "tt-grid", role: "group", "aria-label": "Heads", style: `--heads: ${net.H}` });
  const switches = h("div", { class: "tt-line" });
  const headsBox = h("div", { class: "tt-heads" }, h("p", { class: "tt-title", text: "Each head (layer.head): row, a position; column, where it looks" }), grid, headsNote, switches);
  const matrixTitle = h("p", { class: "tt-title" });
  const matrixMarks = svg("g", {});
  const matrix = svg("svg", { role: "img", class: "tt-matrix", "aria-label": "Attention weights of the chosen head" }, matrixMarks);
  const matrixBox = h("div", { class: "tt-large" }, matrixTitle, matrix);
  cx.stage.append(h("div", { class: "tt-pair" }, headsBox, matrixBox));
  const tiles = [];
  for (let layer = 1; layer <= net.L; layer += 1)
    for (let head = 1; head <= net.H; head += 1) {
      const picture = svg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
      const caption = h("span", { class: "tt-caption" });
      const node = h("button", { type: "button", class: "tt-tile" }, h("span", { class: "tt-name", text: `${layer}.${head}` }), picture, caption);
      grid.append(node);
      tiles.push({ layer, head, node, picture, caption });
    }
  const chooseHead = (k, focus) => {
    const tile = tiles[k];
    if (!tile) return;
    put({ layer: tile.layer, head: tile.head });
    draw();
    if (focus) tile.node.focus();
    tell();
  };
  cx.on(grid, "click", (event) => chooseHead(tiles.findIndex((tile) => tile.node.contains(event.target)), true));
  cx.on(grid, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = (model.get("layer") - 1) * net.H + model.get("head") - 1;
    const k = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowUp: now - net.H, ArrowDown: now + net.H, Home: 0, End: tiles.length - 1 }[event.key];
    if (k === undefined) return;
    event.preventDefault();
    chooseHead(k, true);
  });
  const silence = cx.checkbox({ label: "off", value: false, parent: switches, onChange: () => {
    const s = get();
    put({ off: ttSwitched(s.off, s.layer, s.head) });
    draw();
    tellPrediction();
  } });
  const silenceText = silence.element.querySelector("span");
  const allOn = cx.button({ label: "All heads on", parent: switches, onClick: () => { put({ off: [] }); draw(); tellPrediction(); } });

  const said = h("div", { class: "tt-said" });
  cx.stage.append(said);

  // ---- the residual stream ----
  const quantity = cx.choice({ legend: "Residual stream, from top to bottom", parent: cx.stage, value: opening.quantity,
    options: [["lens", "logit lens: what the output layer reads"], ["norm", "length of the stream"], ["added", "length of what is added"]],
    onChange: (v) => put({ quantity: v }) });
  quantity.element.classList.add("tt-quantity");
  const streamMarks = svg("g", {});
  const streamHit = svg("rect", { class: "tt-hit" });
  const stream = svg("svg", { role: "img", class: "tt-stream", "aria-label": "Residual stream: a row for each sub-block, a column for each position" }, streamMarks, streamHit);
  cx.stage.append(stream);

  // ---- the chosen position ----
  const barsTitle = h("p", { class: "tt-title" });
  const barsBox = h("div", { class: "tt-bars" }, barsTitle);
  const bars = sampling.bars(cx, { parent: barsBox, count: Math.min(TT_ROWS, net.V), label: "Most probable tokens", heads: ["all on", "as set"], words: wordy });
  const tableTitle = h("p", { class: "tt-title" });
  const table = h("table", { class: "tt-table" });
  cx.panel.append(barsBox, h("div", { class: "tt-steps" }, tableTitle, table));
  cx.resetButton(() => {
    put(copy(opening));
    cx.announce("Back to the opening state.");
  }, cx.row(barsBox));

  // pointing at the drawings
  let plan = { cell: 1, left: 0, top: 0, wide: 1, label: 0 };
  const point = (node, event) => {
    const box = node.getBoundingClientRect();
    const scale = node.viewBox.baseVal.width / box.width || 1;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  cx.on(matrix, "click", (event) => {
    const k = Math.floor((point(matrix, event).y - plan.top) / plan.cell);
    if (k >= 0 && k < model.get("tokens").length) moveTo(k + 1);
  });
  cx.on(stream, "click", (event) => {
    const k = Math.floor((point(stream, event).x - plan.label) / plan.wide);
    if (k >= 0 && k < model.get("tokens").length) moveTo(k + 1);
  });

  function words(s) {
    const t = s.position - 1;
    const now = current(s);
    const names = s.tokens.map(glyph);
    const weights = now.attention(s.layer, s.head, s.off)[t];
    const best = Array.from(weights, (w, j) => [w, j]).filter(([w]) => w >= 0.005).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, 3);
    const looks = `Head ${s.head} of layer ${s.layer}, at position ${s.position}, ${mark(names[t])}, looks at ${best.map(([w, j]) => `${mark(names[j])} (position ${j + 1}) with ${fixed(w, 2)}`).join(", ")}.`;
    if (s.off.some(([layer, head]) => layer === s.layer && head === s.head)) return [looks, "It is switched off: it looks, but adds nothing."];
    const effect = Array.from(now.effect(s.off, s.layer, s.head, t));
    const order = ranked(effect);
    const write = (token) => `${mark(titles[token])} (${effect[token] >= 0 ? "+" : ""}${fixed(effect[token], 1)})`;
    const last = order[order.length - 1];
    const size = transformer.norm(now.adds(s.off, s.layer, s.head, t));
    return [looks, `What it adds has length ${fixed(size, 2)}. Read by the output layer directly, without what later sub-blocks make of it, it raises the logit of ${order.slice(0, Math.min(2, net.V - 1)).map(write).join(" and ")} `
      + `and lowers that of ${write(last)}.`];
  }
  function tell() { cx.announce(words(get()).join(" ")); }
  function tellPrediction() {
    const s = get();
    const p = current(s).chances(s.off, s.position - 1);
    const before = current(s).chances([], s.position - 1);
    const best = ranked(p)[0];
    cx.announce(`Position ${s.position}: most probable is ${titles[best]}, ${short(p[best])}; with all heads on ${short(before[best])}.`);
  }

  // ---- drawing ----
  function drawTiles(s, now, t) {
    const T = s.tokens.length;
    const p = now.chances(s.off, t);
    const best = ranked(p)[0];
    const switched = now.switched(s.off, t, best);
    tiles.forEach(({ layer, head, node, picture, caption }) => {
      const here = layer === s.layer && head === s.head;
      const silent = s.off.some(([l, k]) => l === layer && k === head);
      const rows = now.attention(layer, head, s.off);
      set(picture, { viewBox: `0 0 ${T} ${T}` });
      const cells = [svg("rect", { class: "cx-plot", width: T, height: T, "stroke-width": 0 })];
      rows.forEach((row, i) => row.forEach((w, j) => { if (w > 0.02) cells.push(svg("rect", { class: "tt-blue", x: j, y: i, width: 1, height: 1, "fill-opacity": w.toFixed(2) })); }));
      if (silent) cells.push(svg("path", { class: "tt-cross", d: `M0 0L${T} ${T}M${T} 0L0 ${T}`, "vector-effect": "non-scaling-stroke" }));
      picture.replaceChildren(...cells);
      const after = switched[layer - 1][head - 1];
      caption.textContent = short(after);
      node.classList.toggle("tt-silent", silent);
      node.classList.toggle("tt-moved", Math.abs(after - p[best]) >= 0.1);
      const top = rows[t].reduce((b, w, j) => (w > rows[t][b] ? j : b), 0);
      set(node, { "aria-pressed": String(here), tabindex: here ? 0 : -1, "aria-label": `Layer ${layer}, head ${head}${silent ? ", off" : ""}: looks most at position ${top + 1}; `
        + `${silent ? "with" : "without"} it ${titles[best]} gets ${short(after)}` });
    });
    headsNote.textContent = `Below each head: the probability of ${mark(titles[best])}, now ${short(p[best])}, if that head alone were switched off${s.off.length ? ", or on where it is off" : ""}. `
      + "Bold where it moves by 0.1 or more.";
  }
  function drawMatrix(s, now, t) {
    const T = s.tokens.length;
    const names = s.tokens.map(glyph);
    const room = Math.floor(matrixBox.clientWidth) || 300;
    const label = Math.min(Math.max(...names.map(measure)) + 12, 84);
    const cell = clamp(Math.floor((room - label - 4) / T), 8, 34);
    const turned = names.some((name) => Array.from(name).length > 1 && measure(name) > cell - 2);
    const longest = Math.min(Math.max(...names.map(measure)), 60);
    const top = turned ? longest + 10 : 20;
    plan = { ...plan, cell, top };
    const width = label + cell * T + 4;
    const height = top + cell * T + 3;
    set(matrix, { width, height, viewBox: `0 0 ${width} ${height}` });
    const out = [svg("rect", { class: "cx-plot", x: label, y: top, width: cell * T, height: cell * T })];
    const rows = now.attention(s.layer, s.head, s.off);
    const every = cell >= 15 ? 1 : 2;
    names.forEach((name, i) => {
      const here = i === t;
      if (i % every === 0 || here) out.push(svg("text", { class: here ? "tt-now" : null, x: label - 7, y: top + (i + 0.5) * cell + 4.5, "text-anchor": "end", text: cutTo(name, label - 10) }));
      const X = label + (i + 0.5) * cell;
      if (turned && i % every === 0) out.push(svg("text", { transform: `translate(${X + 4.5} ${top - 6}) rotate(-90)`, text: cutTo(name, 60) }));
      else if (!turned) out.push(svg("text", { x: X, y: top - 6, "text-anchor": "middle", text: name }));
      rows[i].forEach((w, j) => {
        const [x, y] = [label + j * cell, top + i * cell];
        if (net.causal && j > i) out.push(svg("rect", { class: "tt-future", x, y, width: cell, height: cell }));
        else if (w > 0.004) out.push(svg("rect", { class: "tt-blue", x, y, width: cell, height: cell, "fill-opacity": ((cell >= 30 ? 0.55 : 1) * w).toFixed(3) }));
        if (cell >= 30 && !(net.causal && j > i)) out.push(svg("text", { class: "tt-number", x: x + cell / 2, y: y + cell / 2 + 4.5, "text-anchor": "middle", text: w >= 0.995 ? "1" : fixed(w, 2).slice(1) }));
      });
    });
    let lines = "";
    for (let i = 1; i < T; i += 1) lines += `M${label + i * cell} ${top}v${cell * T}M${label} ${top + i * cell}h${cell * T}`;
    out.push(svg("path", { class: "cx-grid", d: lines }), svg("rect", { class: "tt-frame", x: label, y: top + t * cell, width: cell * T, height: cell, rx: 2 }));
    matrixMarks.replaceChildren(...out);
    matrixTitle.textContent = `Layer ${s.layer}, head ${s.head}: where each position looks`;
  }
  function drawStream(s, now, t, lens, norms, added, width) {
    const T = s.tokens.length;
    const names = s.tokens.map(glyph);
    const narrow = width < 560;
    const titlesOf = narrow ? shortSteps : steps;
    const label = Math.max(...titlesOf.map(measure)) + 12;
    const wide = Math.min((width - label - 4) / T, 84);
    const tall = 26;
    const top = 22;
    plan = { ...plan, label, wide };
    const height = top + tall * steps.length + 3;
    set(stream, { width, height, viewBox: `0 0 ${width} ${height}` });
    const out = [svg("rect", { class: "cx-plot", x: label, y: top, width: wide * T, height: tall * steps.length })];
    const values = s.quantity === "added" ? added : norms;
    const most = Math.max(...values.flat());
    names.forEach((name, j) => out.push(svg("text", { class: j === t ? "tt-now" : null, x: label + (j + 0.5) * wide, y: top - 7, "text-anchor": "middle", text: cutTo(name, wide - 2) })));
    steps.forEach((_, r) => {
      const y = top + r * tall;
      out.push(svg("text", { x: label - 7, y: y + 17.5, "text-anchor": "end", text: titlesOf[r] }));
      names.forEach((__, j) => {
        const x = label + j * wide;
        const best = ranked(lens[r][j])[0];
        const share = s.quantity === "lens" ? lens[r][j][best] : values[r][j] / most;
        out.push(svg("rect", { class: "tt-blue", x, y, width: wide, height: tall, "fill-opacity": (0.55 * share).toFixed(3) }));
        const text = s.quantity === "lens" ? cutTo(labels[best], wide - 2) : (wide >= 24 ? [fixed(values[r][j], 1), fixed(values[r][j], 0)].find((v) => measure(v) < wide - 1) || "" : "");
        if (text) out.push(svg("text", { class: "tt-entry", "data-row": r, "data-column": j, x: x + wide / 2, y: y + 17.5, "text-anchor": "middle", text }));
      });
    });
    let lines = "";
    for (let j = 1; j < T; j += 1) lines += `M${label + j * wide} ${top}v${tall * steps.length}`;
    for (let r = 1; r < steps.length; r += 1) lines += `M${label} ${top + r * tall}h${wide * T}`;
    out.push(svg("path", { class: "cx-grid", d: lines }), svg("rect", { class: "tt-frame", x: label + t * wide, y: top, width: wide, height: tall * steps.length, rx: 2 }));
    streamMarks.replaceChildren(...out);
    set(streamHit, { x: label, y: top, width: wide * T, height: tall * steps.length });
  }

  let width = 0;
  function draw() {
    if (!width) return;
    const s = get();
    const T = s.tokens.length;
    const t = clamp(s.position, 1, T) - 1;
    const now = current(s);
    const names = s.tokens.map(glyph);

    if (strip.children.length !== T) strip.replaceChildren(...s.tokens.map(() => h("button", { type: "button", class: "tt-token" }, h("span", { class: "tt-index" }), h("span", { class: "tt-glyph" }))));
    names.forEach((name, j) => {
      const node = strip.children[j];
      node.firstChild.textContent = String(j + 1);
      node.lastChild.textContent = name;
      node.classList.toggle("tt-other", s.tokens[j] !== opening.tokens[j]);
      set(node, { "aria-pressed": String(j === t), tabindex: j === t ? 0 : -1, "aria-label": `Position ${j + 1}: ${sampling.title(s.tokens[j])}` });
    });
    exchange.element.querySelector("label").textContent = `Token ${t + 1} is`;
    exchange.set(String(place.get(s.tokens[t])));
    const others = s.tokens.filter((token, j) => token !== opening.tokens[j]).length;
    changed.textContent = others ? `${others} of ${T} exchanged` : "";

    drawTiles(s, now, t);
    drawMatrix(s, now, t);
    const silent = s.off.some(([layer, head]) => layer === s.layer && head === s.head);
    silence.set(silent);
    silenceText.textContent = `Switch off head ${s.head} of layer ${s.layer}`;
    allOn.disable(!s.off.length);
    const [first, second] = words(s);
    said.replaceChildren(h("p", { class: "tt-first", text: first }), h("p", { text: second }));

    const [lens, norms, added] = [now.lens(s.off), now.norms(s.off), now.added(s.off)];
    quantity.set(s.quantity);
    drawStream(s, now, t, lens, norms, added, width);

    const p = now.chances(s.off, t);
    const before = now.chances([], t);
    const order = p.map((_, k) => k).sort((a, b) => Math.max(p[b], before[b]) - Math.max(p[a], before[a]) || a - b);
    barsTitle.textContent = net.causal ? `After position ${t + 1}, ${mark(names[t])}: the next token` : `At position ${t + 1}, ${mark(names[t])}: the output`;
    bars.show({ order, names: titles, before, after: s.off.length ? p : null, others: s.off.length ? `Off: ${s.off.map(([layer, head]) => `head ${head} of layer ${layer}`).join(", ")}` : "All heads are on." });

    tableTitle.textContent = `Position ${t + 1}, step by step`;
    table.replaceChildren(
      h("thead", {}, h("tr", {}, ["after", "adds", "stream", "the output layer reads"].map((text) => h("th", { scope: "col", text })))),
      h("tbody", {}, steps.map((step, r) => h("tr", {}, h("th", { scope: "row", text: width < 560 ? shortSteps[r] : step }), h("td", { text: fixed(added[r][t], 2) }), h("td", { text: fixed(norms[r][t], 2) }),
        h("td", { class: "tt-reads" }, ranked(lens[r][t]).slice(0, 3).map((token) => h("span", {}, h("b", { text: cutTo(titles[token], 90) }), ` ${short(lens[r][t][token])}`)))))));
  }

  cx.onResize((w) => {
    width = w;
    request();
  });
  cx.observe(model, TT_STATE.map((name) => `change:${name}`).join(" "), request);
  width = Math.floor(cx.stage.clientWidth) || width;
  draw();
  return cx.dispose;
}

export default { render };
