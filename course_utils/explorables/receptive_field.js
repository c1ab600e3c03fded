// ReceptiveField: a stack of convolution layers in one dimension; which inputs does one unit see, and how often?
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.
// A layer is [kernel size k, stride s, dilation r]; layers stand from input to output, without padding.

const REC_MAX = { layers: 6, kernel: 11, stride: 4, dilation: 8, units: 200 };
const REC_PRESETS = {
  "three 3x3": [[3, 1, 1], [3, 1, 1], [3, 1, 1]],
  "one 7x7": [[7, 1, 1]],
  "strides 2": [[3, 2, 1], [3, 2, 1], [3, 2, 1]],
  "dilated 1 2 4": [[3, 1, 1], [3, 1, 2], [3, 1, 4]],
  "VGG block": [[3, 1, 1], [3, 1, 1], [2, 2, 1], [3, 1, 1], [3, 1, 1], [2, 2, 1]],
};

// Units in the input and in every layer.
function recSizes(layers, inputs) {
  const counts = [inputs];
  for (const [k, s, r] of layers) counts.push(Math.max(Math.floor((counts.at(-1) - r * (k - 1) - 1) / s) + 1, 0));
  return counts;
}
// Pairs [R, J] for the input and every layer.
function recFields(layers) {
  const table = [[1, 1]];
  for (const [k, s, r] of layers) {
    const [field, jump] = table.at(-1);
    table.push([field + r * (k - 1) * jump, jump * s]);
  }
  return table;
}
// What a unit depends on: {start, counts} for its own layer, the one below, ... and the input.
function recUsed(layers, layer, unit) {
  let start = unit;
  let counts = [1];
  const found = [{ start, counts }];
  for (const [k, s, r] of layers.slice(0, layer).reverse()) {
    const below = new Array(s * (counts.length - 1) + r * (k - 1) + 1).fill(0);
    counts.forEach((ways, n) => { for (let u = 0; u < k; u += 1) below[n * s + r * u] += ways; });
    start *= s;
    counts = below;
    found.push({ start, counts });
  }
  return found;
}
const recPaths = (layers) => recUsed(layers, layers.length, 0).at(-1).counts;
// [start, length] of the fewest neighbouring inputs that hold half of all paths; of several the one nearest the middle.
function recCore(counts, share = 0.5) {
  const total = [0];
  for (const c of counts) total.push(total.at(-1) + c);
  for (let length = 1; length <= counts.length; length += 1) {
    const within = counts.slice(length - 1).map((_, n) => total[n + length] - total[n]);
    const most = Math.max(...within);
    if (most < share * total.at(-1) * (1 - 1e-12)) continue;
    let best = -1;
    within.forEach((w, n) => {
      const off = (m) => Math.abs(2 * m + length - counts.length);
      if (w >= most * (1 - 1e-12) && (best < 0 || off(n) < off(best))) best = n;
    });
    return [best, length];
  }
  return [0, counts.length];
}
function recSuggested(layers) {
  const [field, jump] = recFields(layers).at(-1);
  if (field > REC_MAX.units) return REC_MAX.units;
  const more = Math.min(8, Math.max(Math.floor((Math.max(48, field + 2 * jump) - field) / jump), 0));
  return Math.min(Math.max(field + more * jump, 8), REC_MAX.units);
}

export const math = { presets: REC_PRESETS, sizes: recSizes, fields: recFields, used: recUsed, paths: recPaths, core: recCore, suggested: recSuggested };

const REC_STATE = ["layers", "inputs", "unit"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "receptive",
    question: "How much of the input does one unit see?",
    lead: "Click a unit: all units below that it depends on light up, down to the input. The bars count the paths from it to each input.",
    tries: [
      "Compare “three 3 × 3” with “one 7 × 7”. Both see 7 inputs: which inputs count most in each?",
      "Choose a unit, then its neighbour. By how many inputs does the field move, and where does that number stand below?",
      "Take “dilated 1 2 4” and set all three dilations to 4. Which inputs inside the field are never used?",
      "Take “strides 2” and add a layer. By how much does R grow, and why by more than for the first layer?",
    ],
  });
  const { clamp } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(REC_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const whole = (v) => String(v).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const sub = (n) => String(n).replace(/\d/g, (c) => "₀₁₂₃₄₅₆₇₈₉"[c]);
  const levelName = (level) => (level ? `layer ${level}` : "input");

  // The chosen unit, within what exists.
  const chosen = (counts) => {
    let [layer, unit] = model.get("unit");
    layer = clamp(layer, 0, counts.length - 1);
    while (layer > 0 && !counts[layer]) layer -= 1;
    return [layer, clamp(unit, 0, counts[layer] - 1)];
  };
  let own = opening.inputs !== recSuggested(opening.layers); // the reader has set the number of inputs
  // Change the layers: the input grows with the field, and the chosen unit stays in the middle of its layer.
  const change = (layers, { level, save = true } = {}) => {
    const field = recFields(layers).at(-1)[0];
    const inputs = own && model.get("inputs") >= Math.min(field, REC_MAX.units) ? model.get("inputs") : recSuggested(layers);
    const counts = recSizes(layers, inputs);
    let layer = clamp(level ?? model.get("unit")[0], 0, layers.length);
    while (layer > 0 && !counts[layer]) layer -= 1;
    put({ layers, inputs, unit: [layer, Math.floor((counts[layer] - 1) / 2)] }, save);
  };

  // ---- the drawing ----
  const svg = ui.svg("svg", { role: "group", "aria-label": "Rows of units, the input at the bottom" });
  const drawing = ui.svg("g", { "aria-hidden": "true" });
  const cover = ui.svg("rect", { class: "rec-cover", x: 1.5, y: 1.5, rx: 4, tabindex: 0, role: "slider", "aria-label": "Chosen unit", "aria-valuemin": 0 });
  svg.append(drawing, cover);
  const says = ui.h("div", { class: "rec-says" });
  cx.stage.append(svg, says);

  let width = 600;
  let view = null; // how the picture is laid out: filled by draw()
  const choose = (layer, unit, save = true) => put({ unit: [layer, unit] }, save);
  const nearest = (level, x, { table, counts }) => clamp(Math.round((x - (table[level][0] - 1) / 2) / table[level][1]), 0, counts[level] - 1);
  const pick = (event) => {
    const r = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / r.width || 1;
    const [px, py] = [(event.clientX - r.left) * scale, (event.clientY - r.top) * scale];
    const level = clamp(Math.round((view.base - py) / view.gap), 0, view.top);
    choose(level, nearest(level, (px - view.left) / view.step - 0.5, view), false);
  };
  let held = false;
  cx.on(cover, "pointerdown", (event) => {
    if (event.button !== 0) return;
    cover.focus({ preventScroll: true, focusVisible: false });
    held = true;
    pick(event);
  });
  cx.on(cover, "pointermove", (event) => { if (held) pick(event); });
  cx.on(cover, "pointerup pointercancel pointerleave", () => {
    if (!held) return;
    held = false;
    model.save_changes();
    tell();
  });
  cx.on(cover, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [layer, unit] = chosen(view.counts);
    const by = event.shiftKey ? 5 : 1;
    const along = { ArrowLeft: unit - by, ArrowRight: unit + by, Home: 0, End: Infinity }[event.key];
    const across = { ArrowUp: layer + 1, ArrowDown: layer - 1 }[event.key];
    if (along === undefined && across === undefined) return;
    event.preventDefault();
    if (along !== undefined) choose(layer, clamp(along, 0, view.counts[layer] - 1));
    else {
      const level = clamp(across, 0, view.top);
      const [field, jump] = view.table[layer];
      if (level !== layer) choose(level, nearest(level, unit * jump + (field - 1) / 2, view));
    }
    tell();
  });

  // What the chosen unit sees, in one or two sentences.
  function sentence() {
    const { layers, inputs } = get();
    const [layer, unit] = chosen(recSizes(layers, inputs));
    if (!layer) return `Input ${unit} is chosen. It depends on nothing else: R₀ = 1.`;
    const { start, counts } = recUsed(layers, layer, unit).at(-1);
    const all = counts.reduce((a, b) => a + b, 0);
    const some = counts.filter((c) => c > 0).length;
    const [first, length] = recCore(counts);
    const holes = some === counts.length ? "" : ` Only ${some} of them are used; the others lie in the gaps.`;
    return `Unit ${unit} of layer ${layer} sees inputs ${start} to ${start + counts.length - 1}: R${sub(layer)} = ${counts.length}.${holes} `
      + `Of its ${whole(all)} paths, half lead to ${length} neighbouring input${length > 1 ? "s" : ""}, ${start + first}${length > 1 ? ` to ${start + first + length - 1}` : ""}.`;
  }
  const tell = () => cx.announce(sentence());

  // ---- controls ----
  const bar = ui.h("div", { class: "rec-bar" });
  cx.panel.append(bar);
  const preset = cx.select({
    label: "Stack", inline: true, value: "", parent: bar,
    options: [["", "own"], ...Object.keys(REC_PRESETS).map((name) => [name, name.replace(/(\d)x(\d)/, "$1 × $2")])],
    onChange: (name) => {
      if (!name) return;
      own = false;
      change(copy(REC_PRESETS[name]), { level: REC_PRESETS[name].length });
      tell();
    },
  });
  const inputs = cx.slider({ label: "Inputs", min: 8, max: REC_MAX.units, step: 1, value: opening.inputs, parent: bar,
    onInput: (v) => {
      own = true;
      const counts = recSizes(model.get("layers"), v);
      let [layer] = model.get("unit");
      while (layer > 0 && !counts[layer]) layer -= 1;
      put({ inputs: v, unit: [layer, Math.floor((counts[layer] - 1) / 2)] }, false);
    },
    onChange: () => { model.save_changes(); tell(); } });
  const buttons = cx.row(bar);
  const add = cx.button({ label: "Add a layer", parent: buttons, onClick: () => {
    const layers = copy(model.get("layers"));
    layers.push(layers.at(-1).slice());
    change(layers, { level: layers.length });
    tell();
  } });
  cx.resetButton(() => {
    own = opening.inputs !== recSuggested(opening.layers);
    put(copy(opening));
    cx.announce("Back to the opening state.");
  }, buttons);
  const recursion = ui.h("p", { class: "rec-recursion" },
    ["Rₗ = Rₗ₋₁ + rₗ(kₗ − 1)Jₗ₋₁", "Jₗ = Jₗ₋₁sₗ", "R₀ = J₀ = 1"].map((text) => ui.h("span", { text })));
  const cards = ui.h("div", { class: "rec-cards" });
  cx.panel.append(recursion, cards);
  const layerCards = Array.from({ length: REC_MAX.layers }, (_, n) => {
    const name = ui.h("b", { text: `Layer ${n + 1}` });
    const head = ui.h("div", { class: "rec-head" }, name);
    const fields = ui.h("div", { class: "rec-fields" });
    const sums = ui.h("div", { class: "rec-sums" });
    const element = ui.h("section", { class: "rec-card", role: "group", "aria-label": `Layer ${n + 1}` }, head, fields, sums);
    cards.append(element);
    const remove = cx.button({ label: "Remove", parent: head, onClick: () => {
      const layers = model.get("layers").filter((__, m) => m !== n);
      change(layers, { level: layers.length });
      tell();
    } });
    ui.set(remove.element, { "aria-label": `Remove layer ${n + 1}` });
    const sliders = [["Kernel k", REC_MAX.kernel], ["Stride s", REC_MAX.stride], ["Dilation r", REC_MAX.dilation]].map(([label, max], part) =>
      cx.slider({ label, min: 1, max, step: 1, value: 1, parent: fields,
        onInput: (v) => {
          const layers = copy(model.get("layers"));
          layers[n][part] = v;
          change(layers, { save: false, level: Math.max(model.get("unit")[0], n + 1) });
        },
        onChange: () => { model.save_changes(); tell(); } }));
    return { element, sums, remove, sliders };
  });
  const remark = cx.note("");

  // ---- drawing ----
  const make = (tag, attrs) => drawing.appendChild(ui.svg(tag, attrs));
  function draw() {
    const { layers, inputs: n } = get();
    const counts = recSizes(layers, n);
    const table = recFields(layers);
    let top = counts.findIndex((count) => !count) - 1;
    if (top < 0) top = layers.length;
    const [layer, unit] = chosen(counts);
    const used = recUsed(layers, layer, unit);
    const roomy = width >= 560;
    const [left, right, gap] = [roomy ? 66 : 58, roomy ? 116 : 10, roomy ? 44 : 40];
    const plain = width - left - right;
    const step = Math.min(plain / n, 30);
    const inset = left + (plain - step * n) / 2;
    const base = 24 + gap * top;
    view = { layers, counts, table, top, base, gap, step, left: inset };
    const X = (level, m) => inset + step * (0.5 + m * table[level][1] + (table[level][0] - 1) / 2);
    const Y = (level) => base - gap * level;
    const radius = clamp(0.38 * step, 1, 8);
    drawing.replaceChildren();

    // connections: all of them in grey if they are few, then those of the chosen unit
    const edge = (level, m, u) => {
      const [, s, r] = layers[level - 1];
      return `M${X(level, m).toFixed(1)} ${Y(level)}L${X(level - 1, m * s + r * u).toFixed(1)} ${Y(level - 1)}`;
    };
    const total = layers.slice(0, top).reduce((sum, [k], l) => sum + k * counts[l + 1], 0);
    if (total <= 900) {
      const all = [];
      for (let l = 1; l <= top; l += 1) for (let m = 0; m < counts[l]; m += 1) for (let u = 0; u < layers[l - 1][0]; u += 1) all.push(edge(l, m, u));
      make("path", { class: "rec-edge", d: all.join("") });
    }
    const lit = [];
    used.slice(0, -1).forEach(({ start, counts: ways }, depth) => {
      const level = layer - depth;
      ways.forEach((w, m) => { if (w) for (let u = 0; u < layers[level - 1][0]; u += 1) lit.push(edge(level, start + m, u)); });
    });
    make("path", { class: "rec-lit", d: lit.join(""), "stroke-width": lit.length > 300 ? 0.6 : 1.3 });

    // units
    for (let level = 0; level <= top; level += 1) {
      const part = used[layer - level];
      const most = part ? Math.max(...part.counts) : 1;
      make("text", { class: "rec-name", x: 8, y: Y(level) + 4.5, text: levelName(level) });
      if (roomy) make("text", { class: "rec-side", x: width - right + 8, y: Y(level) + 4.5, text: `R = ${whole(table[level][0])}, J = ${whole(table[level][1])}` });
      for (let m = 0; m < counts[level]; m += 1) {
        const ways = part?.counts[m - part.start] || 0;
        const here = level === layer && m === unit;
        make("circle", { class: here ? "rec-unit rec-chosen" : ways ? "rec-unit rec-used" : "rec-unit", cx: X(level, m).toFixed(1), cy: Y(level), r: here ? Math.max(radius + 1.5, 4) : radius,
          style: ways && !here ? `--share: ${Math.round(30 + (70 * ways) / most)}%` : null });
      }
    }
    make("circle", { class: "rec-halo", cx: X(layer, unit), cy: Y(layer), r: Math.max(radius + 1.5, 4) + 4 });

    // paths to every input
    const { start, counts: ways } = used.at(-1);
    const most = Math.max(...ways);
    const [first, length] = recCore(ways);
    const tall = 54;
    const numbers = 8.2 * whole(most).length < step - 1;
    const floor = base + radius + 10 + tall + (numbers ? 18 : 4);
    make("path", { class: "rec-floor", d: `M${inset} ${floor}h${step * n}` });
    make("text", { class: "rec-name", x: 8, y: floor - tall / 2 - 3, text: "paths" });
    if (!numbers) make("text", { class: "rec-name", x: 8, y: floor - tall / 2 + 14, text: `≤ ${whole(most)}` });
    ways.forEach((w, m) => {
      const x = inset + step * (start + m);
      const inner = m >= first && m < first + length && layer > 0;
      const h = tall * w / most;
      make("rect", { class: inner ? "rec-path rec-core" : "rec-path", x: (x + 0.1 * step).toFixed(2), y: (floor - h).toFixed(2), width: (0.8 * step).toFixed(2), height: h.toFixed(2) });
      if (numbers) make("text", { class: w ? "rec-count" : "rec-count rec-none", x: x + step / 2, y: floor - h - 4, "text-anchor": "middle", text: whole(w) });
    });
    // two brackets: the field, and the stretch that holds half of the paths
    const bracket = (from, count, y, text, cls) => {
      const [a, b] = [inset + step * from, inset + step * (from + count)];
      make("path", { class: `rec-bracket ${cls}`, d: `M${a.toFixed(1)} ${y - 4}v4h${(b - a).toFixed(1)}v-4` });
      const half = 3.7 * text.length;
      make("text", { class: "rec-bracket-name", x: clamp((a + b) / 2, half + 4, width - half - 4), y: y + 15, "text-anchor": "middle", text });
    };
    bracket(start + first, length, floor + 12, layer ? `half of the paths: ${length} input${length > 1 ? "s" : ""}` : "", "rec-core");
    bracket(start, ways.length, floor + 42, `receptive field R = ${whole(ways.length)}`, "rec-field");
    const height = floor + 64;
    ui.set(svg, { width, height, viewBox: `0 0 ${width} ${height}` });
    ui.set(cover, { width: width - 3, height: base + radius + 6, "aria-valuemax": counts[layer] - 1, "aria-valuenow": unit,
      "aria-valuetext": `unit ${unit} of ${counts[layer]} in ${layer ? `layer ${layer}` : "the input"}, sees ${ways.length} input${ways.length > 1 ? "s" : ""}` });
    says.textContent = sentence();

    // the controls
    const same = Object.keys(REC_PRESETS).find((name) => JSON.stringify(REC_PRESETS[name]) === JSON.stringify(layers));
    preset.set(same || "");
    inputs.set(n);
    add.disable(layers.length >= REC_MAX.layers);
    layerCards.forEach(({ element, sums, remove, sliders }, l) => {
      element.hidden = l >= layers.length;
      if (element.hidden) return;
      const [k, s, r] = layers[l];
      [k, s, r].forEach((v, part) => sliders[part].set(v));
      remove.disable(layers.length < 2);
      const [[before, jump], [field, next]] = [table[l], table[l + 1]];
      const sum = (text, result, tail = "") => ui.h("p", {}, text, ui.h("span", { class: "rec-together" }, tail, ui.h("b", { text: result })));
      sums.replaceChildren(
        sum(`R${sub(l + 1)} = ${whole(before)} + ${r}·(${k} − 1)·${whole(jump)} = `, whole(field)),
        sum(`J${sub(l + 1)} = ${whole(jump)}·${s} = `, whole(next)),
        sum(`n${sub(l + 1)} = ${counts[l] ? `⌊(${counts[l]} − ${r}·(${k} − 1) − 1)/${s}⌋ ` : ""}`,
          counts[l + 1] ? String(counts[l + 1]) : "0, too short", counts[l + 1] ? "+ 1 = " : counts[l] ? "→ " : ""));
    });
    const [field] = table.at(-1);
    const notes = [`In a picture the field of the last layer is ${whole(field)} × ${whole(field)} pixels.`];
    if (top < layers.length)
      notes.push(`Layer ${top + 1}${top + 1 < layers.length ? ` and those above it are` : " is"} not drawn: R${sub(top + 1)} = ${whole(table[top + 1][0])} is more than the ${n} inputs.`);
    notes.push("With equal weights and no activation between the layers a bar is the unit’s derivative by that input, up to a common factor: its effective receptive field (Luo et al. 2016).");
    if (remark.textContent !== notes.join(" ")) remark.textContent = notes.join(" ");
  }

  cx.onResize((now) => {
    width = now;
    request();
  });
  cx.observe(model, REC_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
