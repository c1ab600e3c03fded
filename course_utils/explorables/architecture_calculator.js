// ArchitectureCalculator: a stack of layers, and what each of them costs.
// First the counting (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const ARCH_LIMITS = { filters: 8192, kernel: 31, stride: 31, groups: 8192, units: 100000, layers: 80, size: 2048, channels: 4096 };
// The options of each kind with what a new layer of it begins with. "stride: null" is the kernel's size.
const ARCH_WINDOW = { kernel: 3, stride: 1, padding: "same" };
const ARCH_POOL = { kernel: 2, stride: null, padding: "valid" };
const ARCH_KINDS = {
  conv: { filters: 64, ...ARCH_WINDOW, groups: 1, bias: null, norm: false },
  depthwise: { ...ARCH_WINDOW, bias: null, norm: false },
  max_pool: ARCH_POOL,
  avg_pool: ARCH_POOL,
  global_pool: {},
  flatten: {},
  dense: { units: 128, bias: true },
  inception: { filters: [64, 96, 128, 16, 32, 32] },
  residual: { filters: 64, stride: 1 },
  bottleneck: { filters: 64, stride: 1 },
};
const ARCH_NAMES = {
  conv: "convolution", depthwise: "depthwise convolution", max_pool: "max pooling", avg_pool: "average pooling",
  global_pool: "global average pooling", flatten: "flatten", dense: "dense", inception: "inception block",
  residual: "residual block", bottleneck: "bottleneck block",
};
const ARCH_FAMILIES = { conv: "convolution", depthwise: "depthwise", block: "block of convolutions", dense: "dense", pool: "pooling" };
const archFamily = (kind) =>
  ["inception", "residual", "bottleneck"].includes(kind) ? "block" : ["conv", "depthwise", "dense"].includes(kind) ? kind : "pool";

// A layer with all its options, in the order of ARCH_KINDS (so that equal layers have equal JSON).
function archFull(layer) {
  const full = { kind: layer.kind };
  for (const [name, value] of Object.entries(ARCH_KINDS[layer.kind])) full[name] = layer[name] ?? value;
  if ("stride" in full && full.stride === null) full.stride = full.kernel;
  if ("bias" in full && full.bias === null) full.bias = !full.norm;
  if (layer.name) full.name = layer.name;
  return full;
}
const archSame = (a, b) => JSON.stringify(a.map(archFull)) === JSON.stringify(b.map(archFull));

const archThousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const archTimes = (shape) => shape.map(archThousands).join(" × ");
// A count with three significant digits: 999, 61.7 k, 138 M, 15.5 G.
function archShort(value) {
  for (const [unit, size] of [["", 1], [" k", 1e3], [" M", 1e6], [" G", 1e9], [" T", 1e12]]) {
    const scaled = value / size;
    if (scaled < 999.5 || unit === " T") return scaled.toFixed(!unit || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2) + unit;
  }
  return "";
}
const archBytes = (n) => {
  const text = archShort(n);
  return text.includes(" ") ? `${text}B` : `${text} B`;
};
const archShare = (part, whole) => {
  const percent = whole ? (100 * part) / whole : 0;
  return percent > 0 && percent < 1 ? "under 1 %" : `${percent.toFixed(0)} %`;
};

function archLabel(layer) {
  const l = archFull(layer);
  const window = `${l.kernel}×${l.kernel}`;
  const pool = l.kind === "max_pool" || l.kind === "avg_pool";
  let words = {
    conv: `conv ${window}, ${l.filters}`, depthwise: `depthwise ${window}`, max_pool: `max pool ${window}`, avg_pool: `avg pool ${window}`,
    global_pool: "global avg pool", flatten: "flatten", dense: `dense ${l.units}`, inception: "inception",
    residual: `residual ${l.filters}`, bottleneck: `bottleneck ${l.filters}`,
  }[l.kind];
  if (l.stride !== undefined && l.stride !== (pool ? l.kernel : 1)) words += `, s ${l.stride}`;
  if (l.groups > 1) words += `, g ${l.groups}`;
  if (l.padding === "valid" && !pool) words += ", valid";
  return l.name ? `${l.name}: ${words}` : words;
}

class ArchConflict extends Error {}

function archWindow(shape, kernel, stride, padding) {
  if (padding === "valid" && kernel > Math.min(shape[0], shape[1]))
    throw new ArchConflict(`a window of ${kernel} × ${kernel} does not fit into a map of ${archTimes(shape.slice(0, 2))}.`);
  return [shape[0], shape[1]].map((size) => (padding === "same" ? Math.ceil(size / stride) : Math.floor((size - kernel) / stride) + 1));
}

// One layer: counts its convolutions and follows the receptive field along the way that sees most.
function archWalk(field, jump) {
  const walk = {
    field, jump, parameters: 0, multiply_adds: 0, activations: 0, parts: [],
    see(kernel, stride) {
      walk.field += (kernel - 1) * walk.jump;
      walk.jump *= stride;
    },
    conv(title, shape, { filters, kernel, stride = 1, padding = "same", groups = 1, bias = true, norm = false }) {
      const channels = shape[2];
      if (channels % groups || filters % groups)
        throw new ArchConflict(`${groups} groups do not divide both the ${archThousands(channels)} channels that come in and the ${archThousands(filters)} filters.`);
      const places = archWindow(shape, kernel, stride, padding);
      const weights = kernel * kernel * (channels / groups) * filters;
      const parameters = weights + filters * (Number(bias) + 2 * Number(norm));
      const work = weights * places[0] * places[1];
      walk.parameters += parameters;
      walk.multiply_adds += work;
      walk.activations += filters * places[0] * places[1];
      walk.parts.push({ title, kernel, channels, groups, filters, bias, norm, places, parameters, work });
      return [...places, filters];
    },
  };
  return walk;
}

function archCount(layer, shape, walk) {
  const { kind } = layer;
  const size = shape.reduce((a, b) => a * b, 1);
  if (kind === "flatten") return [size];
  if (kind === "dense") {
    if (shape.length === 3)
      throw new ArchConflict(`a dense layer needs a vector, but gets a map of ${archTimes(shape)}; flatten or pool it globally first.`);
    const weights = shape[0] * layer.units;
    walk.parameters += weights + (layer.bias ? layer.units : 0);
    walk.multiply_adds += weights;
    walk.activations += layer.units;
    return [layer.units];
  }
  if (shape.length === 1)
    throw new ArchConflict(`it needs a map (H, W, C), but gets a vector of ${archThousands(shape[0])} numbers; put it further up.`);
  const channels = shape[2];
  if (kind === "global_pool") {
    walk.activations += channels;
    return [channels];
  }
  if (kind === "conv" || kind === "depthwise") {
    const out = walk.conv("", shape, kind === "conv" ? layer : { ...layer, filters: channels, groups: channels });
    walk.see(layer.kernel, layer.stride);
    return out;
  }
  if (kind === "max_pool" || kind === "avg_pool") {
    const out = [...archWindow(shape, layer.kernel, layer.stride, layer.padding), channels];
    walk.activations += out[0] * out[1] * channels;
    walk.see(layer.kernel, layer.stride);
    return out;
  }
  if (kind === "inception") {
    const [one, before3, three, before5, five, after] = layer.filters;
    walk.conv("1×1", shape, { filters: one, kernel: 1 });
    walk.conv("3×3", walk.conv("1×1 for 3×3", shape, { filters: before3, kernel: 1 }), { filters: three, kernel: 3 });
    walk.conv("5×5", walk.conv("1×1 for 5×5", shape, { filters: before5, kernel: 1 }), { filters: five, kernel: 5 });
    walk.activations += size; // the 3×3 maximum, stride 1
    walk.conv("1×1 after pool", shape, { filters: after, kernel: 1 });
    walk.see(5, 1);
    return [shape[0], shape[1], one + three + five + after];
  }
  const { filters, stride } = layer;
  const plan = kind === "residual" ? [[filters, 3], [filters, 3]] : [[filters, 1], [filters, 3], [4 * filters, 1]];
  const own = { bias: false, norm: true };
  let out = shape;
  plan.forEach(([n, kernel], k) => {
    out = walk.conv(`${kernel}×${kernel}, ${n}`, out, { filters: n, kernel, stride: k ? 1 : stride, ...own });
    walk.see(kernel, k ? 1 : stride);
  });
  if (String(out) !== String(shape)) walk.conv("1×1 shortcut", shape, { filters: out[2], kernel: 1, stride, ...own });
  return out;
}

// The rows up to the first conflict, and the sentence about it ("" if everything fits).
function archStack(layers, input) {
  const rows = [];
  let shape = input;
  let [field, jump, everything] = [1, 1, false];
  for (const [k, given] of layers.entries()) {
    const layer = archFull(given);
    const walk = archWalk(field, jump);
    const label = archLabel(layer);
    let out;
    try {
      out = archCount(layer, shape, walk);
    } catch (error) {
      if (!(error instanceof ArchConflict)) throw error;
      return { rows, conflict: `Layer ${k + 1} (${label}): ${error.message}` };
    }
    ({ field, jump } = walk);
    everything ||= layer.kind === "dense" || layer.kind === "global_pool";
    rows.push({
      kind: layer.kind, label, input_shape: shape, output_shape: out, parameters: walk.parameters, multiply_adds: walk.multiply_adds,
      activations: walk.activations, receptive_field: everything ? null : field, parts: walk.parts,
    });
    shape = out;
  }
  return { rows, conflict: "" };
}
const archSum = (rows, name) => rows.reduce((sum, row) => sum + row[name], 0);

function archFinding(rows) {
  const parameters = archSum(rows, "parameters");
  const work = archSum(rows, "multiply_adds");
  if (!work) return "No layer here has weights.";
  const most = rows.reduce((best, row, k) => (row.parameters > rows[best].parameters ? k : best), 0);
  let done = 0;
  const half = rows.findIndex((row) => (done += row.multiply_adds) >= work / 2);
  const dense = rows.filter((row) => row.kind === "dense");
  let text = `Layer ${most + 1} (${rows[most].label}) alone holds ${archShare(rows[most].parameters, parameters)} of the parameters. ` +
    `Half of the work is done by the end of layer ${half + 1} of ${rows.length}.`;
  if (dense.length && dense.length < rows.length)
    text += ` All dense layers together: ${archShare(archSum(dense, "parameters"), parameters)} of the parameters, ${archShare(archSum(dense, "multiply_adds"), work)} of the work.`;
  return text;
}

export const math = { full: archFull, label: archLabel, stack: archStack, short: archShort, finding: archFinding };

// ---- the figure ----

const ARCH_STATE = ["layers", "input_shape", "batch", "selected", "preset"];
const ARCH_STRIPS = [["parameters", "Parameters"], ["multiply_adds", "Multiply-adds"], ["activations", "Activations"]];

function render({ model, el }) {
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(ARCH_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const presets = model.get("presets");
  const cx = ui.shell(el, {
    kind: "architecture",
    question: "Where do the parameters of a network sit, and where its work?",
    lead: "Each strip is the whole network from input to output, divided by layers; each row is one layer, and `sees` its receptive field in pixels. Click a row or a piece to change that layer.",
    tries: [
      "In `vgg16`, compare the first two strips: which layer holds most of the parameters, which layers do most of the multiply-adds?",
      "Double the input. What grows fourfold, what stays, and which layer's trained weights no longer fit?",
      "Turn the `flatten` of `vgg16` into global average pooling. How many parameters are left, and how much work?",
      "Choose `alexnet` and set the groups of layer 3 to 1. What do two groups save?",
    ],
  });
  const put = (changes, save = true) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    if (save) model.save_changes();
    request();
  };
  const request = cx.frame(draw);

  // ---- what is drawn ----
  const strips = ARCH_STRIPS.map(([name, title]) => {
    const value = ui.h("output", {});
    const more = ui.h("span", { class: "arch-more" });
    const picture = ui.svg("svg", { role: "img", class: "arch-strip" });
    cx.stage.append(ui.h("div", { class: "arch-total" }, ui.h("span", { class: "arch-title", text: title }), value, more), picture);
    cx.on(picture, "click", (event) => {
      const piece = event.target.closest("[data-index]");
      if (piece) choose(Number(piece.dataset.index));
    });
    return { name, title, value, more, picture };
  });
  const legend = ui.h("div", { class: "arch-legend" });
  const finding = ui.h("p", { class: "arch-finding" });
  const published = ui.h("p", { class: "arch-published" });
  const conflictNote = ui.h("p", { class: "arch-conflict" });
  const head = ui.h("div", { class: "arch-row arch-head", role: "row" },
    ["", "layer", "output", "parameters", "multiply-adds", "memory", "sees"].map((text, k) =>
      ui.h("span", { role: "columnheader", class: `arch-c${k}`, text, "aria-label": ["number", null, "output shape", null, null, "memory of the activations", "receptive field"][k],
        title: k === 6 ? "receptive field: side of the square of input pixels that one value depends on" : k === 5 ? "memory of the activations, for the batch" : null })));
  const inputRow = ui.h("div", { class: "arch-row arch-input", role: "row" });
  const body = ui.h("div", { role: "rowgroup", class: "arch-body" });
  const table = ui.h("div", { class: "arch-table", role: "table", "aria-label": "Layers: up and down arrows choose one" },
    ui.h("div", { role: "rowgroup" }, head, inputRow), body);
  cx.stage.append(legend, finding, published, conflictNote, table);

  // ---- controls ----
  const setup = ui.h("div", { class: "arch-setup" });
  cx.stage.parentNode.before(setup);
  const names = Object.keys(presets);
  const preset = cx.select({
    label: "Network", value: "", inline: true, parent: setup,
    options: [...(opening.preset ? [] : [["", "your own"]]), ...names.map((name) => [name, name])],
    onChange: (name) => {
      const layers = name ? presets[name].layers.map(archFull) : copy(opening.layers);
      const input = name ? presets[name].input_shape : opening.input_shape;
      const { rows } = archStack(layers, input);
      const most = rows.reduce((best, row, k) => (row.multiply_adds > (rows[best]?.multiply_adds ?? 0) ? k : best), 0);
      put({ preset: name, layers, input_shape: [...input], selected: most });
      scroll = true;
      tell();
    },
  });
  const numberInput = (attrs) => ui.h("input", { type: "number", step: 1, min: 1, inputmode: "numeric", ...attrs });
  // The whole number in a field, or null (and the field marked) if it is none or out of range.
  const read = (input) => {
    const v = Number(input.value);
    const fine = input.value !== "" && Number.isInteger(v) && v >= 1 && v <= Number(input.max);
    ui.set(input, { "aria-invalid": fine ? null : "true" });
    return fine ? v : null;
  };
  const complain = (input) => cx.announce(`${input.getAttribute("aria-label") || "It"}: a whole number from 1 to ${archThousands(Number(input.max))}.`);
  const show = (input, v, force) => {
    const active = input.getRootNode().activeElement === input;
    if (active && !force && (input.getAttribute("aria-invalid") || Number(input.value) === v)) return;
    input.value = String(v);
    ui.set(input, { "aria-invalid": null });
  };

  const sizes = [["H", "height", "size"], ["W", "width", "size"], ["C", "channels", "channels"]].map(([, name, limit]) =>
    numberInput({ max: ARCH_LIMITS[limit], "aria-label": `${name} of the input` }));
  sizes.forEach((input, k) => {
    cx.on(input, "input", () => {
      const v = read(input);
      if (v === null) return;
      const shape = [...model.get("input_shape")];
      shape[k] = v;
      put({ input_shape: shape }, false);
    });
    cx.on(input, "change", () => {
      if (read(input) === null) complain(input);
      else tell();
      model.save_changes();
      show(input, model.get("input_shape")[k], true);
    });
  });
  const scale = (factor) => () => {
    const [H, W, C] = model.get("input_shape");
    const next = [H, W].map((n) => Math.round(n * factor));
    if (next.every((n) => n >= 1 && n <= ARCH_LIMITS.size)) put({ input_shape: [...next, C] });
    tell();
  };
  const shapeRow = ui.h("div", { class: "arch-shape", role: "group", "aria-label": "Input: height, width, channels" },
    ui.h("span", { class: "arch-name", text: "Input" }), sizes[0], "×", sizes[1], "×", sizes[2]);
  setup.append(shapeRow);
  const half = cx.button({ label: "Halve", title: "Halve the height and the width of the input", onClick: scale(0.5), parent: shapeRow });
  const double = cx.button({ label: "Double", title: "Double the height and the width of the input", onClick: scale(2), parent: shapeRow });
  const batch = cx.select({
    label: "Batch", value: String(opening.batch), parent: setup, inline: true,
    options: [...new Set([1, 2, 4, 8, 16, 32, 64, 128, 256, opening.batch])].sort((a, b) => a - b).map((n) => [String(n), String(n)]),
    onChange: (v) => { put({ batch: Number(v) }); tell(); },
  });

  const editor = ui.h("div", { class: "arch-editor", role: "group" });
  const editorTitle = ui.h("p", { class: "arch-editor-title", id: ui.uid("layer") });
  ui.set(editor, { "aria-labelledby": editorTitle.id });
  const form = ui.h("div", { class: "arch-form" });
  form.append(editorTitle);
  editor.append(form);
  cx.panel.append(editor);
  const kind = cx.select({
    label: "Kind", value: "conv", parent: form, inline: true, options: Object.entries(ARCH_NAMES),
    onChange: (name) => {
      const { layers, selected } = get();
      const old = layers[selected];
      const fresh = { kind: name };
      // what both kinds have stays; a pool's stride follows its kernel
      for (const option of Object.keys(ARCH_KINDS[name]))
        if (option in old && Array.isArray(old[option]) === Array.isArray(ARCH_KINDS[name][option])) fresh[option] = old[option];
      if (name.endsWith("_pool") !== old.kind.endsWith("_pool")) { delete fresh.kernel; delete fresh.stride; delete fresh.padding; }
      put({ layers: layers.map((l, k) => (k === selected ? archFull(fresh) : l)) });
      tell();
    },
  });
  const fields = ui.h("div", { class: "arch-fields" });
  form.append(fields);
  const buttons = cx.row(form);
  const insert = cx.button({ label: "Insert after", title: "Put a new layer after this one", parent: buttons, onClick: () => {
    const { layers, selected } = get();
    const shape = stack.rows[selected]?.output_shape;
    const fresh = shape?.length === 1 ? { kind: "dense" } : { kind: "conv", filters: ui.clamp(shape?.[2] ?? 64, 1, ARCH_LIMITS.filters) };
    put({ layers: [...layers.slice(0, selected + 1), archFull(fresh), ...layers.slice(selected + 1)], selected: selected + 1 });
    scroll = true;
    tell();
  } });
  const remove = cx.button({ label: "Delete", title: "Take this layer out (key Delete in the list)", parent: buttons, onClick: () => drop() });
  const up = cx.button({ label: "Move up", title: "Towards the input (Alt + up arrow in the list)", parent: buttons, onClick: () => shift(-1) });
  const down = cx.button({ label: "Move down", title: "Towards the output (Alt + down arrow in the list)", parent: buttons, onClick: () => shift(1) });
  const sums = ui.h("div", { class: "arch-sums" });
  editor.append(sums);
  cx.resetButton(() => {
    put(copy(opening));
    scroll = true;
    fieldKey = "";
    cx.announce("Back to the opening state.");
  }, cx.row());

  function choose(k, focus = false) {
    put({ selected: ui.clamp(k, 0, model.get("layers").length - 1) });
    scroll = true;
    refocus = focus;
    tell();
  }
  function drop(focus = false) {
    const { layers, selected } = get();
    if (layers.length < 2) return;
    put({ layers: layers.filter((_, k) => k !== selected), selected: Math.min(selected, layers.length - 2) });
    scroll = true;
    refocus = focus;
    tell();
  }
  function shift(by, focus = false) {
    const { layers, selected } = get();
    const to = selected + by;
    if (to < 0 || to >= layers.length) return;
    const next = [...layers];
    [next[selected], next[to]] = [next[to], next[selected]];
    put({ layers: next, selected: to });
    scroll = true;
    refocus = focus;
    tell();
  }

  // Keys in the list: one row is in the tab order, arrows choose, Alt + arrows move the layer, Delete takes it out.
  cx.on(body, "click", (event) => {
    const row = event.target.closest("[data-index]");
    if (row) choose(Number(row.dataset.index), true);
  });
  cx.on(body, "keydown", (event) => {
    const { layers, selected } = get();
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.ctrlKey || event.metaKey) return;
    if (by && event.altKey) shift(by, true);
    else if (event.altKey) return;
    else if (by) choose(selected + by, true);
    else if (event.key === "Home") choose(0, true);
    else if (event.key === "End") choose(layers.length - 1, true);
    else if (event.key === "Delete" || event.key === "Backspace") drop(true);
    else return;
    event.preventDefault();
  });

  // ---- the fields of the chosen layer; they are made anew only when the layer's kind or place changes ----
  const FIELD_NAMES = { filters: "filters", units: "units", kernel: "kernel size k", stride: "stride s", groups: "groups" };
  const INCEPTION = ["1×1", "1×1 for 3×3", "3×3", "1×1 for 5×5", "5×5", "after pool"];
  const change = (option, value, save = true) => {
    const { layers, selected } = get();
    put({ layers: layers.map((l, k) => (k === selected ? { ...l, [option]: value } : l)) }, save);
  };
  let fieldKey = "";
  function makeFields(layer) {
    const field = (text, control) => {
      const id = ui.uid("in");
      ui.set(control, { id });
      fields.append(ui.h("div", { class: "arch-field" }, ui.h("label", { for: id, text }), control));
    };
    const choices = (option, options) => ui.h("select", { "data-option": option }, options.map(([value, text]) => ui.h("option", { value, text })));
    fields.replaceChildren();
    for (const option of Object.keys(ARCH_KINDS[layer.kind])) {
      if (layer.kind === "inception")
        INCEPTION.forEach((text, k) => field(text, numberInput({ max: ARCH_LIMITS.filters, "data-option": option, "data-place": k, "aria-label": `filters ${text}` })));
      else if (option === "padding") field("padding p", choices(option, [["same", "same"], ["valid", "valid"]]));
      else if (option === "norm") continue;
      else if (option === "bias") {
        const norms = [["norm", "batch norm"], ["both", "both"]];
        field("norm" in layer ? "bias, norm" : "bias", choices(option, [["bias", "bias"], ["none", "none"], ...("norm" in layer ? norms : [])]));
      } else field(FIELD_NAMES[option], numberInput({ max: ARCH_LIMITS[option], "data-option": option, "aria-label": FIELD_NAMES[option] }));
    }
  }
  const plusOf = (layer) => (layer.norm ? (layer.bias ? "both" : "norm") : layer.bias ? "bias" : "none");
  function showFields(layer, force) {
    for (const control of fields.querySelectorAll("[data-option]")) {
      const { option, place } = control.dataset;
      if (option === "bias") control.value = plusOf(layer);
      else if (option === "padding") control.value = layer.padding;
      else show(control, place === undefined ? layer[option] : layer.filters[Number(place)], force);
    }
  }
  const take = (control, save) => {
    const { option, place } = control.dataset;
    const { layers, selected } = get();
    if (control.tagName === "SELECT") {
      if (option === "padding") change(option, control.value);
      else {
        const plus = { bias: [true, false], none: [false, false], norm: [false, true], both: [true, true] }[control.value];
        put({ layers: layers.map((l, k) => (k === selected ? { ...l, bias: plus[0], ...("norm" in l ? { norm: plus[1] } : {}) } : l)) });
      }
      return;
    }
    const v = read(control);
    if (v === null) return;
    if (place === undefined) change(option, v, save);
    else change(option, layers[selected].filters.map((n, k) => (k === Number(place) ? v : n)), save);
  };
  cx.on(fields, "input", (event) => { if (event.target.tagName === "INPUT") take(event.target, false); });
  cx.on(fields, "change", (event) => {
    const control = event.target;
    if (control.tagName === "INPUT" && read(control) === null) complain(control);
    else {
      take(control, true);
      tell();
    }
    const { layers, selected } = get();
    showFields(layers[selected], true);
  });

  // ---- words ----
  function tell() {
    const { layers, selected, input_shape: input } = get();
    const { rows, conflict } = archStack(layers, input);
    if (conflict) return cx.announce(conflict);
    const row = rows[Math.min(selected, rows.length - 1)];
    return cx.announce(`Layer ${Math.min(selected, rows.length - 1) + 1}, ${row.label}: output ${row.output_shape.join(" by ")}, ${archShort(row.parameters)} parameters, ` +
      `${archShort(row.multiply_adds)} multiply-adds. Together ${archShort(archSum(rows, "parameters"))} parameters, ${archShort(archSum(rows, "multiply_adds"))} multiply-adds.`);
  }
  // What the numbers are compared with: the preset as it is known, or the opening state.
  const reference = (state) => {
    const base = state.preset ? presets[state.preset] : opening;
    const { rows, conflict } = archStack(base.layers, base.input_shape);
    return { base, rows: conflict ? [] : rows, sameLayers: archSame(base.layers, state.layers), sameInput: String(base.input_shape) === String(state.input_shape) };
  };
  function remark(state, rows) {
    const { base, rows: before, sameLayers, sameInput } = reference(state);
    if (sameLayers && sameInput) return base.published ? `Published: ${base.published}` : "";
    if (!sameLayers || !before.length) return "";
    const k = rows.findIndex((row, i) => row.parameters !== before[i].parameters);
    if (k < 0) return `Weights trained for ${archTimes(base.input_shape)} still fit: no layer's parameters depend on the size of the input.`;
    const [was, now] = [before[k], rows[k]].map((row) => row.input_shape);
    return now.length === 1
      ? `Weights trained for ${archTimes(base.input_shape)} no longer fit layer ${k + 1}: they are for ${archThousands(was[0])} inputs, and now ${archThousands(now[0])} come in.`
      : `Weights trained for ${archTimes(base.input_shape)} no longer fit layer ${k + 1}: they are for ${was[2]} channels, and now ${now[2]} come in.`;
  }
  // The arithmetic of one layer, as [title, text] lines.
  function sumsOf(layer, row) {
    const lines = [];
    const formula = (p) => {
      const incoming = p.groups === 1 ? `${p.channels}` : `(${p.channels}/${p.groups})`;
      const plus = (p.bias ? ` + ${p.filters}` : "") + (p.norm ? ` + 2·${p.filters}` : "");
      const weights = `${p.kernel}·${p.kernel}·${incoming}·${p.filters}`;
      return [`${weights}${plus} = ${archThousands(p.parameters)}`, `${p.places[0]}·${p.places[1]} places × ${weights} = ${archThousands(p.work)}`];
    };
    if (layer.kind === "dense") {
      const weights = `${row.input_shape[0]}·${layer.units}`;
      lines.push(["parameters", `${weights}${layer.bias ? ` + ${layer.units}` : ""} = ${archThousands(row.parameters)}`]);
      lines.push(["multiply-adds", `${weights} = ${archThousands(row.multiply_adds)}`]);
    } else if (row.parts.length === 1) {
      const [parameters, work] = formula(row.parts[0]);
      lines.push(["parameters", parameters], ["multiply-adds", work]);
    } else if (row.parts.length) {
      lines.push(["parameters", archThousands(row.parameters)], ["multiply-adds", archThousands(row.multiply_adds)]);
    } else lines.push(["parameters", "none"]);
    const seen = row.receptive_field === null ? "the whole image" : `${archThousands(row.receptive_field)} × ${archThousands(row.receptive_field)} pixels`;
    lines.push(["one value sees", seen]);
    lines.push(["activations", row.activations ? `${archThousands(row.activations)} numbers for one image` : "none of its own"]);
    return lines;
  }

  const partsOf = (row) => ui.h("table", { class: "arch-parts" },
    ui.h("thead", {}, ui.h("tr", {}, [["inside", "its parts"], ["param.", "parameters"], ["work", "multiply-adds"]].map(([text, name]) => ui.h("th", { scope: "col", text, title: name, "aria-label": name })))),
    ui.h("tbody", {}, row.parts.map((p) => ui.h("tr", {}, ui.h("th", { scope: "row", text: p.title }),
      ui.h("td", { text: archShort(p.parameters) }), ui.h("td", { text: archShort(p.work) })))));

  // ---- drawing ----
  let stack = { rows: [], conflict: "" };
  let scroll = true; // the chosen row has to be brought into view
  let refocus = false;
  let width = 0;
  const rowNodes = [];
  const makeRow = (k) => {
    const bar = () => ui.h("span", { class: "arch-bar" });
    const number = () => ui.h("span", { class: "arch-number" });
    const name = ui.h("button", { type: "button", class: "arch-pick" });
    const cells = [ui.h("span", { text: String(k + 1) }), ui.h("span", {}, name), ui.h("span"), ui.h("span", {}, bar(), number()),
      ui.h("span", {}, bar(), number()), ui.h("span"), ui.h("span")];
    cells.forEach((cell, c) => ui.set(cell, { role: c === 1 ? "rowheader" : "cell", class: `arch-c${c}` }));
    const node = ui.h("div", { class: "arch-row", role: "row", "data-index": k }, cells);
    return { node, cells, name };
  };

  function drawStrip({ name, title, value, more, picture }, state, ref) {
    const { rows, conflict } = stack;
    const total = archSum(rows, name);
    const memory = name === "activations";
    value.textContent = memory ? archBytes(4 * total * state.batch) : archThousands(total);
    const extra = [];
    if (conflict) extra.push("so far");
    else {
      if (memory) extra.push(state.batch > 1 ? `for ${state.batch} images` : "for one image");
      if (name === "parameters") extra.push(`${archBytes(4 * total)} as float32`);
      if (name === "multiply_adds") extra.push(state.batch > 1 ? `for one image, ${archShort(total * state.batch)} for ${state.batch}` : "for one image");
      const before = archSum(ref.rows, name);
      if (before && total !== before) extra.push(`${ui.number(total / before)} × ${state.preset || "the opening state"}`);
    }
    more.textContent = extra.join(", ");
    const height = 26;
    let x = 0;
    const pieces = [];
    const tops = [];
    rows.forEach((row, k) => {
      const part = total ? (width * row[name]) / total : 0;
      if (part > 0.15) {
        const chosen = k === state.selected;
        const tip = ui.svg("title", { text: `Layer ${k + 1}, ${row.label}: ${archShare(row[name], total)}` });
        pieces.push(ui.svg("rect", { class: `arch-piece arch-${archFamily(row.kind)}`, "data-index": k, x: x.toFixed(2), y: 0, width: part.toFixed(2), height }, tip));
        const words = [`${k + 1}: ${row.label}`, String(k + 1)].find((t) => t.length * 7.9 + 6 < part);
        if (words) pieces.push(ui.svg("text", { class: `arch-word arch-on-${archFamily(row.kind)}`, x: (x + part / 2).toFixed(1), y: 17.5, "text-anchor": "middle", text: words }));
        if (chosen) tops.push(ui.svg("rect", { class: "arch-chosen", x: (x + 1.5).toFixed(2), y: 1.5, width: Math.max(part - 3, 2).toFixed(2), height: height - 3 }));
      }
      x += part;
    });
    ui.set(picture, { width, height, viewBox: `0 0 ${width} ${height}`,
      "aria-label": `${title} by layers: ${rows.map((row, k) => [k + 1, row[name]]).filter(([, v]) => total && v / total >= 0.05).map(([k, v]) => `layer ${k} ${archShare(v, total)}`).join(", ") || "none above 5 %"}.` });
    picture.replaceChildren(ui.svg("rect", { class: "arch-ground", x: 0, y: 0, width, height }), ...pieces, ...tops);
  }

  function draw() {
    if (!width) return;
    const state = get();
    state.selected = ui.clamp(state.selected, 0, state.layers.length - 1);
    stack = archStack(state.layers, state.input_shape);
    const { rows, conflict } = stack;
    const ref = reference(state);
    strips.forEach((strip) => drawStrip(strip, state, ref));
    const families = Object.keys(ARCH_FAMILIES).filter((f) => rows.some((row) => archFamily(row.kind) === f && row.activations));
    legend.replaceChildren(...families.map((f) => ui.h("span", { class: "arch-key" }, ui.h("i", { class: `arch-swatch arch-${f}` }), ARCH_FAMILIES[f])));
    finding.textContent = conflict ? "" : archFinding(rows);
    published.textContent = conflict ? "" : remark(state, rows);
    conflictNote.textContent = conflict;
    [finding, published, conflictNote].forEach((node) => { node.hidden = !node.textContent; });

    // the list
    while (rowNodes.length > state.layers.length) rowNodes.pop().node.remove();
    while (rowNodes.length < state.layers.length) {
      rowNodes.push(makeRow(rowNodes.length));
      body.append(rowNodes[rowNodes.length - 1].node);
    }
    inputRow.replaceChildren(...["", "input", state.input_shape.join("×"), "", "", archBytes(4 * state.batch * state.input_shape.reduce((a, b) => a * b, 1)), "1"]
      .map((text, c) => ui.h("span", { role: "cell", class: `arch-c${c}`, text })));
    const top = ["parameters", "multiply_adds"].map((name) => Math.max(1, ...rows.map((row) => row[name])));
    rowNodes.forEach(({ node, cells, name }, k) => {
      const row = rows[k];
      const label = row ? row.label : archLabel(state.layers[k]);
      const chosen = k === state.selected;
      ui.set(node, { "data-family": archFamily(state.layers[k].kind), "aria-current": chosen ? "true" : null, "data-state": row ? null : k === rows.length ? "conflict" : "after" });
      ui.set(name, { text: label, title: label, tabindex: chosen ? 0 : -1, "aria-label": `Layer ${k + 1}: ${label}` });
      cells[2].textContent = row ? row.output_shape.join("×") : "–";
      ["parameters", "multiply_adds"].forEach((what, j) => {
        const [bar, number] = cells[3 + j].children;
        const v = row ? row[what] : 0;
        bar.style.width = v ? `max(3px, ${((100 * v) / top[j]).toFixed(2)}%)` : "0";
        number.textContent = row ? archShort(v) : "–";
        ui.set(cells[3 + j], { title: row ? archThousands(v) : null });
      });
      cells[5].textContent = row ? (row.activations ? archBytes(4 * row.activations * state.batch) : "0 B") : "–";
      cells[6].textContent = row ? (row.receptive_field === null ? "all" : String(row.receptive_field)) : "–";
    });
    const current = rowNodes[state.selected];
    if (scroll) {
      const { offsetTop, offsetHeight } = current.node;
      const covered = head.offsetHeight;
      if (offsetTop - covered < table.scrollTop) table.scrollTop = offsetTop - covered;
      else if (offsetTop + offsetHeight > table.scrollTop + table.clientHeight) table.scrollTop = offsetTop + offsetHeight - table.clientHeight + 2;
      scroll = false;
    }
    if (refocus) current.name.focus({ preventScroll: true });
    refocus = false;

    // the controls
    preset.set(state.preset);
    sizes.forEach((input, k) => show(input, state.input_shape[k]));
    half.disable(Math.min(...state.input_shape.slice(0, 2)) < 2);
    double.disable(Math.max(...state.input_shape.slice(0, 2)) * 2 > ARCH_LIMITS.size);
    batch.set(String(state.batch));
    const layer = archFull(state.layers[state.selected]);
    editorTitle.textContent = `Layer ${state.selected + 1} of ${state.layers.length}`;
    kind.set(layer.kind);
    const key = `${state.selected} ${layer.kind} ${state.preset}`;
    if (key !== fieldKey) makeFields(layer);
    showFields(layer, key !== fieldKey);
    fieldKey = key;
    fields.hidden = !fields.children.length;
    insert.disable(state.layers.length >= ARCH_LIMITS.layers);
    remove.disable(state.layers.length < 2);
    up.disable(state.selected === 0);
    down.disable(state.selected === state.layers.length - 1);
    const row = rows[state.selected];
    sums.replaceChildren(...(row ? sumsOf(layer, row) : [["costs", "not known before the conflict is solved"]])
      .map(([title, text]) => ui.h("p", {}, ui.h("b", { text: title }), ui.h("span", { text }))));
    if (row && row.parts.length > 1) sums.append(partsOf(row));
  }

  cx.observe(model, ARCH_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize((w) => {
    width = w;
    draw();
  });
  return cx.dispose;
}

export default { render };
