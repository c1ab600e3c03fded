// MatrixViewer: what a 2 × 2 matrix does to the plane, with points as rows: z = x @ W + b.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const MAT_LIMIT = 3;
const MAT_IDENTITY = [[1, 0], [0, 1]];
const MAT_PRESETS = {
  identity: MAT_IDENTITY,
  stretch: [[1.5, 0], [0, 0.6]],
  rotation: [[Math.cos(Math.PI / 6), Math.sin(Math.PI / 6)], [-Math.sin(Math.PI / 6), Math.cos(Math.PI / 6)]],
  "quarter turn": [[0, 1], [-1, 0]],
  "half turn": [[-1, 0], [0, -1]],
  shear: [[1, 0], [0.7, 1]],
  reflection: [[-1, 0], [0, 1]],
  projection: [[0.8, 0.4], [0.4, 0.2]],
};
const MAT_F = [[0, 0], [0, 1], [0.7, 1], [0.7, 0.8], [0.22, 0.8], [0.22, 0.6], [0.55, 0.6], [0.55, 0.4], [0.22, 0.4], [0.22, 0]]
  .map(([x, y]) => [1.5 * x, 1.5 * y]);

// One point, a row, through the matrix: x @ W + b.
const matApply = ([x, y], W, b = [0, 0]) => [x * W[0][0] + y * W[1][0] + b[0], x * W[0][1] + y * W[1][1] + b[1]];
const matMultiply = (A, B) => A.map((row) => matApply(row, B));
const matDeterminant = ([[a, b], [c, d]]) => a * d - b * c;
const matInverse = (M) => {
  const [[a, b], [c, d]] = M;
  const det = matDeterminant(M);
  return [[d / det, -b / det], [-c / det, a / det]];
};

// From the identity (t = 0) to the matrix (t = 1): its symmetric stretch and its turn grow together.
function matTween(W, t) {
  if (t <= 0) return MAT_IDENTITY;
  if (t >= 1) return W;
  const angle = Math.atan2(W[0][1] - W[1][0], W[0][0] + W[1][1]);
  const turn = (a) => [[Math.cos(a), Math.sin(a)], [-Math.sin(a), Math.cos(a)]];
  const stretch = matMultiply(W, turn(-angle));
  const part = stretch.map((row, i) => row.map((v, j) => (1 - t) * MAT_IDENTITY[i][j] + t * v));
  return matMultiply(part, turn(t * angle));
}

const matSteps = ({ matrix, second, compose, swapped }) => (!compose ? [matrix] : swapped ? [second, matrix] : [matrix, second]);

// The matrix and the shift on the screen.
function matDisplayed(state) {
  const steps = matSteps(state);
  const t = state.amount * steps.length;
  const share = (k) => Math.min(Math.max(t - k, 0), 1);
  const matrix = steps.reduce((M, step, k) => matMultiply(M, matTween(step, share(k))), MAT_IDENTITY);
  return { matrix, shift: state.bias.map((v) => v * share(steps.length - 1)) };
}

function matVerdict(M) {
  const size = M.flat().reduce((sum, v) => sum + v * v, 0) / 2;
  const det = matDeterminant(M);
  if (size < 1e-12) return "point";
  if (Math.abs(det) < 1e-9 * Math.max(1, size)) return "line";
  if (Math.abs(det) < 0.05 * size) return "nearly";
  return det < 0 ? "mirrored" : "plain";
}

// Pairs {factor, vector} with x @ M = factor * x, largest factor first; none for a rotation.
function matKept([[a, b], [c, d]]) {
  const gap = (a - d) ** 2 / 4 + b * c;
  if (gap < -1e-12 || (Math.abs(b) < 1e-12 && Math.abs(c) < 1e-12 && Math.abs(a - d) < 1e-12)) return [];
  const root = Math.sqrt(Math.max(gap, 0));
  const factors = root < 1e-9 ? [(a + d) / 2] : [(a + d) / 2 + root, (a + d) / 2 - root];
  return factors.map((factor) => {
    const one = [a - factor, c];
    const two = [b, d - factor];
    const [p, q] = one[0] ** 2 + one[1] ** 2 >= two[0] ** 2 + two[1] ** 2 ? one : two;
    const length = Math.hypot(p, q);
    return { factor, vector: [-q / length, p / length] };
  });
}

// The W for which the whole way has `rows`; null where V is flat or W would leave its range.
function matSolve(rows, { second, compose, swapped }) {
  let W = rows;
  if (compose) {
    if (Math.abs(matDeterminant(second)) < 1e-6) return null;
    W = swapped ? matMultiply(matInverse(second), rows) : matMultiply(rows, matInverse(second));
  }
  return W.flat().every((v) => Math.abs(v) <= MAT_LIMIT + 1e-9) ? W : null;
}

export const math = {
  presets: MAT_PRESETS, letter: MAT_F, apply: matApply, multiply: matMultiply, determinant: matDeterminant, inverse: matInverse,
  tween: matTween, displayed: matDisplayed, verdict: matVerdict, kept: matKept, solve: matSolve,
};

const MAT_STATE = ["matrix", "bias", "second", "compose", "swapped", "probe", "amount"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "matrix",
    question: "What does a 2 × 2 matrix do to the plane?",
    lead: "Drag the tips of the two arrows. They are the rows of W: points are rows here, `z = x @ W + b`, so `(1, 0)` goes to row 1 and "
      + "`(0, 1)` to row 2. Drag the point x to see where it goes, and why.",
    tries: [
      "Drag the arrows until they lie on one line. What happens to the F, and what does the determinant say just before?",
      "Find a W that mirrors the F from left to right, then one that turns it by half a turn. Both need minus signs. Which of them has a negative determinant?",
      "Tick the second matrix and change the order. For which pairs of matrices does the order make no difference?",
      "Choose “reflection” and move the slider slowly from before to after. Why must the F be flat somewhere on the way, and why not for “half turn”?",
    ],
  });
  const { fixed, clamp } = ui;
  const number = (v) => fixed(v, 2);
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(MAT_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);

  // ---- the plane ----
  const plane = ui.plane(cx, { x: [-3.2, 3.2], y: [-3.2, 3.2], maxWidth: 520, label: "The plane before and after the matrix", onLayout: request });
  const make = (parent, tag, attrs, ...children) => {
    const node = ui.svg(tag, attrs, ...children);
    parent.append(node);
    return node;
  };
  const quiet = { "aria-hidden": "true" };
  const grid = make(plane.back, "path", { class: "mat-grid", ...quiet });
  const square = make(plane.back, "path", { class: "mat-square", ...quiet });
  const after = make(plane.layer, "path", { class: "mat-after", ...quiet });
  const before = make(plane.layer, "path", { class: "mat-before", ...quiet });
  const kept = make(plane.layer, "g", quiet);
  const legs = [0, 1].map((k) => make(plane.layer, "path", { class: `mat-leg mat-leg-${k}`, ...quiet }));
  const area = make(plane.layer, "text", { class: "mat-area cx-halo", "text-anchor": "middle", ...quiet });
  const image = make(plane.front, "rect", { class: "mat-image", width: 13, height: 13, ...quiet });
  const imageName = make(plane.front, "text", { class: "mat-point-name cx-halo", text: "z", ...quiet });

  const snap = (v) => clamp(Math.round(v * 20) / 20, -MAT_LIMIT, MAT_LIMIT);
  const arrows = [0, 1].map((k) => {
    const shaft = ui.svg("path", { class: "mat-arrow" });
    const name = ui.svg("text", { class: "mat-name-text cx-halo", "text-anchor": "middle", text: `row ${k + 1}` });
    const grip = ui.svg("g", { class: "mat-grip" }, ui.svg("circle", { class: "mat-hit", r: 22 }),
      ui.svg("circle", { class: "cx-ring", r: 14 }), ui.svg("circle", { class: "mat-tip", r: 9 }));
    make(plane.front, "g", { class: `mat-row-${k}` }, shaft, name, grip);
    const tip = () => {
      const { matrix, shift } = matDisplayed({ ...get(), amount: 1 });
      return { x: matrix[k][0] + shift[0], y: matrix[k][1] + shift[1] };
    };
    let refused = false;
    const handle = cx.handle(grip, {
      label: () => {
        const { x, y } = tip();
        return `Row ${k + 1}: ${k ? "(0, 1)" : "(1, 0)"} goes to ${number(x)}, ${number(y)}`;
      },
      point: plane.point,
      at: tip,
      start: finish,
      move: (p) => {
        finish();
        const state = get();
        const { matrix, shift } = matDisplayed(state);
        const rows = copy(matrix);
        rows[k] = [snap(p.x - shift[0]), snap(p.y - shift[1])];
        const W = matSolve(rows, state);
        refused = !W;
        if (W) put({ matrix: W.map((row) => row.map((v) => Math.round(v * 1000) / 1000)) }, false);
        else cx.announce(locked() ? "V flattens the plane, so no W moves this arrow freely. Change W by its numbers." : "W would leave its range from −3 to 3.");
      },
      end: () => {
        model.save_changes();
        if (!refused) tell();
      },
      step: 0.1,
    });
    return { shaft, name, grip, handle };
  });
  const locked = () => model.get("compose") && Math.abs(matDeterminant(model.get("second"))) < 1e-6;

  const knob = ui.svg("g", { class: "mat-probe" }, ui.svg("circle", { class: "mat-hit", r: 20 }), ui.svg("circle", { class: "cx-ring", r: 13 }),
    ui.svg("circle", { class: "mat-dot", r: 8 }));
  const knobName = ui.svg("text", { class: "mat-point-name cx-halo", text: "x", ...quiet });
  plane.front.append(knobName, knob);
  const probe = cx.handle(knob, {
    label: () => {
      const state = get();
      const { matrix, shift } = matDisplayed(state);
      const z = matApply(state.probe, matrix, shift);
      return `Point x at ${state.probe.map(number).join(", ")}, goes to ${z.map(number).join(", ")}`;
    },
    point: plane.point,
    at: () => ({ x: model.get("probe")[0], y: model.get("probe")[1] }),
    move: (p) => put({ probe: [snap(p.x), snap(p.y)] }, false),
    end: () => model.save_changes(),
    step: 0.1,
  });

  // ---- the way from before to after ----
  const way = ui.h("div", { class: "mat-way" });
  cx.stage.append(way);
  const player = cx.animate((now, passed) => {
    const amount = Math.min(1, model.get("amount") + Math.min(passed, 100) / (model.get("compose") ? 3200 : 1800));
    put({ amount }, false);
    if (amount < 1) return true;
    model.save_changes();
    tell();
    return false;
  });
  const play = cx.button({ label: "Play", parent: way, title: "From before to after", onClick: () => {
    if (player.running) {
      player.stop();
      model.save_changes();
    } else if (cx.calm) put({ amount: model.get("amount") < 1 ? 1 : 0 }); // no motion: one end or the other
    else {
      if (model.get("amount") >= 1) put({ amount: 0 }, false);
      player.start();
    }
    request();
  } });
  const slider = cx.slider({
    label: "before … after", min: 0, max: 1, step: 0.01, value: model.get("amount"), parent: way,
    format: (v) => (v >= 1 ? "after" : v <= 0 ? "before" : `${Math.round(100 * v)} %`),
    onInput: (v) => { player.stop(); put({ amount: v }, false); },
    onChange: () => model.save_changes(),
  });
  function finish() {
    player.stop();
    if (model.get("amount") !== 1) put({ amount: 1 }, false);
  }

  // ---- the numbers ----
  const preset = cx.select({
    label: "W is", inline: true, value: "",
    options: [["", "…"], ...Object.keys(MAT_PRESETS).map((name) => [name, name])],
    onChange: (name) => { if (name) { finish(); put({ matrix: copy(MAT_PRESETS[name]) }); tell(); } },
  });
  // A table of number fields for a trait of shape (2, 2) or (2,).
  const table = (trait, letter, rows, parent) => {
    const inputs = [];
    for (let i = 0; i < rows; i += 1)
      for (let j = 0; j < 2; j += 1) {
        const where = rows > 1 ? `row ${i + 1}, column ${j + 1}` : `entry ${j + 1}`;
        const input = ui.h("input", { type: "number", min: -MAT_LIMIT, max: MAT_LIMIT, step: 0.1, "data-row": i, "aria-label": `${letter}, ${where}` });
        const read = () => {
          const v = Number(input.value);
          const fine = input.value !== "" && Number.isFinite(v) && Math.abs(v) <= MAT_LIMIT;
          ui.set(input, { "aria-invalid": fine ? null : "true" });
          return fine ? v : null;
        };
        cx.on(input, "input", () => {
          const v = read();
          if (v === null) return;
          finish();
          const value = copy(model.get(trait));
          if (rows > 1) value[i][j] = v;
          else value[j] = v;
          put({ [trait]: value }, false);
        });
        cx.on(input, "change", () => {
          if (read() === null) cx.announce(`Numbers from −${MAT_LIMIT} to ${MAT_LIMIT}.`);
          model.save_changes();
          sync(true);
          tell();
        });
        inputs.push(input);
      }
    parent.append(ui.h("div", { class: `mat-table mat-${letter.toLowerCase()}`, role: "group", "aria-label": rows > 1 ? `Matrix ${letter}` : "Bias b" },
      ui.h("span", { class: "mat-name", text: `${letter} =` }), ui.h("div", { class: "mat-cells" }, inputs)));
    const sync = (force) => model.get(trait).flat().forEach((v, k) => {
      const input = inputs[k];
      const active = input.getRootNode().activeElement === input;
      if (active && !force) {
        if (input.value !== "" && Math.abs(Number(input.value) - v) < 5e-4) return;
        if (input.getAttribute("aria-invalid")) return; // half typed
      }
      input.value = String(Math.round(v * 1000) / 1000 + 0);
      ui.set(input, { "aria-invalid": null });
    });
    return { sync };
  };
  const fields = ui.h("div", { class: "mat-fields" });
  cx.panel.append(fields);
  const tables = [table("matrix", "W", 2, fields), table("bias", "b", 1, fields)];

  const composed = cx.checkbox({ label: "A second matrix V", value: model.get("compose"), onChange: (v) => { finish(); put({ compose: v }); tell(); } });
  const more = ui.h("div", { class: "mat-second" });
  cx.panel.append(more);
  const moreFields = ui.h("div", { class: "mat-fields" });
  const order = cx.choice({
    legend: "Order", value: model.get("swapped"), parent: more, options: [["false", "W, then V"], ["true", "V, then W"]],
    onChange: (v) => { finish(); put({ swapped: v === "true" }); tell(); },
  });
  more.append(moreFields);
  tables.push(table("second", "V", 2, moreFields));
  const product = ui.h("p", { class: "mat-product" });
  more.append(product);

  const detValue = ui.h("output", {});
  const detWords = ui.h("p", {});
  const det = ui.h("div", { class: "mat-det" }, detValue, detWords);
  const sum = ui.h("div", { class: "mat-sum" });
  cx.panel.append(det, sum);
  const showKept = cx.checkbox({ label: "Directions that keep their line", value: false, onChange: request });
  const keptNote = cx.note("");
  cx.resetButton(() => {
    player.stop();
    showKept.set(false);
    put(copy(opening));
    tables.forEach((t) => t.sync(true));
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  // ---- drawing ----
  const factor = (v) => (Math.abs(v) < 0.005 && v !== 0 ? Math.abs(v).toExponential(0).replace("e-", "×10⁻") : number(Math.abs(v)));
  const words = (state, M) => {
    const size = factor(matDeterminant(M));
    return {
      point: "Everything lands on one point: rank 0.",
      line: "Flattened: the whole plane lands on one line, rank 1. No later matrix can undo that.",
      nearly: `Areas × ${size}: nearly flat. Points far apart land almost on one line.`,
      mirrored: `Areas × ${size}, and the plane is mirrored: from row 1 to row 2 the turn goes to the right.`,
      plain: `Areas × ${size}. Not mirrored: from row 1 to row 2 the turn goes to the left.`,
    }[state];
  };
  function tell() {
    const { matrix } = matDisplayed(get());
    cx.announce(`Determinant ${number(matDeterminant(matrix))}. ${words(matVerdict(matrix), matrix)}`);
  }
  const span = (kind, text) => ui.h("span", { class: `mat-${kind}`, text });
  const bracket = (v) => (v < 0 ? `(${number(v)})` : number(v));

  function draw() {
    if (!plane.width) return;
    const state = get();
    const { matrix: M, shift } = matDisplayed(state);
    const P = ([x, y]) => `${plane.X(x).toFixed(1)} ${plane.Y(y).toFixed(1)}`;
    const trace = (points, close = "") => `M${points.map(P).join("L")}${close}`;
    const through = (p) => matApply(p, M, shift);

    const lines = [];
    for (let k = -8; k <= 8; k += 1) lines.push(trace([[k, -12], [k, 12]].map(through)), trace([[-12, k], [12, k]].map(through)));
    ui.set(grid, { d: lines.join("") });
    ui.set(square, { d: trace([[0, 0], [1, 0], [1, 1], [0, 1]].map(through), "Z") });
    ui.set(before, { d: trace(MAT_F, "Z") });
    ui.set(after, { d: trace(MAT_F.map(through), "Z") });

    // the arrows; where the two tips meet, their names stand on different sides
    const rows = M.map((row) => [row[0] + shift[0], row[1] + shift[1]]);
    const close = Math.hypot(rows[0][0] - rows[1][0], rows[0][1] - rows[1][1]) < 0.45;
    arrows.forEach(({ shaft, name, grip }, k) => {
      ui.set(shaft, { d: trace([shift, rows[k]]) });
      ui.set(grip, { transform: `translate(${P(rows[k])})` });
      const length = Math.hypot(...M[k]) || 1;
      const away = close ? [0, k ? 26 : -18] : [(30 * M[k][0]) / length, (-24 * M[k][1]) / length + 5];
      ui.set(name, {
        x: clamp(plane.X(rows[k][0]) + away[0], plane.left + 22, plane.left + plane.width - 22),
        y: clamp(plane.Y(rows[k][1]) + away[1], plane.top + 16, plane.top + plane.height - 6),
      });
      grip.classList.toggle("mat-locked", locked());
    });

    // the point: x1 times row 1, then x2 times row 2
    const x = state.probe;
    const z = through(x);
    const corner = [shift[0] + x[0] * M[0][0], shift[1] + x[0] * M[0][1]];
    ui.set(legs[0], { d: trace([shift, corner]) });
    ui.set(legs[1], { d: trace([corner, z]) });
    ui.set(knob, { transform: `translate(${P(x)})` });
    ui.set(image, { x: plane.X(z[0]) - 6.5, y: plane.Y(z[1]) - 6.5 });
    const same = Math.hypot(x[0] - z[0], x[1] - z[1]) < 0.3;
    ui.set(knobName, { x: plane.X(x[0]) - 20, y: plane.Y(x[1]) + (same ? -8 : 4) });
    ui.set(imageName, { x: plane.X(z[0]) + 12, y: plane.Y(z[1]) + 5 });

    const middle = through([0.5, 0.5]);
    const d = matDeterminant(M);
    const kind = matVerdict(M);
    const roomy = Math.abs(d) > 0.45 && plane.inside({ x: middle[0], y: middle[1] });
    ui.set(area, { x: plane.X(middle[0]), y: plane.Y(middle[1]) + 5, text: roomy ? number(d) : "" });

    const directions = showKept.value ? matKept(M) : [];
    const multiple = Math.abs(M[0][1]) < 1e-12 && Math.abs(M[1][0]) < 1e-12 && Math.abs(M[0][0] - M[1][1]) < 1e-12;
    keptNote.textContent = !showKept.value ? "" : multiple ? "Here every direction keeps its line."
      : directions.length ? "Along these lines the matrix only stretches, by the factor written there." : "Here no direction keeps its line.";
    keptNote.hidden = !showKept.value;
    kept.replaceChildren(...directions.flatMap(({ factor: f, vector: [u, v] }) => {
      const far = 2.75 / Math.max(Math.abs(u), Math.abs(v));
      return [
        ui.svg("path", { class: "mat-kept", d: trace([[-9 * u, -9 * v], [9 * u, 9 * v]].map(([p, q]) => [p + shift[0], q + shift[1]])) }),
        ui.svg("text", { class: "mat-kept-name cx-halo", "text-anchor": "middle", x: plane.X(-far * u + shift[0]), y: plane.Y(-far * v + shift[1]) + 5, text: `× ${number(f)}` }),
      ];
    }));

    // the numbers
    slider.set(state.amount);
    play.set(player.running ? "Stop" : "Play");
    tables.forEach((t) => t.sync(false));
    composed.set(state.compose);
    order.set(String(state.swapped));
    more.hidden = !state.compose;
    const whole = matSteps(state).reduce(matMultiply, MAT_IDENTITY);
    const letters = state.swapped ? "V @ W" : "W @ V";
    product.replaceChildren(`${letters} has the rows `, span("one", `(${whole[0].map(number).join(", ")})`), " and ",
      span("two", `(${whole[1].map(number).join(", ")})`), ". They are the arrows now; dragging one changes W.");
    const found = Object.entries(MAT_PRESETS).find(([, m]) => m.flat().every((v, k) => Math.abs(v - state.matrix.flat()[k]) < 1e-9));
    preset.set(found ? found[0] : "");
    const travelling = state.amount < 1;
    detValue.textContent = `${travelling ? "on the way, " : ""}det = ${number(M[0][0])}·${bracket(M[1][1])} − ${bracket(M[0][1])}·${bracket(M[1][0])} = ${number(d)}`;
    detWords.textContent = words(kind, M);
    det.dataset.state = kind;
    const biased = shift.some((v) => v !== 0);
    const name = state.compose ? (state.swapped ? "x @ V @ W" : "x @ W @ V") : "x @ W";
    sum.replaceChildren(
      ui.h("p", {}, "z = ", span("x", "x₁"), "·", span("one", "row 1"), " + ", span("x", "x₂"), "·", span("two", "row 2"), biased ? " + b" : ""),
      ...[0, 1].map((j) => ui.h("p", {}, `z${"₁₂"[j]} = `, span("x", bracket(x[0])), "·", span("one", bracket(M[0][j])), " + ", span("x", bracket(x[1])), "·",
        span("two", bracket(M[1][j])), biased ? ` + ${bracket(shift[j])}` : "", ` = ${number(z[j])}`)),
      ui.h("p", {}, `${name}${biased ? " + b" : ""} = (${z.map(number).join(", ")})${plane.inside({ x: z[0], y: z[1] }) ? "" : ", outside the picture"}`));
    arrows.forEach(({ handle }) => handle.refresh());
    probe.refresh();
  }

  cx.observe(model, MAT_STATE.map((name) => `change:${name}`).join(" "), request);
  tables.forEach((t) => t.sync(true));
  draw();
  return cx.dispose;
}

export default { render };
