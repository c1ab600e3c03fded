// The perceptron board. The mathematics stands in `math` (pure functions; the tests compare them with Python).
// A point is [x1, x2]; its label is -1 or +1; a vector in R^3 is [w1, w2, b], an example is (x1, x2, 1).

const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// The point of the corners' affine hull nearest to the origin, or null if it is not between the corners.
function nearestToOrigin(first, second, third) {
  if (!second) return first;
  const u = [second[0] - first[0], second[1] - first[1], second[2] - first[2]];
  const uu = dot3(u, u);
  const fu = -dot3(first, u);
  if (uu < 1e-18) return null;
  if (!third) {
    const s = fu / uu;
    return s < 0 || s > 1 ? null : [first[0] + s * u[0], first[1] + s * u[1], first[2] + s * u[2]];
  }
  const v = [third[0] - first[0], third[1] - first[1], third[2] - first[2]];
  const vv = dot3(v, v);
  const uv = dot3(u, v);
  const fv = -dot3(first, v);
  const det = uu * vv - uv * uv;
  if (det < 1e-12 * uu * vv || det === 0) return null;
  const s = (fu * vv - fv * uv) / det;
  const t = (fv * uu - fu * uv) / det;
  if (s < 0 || t < 0 || s + t > 1) return null;
  return [0, 1, 2].map((k) => first[k] + s * u[k] + t * v[k]);
}

// The point nearest to the origin in the hull of at most four corners, with the corners it lies between;
// null when the origin itself is in the hull. It lies on a corner, an edge or a triangle: all are tried.
function nearestOfHull(corners, tolerance) {
  for (let mask = 1; mask < 2 ** corners.length; mask += 1) {
    const subset = corners.filter((_, i) => mask & (1 << i));
    const point = subset.length <= 3 ? nearestToOrigin(...subset) : null;
    if (!point) continue;
    const square = dot3(point, point);
    if (square <= tolerance) return null;
    if (corners.every((c) => dot3(point, c) >= square - tolerance)) return { point, corners: subset };
  }
  return null;
}

export const math = {
  score: (w, b, point) => w[0] * point[0] + w[1] * point[1] + b,

  isWrong: (w, b, point, label) => label * math.score(w, b, point) <= 0,

  // The first example from `cursor` on, in cyclic order, that is on the wrong side; -1 if none is.
  nextMistake(points, labels, w, b, cursor = 0) {
    const n = points.length;
    for (let offset = 0; offset < n; offset += 1) {
      const i = (cursor + offset) % n;
      if (math.isWrong(w, b, points[i], labels[i])) return i;
    }
    return -1;
  },

  // The rule at one mistake: w + y x, b + y.
  update: (w, b, point, label) => ({ w: [w[0] + label * point[0], w[1] + label * point[1]], b: b + label }),

  // The whole history from a start, at most `limit` mistakes: [{i, w, b}, ...].
  learn(points, labels, { w = [0, 0], b = 0, cursor = 0, limit = 1000 } = {}) {
    const history = [];
    while (history.length < limit) {
      const i = math.nextMistake(points, labels, w, b, cursor);
      if (i < 0) break;
      ({ w, b } = math.update(w, b, points[i], labels[i]));
      cursor = (i + 1) % points.length;
      history.push({ i, w, b });
    }
    return history;
  },

  radius: (points) => points.reduce((r, [x, y]) => Math.max(r, Math.sqrt(x * x + y * y + 1)), 0),

  // γ and its unit vector [w1, w2, b]; γ = 0 when no line separates. γ is the distance of the origin from
  // the convex hull of the vectors y (x1, x2, 1). Wolfe's way: the nearest point of a few corners, exactly;
  // while another vector lies on the near side of it, that vector joins and the corners not needed leave.
  widestMargin(points, labels) {
    const none = { gamma: 0, vector: [0, 0, 0] };
    const z = points.map(([x, y], i) => [labels[i] * x, labels[i] * y, labels[i]]);
    if (!z.length) return none;
    const tolerance = 1e-14 * Math.max(...z.map((v) => dot3(v, v)));
    let corners = [z[0]];
    for (let round = 0; round < 1000; round += 1) {
      const found = nearestOfHull(corners, tolerance);
      if (!found) return none;
      const p = found.point;
      const square = dot3(p, p);
      const worst = z.reduce((best, v) => (dot3(p, v) < dot3(p, best) ? v : best));
      if (dot3(p, worst) >= square - tolerance) {
        const gamma = Math.sqrt(square);
        return { gamma, vector: p.map((c) => c / gamma) };
      }
      corners = [...found.corners, worst];
    }
    return none;
  },

  // The part of a polygon where w·x + b >= 0.
  cut(corners, w, b) {
    const out = [];
    corners.forEach((p, i) => {
      const q = corners[(i + 1) % corners.length];
      const a = math.score(w, b, p);
      const c = math.score(w, b, q);
      if (a >= 0) out.push(p);
      if ((a >= 0) !== (c >= 0)) {
        const t = a / (a - c);
        out.push([p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]);
      }
    });
    return out;
  },
  halfPlane: (w, b, [x0, x1], [y0, y1]) => math.cut([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], w, b),

  // The square to show: it always holds the origin, where w starts.
  view(points) {
    const xs = [0, ...points.map((p) => p[0])];
    const ys = [0, ...points.map((p) => p[1])];
    if (Math.max(...xs.concat(ys).map(Math.abs)) <= 2.8) return { x: [-3, 3], y: [-3, 3] };
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const side = 1.2 * Math.max(right - left, high - low);
    const [cx, cy] = [(left + right) / 2, (low + high) / 2];
    return { x: [cx - side / 2, cx + side / 2], y: [cy - side / 2, cy + side / 2] };
  },
};

const MAX_POINTS = 40;
const NAME = { 1: "+1", "-1": "−1" };

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "perceptron",
    question: "How does the learning rule find a line?",
    lead: "Ringed and crossed points are on the wrong side. Press Step: the rule takes the next one and adds `y·x` to `w`. "
      + "Drag points, the line, or the tip of `w`; click an empty spot to add a point.",
    tries: [
      "Press Step a few times. Why does adding `y·x` to `w` turn the line towards that point?",
      "Does every Step lower the number of wrong points? Watch “wrong now”.",
      "Choose “tight margin” and Run. How do γ, the bound and the count change? How far below the bound does the rule stay?",
      "Drag one point slowly across the green line. What happens to γ and to the bound just before the classes can no longer be separated?",
      "Choose “XOR” and Run. Which points take turns being wrong?",
    ],
  });
  const { fixed, clamp } = ui;

  // ---- state ------------------------------------------------------------------------------------------
  const state = { points: [], labels: [], w: [0, 0], b: 0, mistakes: 0, cursor: 0, counted: true };
  const FIELDS = Object.keys(state);
  let writing = false;
  let current = 0; // the point that Tab reaches
  let shown = null; // what the last step did: {i, before, after, label, point}
  let facts = null; // R, γ and what follows, for the current points
  let arrowScale = 1;
  let frozenScale = false;

  const read = (source) => {
    const points = (source.points || []).slice(0, MAX_POINTS);
    state.points = points.map(([x, y]) => [Number(x), Number(y)]);
    state.labels = state.points.map((_, i) => ((source.labels || [])[i] > 0 ? 1 : -1));
    state.w = [Number(source.w?.[0] ?? 0), Number(source.w?.[1] ?? 0)];
    state.b = Number(source.b ?? 0);
    state.mistakes = source.mistakes ?? 0;
    state.cursor = source.cursor ?? 0;
    state.counted = source.counted ?? true;
  };
  const write = () => {
    writing = true;
    model.set({ points: state.points.map((p) => [...p]), labels: [...state.labels], w: [...state.w], b: state.b,
      mistakes: state.mistakes, cursor: state.cursor, counted: state.counted });
    model.save_changes();
    writing = false;
  };
  read(Object.fromEntries(FIELDS.map((name) => [name, model.get(name)])));

  // ---- the board --------------------------------------------------------------------------------------
  const request = cx.frame(draw);
  const plane = ui.plane(cx, { ...math.view(state.points), xLabel: "x₁", yLabel: "x₂", label: "Board of points with the line w·x + b = 0",
    onLayout: request });
  const group = (parent, attrs) => {
    const node = ui.svg("g", attrs || {});
    parent.append(node);
    return node;
  };
  const shape = (parent, tag, attrs) => {
    const node = ui.svg(tag, attrs);
    parent.append(node);
    return node;
  };
  const positive = shape(plane.back, "path", { class: "cx-half-positive" });
  const negative = shape(plane.back, "path", { class: "cx-half-negative" });
  const lane = shape(plane.back, "path", { class: "cx-lane" });
  const board = shape(plane.back, "rect", { class: "cx-board" });
  const widest = shape(plane.layer, "path", { class: "cx-widest" });
  const widestName = shape(plane.layer, "text", { class: "cx-widest-name cx-halo", text: "widest margin" });

  const lineGroup = group(plane.layer, { class: "cx-line-grip-group" });
  const [lineRing, lineSeen, lineGrip] = ["cx-ring", "cx-line-seen", "cx-line-grip"].map((c) => shape(lineGroup, "path", { class: c }));

  const pointLayer = group(plane.front, { role: "group", "aria-label": "Points" });
  const looked = shape(plane.front, "path", { class: "cx-looked-at" });
  const arrow = (kind, name) => {
    const g = group(plane.front, { class: `cx-${kind}`, "pointer-events": "none", "aria-hidden": "true" });
    const shaft = shape(g, "path", { class: "cx-shaft" });
    const head = shape(g, "path", { class: "cx-head" });
    const text = shape(g, "text", { class: `cx-arrow-name cx-halo cx-${kind}-name`, text: name, stroke: "none" });
    return { g, place(from, to, visible, side = 1) {
      const [ax, ay, bx, by] = [plane.X(from[0]), plane.Y(from[1]), plane.X(to[0]), plane.Y(to[1])];
      const length = Math.hypot(bx - ax, by - ay);
      ui.set(g, { display: visible && length > 2 ? null : "none" });
      if (!visible || length <= 2) return;
      const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
      const size = Math.min(11, length * 0.6);
      ui.set(shaft, { d: `M${ax} ${ay}L${bx - ux * size} ${by - uy * size}` });
      ui.set(head, { d: `M${bx} ${by}L${bx - ux * size - uy * size * 0.5} ${by - uy * size + ux * size * 0.5}`
        + `L${bx - ux * size + uy * size * 0.5} ${by - uy * size - ux * size * 0.5}Z` });
      // the name stands beside the arrow, where it hides no point
      const half = 4 + 4.2 * name.length;
      let best = null;
      for (const along of [0.55, 0.35, 0.75, 0.15])
        for (const turn of [side, -side]) {
          const away = 15 + Math.abs(uy) * half * 0.6;
          const x = clamp(ax + (bx - ax) * along - uy * away * turn, plane.left + half, plane.left + plane.width - half);
          const y = clamp(ay + (by - ay) * along + ux * away * turn, plane.top + 10, plane.top + plane.height - 10);
          const room = state.points.reduce((r, p) => Math.min(r, Math.max(Math.abs(plane.X(p[0]) - x) - half, Math.abs(plane.Y(p[1]) - y) - 8)), 14);
          if (!best || room > best.room + 3) best = { x, y, room };
        }
      ui.set(text, { x: best.x, y: best.y + 5, "text-anchor": "middle" });
    } };
  };
  const before = arrow("before", "old w");
  const added = arrow("added", "y·x");
  const now = arrow("now", "w");
  const tipNode = group(plane.front, {});
  shape(tipNode, "circle", { r: 20, fill: "transparent" });
  shape(tipNode, "circle", { class: "cx-tip", r: 10 });
  shape(tipNode, "circle", { class: "cx-ring", r: 14 });
  const scaleNote = shape(plane.front, "text", { class: "cx-halo cx-tick", "text-anchor": "end", "pointer-events": "none" });

  // ---- the controls -----------------------------------------------------------------------------------
  const rowOne = cx.row();
  const stepButton = cx.button({ label: "Step", primary: true, parent: rowOne, title: "Correct the next mistake", onClick: () => { stop(); step(420); } });
  const runButton = cx.button({ label: "Run", parent: rowOne, onClick: () => (runner.running ? stop() : run()) });
  cx.button({ label: "w = 0, b = 0", parent: rowOne, title: "Forget the line and count mistakes again", onClick: fromZero });
  const event = ui.h("p", { class: "cx-event" });
  cx.panel.append(event);

  const figure = (name) => {
    const value = ui.h("b", {});
    return { row: ui.h("div", {}, ui.h("span", {}, name), " ", value), set(text) { if (value.textContent !== text) value.textContent = text; } };
  };
  const figures = {
    mistakes: figure("mistakes corrected, k"), wrong: figure("wrong now"), w: figure("w"),
    radius: figure("R = longest (x₁, x₂, 1)"), gamma: figure("γ = widest margin there"),
  };
  cx.panel.append(ui.h("div", { class: "cx-figures" }, Object.values(figures).map((f) => f.row)));
  const fill = ui.h("div", {});
  const bar = ui.h("div", { class: "cx-bar", role: "img" }, fill);
  const boundText = ui.h("p", {});
  cx.panel.append(ui.h("div", { class: "cx-bound" }, bar, boundText));

  const bias = cx.slider({ label: "bias b", min: -6, max: 6, step: 0.1, value: state.b, format: (v) => fixed(v, 1),
    onInput: (v) => { stop(); touched(() => { state.b = v; }); }, onChange: () => { write(); tell(); } });
  cx.note("Keys: Tab reaches the points, the tip of `w` and the line; arrows move them, Shift makes longer moves. On a point `Page Up` and "
    + "`Page Down` go to another one, `Enter` flips its class, `Delete` removes it.");
  const more = ui.h("div", { class: "cx-more" }); // below the board; in a narrow column below the panel
  cx.panel.after(more);
  const mode = cx.choice({ legend: "A click on the board", value: "1", parent: more,
    options: [["1", "adds +1"], ["-1", "adds −1"], ["remove", "removes"]],
    onChange: (v) => ui.set(board, { style: v === "remove" ? "cursor: default" : null }) });
  [...mode.element.querySelectorAll("span")].slice(0, 2).forEach((span, i) => span.append(ui.svg("svg", { viewBox: "-9 -9 18 18", width: 18,
    height: 18, "aria-hidden": "true" }, ui.svg("path", { d: ui.marker(1 - 2 * i, 6.5), class: i ? "cx-negative" : "cx-positive" }))));
  const showWidest = cx.checkbox({ label: "Show the line of widest margin", value: false, parent: more, onChange: request });
  const presets = model.get("presets") || {};
  const names = Object.keys(presets);
  const rowTwo = cx.row(more);
  const preset = cx.select({ label: "Points", inline: true, parent: rowTwo, value: "",
    options: [["", "choose …"], ...names.map((n) => [n, n])], onChange: load });
  cx.button({ label: "Add a point", parent: rowTwo, title: "Put a point in the middle and move it with the arrow keys", onClick: addInTheMiddle });
  cx.resetButton(reset, rowTwo);

  // ---- the points as handles --------------------------------------------------------------------------
  let dots = [];
  const dotLabel = (i) => {
    const [x, y] = state.points[i];
    const wrong = math.isWrong(state.w, state.b, state.points[i], state.labels[i]);
    return `Point ${i + 1} of ${state.points.length}, class ${NAME[state.labels[i]]}, at ${fixed(x)}, ${fixed(y)}, ${wrong ? "wrong side" : "right side"}`;
  };
  const keep = (p) => [clamp(p.x, plane.x[0], plane.x[1]), clamp(p.y, plane.y[0], plane.y[1])].map((v) => Math.round(v * 100) / 100);
  function rebuild() {
    for (const dot of dots) {
      dot.handle.remove();
      dot.node.remove();
    }
    current = clamp(current, 0, Math.max(0, state.points.length - 1));
    dots = state.points.map((_, i) => {
      const node = group(pointLayer, { "data-point": i });
      shape(node, "circle", { r: 18, fill: "transparent" });
      const mark = shape(node, "path", {});
      const wrong = group(node, { class: "cx-wrong" });
      shape(wrong, "circle", { r: 12.5 });
      shape(wrong, "path", { d: "M-4 -4L4 4M4 -4L-4 4" });
      shape(node, "circle", { class: "cx-ring", r: 16.5 });
      let moved = false;
      const handle = cx.handle(node, {
        label: () => dotLabel(i), point: plane.point, step: (plane.x[1] - plane.x[0]) / 60, tabindex: i === current ? 0 : -1,
        at: () => ({ x: state.points[i][0], y: state.points[i][1] }),
        start: () => { stop(); select(i); moved = false; },
        move: (p) => { stop(); moved = true; touched(() => { state.points[i] = keep(p); }, true); },
        end: (e) => {
          if (e.type === "pointerup" && !moved && mode.value === "remove") removePoint(i);
          else if (moved) { write(); tell(e.type === "keydown" ? dotLabel(i) : ""); }
        },
        keys: {
          PageDown: () => focusPoint(i + 1), PageUp: () => focusPoint(i - 1),
          Home: () => focusPoint(0), End: () => focusPoint(state.points.length - 1),
          Enter: () => flip(i), " ": () => flip(i), Delete: () => removePoint(i, true), Backspace: () => removePoint(i, true),
        },
      });
      cx.on(node, "focus", () => select(i));
      return { node, mark, wrong, handle };
    });
    request();
  }
  function select(i) {
    current = i;
    dots.forEach((dot, j) => ui.set(dot.node, { tabindex: j === i ? 0 : -1 }));
  }
  function focusPoint(i) {
    const n = dots.length;
    if (n) dots[(i + n) % n].node.focus();
  }
  function flip(i) {
    stop();
    touched(() => { state.labels[i] = -state.labels[i]; }, true);
    dots[i].handle.refresh();
    write();
    tell(dotLabel(i));
  }
  function removePoint(i, refocus) {
    stop();
    touched(() => { state.points.splice(i, 1); state.labels.splice(i, 1); state.cursor = 0; }, true);
    current = Math.min(i, state.points.length - 1);
    rebuild();
    if (refocus) focusPoint(current);
    write();
    tell(`Removed; ${state.points.length} points are left.`);
  }
  function addPoint(p, label, focus) {
    stop();
    if (state.points.length >= MAX_POINTS) return tell(`The board is full: it holds ${MAX_POINTS} points.`, true);
    touched(() => { state.points.push(keep(p)); state.labels.push(label); }, true);
    current = state.points.length - 1;
    rebuild();
    if (focus) focusPoint(current);
    write();
    return tell(dotLabel(current));
  }
  function addInTheMiddle() {
    const mid = { x: (plane.x[0] + plane.x[1]) / 2, y: (plane.y[0] + plane.y[1]) / 2 };
    const unit = (plane.x[1] - plane.x[0]) / 12;
    // the first free spot on a spiral round the middle
    let spot = mid;
    for (let k = 0; k < 200; k += 1) {
      spot = { x: mid.x + unit * 0.12 * k * Math.cos(k), y: mid.y + unit * 0.12 * k * Math.sin(k) };
      if (state.points.every(([x, y]) => Math.hypot(x - spot.x, y - spot.y) > unit * 0.8)) break;
    }
    addPoint(spot, mode.value === "-1" ? -1 : 1, true);
  }
  cx.on(board, "click", (e) => { if (mode.value !== "remove") addPoint(plane.point(e), Number(mode.value)); });

  // ---- the line and w as handles ----------------------------------------------------------------------
  const tip = cx.handle(tipNode, {
    label: () => `Tip of the weight vector w, ${fixed(state.w[0])}, ${fixed(state.w[1])}`,
    point: plane.point, step: (plane.x[1] - plane.x[0]) / 60,
    at: () => ({ x: state.w[0] * arrowScale, y: state.w[1] * arrowScale }),
    start: () => { stop(); frozenScale = true; },
    move: (p) => { stop(); const [x, y] = keep(p); touched(() => { state.w = [x / arrowScale, y / arrowScale]; }); },
    end: () => { frozenScale = false; write(); tell(); request(); },
  });
  const foot = () => {
    const square = state.w[0] ** 2 + state.w[1] ** 2;
    return square ? { x: (-state.b * state.w[0]) / square, y: (-state.b * state.w[1]) / square } : { x: 0, y: 0 };
  };
  const lineHandle = cx.handle(lineGroup, {
    label: "Line w·x + b = 0: the arrows shift it, which changes b", role: "slider", point: plane.point,
    step: (plane.x[1] - plane.x[0]) / 60, at: foot,
    value: () => ({ now: Math.round(state.b * 100) / 100, min: -100, max: 100, text: `b = ${fixed(state.b)}` }),
    start: () => stop(),
    move: (p) => { stop(); touched(() => { state.b = Math.round(-(state.w[0] * p.x + state.w[1] * p.y) * 100) / 100; }); },
    end: () => { write(); tell(); },
  });

  // ---- what the rule does -----------------------------------------------------------------------------
  let tween = null; // {from, to, start, length}
  let message = null; // {state, lines}

  // The reader changed something: the count starts again, and applies only if it starts from zero.
  function touched(change, points) {
    change();
    tween = null;
    shown = null;
    message = null;
    state.mistakes = 0;
    state.counted = state.w[0] === 0 && state.w[1] === 0 && state.b === 0;
    if (state.counted) state.cursor = 0;
    if (points) facts = null;
    request();
  }
  const wrongCount = () => state.points.reduce((n, p, i) => n + math.isWrong(state.w, state.b, p, state.labels[i]), 0);

  function step(length) {
    const i = math.nextMistake(state.points, state.labels, state.w, state.b, state.cursor);
    if (i < 0) {
      shown = null;
      message = null;
      request();
      tell("", true);
      return false;
    }
    const from = { w: state.w, b: state.b };
    const to = math.update(state.w, state.b, state.points[i], state.labels[i]);
    Object.assign(state, to, { mistakes: state.mistakes + 1, cursor: (i + 1) % state.points.length });
    shown = { i, before: from, after: to, label: state.labels[i], point: [...state.points[i]] };
    const sign = shown.label > 0 ? "+" : "−";
    message = {
      state: "mistake",
      lines: [
        `Point ${i + 1} (class ${NAME[shown.label]}) was wrong.`,
        `w ← ${vector(from.w)} ${sign} ${vector(shown.point)}`,
        `\u2007\u2007= ${vector(to.w)}`,
        `b ← ${fixed(from.b)} ${sign} 1 = ${fixed(to.b)}`,
      ],
    };
    tween = cx.calm || length < 60 ? null : { from, to, length, start: performance.now() };
    request();
    if (length >= 400) {
      write();
      tell(`${message.lines[0]} Mistake ${state.mistakes}. ${wrongCount()} wrong now.`, true);
    }
    return true;
  }

  let waited = 0;
  let pace = 420;
  const runner = cx.animate((_, passed) => {
    waited += passed;
    if (waited < pace + 90) return true;
    waited = 0;
    pace = Math.max(cx.calm ? 250 : 45, pace * 0.88); // long runs speed up
    if (step(Math.min(pace, 399))) return true;
    stop();
    return false;
  });
  function run() {
    if (math.nextMistake(state.points, state.labels, state.w, state.b, state.cursor) < 0) {
      step(420);
      return;
    }
    waited = 1000;
    pace = 420;
    runButton.set("Pause");
    runner.start();
  }
  function stop() {
    if (!runner.running) return;
    runner.stop();
    runButton.set("Run");
    write();
    tell(`${state.mistakes} mistakes so far.`);
    request();
  }
  function fromZero() {
    stop();
    touched(() => { state.w = [0, 0]; state.b = 0; });
    write();
    tell();
  }
  function adopt(source, text) {
    stop();
    read(source);
    tween = shown = message = facts = null;
    const v = math.view(state.points);
    plane.range(v.x, v.y);
    rebuild();
    write();
    tell(text, true);
  }
  function load(name) {
    if (!presets[name]) return;
    const { points, labels } = presets[name];
    adopt({ points, labels }, `${name}: ${points.length} points, w and b are zero.`);
  }
  function reset() {
    mode.set("1");
    ui.set(board, { style: null });
    showWidest.set(false);
    preset.set("");
    adopt(model.get("opening") || {}, "Back to the opening state.");
  }

  // ---- words ------------------------------------------------------------------------------------------
  const vector = (v) => `(${fixed(v[0])}, ${fixed(v[1])})`;
  function know() {
    if (facts) return facts;
    const radius = math.radius(state.points);
    const { gamma, vector: best } = math.widestMargin(state.points, state.labels);
    facts = { radius, gamma, best, bound: gamma ? (radius / gamma) ** 2 : Infinity };
    return facts;
  }
  function summary() {
    if (!state.points.length) return { state: "", lines: ["The board is empty: click it to add points."] };
    const wrong = wrongCount();
    if (!wrong)
      return { state: "done", lines: [`All ${state.points.length} points are on their side.`, "The rule has nothing left to correct."] };
    if (!state.w[0] && !state.w[1])
      return { state: "", lines: ["w = (0, 0) draws no line yet.", "Every point with y·b ≤ 0 counts as wrong. Press Step."] };
    if (!know().gamma)
      return { state: "hopeless", lines: [`${wrong} of ${state.points.length} points are wrong.`, "No line separates these classes: the rule never stops."] };
    return { state: "", lines: [`${wrong} of ${state.points.length} points are on the wrong side.`, "Press Step to correct the next one."] };
  }
  function tell(text, only) {
    const words = summary().lines.join(" ");
    cx.announce(only && text ? text : [text, words].filter(Boolean).join(" "));
  }
  let spoken = "";
  let shownBias = state.b;
  function words() {
    const { radius, gamma, bound } = know();
    const wrong = wrongCount();
    const news = message && (wrong || runner.running || tween) ? message : message ? { state: "done", lines: [...message.lines, "Every point is now on its side."] } : summary();
    const key = JSON.stringify(news);
    if (key !== spoken) {
      spoken = key;
      event.dataset.state = news.state;
      event.replaceChildren(...news.lines.map((line, i) => ui.h("span", {}, i ? line : ui.h("b", { text: line }))));
    }
    figures.mistakes.set(String(state.mistakes));
    figures.wrong.set(`${wrong} of ${state.points.length}`);
    figures.w.set(vector(state.w));
    figures.radius.set(state.points.length ? fixed(radius, 2) : "–");
    figures.gamma.set(!state.points.length ? "–" : gamma ? fixed(gamma, gamma < 0.1 ? 4 : 3) : "none");
    const kind = !gamma ? "none" : state.counted ? "on" : "off";
    bar.dataset.state = kind;
    const share = gamma ? clamp(state.mistakes / bound, 0, 1) : 0;
    fill.style.width = `${share && Math.max(share * 100, 0.8)}%`;
    const limit = Number.isFinite(bound) ? (bound < 1e6 ? String(Math.floor(bound + 1e-9)) : bound.toExponential(1)) : "";
    const exact = bound < 1e5 ? fixed(bound, 1) : limit;
    const sentence = !state.points.length
      ? "No points, no bound."
      : kind === "none"
        ? "No line separates the classes: γ does not exist, and no bound limits k."
        : kind === "on"
          ? `k = ${state.mistakes} of at most ${limit} mistakes: (R/γ)² = ${exact}, counted from w = 0, b = 0.`
          : `The bound (R/γ)² = ${exact} holds for a start from w = 0, b = 0. This line started elsewhere, so its k does not count.`;
    if (boundText.textContent !== sentence) {
      boundText.textContent = sentence;
      bar.setAttribute("aria-label", sentence);
    }
  }

  // ---- drawing ----------------------------------------------------------------------------------------
  const linePath = (w, b) => {
    const length = Math.hypot(w[0], w[1]);
    if (!length) return "";
    const far = 3 * (plane.x[1] - plane.x[0]);
    const [nx, ny] = [w[0] / length, w[1] / length];
    // the point of the line nearest to the middle of the board: far away lines stay exact
    const mid = [(plane.x[0] + plane.x[1]) / 2, (plane.y[0] + plane.y[1]) / 2];
    const away = math.score(w, b, mid) / length;
    const [fx, fy] = [mid[0] - away * nx, mid[1] - away * ny];
    return `M${plane.X(fx + far * ny)} ${plane.Y(fy - far * nx)}L${plane.X(fx - far * ny)} ${plane.Y(fy + far * nx)}`;
  };
  const polygon = (corners) => (corners.length ? `M${corners.map(([x, y]) => `${plane.X(x)} ${plane.Y(y)}`).join("L")}Z` : "");
  const chooseScale = (...vectors) => {
    const reach = 0.86 * Math.min(plane.x[1], -plane.x[0], plane.y[1], -plane.y[0]);
    const room = reach > 0.1 * (plane.x[1] - plane.x[0]) ? reach : 0.4 * (plane.x[1] - plane.x[0]);
    const longest = Math.max(...vectors.map((v) => Math.hypot(v[0], v[1])));
    let denominator = 1;
    for (let i = 0; longest / denominator > room; i += 1) denominator *= i % 3 === 1 ? 2.5 : 2;
    return 1 / denominator;
  };

  function draw(time) {
    if (!plane.width) return;
    let { w, b } = state;
    let grown = 1;
    if (tween) {
      const t = clamp(((time ?? performance.now()) - tween.start) / tween.length, 0, 1);
      grown = t * t * (3 - 2 * t);
      const mix = (p, q) => p + (q - p) * grown;
      w = [mix(tween.from.w[0], tween.to.w[0]), mix(tween.from.w[1], tween.to.w[1])];
      b = mix(tween.from.b, tween.to.b);
      if (t >= 1) tween = null;
      else request();
    }
    const { gamma, best } = know();
    ui.set(board, { x: plane.left, y: plane.top, width: plane.width, height: plane.height });

    const drawn = w[0] !== 0 || w[1] !== 0;
    ui.set(positive, { d: drawn ? polygon(math.halfPlane(w, b, plane.x, plane.y)) : "" });
    ui.set(negative, { d: drawn ? polygon(math.halfPlane([-w[0], -w[1]], -b, plane.x, plane.y)) : "" });
    ui.set(lineGroup, { display: drawn ? null : "none" });
    const d = linePath(w, b);
    for (const node of [lineRing, lineSeen, lineGrip]) ui.set(node, { d });

    const wide = showWidest.value && gamma > 0 && Math.hypot(best[0], best[1]) > 1e-9;
    ui.set(widest, { d: wide ? linePath(best, best[2]) : "" });
    ui.set(widestName, { display: wide ? null : "none" });
    if (wide) {
      // where the score is between −γ and γ no point lies
      const corners = math.halfPlane(best, best[2] + gamma, plane.x, plane.y);
      ui.set(lane, { d: polygon(math.cut(corners, [-best[0], -best[1]], gamma - best[2])) });
      // its name stands at the end that is farther from the line in use
      const ends = math.halfPlane(best, best[2], plane.x, plane.y).filter((p) => Math.abs(math.score(best, best[2], p)) < 1e-9);
      const size = Math.hypot(w[0], w[1]) || 1;
      const unit = (plane.x[1] - plane.x[0]) / plane.width;
      const spots = ends.flatMap(([x, y]) => [-14, 20].map((dy) => ({
        x: clamp(plane.X(x) - 45, plane.left + 6, plane.left + plane.width - 96), y: clamp(plane.Y(y) + dy, plane.top + 18, plane.top + plane.height - 26) })));
      const room = (s) => Math.min(40 * unit, Math.abs(math.score(w, b, [plane.toX(s.x + 45), plane.toY(s.y - 4)])) / size)
        + Math.min(30 * unit, Math.abs(math.score(best, best[2], [plane.toX(s.x + 45), plane.toY(s.y - 4)])) / Math.hypot(best[0], best[1]));
      if (spots.length) ui.set(widestName, spots.reduce((p, q) => (room(q) > room(p) ? q : p)));
    } else ui.set(lane, { d: "" });

    state.points.forEach((p, i) => {
      const dot = dots[i];
      if (!dot) return;
      const label = state.labels[i];
      const wrong = math.isWrong(w, b, p, label);
      ui.set(dot.node, { transform: `translate(${plane.X(p[0])} ${plane.Y(p[1])})`, class: label > 0 ? "cx-positive-point" : "cx-negative-point" });
      ui.set(dot.mark, { d: ui.marker(label, 7.5), class: label > 0 ? "cx-positive" : "cx-negative" });
      ui.set(dot.wrong, { display: wrong ? null : "none" });
      if (dot.isWrong !== wrong) {
        dot.isWrong = wrong;
        dot.handle.refresh();
      }
    });

    if (!frozenScale) arrowScale = shown ? chooseScale(shown.before.w, shown.after.w) : chooseScale(state.w);
    const at = (v) => [v[0] * arrowScale, v[1] * arrowScale];
    now.place([0, 0], at(w), true);
    if (shown) {
      const tail = shown.before.w;
      const head = [tail[0] + grown * shown.label * shown.point[0], tail[1] + grown * shown.label * shown.point[1]];
      const big = Math.hypot(...tail) > 0;
      // labels stand outside the triangle that the three arrows make
      const turn = Math.sign(tail[0] * shown.point[1] * shown.label - tail[1] * shown.point[0] * shown.label) || 1;
      before.place([0, 0], at(tail), big, turn);
      added.place(at(tail), at(head), big, turn);
      now.place([0, 0], at(w), true, -turn);
      ui.set(looked, { d: ui.marker(-1, 21), transform: `translate(${plane.X(shown.point[0])} ${plane.Y(shown.point[1])})`, display: null });
    } else {
      before.place([0, 0], [0, 0], false);
      added.place([0, 0], [0, 0], false);
      ui.set(looked, { display: "none" });
    }
    const t = at(w);
    ui.set(tipNode, { transform: `translate(${plane.X(t[0])} ${plane.Y(t[1])})` });
    ui.set(scaleNote, { x: plane.left + plane.width - 8, y: plane.top + plane.height - 9, display: arrowScale < 1 ? null : "none",
      text: `arrows at 1:${1 / arrowScale}` });

    if (state.b !== shownBias) {
      shownBias = state.b;
      const edge = Math.max(6, Math.ceil(Math.abs(state.b)));
      ui.set(bias.input, { min: -edge, max: edge });
      bias.set(state.b);
    }
    words();
    tip.refresh();
    lineHandle.refresh();
  }

  cx.observe(model, FIELDS.map((name) => `change:${name}`).join(" "), () => {
    if (writing) return;
    const count = state.points.length;
    read(Object.fromEntries(FIELDS.map((name) => [name, model.get(name)])));
    tween = shown = message = facts = null;
    if (state.points.length !== count || dots.length !== count) rebuild();
    request();
  });
  rebuild();
  return cx.dispose;
}

export default { render };
