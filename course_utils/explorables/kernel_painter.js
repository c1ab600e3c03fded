// KernelPainter: a 3 × 3 or 5 × 5 filter slides over a grey image, and the output appears place by place.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const KER_LIMIT = 30;
const KER_CENTRE = (k) => Array.from({ length: k }, (_, u) => Array.from({ length: k }, (_, v) => (u === v && 2 * u + 1 === k ? 1 : 0)));
const kerOuter = (a, b, scale = 1) => a.map((x) => b.map((y) => x * y * scale));
const kerMap = (a, f) => a.map((row, u) => row.map((w, v) => f(w, u, v)));
const kerTurn = (a) => kerMap(a, (_, u, v) => a[v][u]);
const KER_PRESETS = (() => {
  const cross = [[0, 1, 0], [1, -4, 1], [0, 1, 0]];
  const diamond = [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]];
  const smooth = kerOuter([1, 4, 6, 4, 1], [1, 4, 6, 4, 1], 1 / 256);
  const edge3 = kerOuter([1, 2, 1], [-1, 0, 1]);
  const edge5 = kerOuter([1, 2, 3, 2, 1], [-1, -1, 0, 1, 1]);
  const emboss = (k) => kerMap(KER_CENTRE(k), (w, u, v) => w || Math.min(2, Math.max(-2, u + v - (k - 1))));
  return {
    identity: { 3: KER_CENTRE(3), 5: KER_CENTRE(5) },
    "box blur": { 3: kerOuter([1, 1, 1], [1, 1, 1], 1 / 9), 5: kerOuter([1, 1, 1, 1, 1], [1, 1, 1, 1, 1], 1 / 25) },
    "Gaussian blur": { 3: kerOuter([1, 2, 1], [1, 2, 1], 1 / 16), 5: smooth },
    sharpen: { 3: kerMap(KER_CENTRE(3), (w, u, v) => w - cross[u][v]), 5: kerMap(KER_CENTRE(5), (w, u, v) => 2 * w - smooth[u][v]) },
    "vertical edge": { 3: edge3, 5: edge5 },
    "horizontal edge": { 3: kerTurn(edge3), 5: kerTurn(edge5) },
    Laplacian: { 3: cross, 5: diamond },
    outline: { 3: kerMap(KER_CENTRE(3), (w) => (w ? 8 : -1)), 5: kerMap(KER_CENTRE(5), (w) => (w ? 24 : -1)) },
    emboss: { 3: emboss(3), 5: emboss(5) },
  };
})();

// Zeros before and after one axis, as Keras puts them ("same": an odd one comes after).
function kerPads(length, kernel, stride, padding, dilation) {
  if (padding !== "same") return [0, 0];
  const out = Math.ceil(length / stride);
  const total = Math.max((out - 1) * stride + dilation * (kernel - 1) + 1 - length, 0);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}
function kerSize(length, kernel, stride, padding, dilation) {
  const [before, after] = kerPads(length, kernel, stride, padding, dilation);
  return Math.max(Math.floor((length + before + after - dilation * (kernel - 1) - 1) / stride) + 1, 0);
}
// The k × k pixels under the filter at output place (i, j); zero on the padding. `image`: rows of numbers 0 to 1.
function kerWindow(image, k, [i, j], stride, padding, dilation) {
  const [top] = kerPads(image.length, k, stride, padding, dilation);
  const [left] = kerPads(image[0].length, k, stride, padding, dilation);
  return kerMap(KER_CENTRE(k), (_, u, v) => image[i * stride + dilation * u - top]?.[j * stride + dilation * v - left] ?? 0);
}
// The whole output, rows of numbers; the filter is not flipped.
function kerConvolve(image, kernel, stride, padding, dilation) {
  const k = kernel.length;
  const rows = kerSize(image.length, k, stride, padding, dilation);
  const columns = kerSize(image[0].length, k, stride, padding, dilation);
  const [top] = kerPads(image.length, k, stride, padding, dilation);
  const [left] = kerPads(image[0].length, k, stride, padding, dilation);
  const out = Array.from({ length: rows }, () => new Array(columns).fill(0));
  for (let u = 0; u < k; u += 1)
    for (let v = 0; v < k; v += 1) {
      const w = kernel[u][v];
      if (w === 0) continue;
      for (let i = 0; i < rows; i += 1) {
        const line = image[i * stride + dilation * u - top];
        if (!line) continue;
        for (let j = 0; j < columns; j += 1) {
          const x = line[j * stride + dilation * v - left];
          if (x !== undefined) out[i][j] += w * x;
        }
      }
    }
  return out;
}
const kerSum = (kernel) => kernel.flat().reduce((a, b) => a + b, 0);
const kerShownAs = (kernel, view) => (view !== "auto" ? view : Math.abs(kerSum(kernel) - 1) < 0.05 ? "picture" : "signed");
// "1/9", "-2", "−0.5" or "0,5" -> number; NaN for anything else.
function kerParse(text) {
  const parts = String(text).replace(/−/g, "-").replace(",", ".").replace(/\s/g, "").split("/");
  if (parts.length > 2 || !parts.every((p) => /^[+-]?(\d+\.?\d*|\.\d+)$/.test(p))) return NaN;
  return parts.length === 1 ? Number(parts[0]) : Number(parts[0]) / Number(parts[1]);
}

export const math = {
  presets: KER_PRESETS, pads: kerPads, outputSize: kerSize, convolve: kerConvolve, window: kerWindow, shownAs: kerShownAs, parse: kerParse,
};

const KER_STATE = ["image", "images", "kernel", "stride", "padding", "dilation", "place", "view"];
const KER_NAMES = { photo: "photograph", shape: "shapes", stripes: "stripes", own: "your array" };

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "kernel",
    question: "What does a filter see?",
    lead: "Paint the filter: drag a cell up or down, or type a number. Point at a picture to see the window there, the products, and their sum, "
      + "which is one value of the output.",
    tries: [
      "Press Play with “vertical edge”. Where is the output blue, where orange, and where near zero? Then take “horizontal edge”.",
      "Make every weight the same. What happens to the picture if the weights sum to 1, and what if they sum to 0 or to 9?",
      "Set the stride to 2, then the padding to “same”, then the dilation to 2. Say the output’s size before you look at the formula.",
      "Paint a filter that is bright only on the oblique stripes of “stripes”, and dark on the others.",
    ],
  });
  const { fixed, clamp } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(KER_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const short = (v) => {
    const text = String(Math.round(Math.abs(v) * 1000) / 1000);
    return v < 0 && text !== "0" ? `−${text}` : text;
  };

  // What follows from the state, computed again only when it changed.
  let scene = null;
  function current() {
    if (scene) return scene;
    const state = get();
    const k = state.kernel.length;
    const rows = state.images[state.image];
    const image = kerMap(rows, (v) => v / 255);
    const geometry = [state.stride, state.padding, state.dilation];
    const output = kerConvolve(image, state.kernel, ...geometry);
    const size = [image.length, image[0].length].map((n) => kerSize(n, k, ...geometry));
    const pads = [image.length, image[0].length].map((n) => kerPads(n, k, ...geometry));
    const fits = size[0] > 0 && size[1] > 0;
    const values = fits ? output.flat() : [0];
    const low = Math.min(...values);
    const high = Math.max(...values);
    scene = { ...state, k, rows, pixels: image, geometry, output, size, pads, fits, low, high, count: fits ? size[0] * size[1] : 0,
      span: state.dilation * (k - 1) + 1, shown: kerShownAs(state.kernel, state.view) };
    return scene;
  }
  const changed = () => {
    scene = null;
    request();
  };

  let hover = null; // the place under the mouse, [row, column], which a click keeps
  let revealed = null; // how many values of the output are there while it slides; null: all
  let box = 240; // width of a picture on the page
  let cell = 5;
  const here = () => {
    const { size, place } = current();
    const [i, j] = revealed !== null && revealed > 0 && !hover ? [Math.floor((revealed - 1) / size[1]), (revealed - 1) % size[1]] : hover || place;
    return [clamp(i, 0, Math.max(size[0] - 1, 0)), clamp(j, 0, Math.max(size[1] - 1, 0))];
  };

  // ---- the two pictures ----
  const pictures = ui.h("div", { class: "kp-pictures" });
  cx.stage.append(pictures);
  const side = (kind) => {
    const title = ui.h("p", { class: "kp-title" });
    const canvas = ui.h("canvas", { "aria-hidden": "true" });
    const marks = ui.svg("g", { "aria-hidden": "true" });
    const cover = ui.svg("rect", { class: "kp-cover", x: 0, y: 0, tabindex: 0, role: "slider", "aria-valuemin": 0 });
    const svg = ui.svg("svg", { role: "group", "aria-label": kind === "input" ? "Input image with the window" : "Output of the filter" }, marks, cover);
    const frame = ui.h("div", { class: `kp-frame kp-${kind}` }, canvas, svg);
    const legend = ui.h("div", { class: "kp-legend" });
    pictures.append(ui.h("div", { class: "kp-side" }, title, frame, legend));
    return { title, canvas, marks, cover, svg, frame, legend };
  };
  const input = side("input");
  const output = side("output");

  let brush = "look"; // what a press on the input does: "look", "dark" or "light"
  const at = (part, event) => {
    const r = part.svg.getBoundingClientRect();
    const scale = part.svg.viewBox.baseVal.width / r.width || 1;
    return [(event.clientY - r.top) * scale / cell, (event.clientX - r.left) * scale / cell];
  };
  const placeAt = (part, event) => {
    const { size, stride, span } = current();
    return at(part, event).map((t, axis) =>
      clamp(part === output ? Math.floor(t) : Math.round((t - span / 2) / stride), 0, Math.max(size[axis] - 1, 0)));
  };
  let stroke = null; // the last pixel painted while the pointer is down
  const dab = (row, column) => {
    const { images, image, rows } = current();
    const wide = rows.length > 40 ? 2 : 1;
    const next = rows.map((line) => line.slice());
    const last = stroke || [row, column];
    const steps = Math.max(1, Math.ceil(Math.hypot(row - last[0], column - last[1])));
    for (let t = 0; t <= steps; t += 1)
      for (let a = 0; a < wide; a += 1)
        for (let b = 0; b < wide; b += 1) {
          const y = Math.floor(last[0] + (t / steps) * (row - last[0])) + a;
          const x = Math.floor(last[1] + (t / steps) * (column - last[1])) + b;
          if (next[y]?.[x] !== undefined) next[y][x] = brush === "light" ? 255 : 0;
        }
    stroke = [row, column];
    settle();
    put({ images: { ...images, [image]: next } }, false);
  };
  for (const part of [input, output]) {
    cx.on(part.cover, "pointerdown", (event) => {
      if (event.button !== 0) return;
      part.cover.focus({ preventScroll: true, focusVisible: false });
      if (part === input && brush !== "look") {
        part.cover.setPointerCapture(event.pointerId);
        const [y, x] = at(input, event);
        dab(y - current().pads[0][0], x - current().pads[1][0]);
        return;
      }
      settle();
      hover = null;
      part.held = true;
      put({ place: placeAt(part, event) });
      request();
    });
    cx.on(part.cover, "pointermove", (event) => {
      if (player.running) return;
      if (stroke) {
        const [y, x] = at(input, event);
        dab(y - current().pads[0][0], x - current().pads[1][0]);
      } else if (event.pointerType === "mouse" || part.held) {
        const place = placeAt(part, event);
        if (part.held) put({ place }, false);
        else hover = place;
        request();
      }
    });
    cx.on(part.cover, "pointerup pointercancel lostpointercapture", () => {
      if (stroke || part.held) model.save_changes();
      if (stroke) tell();
      stroke = null;
      part.held = false;
    });
    cx.on(part.cover, "pointerleave", () => {
      if (part.held) model.save_changes();
      part.held = false;
      hover = null;
      request();
    });
    cx.on(part.cover, "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = event.shiftKey ? 5 : 1;
      const { size, pads, stride, span } = current();
      const [i, j] = here();
      const to = { ArrowUp: [i - by, j], ArrowDown: [i + by, j], ArrowLeft: [i, j - by], ArrowRight: [i, j + by], Home: [i, 0], End: [i, size[1] - 1] }[event.key];
      if (to) {
        event.preventDefault();
        settle();
        hover = null;
        put({ place: to.map((t, axis) => clamp(t, 0, Math.max(size[axis] - 1, 0))) });
        request();
        sayPlace();
      } else if (part === input && brush !== "look" && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        dab(...[i, j].map((t, axis) => t * stride + Math.floor(span / 2) - pads[axis][0]));
        stroke = null;
        model.save_changes();
        tell();
      }
    });
  }
  const sayPlace = () => {
    const { fits, output: Z } = current();
    const [i, j] = here();
    cx.announce(fits ? `Row ${i}, column ${j}: ${fixed(Z[i][j], 2)}.` : "The window does not fit.");
  };
  function tell() {
    const { size, low, high, fits } = current();
    cx.announce(fits ? `Output ${size[0]} × ${size[1]}, from ${fixed(low, 2)} to ${fixed(high, 2)}.` : "The window does not fit into the image: nothing comes out.");
  }

  // ---- sliding ----
  let since = 0;
  let begun = 0;
  const player = cx.animate((now, passed) => {
    since += Math.min(passed, 100) / 1000;
    revealed = Math.min(current().count, begun + 1 + Math.floor(10 * (Math.exp(since / 2) - 1))); // slow first, then faster
    request();
    if (revealed < current().count) return true;
    settle();
    tell();
    return false;
  });
  // Stop the sliding and show the whole output.
  function settle() {
    if (revealed !== null) {
      const place = here();
      revealed = null;
      put({ place });
    }
    player.stop();
    request();
  }
  const bar = cx.row(cx.stage);
  bar.classList.add("kp-bar");
  const play = cx.button({ label: "Play", primary: true, parent: bar, title: "Slide the filter over the image", onClick: () => {
    const { count, size } = current();
    hover = null;
    if (player.running) player.stop();
    else if (!count) tell();
    else if (cx.calm) { // no motion: one row of the output more each time
      revealed = Math.min(count, (revealed ?? 0) + size[1]);
      sayPlace();
      if (revealed === count) settle();
    } else {
      begun = revealed === null ? 0 : revealed;
      revealed = begun;
      since = 0;
      player.start();
    }
    request();
  } });
  cx.button({ label: "Step", parent: bar, title: "The next place", onClick: () => {
    const { count, size } = current();
    if (!count) return;
    player.stop();
    hover = null;
    if (revealed !== null && revealed < count) revealed += 1;
    else {
      settle();
      const [i, j] = here();
      const next = (i * size[1] + j + 1) % count;
      put({ place: [Math.floor(next / size[1]), next % size[1]] });
    }
    sayPlace();
    request();
  } });
  const readout = ui.h("output", { class: "kp-readout" });
  bar.append(readout);

  // ---- window × filter = products ----
  const sum = ui.h("div", { class: "kp-sum" });
  cx.stage.append(sum);
  const block = (name, sign) => {
    const grid = ui.h("div", { class: "kp-grid" });
    const caption = ui.h("p", { text: name });
    if (sign) sum.append(ui.h("span", { class: "kp-sign", "aria-hidden": "true", text: sign }));
    sum.append(ui.h("div", { class: "kp-block" }, caption, grid));
    return { grid, caption };
  };
  const windowGrid = block("window");
  const filterGrid = block("filter", "×");
  const productGrid = block("products", "=");
  ui.set(windowGrid.grid, { role: "img" });
  ui.set(productGrid.grid, { role: "img" });
  ui.set(filterGrid.grid, { role: "group", "aria-label": "Filter" });
  filterGrid.grid.classList.add("kp-filter");

  let drag = "change"; // what dragging in the filter does: "change", or a number that it paints
  let cells = [];
  let built = 0;
  const setWeight = (u, v, w, save) => {
    settle();
    put({ kernel: kerMap(model.get("kernel"), (old, a, b) => (a === u && b === v ? clamp(Math.round(w * 1e6) / 1e6, -KER_LIMIT, KER_LIMIT) : old)) }, save);
  };
  const build = (k) => {
    built = k;
    cells = Array.from({ length: k * k }, (_, n) => ui.h("input", { type: "text", inputmode: "text", autocomplete: "off", spellcheck: "false",
      "data-cell": n, "aria-label": `Weight, row ${Math.floor(n / k)}, column ${n % k}` }));
    filterGrid.grid.replaceChildren(...cells);
    for (const { grid } of [windowGrid, productGrid])
      grid.replaceChildren(...Array.from({ length: k * k }, () => ui.h("span", { "aria-hidden": "true" })));
    sum.style.setProperty("--k", k);
    sum.classList.toggle("kp-five", k === 5);
  };
  // One set of listeners on the grid serves all cells, also those made later.
  let grip = null;
  const cellOf = (event) => {
    const r = filterGrid.grid.getBoundingClientRect();
    const [u, v] = [(event.clientY - r.top) / r.height, (event.clientX - r.left) / r.width].map((t) => Math.floor(t * built));
    return u >= 0 && v >= 0 && u < built && v < built ? [u, v] : null;
  };
  cx.on(filterGrid.grid, "mousedown", (event) => event.preventDefault());
  cx.on(filterGrid.grid, "pointerdown", (event) => {
    const place = event.button === 0 && cellOf(event);
    if (!place) return;
    filterGrid.grid.setPointerCapture(event.pointerId);
    grip = { id: event.pointerId, place, y: event.clientY, from: model.get("kernel")[place[0]][place[1]], moved: false };
    if (drag !== "change") setWeight(...place, Number(drag), false);
  });
  cx.on(filterGrid.grid, "pointermove", (event) => {
    if (!grip || grip.id !== event.pointerId) return;
    if (drag !== "change") {
      const place = cellOf(event);
      if (place) setWeight(...place, Number(drag), false);
      return;
    }
    const steps = Math.trunc((grip.y - event.clientY) / 6);
    if (!steps && !grip.moved) return;
    grip.moved = true;
    setWeight(...grip.place, (steps ? Math.round(grip.from * 4) / 4 : grip.from) + 0.25 * steps, false);
  });
  cx.on(filterGrid.grid, "pointerup pointercancel lostpointercapture", (event) => {
    if (!grip || grip.id !== event.pointerId) return;
    const { moved, place } = grip;
    grip = null;
    if (moved || drag !== "change") {
      model.save_changes();
      tell();
    } else if (event.type === "pointerup") {
      const field = cells[place[0] * built + place[1]];
      field.focus({ preventScroll: true });
      field.select();
    }
  });
  cx.on(filterGrid.grid, "input", (event) => {
    const n = Number(event.target.dataset.cell);
    const w = kerParse(event.target.value);
    const fine = Number.isFinite(w) && Math.abs(w) <= KER_LIMIT;
    ui.set(event.target, { "aria-invalid": fine ? null : "true" });
    if (fine) setWeight(Math.floor(n / built), n % built, w, false);
  });
  cx.on(filterGrid.grid, "change", (event) => {
    if (event.target.getAttribute("aria-invalid")) cx.announce(`Numbers from −${KER_LIMIT} to ${KER_LIMIT}, such as −0.5 or 1/9.`);
    else tell();
    ui.set(event.target, { "aria-invalid": null });
    model.save_changes();
    syncCells(true);
  });
  cx.on(filterGrid.grid, "focusin", (event) => event.target.select?.());
  cx.on(filterGrid.grid, "keydown", (event) => {
    const n = Number(event.target.dataset.cell);
    const up = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!up || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [u, v] = [Math.floor(n / built), n % built];
    setWeight(u, v, model.get("kernel")[u][v] + up * (event.shiftKey ? 0.1 : 0.5), true);
    ui.set(event.target, { "aria-invalid": null });
    syncCells(true);
    cx.announce(`${short(model.get("kernel")[u][v])}. ${current().fits ? `Output here ${fixed(current().output[here()[0]][here()[1]], 2)}.` : ""}`);
  });
  const active = () => el.getRootNode().activeElement || document.activeElement;
  function syncCells(all) {
    const { kernel, k } = current();
    if (built !== k) build(k);
    const top = Math.max(...kernel.flat().map(Math.abs), 1e-9);
    cells.forEach((field, n) => {
      const w = kernel[Math.floor(n / k)][n % k];
      if (all || field !== active() || kerParse(field.value) !== w && !field.getAttribute("aria-invalid")) {
        if (all || Math.abs(kerParse(field.value) - w) > 5e-4 || Number.isNaN(kerParse(field.value))) field.value = cellText(w);
      }
      tint(field, w / top);
    });
  }
  // The text of a cell; in the narrow cells of a 5 × 5 filter a leading zero is left out, as in ".094".
  const cellText = (w) => (built === 5 ? short(w).replace(/^(−?)0\./, "$1.") : short(w));
  const tint = (node, share) => {
    node.style.setProperty("--share", `${Math.round(55 * Math.min(Math.abs(share), 1))}%`);
    node.dataset.sign = share > 1e-9 ? "plus" : share < -1e-9 ? "minus" : "zero";
  };

  // ---- controls ----
  const preset = cx.select({
    label: "Filter", inline: true, value: "", options: [["", "painted"], ...Object.keys(KER_PRESETS).map((name) => [name, name])],
    onChange: (name) => { if (name) { settle(); put({ kernel: copy(KER_PRESETS[name][built]) }); syncCells(true); tell(); } },
  });
  const found = () => {
    const { kernel, k } = current();
    return Object.keys(KER_PRESETS).find((name) => KER_PRESETS[name][k].flat().every((w, n) => Math.abs(w - kernel[Math.floor(n / k)][n % k]) < 1e-6));
  };
  const size = cx.choice({
    legend: "Kernel size k", value: String(model.get("kernel").length), options: [["3", "3 × 3"], ["5", "5 × 5"]],
    onChange: (value) => {
      const { kernel, k } = current();
      const to = Number(value);
      if (to === k) return;
      const name = found();
      const shift = (to - k) / 2;
      settle();
      put({ kernel: name ? copy(KER_PRESETS[name][to]) : kerMap(KER_CENTRE(to), (_, u, v) => kernel[u - shift]?.[v - shift] ?? 0) });
      syncCells(true);
      tell();
    },
  });
  const dragging = cx.choice({
    legend: "Dragging in the filter", value: drag, options: [["change", "up/down changes"], ["-1", "paints −1"], ["0", "paints 0"], ["1", "paints 1"]], parent: cx.stage,
    onChange: (value) => { drag = value; },
  });
  const numbers = ui.h("div", { class: "kp-pair" });
  cx.panel.append(numbers);
  const whole = (trait, label, max) => cx.slider({ label, min: 1, max, step: 1, value: model.get(trait), parent: numbers,
    onInput: (v) => { settle(); put({ [trait]: v }, false); }, onChange: () => { model.save_changes(); tell(); } });
  const stride = whole("stride", "Stride s", 4);
  const dilation = whole("dilation", "Dilation r", 4);
  const padding = cx.choice({ legend: "Padding", value: model.get("padding"), options: [["valid", "valid (none)"], ["same", "same (zeros)"]],
    onChange: (value) => { settle(); put({ padding: value }); tell(); } });
  const formula = ui.h("div", { class: "kp-formula" });
  cx.panel.append(formula);
  const image = cx.select({ label: "Image", inline: true, value: model.get("image"),
    options: Object.keys(model.get("images")).map((name) => [name, KER_NAMES[name] || name]), onChange: (name) => { settle(); put({ image: name }); tell(); } });
  const painting = cx.choice({ legend: "Pressing on the input", value: brush, options: [["look", "moves the window"], ["dark", "paints dark"], ["light", "paints light"]],
    onChange: (value) => { brush = value; request(); } });
  const view = cx.select({ label: "Output painted", inline: true, value: model.get("view"),
    options: [["auto", "as it suits"], ["signed", "by sign"], ["grey", "grey, 0 in the middle"], ["picture", "as a picture"]], onChange: (value) => put({ view: value }) });
  const remark = cx.note("");
  cx.resetButton(() => {
    player.stop();
    revealed = null;
    hover = null;
    drag = "change";
    brush = "look";
    dragging.set(drag);
    painting.set(brush);
    put(copy(opening));
    changed();
    syncCells(true);
    cx.announce("Back to the opening state.");
  }, cx.row());

  // ---- drawing ----
  const rgb = (name) => {
    const text = cx.resolve(name).replace("#", "");
    return [0, 2, 4].map((n) => parseInt(text.slice(n, n + 2), 16));
  };
  let palette = null;
  const colours = () => (palette ||= { minus: rgb("negative"), zero: rgb("plot"), plus: rgb("positive") });
  cx.onTheme(() => { palette = null; request(); });
  const colourOf = (z, shown, top) => {
    if (shown === "picture") return Array(3).fill(255 * clamp(z, 0, 1));
    const share = z / (top || 1);
    if (shown === "grey") return Array(3).fill(127.5 * (1 + share));
    const { minus, zero, plus } = colours();
    const end = share < 0 ? minus : plus;
    return zero.map((c, n) => c + Math.abs(share) * (end[n] - c));
  };
  const paint = (canvas, height, width, colour) => {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true }); // small, drawn without the graphics card
    const data = context.createImageData(width, height);
    for (let i = 0; i < height; i += 1)
      for (let j = 0; j < width; j += 1) {
        const c = colour(i, j);
        if (c) data.data.set([c[0], c[1], c[2], 255], 4 * (i * width + j));
      }
    context.putImageData(data, 0, 0);
  };
  const legend = (node, kind, labels, words) => node.replaceChildren(
    ui.h("span", { class: `kp-scale kp-scale-${kind}`, "aria-hidden": "true" }),
    ui.h("span", { class: "kp-ends" }, labels.map((text) => ui.h("span", { text }))), ui.h("span", { class: "kp-words", text: words }));
  const squares = (list, cls) => [ui.svg("path", { class: "kp-under", d: list }), ui.svg("path", { class: cls, d: list })];
  const square = (x, y, w) => `M${x.toFixed(2)} ${y.toFixed(2)}h${w.toFixed(2)}v${w.toFixed(2)}h${(-w).toFixed(2)}z`;

  function draw() {
    const now = current();
    const { k, kernel, pixels, pads, size: [rows, columns], output: Z, fits, shown, low, high, geometry, span } = now;
    const [height, width] = [pixels.length, pixels[0].length];
    const [tall, wide] = [height + pads[0][0] + pads[0][1], width + pads[1][0] + pads[1][1]];
    cell = box / Math.max(tall, wide);
    for (const part of [input, output]) {
      Object.assign(part.frame.style, { width: `${cell * wide}px`, height: `${cell * tall}px` });
      ui.set(part.svg, { viewBox: `0 0 ${cell * wide} ${cell * tall}`, width: cell * wide, height: cell * tall });
      ui.set(part.cover, { width: cell * wide, height: cell * tall });
    }
    const lay = (canvas, y, x, h, w) => Object.assign(canvas.style, { top: `${cell * y}px`, left: `${cell * x}px`, width: `${cell * w}px`, height: `${cell * h}px` });
    paint(input.canvas, height, width, (i, j) => Array(3).fill(now.rows[i][j]));
    lay(input.canvas, pads[0][0], pads[1][0], height, width);
    const top = Math.max(Math.abs(low), Math.abs(high), 1e-9);
    output.canvas.hidden = !fits;
    if (fits) {
      paint(output.canvas, rows, columns, (i, j) => (revealed !== null && i * columns + j >= revealed ? null : colourOf(Z[i][j], shown, top)));
      lay(output.canvas, 0, 0, rows, columns);
    }
    input.title.replaceChildren(ui.h("b", { text: "Input" }), ` ${height} × ${width}`);
    output.title.replaceChildren(ui.h("b", { text: "Output" }), fits ? ` ${rows} × ${columns}` : " nothing: the window does not fit");
    legend(input.legend, "picture", ["0", "1"], `black is 0, white is 1${tall > height || wide > width ? `; hatched: zeros, ${tall} × ${wide} with them` : ""}`);
    const dashed = fits && (rows < height || columns < width) ? "; dashed: the input’s size" : "";
    if (shown === "picture") legend(output.legend, "picture", ["0", "1"], `values beyond 0 and 1 are cut${dashed}`);
    else legend(output.legend, shown, [fixed(-top, 2), "0", fixed(top, 2)],
      `${shown === "signed" ? "orange below 0, blue above" : "dark below 0, light above"}${dashed}`);

    // the window on the input, the place in the output
    const [i, j] = here();
    const [y, x] = [i * now.stride, j * now.stride];
    const cellsPath = [];
    for (let u = 0; u < k; u += 1) for (let v = 0; v < k; v += 1) cellsPath.push(square(cell * (x + now.dilation * v), cell * (y + now.dilation * u), cell));
    input.marks.replaceChildren(...(fits ? [
      ...(now.dilation > 1 || cell >= 5 ? [ui.svg("path", { class: "kp-cells", d: cellsPath.join("") })] : []),
      ...squares(square(cell * x, cell * y, cell * span), "kp-window")] : []));
    const limit = `M0 0h${cell * width}v${cell * height}h${-cell * width}z`;
    output.marks.replaceChildren(ui.svg("path", { class: "kp-limit", d: limit }), ...(fits ? squares(square(cell * j, cell * i, cell), "kp-window") : []));
    const value = fits ? Z[i][j] : NaN;
    for (const part of [input, output])
      ui.set(part.cover, { "aria-label": part === input ? "Place of the window on the input" : "Place in the output", "aria-valuemax": Math.max(now.count - 1, 0),
        "aria-valuenow": fits ? i * columns + j : 0, "aria-valuetext": fits ? `row ${i}, column ${j}: output ${fixed(value, 2)}` : "the window does not fit" });
    input.cover.classList.toggle("kp-brush", brush !== "look");
    play.set(player.running ? "Pause" : "Play");

    // the arithmetic
    syncCells(false);
    const windowed = fits ? kerWindow(pixels, k, [i, j], ...geometry) : kerMap(KER_CENTRE(k), () => NaN);
    const products = kerMap(windowed, (p, u, v) => p * kernel[u][v]);
    const most = Math.max(...products.flat().map((p) => Math.abs(p) || 0), 1e-9);
    [...windowGrid.grid.children].forEach((node, n) => {
      const p = windowed[Math.floor(n / k)][n % k];
      const g = Math.round(255 * (p || 0));
      node.textContent = fixed(p, 2);
      Object.assign(node.style, { background: `rgb(${g} ${g} ${g})`, color: g > 120 ? "#000" : "#fff" });
    });
    [...productGrid.grid.children].forEach((node, n) => {
      const p = products[Math.floor(n / k)][n % k];
      node.textContent = fixed(p, 2);
      tint(node, (p || 0) / most);
    });
    const list = (grid) => grid.map((row) => row.map((p) => fixed(p, 2)).join(", ")).join("; ");
    ui.set(windowGrid.grid, { "aria-label": `Pixels under the filter, row by row: ${list(windowed)}` });
    ui.set(productGrid.grid, { "aria-label": `Products, row by row: ${list(products)}` });
    readout.textContent = fits ? `Z[${i}, ${j}] = sum of the ${k * k} products = ${fixed(value, 2)}` : "The window does not fit into the image.";

    // the controls and the formula
    preset.set(found() || "");
    size.set(k);
    stride.set(now.stride);
    dilation.set(now.dilation);
    padding.set(now.padding);
    image.set(now.image);
    view.set(now.view);
    const line = (letter, n, [before, after], out) => {
      const p = before === after ? (before ? `2·${before}` : "0") : `${before} + ${after}`;
      return ui.h("p", {}, `${letter} = ⌊(${n} + ${p} − ${now.dilation}·(${k} − 1) − 1)/${now.stride}⌋ `,
        ui.h("span", { class: "kp-together" }, "+ 1 = ", ui.h("b", { text: String(out) })));
    };
    formula.replaceChildren(
      ui.h("p", { text: "H′ = ⌊(H + 2p − r(k − 1) − 1)/s⌋ + 1" }), line("H′", height, pads[0], rows), ...(width !== height ? [line("W′", width, pads[1], columns)] : []),
      ui.h("p", { class: "kp-cost", text: `${rows}·${columns} places · ${k}·${k} weights = ${(rows * columns * k * k).toLocaleString("en").replace(/,/g, "\u202f")} multiply-adds` }));
    const total = kerSum(kernel);
    const notes = [`The weights sum to ${short(total)}: ${Math.abs(total) < 5e-4 ? "flat areas give 0" : Math.abs(total - 1) < 5e-4 ? "flat areas keep their grey" : `flat areas are multiplied by ${short(total)}`}.`];
    if (pads.some(([a, b]) => a !== b)) notes.push("With this stride “same” needs an odd number of zeros; as in Keras, the odd one comes last.");
    if (now.stride > 1 && now.dilation > 1) notes.push("Keras’s Conv2D takes a stride or a dilation above 1, not both.");
    if (remark.textContent !== notes.join(" ")) remark.textContent = notes.join(" ");
  }

  cx.onResize((width) => {
    box = Math.min(Math.floor((width - 14) / 2), 320);
    request();
  });
  cx.observe(model, KER_STATE.map((name) => `change:${name}`).join(" "), changed);
  syncCells(true);
  draw();
  return cx.dispose;
}

export default { render };
