// PositionalEncodingViewer: three ways to tell a place, and what dot products see of distance.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const [PV_TABLE, PV_QUERY, PV_KEY] = [211, 223, 227];
const PV_KINDS = ["sines", "rotary", "learned"];

const pvNormals = (seed, purpose, count) => {
  const normal = ui.gaussian(ui.mulberry32((seed + 1) * 2654435761 + purpose));
  return Array.from({ length: count }, () => normal() * Math.sqrt(0.5));
};
// Angular speed of each pair of columns, radians a place.
const pvSpeeds = (dim, base) => Array.from({ length: dim / 2 }, (_, p) => base ** ((-2 * p) / dim));
const pvSines = (length, dim, base) => {
  const speeds = pvSpeeds(dim, base);
  return Array.from({ length }, (_, t) => speeds.flatMap((w) => [Math.sin(w * t), Math.cos(w * t)]));
};
// One vector as it is at each place: pair p turned by place times speed.
const pvRotated = (vector, length, base) => {
  const speeds = pvSpeeds(vector.length, base);
  return Array.from({ length }, (_, t) => speeds.flatMap((w, p) => {
    const [a, b, c, s] = [vector[2 * p], vector[2 * p + 1], Math.cos(w * t), Math.sin(w * t)];
    return [a * c - b * s, a * s + b * c];
  }));
};
const pvLearned = (length, dim, seed) => {
  const all = pvNormals(seed, PV_TABLE, length * dim);
  return Array.from({ length }, (_, t) => all.slice(t * dim, (t + 1) * dim));
};
// The two vectors of every place whose dot products are looked at.
function pvVectors(kind, { length, dim, base, seed, same }) {
  if (kind === "rotary") {
    const query = pvNormals(seed, PV_QUERY, dim);
    const key = same ? query : pvNormals(seed, PV_KEY, dim);
    return [pvRotated(query, length, base), pvRotated(key, length, base)];
  }
  const rows = kind === "sines" ? pvSines(length, dim, base) : pvLearned(length, dim, seed);
  return [rows, rows];
}
const pvDot = (a, b) => {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += a[k] * b[k];
  return sum;
};
const pvSimilarities = (kind, setting) => {
  const [first, second] = pvVectors(kind, setting);
  return first.map((a) => second.map((b) => pvDot(a, b)));
};
// Largest minus smallest entry of the diagonal j - i = offset.
function pvSpread(table, offset) {
  const n = table.length;
  const list = [];
  for (let i = Math.max(0, -offset); i < Math.min(n, n - offset); i += 1) list.push(table[i][i + offset]);
  return Math.max(...list) - Math.min(...list);
}
// Other distances at which a curve over distance has the level that it has at `distance`.
function pvSameLevel(curve, distance) {
  const level = curve[distance];
  const out = [];
  for (let t = 0; t + 1 < curve.length; t += 1) {
    if (t === distance || t + 1 === distance) continue;
    const [a, b] = [curve[t] - level, curve[t + 1] - level];
    if (a * b < 0) out.push(Math.abs(a) < Math.abs(b) ? t : t + 1);
  }
  return [...new Set(out)];
}

export const math = { speeds: pvSpeeds, sines: pvSines, rotated: pvRotated, learned: pvLearned, vectors: pvVectors, similarities: pvSimilarities,
  spread: pvSpread, sameLevel: pvSameLevel };

const PV_STATE = ["length", "dim", "base", "kind", "position", "other", "pair", "same", "seed"];
const PV_NAMES = { sines: "sines", rotary: "rotation", learned: "table" };

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "positions",
    question: "How does a vector say where it stands, and how do dot products see distance?",
    lead: "Drag place i over the heat map and place j along the curve, or choose both on the square below. "
      + "Each pair of columns is a hand that turns as the place goes up: the heat map shows them all, the clock one of them. Blue is positive, orange negative.",
    tries: [
      "Choose two places ten steps apart, then move both by twenty. Which of the three dot products stays, and which does not?",
      "Lower the base to 20. Which distances have the same dot product now? The dashed line on the curve helps.",
      "Follow one pair of columns as the place goes up. How many steps does its hand need for a turn, and how many does the slowest need?",
      "Take the rotation and untick equal query and key. What stays the same along a diagonal, and what is lost?",
    ],
  });
  const { h, svg, set, fixed, clamp, number } = ui;
  const get = () => Object.fromEntries(PV_STATE.map((name) => [name, model.get(name)]));
  const opening = get();
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  cx.onTheme(request);
  let width = 0;
  let plan = null;
  let keep = true; // j goes along when i moves

  // ---- moving the places ----
  const last = () => model.get("length") - 1;
  const movedTo = (to) => {
    const { position, other } = get();
    const far = other - position;
    if (!keep) return { position: clamp(to, 0, last()) };
    const i = clamp(to, Math.max(0, -far), Math.min(last(), last() - far));
    return { position: i, other: i + far };
  };
  const moveOther = (to) => ({ other: clamp(to, 0, last()) });
  const limitPair = (p) => clamp(p, 0, model.get("dim") / 2 - 1);

  // ---- the drawing: two canvases with an svg above them ----
  const [mapCanvas, pairCanvas] = [h("canvas", { class: "pv-canvas", "aria-hidden": "true" }), h("canvas", { class: "pv-canvas", "aria-hidden": "true" })];
  const marks = svg("g", { "aria-hidden": "true" });
  const handles = svg("g", {});
  const drawing = svg("svg", { role: "group", "aria-label": "Vectors of all places, their dot products, and one pair of columns as a clock" }, marks, handles);
  const kind = cx.choice({ legend: "Way to tell a place", parent: cx.stage, value: opening.kind,
    options: PV_KINDS.map((name) => [name, { sines: "sines", rotary: "rotation (RoPE)", learned: "learned (random)" }[name]]),
    onChange: (v) => { put({ kind: v }); tell(); request(); } });
  kind.element.classList.add("pv-kinds");
  cx.stage.append(h("div", { class: "pv-frame" }, mapCanvas, pairCanvas, drawing));
  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width || 1;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const placeAt = (x) => clamp(Math.floor((x - plan.left) / plan.cell), 0, last());
  const pad = (label, role, orientation, paint, keys) => {
    const area = svg("rect", { class: "pv-area" });
    const ring = svg("rect", { class: "cx-ring", rx: 3 });
    const node = svg("g", { "data-cx-handle": true, class: "pv-pad", role, tabindex: 0, focusable: "true", "aria-label": label, "aria-orientation": orientation }, area, ring);
    let held = null;
    cx.on(node, "pointerdown", (event) => {
      if (event.button !== 0 || held !== null) return;
      event.preventDefault();
      player.stop();
      node.focus({ preventScroll: true, focusVisible: false });
      node.setPointerCapture(event.pointerId);
      held = event.pointerId;
      put(paint(point(event), true), false);
      request();
    });
    cx.on(node, "pointermove", (event) => {
      if (held !== event.pointerId) return;
      put(paint(point(event), false), false);
      request();
    });
    cx.on(node, "pointerup pointercancel lostpointercapture", (event) => {
      if (held !== event.pointerId) return;
      held = null;
      model.save_changes();
      tell();
    });
    cx.on(node, "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const values = keys(event.key, event.shiftKey ? 5 : 1);
      if (!values) return;
      event.preventDefault();
      player.stop();
      put(values);
      tell();
      request();
    });
    handles.append(node);
    return { node, area, ring };
  };
  const mapPad = pad("Place i, and with up and down the pair of columns", "slider", "horizontal",
    (p) => ({ ...movedTo(placeAt(p.x)), pair: limitPair(Math.floor((p.y - plan.mapTop) / (2 * plan.rowTall))) }),
    (key, by) => {
      const { position, pair } = get();
      const to = { ArrowLeft: position - by, ArrowRight: position + by, Home: 0, End: last() }[key];
      if (to !== undefined) return movedTo(to);
      const other = { ArrowUp: pair - by, ArrowDown: pair + by }[key];
      return other === undefined ? null : { pair: limitPair(other) };
    });
  const curvePad = pad("Place j", "slider", "horizontal", (p) => moveOther(placeAt(p.x)), (key, by) => {
    const { other } = get();
    const to = { ArrowLeft: other - by, ArrowDown: other - by, ArrowRight: other + by, ArrowUp: other + by, Home: 0, End: last() }[key];
    return to === undefined ? null : moveOther(to);
  });
  const squarePad = pad("Places i, up and down, and j, left and right", "slider", "horizontal",
    (p) => ({ position: clamp(Math.floor((p.y - plan.squareTop) / plan.squareCell), 0, last()), other: clamp(Math.floor((p.x - plan.squareLeft) / plan.squareCell), 0, last()) }),
    (key, by) => {
      const { position, other } = get();
      const step = { ArrowLeft: [0, -by], ArrowRight: [0, by], ArrowUp: [-by, 0], ArrowDown: [by, 0] }[key];
      return step ? { position: clamp(position + step[0], 0, last()), other: clamp(other + step[1], 0, last()) } : null;
    });

  // ---- walking ----
  let since = 0;
  const step = () => {
    const { position, other } = get();
    const end = Math.max(position, keep ? other : position) >= last();
    const back = keep ? Math.min(position, other) : position;
    put(movedTo(end ? position - back : position + 1), false);
    return !end;
  };
  const player = cx.animate((now, passed) => {
    since += Math.min(passed, 100);
    if (since < 160) return true;
    since = 0;
    step();
    request();
    const { position, other } = get();
    if (Math.max(position, keep ? other : position) < last()) return true;
    model.save_changes();
    tell();
    return false;
  });

  // ---- controls ----
  const slide = (label, min, max, stepBy, value, format, values) => cx.slider({ label, min, max, step: stepBy, value, format,
    onInput: (v) => { player.stop(); put(values(v), false); request(); }, onChange: () => { model.save_changes(); tell(); } });
  const position = slide("Place i", 0, opening.length - 1, 1, opening.position, String, movedTo);
  const other = slide("Place j", 0, opening.length - 1, 1, opening.other, String, moveOther);
  const along = cx.checkbox({ label: "j keeps its distance to i", value: true, onChange: (v) => { keep = v; request(); } });
  const pair = slide("Pair of columns", 0, opening.dim / 2 - 1, 1, opening.pair, (p) => `${2 * p}, ${2 * p + 1}`, (v) => ({ pair: v }));
  const base = slide("Base", 0.3, 5, 0.05, Math.log10(opening.base), (v) => String(Number((10 ** v).toPrecision(2))),
    (v) => ({ base: Math.max(2, Number((10 ** v).toPrecision(2))) }));
  const dim = slide("Columns d", 4, 64, 2, opening.dim, String, (v) => ({ dim: v, pair: Math.min(model.get("pair"), v / 2 - 1) }));
  const same = cx.checkbox({ label: "equal query and key", value: opening.same, onChange: (v) => { put({ same: v }); tell(); request(); } });
  const buttons = cx.row();
  const play = cx.button({ label: "Walk", primary: true, parent: buttons, title: "Let the place go up", onClick: () => {
    if (player.running) {
      player.stop();
      model.save_changes();
    } else if (cx.calm) { // no motion: one step each time
      step();
      model.save_changes();
      tell();
    } else {
      if (Math.max(model.get("position"), keep ? model.get("other") : 0) >= last()) step();
      since = 0;
      player.start();
    }
    request();
  } });
  cx.resetButton(() => {
    player.stop();
    keep = true;
    put({ ...opening });
    cx.announce("Back to the opening state.");
    request();
  }, buttons);
  const compare = h("table", { class: "pv-compare" });
  const verdict = h("div", { class: "pv-verdict" });
  cx.panel.append(compare, verdict);

  // ---- numbers, kept until the setting changes ----
  const kept = {};
  const tableOf = (name, s) => {
    const key = [s.length, s.dim, s.base, s.seed, s.same].join();
    if (kept[name]?.key !== key) {
      const rows = pvVectors(name, s);
      kept[name] = { key, rows, table: rows[0].map((a) => rows[1].map((b) => pvDot(a, b))) };
    }
    return kept[name];
  };
  const lawful = (spread) => spread < 1e-9;
  function law(s) {
    const { table } = tableOf(s.kind, s);
    const spread = pvSpread(table, s.other - s.position);
    return lawful(spread) ? `Every pair of places ${Math.abs(s.other - s.position)} apart has this dot product.`
      : `Among pairs of places ${Math.abs(s.other - s.position)} apart it differs by up to ${fixed(spread, 2)}.`;
  }
  const turn = (s) => (2 * Math.PI) / pvSpeeds(s.dim, s.base)[s.pair];
  function tell() {
    const s = get();
    const { table } = tableOf(s.kind, s);
    cx.announce(`Place i ${s.position}, place j ${s.other}: dot product ${fixed(table[s.position][s.other], 2)} with ${PV_NAMES[s.kind]}. ${law(s)} `
      + `Pair ${s.pair}, columns ${2 * s.pair} and ${2 * s.pair + 1}.`);
  }

  function paint(canvas, key, columns, rows, value, most, box) {
    Object.assign(canvas.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px`, height: `${box.height}px` });
    const full = `${key},${cx.theme}`;
    if (canvas.dataset.key === full) return;
    canvas.dataset.key = full;
    canvas.width = columns;
    canvas.height = rows;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const colour = (name) => { // as numbers, whatever the theme writes
      pen.fillStyle = cx.resolve(name);
      pen.fillRect(0, 0, 1, 1);
      return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const [plus, minus, ground] = ["blue", "orange", "plot"].map(colour);
    const image = pen.createImageData(columns, rows);
    for (let y = 0; y < rows; y += 1)
      for (let x = 0; x < columns; x += 1) {
        const v = clamp(value(x, y) / most, -1, 1);
        const end = v < 0 ? minus : plus;
        for (let k = 0; k < 3; k += 1) image.data[4 * (y * columns + x) + k] = Math.round(ground[k] + Math.abs(v) * (end[k] - ground[k]));
        image.data[4 * (y * columns + x) + 3] = 255;
      }
    pen.putImageData(image, 0, 0);
  }

  function draw() {
    if (!width) return;
    const s = get();
    const [i, j, L, d] = [s.position, s.other, s.length, s.dim];
    const p = limitPair(s.pair);
    const { rows, table, key } = tableOf(s.kind, s);
    const left = 46;
    const plotWide = width - left - 6;
    const cell = plotWide / L;
    const mapTop = 42, mapTall = 150;
    const rowTall = mapTall / d;
    const curveTop = mapTop + mapTall + 36, curveTall = 118;
    const lowTop = curveTop + curveTall + 68;
    const beside = width >= 380;
    const side = Math.floor(beside ? Math.min((width - left - 34) / 2, 210) : Math.min(plotWide, 240));
    const clockSide = beside ? side : Math.min(side, 200);
    const clockLeft = beside ? width - 6 - clockSide : left + (plotWide - clockSide) / 2;
    const clockTop = beside ? lowTop : lowTop + side + 66;
    const height = beside ? lowTop + side + 38 : clockTop + clockSide + 10;
    plan = { left, cell, mapTop, rowTall, squareTop: lowTop, squareLeft: left, squareCell: side / L };
    set(drawing, { width, height, viewBox: `0 0 ${width} ${height}` });
    const X = (t) => left + (t + 0.5) * cell;
    const out = [];
    const add = (tag, attrs) => out.push(svg(tag, attrs));
    const text = (x, y, words, attrs = {}) => add("text", { x, y, text: words, ...attrs });
    const end = { "text-anchor": "end" };
    const middle = { "text-anchor": "middle" };

    // the vectors of all places
    const high = s.kind === "sines" ? 1 : rows[0].reduce((m, row) => Math.max(m, ...row.map(Math.abs)), 0);
    paint(mapCanvas, `${s.kind},${key}`, L, d, (x, y) => rows[0][x][y], high, { x: left, y: mapTop, width: plotWide, height: mapTall });
    text(left, 16, { sines: "Encoding of each place", rotary: "The query, turned at each place", learned: "One random vector a place" }[s.kind], { class: "pv-title" });
    add("rect", { class: "pv-frame-line", x: left, y: mapTop, width: plotWide, height: mapTall });
    text(left - 6, mapTop + 11, "0", { class: "cx-tick", ...end });
    text(left - 6, mapTop + mapTall, String(d - 1), { class: "cx-tick", ...end });
    add("text", { class: "cx-tick", transform: `translate(14 ${mapTop + mapTall / 2}) rotate(-90)`, "text-anchor": "middle", text: "column" });
    add("rect", { class: "pv-pair", x: left, y: mapTop + 2 * p * rowTall, width: plotWide, height: 2 * rowTall });
    // the two places through both plots
    const mark = (t, cls, name) => {
      add("rect", { class: cls, x: X(t) - Math.max(cell, 5) / 2, y: mapTop, width: Math.max(cell, 5), height: mapTall, rx: 1 });
    };
    mark(j, "pv-j");
    mark(i, "pv-i");
    const near = Math.abs(X(i) - X(j)) < 26;
    if (i === j) text(clamp(X(i), left + 16, width - 22), mapTop - 7, "i = j", { class: "pv-name-i", ...middle });
    else {
      text(Math.min(X(i) + (near ? (i < j ? -5 : 5) : 0), width - 5), mapTop - 7, "i", { class: "pv-name-i", ...middle });
      text(Math.min(X(j) + (near ? (i < j ? 5 : -5) : 0), width - 5), mapTop - 7, "j", { class: "pv-name-j", ...middle });
    }

    // the curve
    const flat = table.flat();
    let [low, most] = [0, 0];
    for (const v of flat) { if (v < low) low = v; if (v > most) most = v; }
    const Y = (v) => curveTop + curveTall - 3 - ((v - low) / (most - low || 1)) * (curveTall - 6);
    text(left, curveTop - 11, width > 330 ? `Dot product of place i = ${i} with every place` : `Dot product with place ${i}`, { class: "pv-title" });
    add("rect", { class: "cx-plot", x: left, y: curveTop, width: plotWide, height: curveTall });
    const marksY = ui.ticks([low, most], 3);
    for (const v of marksY) {
      add("path", { class: v === 0 ? "cx-zero" : "cx-grid", d: `M${left} ${Y(v)}h${plotWide}` });
      text(left - 6, clamp(Y(v) + 4.5, curveTop + 10, curveTop + curveTall), String(v).replace("-", "−"), { class: "cx-tick", ...end });
    }
    add("path", { class: "pv-i-line", d: `M${X(i)} ${curveTop}v${curveTall}` });
    add("path", { class: "pv-level", d: `M${left} ${Y(table[i][j])}h${plotWide}` });
    add("path", { class: "pv-curve", d: `M${table[i].map((v, t) => `${X(t).toFixed(2)} ${Y(v).toFixed(2)}`).join("L")}` });
    if (cell >= 4) table[i].forEach((v, t) => add("circle", { class: "pv-dot", cx: X(t), cy: Y(v), r: 1.8 }));
    add("circle", { class: "pv-chosen", cx: X(j), cy: Y(table[i][j]), r: 5.5 });
    const value = fixed(table[i][j], 2);
    const toLeft = X(j) > left + plotWide - 60;
    const highUp = Y(table[i][j]) < curveTop + 22;
    text(X(j) + (toLeft ? -9 : 9), Y(table[i][j]) + (highUp ? 15 : -7), value, { class: "pv-value cx-halo", "text-anchor": toLeft ? "end" : "start" });
    for (const t of ui.ticks([0, L - 1], width < 330 ? 4 : 7)) text(X(t), curveTop + curveTall + 16, String(t), { class: "cx-tick", ...middle });
    text(left + plotWide / 2, curveTop + curveTall + 32, "place", middle);

    // all pairs
    const strongest = Math.max(most, -low);
    paint(pairCanvas, `${s.kind},${key}`, L, L, (x, y) => table[y][x], strongest, { x: left, y: lowTop, width: side, height: side });
    text(left, lowTop - 11, beside && side < 170 ? "All pairs" : "Dot products, all pairs", { class: "pv-title" });
    add("rect", { class: "pv-frame-line", x: left, y: lowTop, width: side, height: side });
    const c = side / L;
    const from = [Math.max(0, j - i), Math.max(0, i - j)];
    const many = L - Math.abs(j - i);
    for (const cls of ["pv-diagonal-under", "pv-diagonal"])
      add("path", { class: cls, d: `M${left + from[0] * c} ${lowTop + from[1] * c}l${many * c} ${many * c}` });
    add("rect", { class: "pv-spot", x: left + (j + 0.5) * c - 4.5, y: lowTop + (i + 0.5) * c - 4.5, width: 9, height: 9 });
    text(left - 6, lowTop + 11, "0", { class: "cx-tick", ...end });
    text(left - 6, lowTop + side, String(L - 1), { class: "cx-tick", ...end });
    add("text", { transform: `translate(16 ${lowTop + side / 2}) rotate(-90)`, "text-anchor": "middle", text: s.kind === "rotary" ? "query i" : "place i" });
    text(left + side / 2, lowTop + side + 17, s.kind === "rotary" ? "key j" : "place j", middle);

    // the clock
    const [ox, oy] = [clockLeft + clockSide / 2, clockTop + clockSide / 2];
    const radius = clockSide / 2 - 16;
    const ends = (set_, t) => [set_[t][2 * p], set_[t][2 * p + 1]];
    let reach = 0;
    for (const set_ of rows) for (let t = 0; t < L; t += 1) reach = Math.max(reach, Math.hypot(...ends(set_, t)));
    const onClock = ([a, b]) => [ox + (radius * a) / (reach || 1), oy - (radius * b) / (reach || 1)];
    text(beside ? clockLeft : left, clockTop - 11, `Columns ${2 * p}, ${2 * p + 1}`, { class: "pv-title" });
    add("circle", { class: "pv-face", cx: ox, cy: oy, r: radius });
    add("path", { class: "cx-grid", d: `M${ox - radius} ${oy}h${2 * radius}M${ox} ${oy - radius}v${2 * radius}` });
    for (let t = 0; t < L; t += 1) {
      const [x, y] = onClock(ends(rows[0], t));
      add("circle", { class: "pv-tickdot", cx: x, cy: y, r: 2 });
    }
    const hand = (set_, t, cls, name) => {
      const [x, y] = onClock(ends(set_, t));
      const size = Math.hypot(x - ox, y - oy) || 1;
      add("path", { class: `pv-hand ${cls}`, d: `M${ox} ${oy}L${x} ${y}` });
      add("circle", { class: `pv-tip ${cls}`, cx: x, cy: y, r: 4.5 });
      return [ox + ((x - ox) / size) * (size + 12), oy + ((y - oy) / size) * (size + 12) + 4.5, name, cls];
    };
    const names = [hand(rows[1], j, "pv-hand-j", "j"), hand(rows[0], i, "pv-hand-i", "i")];
    if (Math.hypot(names[0][0] - names[1][0], names[0][1] - names[1][1]) > 12) text(names[0][0], names[0][1], "j", { class: "pv-name-j", ...middle });
    text(names[1][0], names[1][1], "i", { class: "pv-name-i", ...middle });
    marks.replaceChildren(...out);

    // handles
    const put3 = ({ area, ring, node }, x, y, w, tall, attrs) => {
      set(area, { x, y, width: w, height: tall });
      set(ring, { x: x + 1, y: y + 1, width: w - 2, height: tall - 2 });
      set(node, { "aria-valuemin": 0, "aria-valuemax": L - 1, ...attrs });
    };
    const pairWords = `columns ${2 * p} and ${2 * p + 1}`;
    put3(mapPad, left, mapTop - 18, plotWide, mapTall + 18, { "aria-valuenow": i, "aria-valuetext": `place ${i}, ${pairWords}` });
    put3(curvePad, left, curveTop, plotWide, curveTall + 20, { "aria-valuenow": j, "aria-valuetext": `place ${j}, dot product ${value}` });
    put3(squarePad, left, lowTop, side, side, { "aria-valuenow": j, "aria-valuetext": `i ${i}, j ${j}, dot product ${value}` });

    // the words
    compare.replaceChildren(
      h("caption", { text: `Dot product, i = ${i}, j = ${j}` }),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }), h("th", { scope: "col", text: "here" }), h("th", { scope: "col", text: `all ${Math.abs(j - i)} apart` }))),
      h("tbody", {}, PV_KINDS.map((name) => {
        const other_ = tableOf(name, s).table;
        const spread = pvSpread(other_, j - i);
        return h("tr", { class: name === s.kind ? "pv-current" : null }, h("th", { scope: "row", text: PV_NAMES[name] }), h("td", { text: fixed(other_[i][j], 2) }),
          h("td", { text: L - Math.abs(j - i) === 1 ? "one pair" : lawful(spread) ? "equal" : `differ by ${fixed(spread, 1)}` }));
      })));
    const lines = [h("p", { class: "pv-big", text: law(s) })];
    const turning = turn({ ...s, pair: p });
    const share = ends(rows[0], i).reduce((sum, v, k) => sum + v * ends(rows[1], j)[k], 0);
    if (s.kind === "learned") lines.push(h("p", { text: "Nothing turns here: before training a table knows no distance, and it ends at its last row." }));
    else lines.push(h("p", {}, `The hand of columns ${2 * p}, ${2 * p + 1} turns once in `, h("b", { text: `${number(turning)} places` }), "."));
    lines.push(h("p", { text: `This pair adds ${fixed(share, 2)} to the dot product of ${fixed(table[i][j], 2)}.` }));
    if (s.kind === "sines" || (s.kind === "rotary" && s.same)) {
      const also = pvSameLevel(table[0], Math.abs(j - i));
      lines.push(h("p", { class: "pv-also", text: also.length ? `About the same dot product at the distance${also.length > 1 ? "s" : ""} ${also.slice(0, 8).join(", ")}${also.length > 8 ? " …" : ""} too.`
        : "No other distance has this dot product." }));
    }
    verdict.replaceChildren(...lines);
    kind.set(s.kind);
    for (const [control, v, top] of [[position, i, L - 1], [other, j, L - 1], [pair, p, d / 2 - 1]]) {
      set(control.input, { max: top });
      control.set(v);
    }
    dim.set(d);
    base.set(Math.log10(s.base));
    base.output.textContent = String(s.base);
    base.input.setAttribute("aria-valuetext", String(s.base));
    along.set(keep);
    same.set(s.same);
    same.element.hidden = s.kind !== "rotary";
    base.element.hidden = s.kind === "learned";
    play.set(player.running ? "Pause" : "Walk");
  }

  cx.onResize((w) => {
    width = Math.min(w, 600);
    request();
  });
  cx.observe(model, PV_STATE.map((name) => `change:${name}`).join(" "), request);
  width = Math.min(Math.floor(cx.stage.clientWidth) || width, 600);
  draw();
  return cx.dispose;
}

export default { render };
