// OverfittingLab: polynomials of every degree fitted to the same noisy points.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const OVF_MAX = 20; // degrees 0 ... OVF_MAX
const OVF_VALIDATION = 40;
const OVF_REACH = 2;
const OVF_EXACT = 1e-10;
const OVF_LOW = -4, OVF_HIGH = 3; // powers of ten of the error axis
const OVF_GOLDEN = (Math.sqrt(5) - 1) / 2;

const ovfTruth = (x) => Math.sin(1.5 * Math.PI * x);
function ovfDraw(count, noise, seed, purpose) {
  const random = ui.mulberry32((seed + 1) * 2654435761 + purpose);
  const begin = random();
  const normal = ui.gaussian(random);
  return Array.from({ length: count }, (_, i) => {
    const x = Math.floor(200 * ((begin + i * OVF_GOLDEN) % 1) + 0.5) / 100 - 1;
    return [x, ovfTruth(x) + noise * normal()];
  });
}
const ovfTraining = (examples, noise, seed) => ovfDraw(examples, noise, seed, 1);
const ovfValidation = (noise, seed) => ovfDraw(OVF_VALIDATION, noise, seed, 2);

// P_0(x) ... P_degree(x): (k + 1) P_(k+1) = (2k + 1) x P_k − k P_(k−1)
function ovfLegendre(x, degree) {
  const out = [1];
  if (degree > 0) out.push(x);
  for (let k = 1; k < degree; k += 1) out.push(((2 * k + 1) * x * out[k] - k * out[k - 1]) / (k + 1));
  return out;
}

// The singular value decomposition of the matrix whose columns are given, at least as long as they are many: one-sided
// Jacobi rotations (Hestenes 1958), which keep small singular values accurate. -> { s, u: columns, v: columns }.
function ovfDecompose(columns) {
  const n = columns.length;
  const u = columns.map((column) => column.slice());
  const v = u.map((_, i) => u.map((__, j) => (i === j ? 1 : 0)));
  const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i]; return sum; };
  const turn = (a, b, c, s) => {
    for (let i = 0; i < a.length; i += 1) {
      const [x, y] = [a[i], b[i]];
      a[i] = c * x - s * y;
      b[i] = s * x + c * y;
    }
  };
  const most = Math.max(...u.map((a) => dot(a, a)));
  for (let sweep = 0; sweep < 40; sweep += 1) {
    let turned = false;
    for (let p = 0; p < n - 1; p += 1)
      for (let q = p + 1; q < n; q += 1) {
        const alpha = dot(u[p], u[p]);
        const beta = dot(u[q], u[q]);
        const gamma = dot(u[p], u[q]);
        if (Math.abs(gamma) <= 2e-15 * Math.sqrt(alpha * beta) || Math.min(alpha, beta) < 1e-34 * most) continue;
        turned = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
        const c = 1 / Math.sqrt(1 + t * t);
        turn(u[p], u[q], c, c * t);
        turn(v[p], v[q], c, c * t);
      }
    if (!turned) break;
  }
  const s = u.map((a) => Math.sqrt(dot(a, a)));
  return { s, v, u: u.map((a, j) => a.map((value) => (s[j] > 0 ? value / s[j] : 0))) };
}
// Coefficients c of P_0 ... P_degree that minimise mean((Phi c − y)²) + penalty · sum(c²); the smallest of them.
function ovfFit(points, degree, penalty) {
  const m = points.length;
  const n = degree + 1;
  const rows = points.map(([x]) => ovfLegendre(x, degree));
  const y = points.map((p) => p[1]);
  const tall = m >= n;
  const { s, u, v } = ovfDecompose(tall ? rows[0].map((_, j) => rows.map((row) => row[j])) : rows);
  const [left, right] = tall ? [u, v] : [v, u]; // Phi = sum of s_k left_k right_k'
  const cut = Math.max(...s) * Math.max(m, n) * 2 ** -52; // below this a singular value is rounding
  const c = new Array(n).fill(0);
  s.forEach((value, k) => {
    if (penalty === 0 && value <= cut) return;
    let along = 0;
    for (let i = 0; i < m; i += 1) along += left[k][i] * y[i];
    const size = (penalty === 0 ? 1 / value : value / (value * value + m * penalty)) * along;
    for (let j = 0; j < n; j += 1) c[j] += size * right[k][j];
  });
  return c;
}
const ovfPredict = (c, x) => ovfLegendre(x, c.length - 1).reduce((sum, p, k) => sum + p * c[k], 0);
const ovfError = (c, points) => points.reduce((sum, [x, y]) => sum + (ovfPredict(c, x) - y) ** 2, 0) / points.length;
// The fits of all degrees with their errors on both sets of points.
function ovfAll(points, heldOut, penalty) {
  const fits = Array.from({ length: OVF_MAX + 1 }, (_, degree) => ovfFit(points, degree, penalty));
  return { fits, train: fits.map((c) => ovfError(c, points)), heldOut: fits.map((c) => ovfError(c, heldOut)) };
}
const ovfLeast = (values) => values.indexOf(Math.min(...values));

export const math = { truth: ovfTruth, training: ovfTraining, validation: ovfValidation, legendre: ovfLegendre, fit: ovfFit, predict: ovfPredict, all: ovfAll };

const OVF_STATE = ["degree", "noise", "examples", "penalty", "seed", "moved"];
const OVF_NONE = -6.25; // the penalty slider's lowest place means 0

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "overfit",
    question: "When does a better fit predict worse?",
    lead: "Drag a blue training point, or click a degree in the right chart. Every fit sees the blue points only; the orange ones judge it.",
    tries: [
      "Walk the degree from 0 to 11. From which degree on does the training error still fall while the validation error rises? What does the curve do there between the points?",
      "At degree 9, drag one point upwards. How far away does the curve answer? Do the same at degree 3.",
      "Stay at degree 11 and raise the penalty step by step. Which of the two errors gets worse, and which better? Where is it too much?",
      "With no penalty, go on past degree 11, where there are more coefficients than points and every training error is 0. Does the validation error keep rising?",
      "Raise the examples to 40 at degree 9. What happened to the gap between the two errors?",
    ],
  });
  const { number, fixed, clamp } = ui;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(OVF_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const size = (error) => (error < OVF_EXACT ? "0" : number(error));

  // What follows from the state; the errors of all degrees are computed again only when the points or the penalty changed.
  let key = "";
  let made = null;
  function current() {
    const { noise, examples, penalty, seed, moved } = get();
    const now = JSON.stringify([noise, examples, penalty, seed, moved]);
    if (now !== key) {
      key = now;
      const points = ovfTraining(examples, noise, seed).map((p, i) => moved[i] || p);
      const heldOut = ovfValidation(noise, seed);
      const all = ovfAll(points, heldOut, penalty);
      made = { points, heldOut, all, best: ovfLeast(all.heldOut) };
    }
    return made;
  }

  // ---- the two charts ----
  const legend = ui.h("p", { class: "of-legend", "aria-hidden": "true" });
  const charts = ui.h("div", { class: "of-charts" });
  cx.stage.append(legend, charts);
  const chart = (options) => {
    const title = ui.h("p", { class: "of-title" });
    const box = ui.h("div", {});
    charts.append(ui.h("div", {}, title, box));
    return { title, plane: ui.plane(cx, { parent: box, aspect: 0.84, maxWidth: 460, zero: false, onLayout: () => queueMicrotask(() => request()), ...options }) };
  };
  const { title: fitTitle, plane } = chart({ x: [-1.04, 1.04], y: [-2.2, 2.2], xTicks: [-1, -0.5, 0, 0.5, 1], yTicks: [-2, -1, 0, 1, 2], xLabel: "x",
    label: "The fit with its training points, the validation points and the curve behind them" });
  const { title: errorTitle, plane: errors } = chart({ x: [-0.6, OVF_MAX + 0.6], y: [OVF_LOW, OVF_HIGH], xTicks: [0, 5, 10, 15, 20], yTicks: [], xLabel: "degree",
    label: "Training and validation error by degree, on a logarithmic scale" });
  const curves = ui.svg("g", { "aria-hidden": "true" });
  plane.back.append(curves);
  const errorTicks = ui.svg("g", { "aria-hidden": "true" });
  errors.svg.append(errorTicks);
  const errorMarks = ui.svg("g", { "aria-hidden": "true" });
  const area = ui.svg("rect", { class: "of-area" });
  const areaRing = ui.svg("rect", { class: "cx-ring", rx: 3 });
  const picker = ui.svg("g", { "data-cx-handle": true, class: "of-picker", role: "slider", tabindex: 0, focusable: "true", "aria-label": "Degree whose fit is shown",
    "aria-valuemin": 0, "aria-valuemax": OVF_MAX }, area, areaRing);
  errors.layer.append(errorMarks);
  errors.front.append(picker);

  // ---- the training points ----
  const dots = [];
  let selected = 0;
  const select = (i) => {
    selected = i;
    dots.forEach((dot, j) => ui.set(dot.node, { tabindex: j === i ? 0 : -1 }));
  };
  const focusDot = (i) => {
    const n = model.get("examples");
    dots[(i + n) % n].node.focus();
  };
  const makeDot = (i) => {
    const node = ui.svg("g", { "data-point": i }, ui.svg("circle", { r: 15, class: "of-hit" }), ui.svg("circle", { r: 5.5, class: "of-dot" }), ui.svg("circle", { r: 11, class: "cx-ring" }));
    plane.front.append(node);
    const grip = cx.handle(node, {
      label: () => {
        const [x, y] = current().points[i] || [0, 0];
        return `Training point ${i + 1} of ${model.get("examples")}, at x ${fixed(x)}, y ${fixed(y)}`;
      },
      point: plane.point, step: 0.05, tabindex: i === selected ? 0 : -1,
      at: () => ({ x: current().points[i][0], y: current().points[i][1] }),
      move: (p) => put({ moved: { ...model.get("moved"), [i]: [Math.round(clamp(p.x, -1, 1) * 100) / 100, Math.round(clamp(p.y, -OVF_REACH, OVF_REACH) * 100) / 100] } }, false),
      end: () => { model.save_changes(); tell(); },
      keys: { PageDown: () => focusDot(i + 1), PageUp: () => focusDot(i - 1), Home: () => focusDot(0), End: () => focusDot(model.get("examples") - 1) },
    });
    cx.on(node, "focus", () => select(i));
    return { node, grip };
  };

  // ---- choosing a degree on the chart ----
  const degreeAt = (event) => clamp(Math.round(errors.point(event).x), 0, OVF_MAX);
  let held = null;
  cx.on(picker, "pointerdown", (event) => {
    if (event.button !== 0) return;
    held = event.pointerId;
    picker.focus({ preventScroll: true, focusVisible: false });
    picker.setPointerCapture(held);
    put({ degree: degreeAt(event) }, false);
  });
  cx.on(picker, "pointermove", (event) => { if (held === event.pointerId) put({ degree: degreeAt(event) }, false); });
  cx.on(picker, "pointerup pointercancel", (event) => {
    if (held !== event.pointerId) return;
    held = null;
    model.save_changes();
    tell();
  });
  cx.on(picker, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const degree = model.get("degree");
    const to = { ArrowLeft: degree - 1, ArrowDown: degree - 1, ArrowRight: degree + 1, ArrowUp: degree + 1, Home: 0, End: OVF_MAX }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    put({ degree: clamp(to, 0, OVF_MAX) });
    tell();
  });

  // ---- controls ----
  const readout = ui.h("div", { class: "of-readout", role: "group", "aria-label": "The errors of this fit" });
  cx.stage.append(readout);
  const sliders = ui.h("div", { class: "of-sliders" });
  cx.panel.append(sliders);
  const slide = (trait, label, min, max, step, format) => cx.slider({ label, min, max, step, value: model.get(trait), format, parent: sliders,
    onInput: (v) => put({ [trait]: v }, false), onChange: () => { model.save_changes(); tell(); } });
  const degree = slide("degree", "Degree", 0, OVF_MAX, 1, String);
  const place = (penalty) => (penalty > 0 ? clamp(Math.log10(penalty), -6, 1) : OVF_NONE);
  const amount = (v) => (v < -6.1 ? 0 : Number((10 ** v).toPrecision(3)));
  const penaltyText = (v) => (v === 0 ? "0, none" : number(v));
  const penalty = cx.slider({ label: "Penalty λ", min: OVF_NONE, max: 1, step: 0.25, value: place(model.get("penalty")), format: (v) => penaltyText(amount(v)), parent: sliders,
    onInput: (v) => put({ penalty: amount(v) }, false), onChange: () => { model.save_changes(); tell(); } });
  const examples = slide("examples", "Examples", 4, 40, 1, String);
  const noise = slide("noise", "Noise", 0, 0.6, 0.01, (v) => fixed(v, 2));
  const buttons = cx.row();
  cx.button({ label: "New points", parent: buttons, title: "Draw other points from the same curve",
    onClick: () => { put({ seed: (model.get("seed") + 1) % 10000, moved: {} }); tell(); } });
  const back = cx.button({ label: "Put points back", parent: buttons, title: "Undo the dragging", onClick: () => { put({ moved: {} }); tell(); } });
  cx.resetButton(() => {
    put(copy(opening));
    cx.announce("Back to the opening state.");
  }, buttons);

  // ---- words ----
  function sentence() {
    const { degree: d, penalty: lambda, examples: n } = get();
    const { all: { train, heldOut }, best } = current();
    const free = lambda === 0 && train[d] < OVF_EXACT;
    if (free && d + 1 > n) return `${d + 1} coefficients for ${n} points: many curves pass through every point, and this is the one with the smallest coefficients.`;
    if (free) return `${d + 1} coefficients for ${n} points: the curve passes through every one of them, noise and all.`;
    if (heldOut[d] < 1.25 * heldOut[best]) return d === best ? "No other degree predicts these validation points better." : `About as good as the best, degree ${best}.`;
    if (train[d] < train[best]) return `It fits the training points better than degree ${best}, and predicts worse: it has learnt their noise.`;
    if (d < best) return `Too stiff: it misses the training points as well. Degree ${best} does better on both.`;
    return `Degree ${best} predicts better.`;
  }
  function tell() {
    const d = model.get("degree");
    const { all, best } = current();
    cx.announce(`Degree ${d}: training error ${size(all.train[d])}, validation error ${size(all.heldOut[d])}; lowest at degree ${best}, ${size(all.heldOut[best])}. ${sentence()}`);
  }

  function draw() {
    const state = get();
    const { points, heldOut, all, best } = current();
    const d = state.degree;
    // the fit
    const curve = (f) => {
      const out = [];
      for (let i = 0; i <= 300; i += 1) {
        const x = -1.04 + (i * 2.08) / 300;
        out.push(`${plane.X(x).toFixed(1)} ${plane.Y(clamp(f(x), -9, 9)).toFixed(1)}`);
      }
      return `M${out.join("L")}`;
    };
    const c = all.fits[d];
    const fitted = curve((x) => ovfPredict(c, x));
    curves.replaceChildren(
      ui.svg("path", { class: "of-truth", d: curve(ovfTruth) }),
      ...points.map(([x, y]) => ui.svg("path", { class: "of-residual", d: `M${plane.X(x)} ${plane.Y(y)}V${plane.Y(clamp(ovfPredict(c, x), -9, 9))}` })),
      ...heldOut.map(([x, y]) => ui.svg("path", { class: "of-held", d: ui.marker(1, 4), transform: `translate(${plane.X(x)} ${plane.Y(clamp(y, -2.15, 2.15))})` })),
      ui.svg("text", { class: "cx-tick cx-halo", x: plane.left + 8, y: plane.top + 17, text: "y" }),
      ui.svg("path", { class: "of-under", d: fitted }), ui.svg("path", { class: "of-fit", d: fitted }));
    while (dots.length < points.length) dots.push(makeDot(dots.length));
    if (selected >= points.length) select(points.length - 1);
    dots.forEach(({ node, grip }, i) => {
      node.style.display = i < points.length ? "" : "none";
      if (i >= points.length) return;
      ui.set(node, { transform: `translate(${plane.X(points[i][0]).toFixed(1)} ${plane.Y(clamp(points[i][1], -2.15, 2.15)).toFixed(1)})` });
      grip.refresh();
    });
    // the errors
    const level = (error) => errors.Y(clamp(Math.log10(Math.max(error, 1e-30)), OVF_LOW, OVF_HIGH));
    const ticks = [];
    for (let e = OVF_LOW; e <= OVF_HIGH; e += 1) ticks.push(
      ui.svg("path", { class: "cx-grid", d: `M${errors.left} ${errors.Y(e)}h${errors.width}` }),
      ui.svg("text", { class: "cx-tick", x: errors.left - 5, y: errors.Y(e) + 4.5, "text-anchor": "end", text: { "-2": "0.01", "-1": "0.1", 0: "1", 1: "10", 2: "100" }[e] || `10${ui.superscript(e)}` }));
    errorTicks.replaceChildren(...ticks);
    errors.svg.insertBefore(errorTicks, errors.svg.children[1]); // below the curves
    const unit = errors.width / (OVF_MAX + 1.2);
    const out = [ui.svg("rect", { class: "of-band", x: errors.X(d) - unit / 2, y: errors.top, width: unit, height: errors.height })];
    if (state.noise > 0) out.push(ui.svg("path", { class: "of-floor", d: `M${errors.left} ${level(state.noise ** 2)}h${errors.width}` }));
    if (state.penalty === 0 && state.examples <= OVF_MAX) {
      const x = errors.X(state.examples - 1);
      const onLeft = x > errors.left + errors.width / 2;
      out.push(ui.svg("path", { class: "of-edge", d: `M${x} ${errors.top}v${errors.height}` }),
        ui.svg("text", { class: "cx-tick cx-halo", x: x + (onLeft ? -6 : 6), y: errors.top + 15, "text-anchor": onLeft ? "end" : "start", text: `exact from ${state.examples - 1} on` }));
    }
    for (const [name, values, sign] of [["train", all.train, -1], ["held", all.heldOut, 1]]) {
      out.push(ui.svg("path", { class: `of-line of-${name}-line`, d: `M${values.map((e, k) => `${errors.X(k)} ${level(e)}`).join("L")}` }));
      values.forEach((e, k) => {
        const power = Math.log10(Math.max(e, 1e-30));
        const off = power > OVF_HIGH ? `M-4.5 7h9l-4.5 -7z` : power < OVF_LOW ? `M-4.5 -7h9l-4.5 7z` : null; // beyond the chart: an arrow
        out.push(ui.svg("path", { class: `of-mark of-${name}-mark`, d: off || ui.marker(sign, k === d ? 5 : 3.4), transform: `translate(${errors.X(k)} ${level(e)})` }));
      });
    }
    const [bx, by] = [errors.X(best), level(all.heldOut[best])];
    out.push(ui.svg("circle", { class: "of-best", cx: bx, cy: by, r: 8.5 }),
      ui.svg("text", { class: "of-best-text cx-halo", x: Math.max(bx + 10, errors.left + 56), y: by - 14, "text-anchor": "end", text: `best: ${best}` }));
    errorMarks.replaceChildren(...out);
    ui.set(area, { x: errors.left, y: errors.top, width: errors.width, height: errors.height });
    ui.set(areaRing, { x: errors.X(d) - unit / 2 + 1, y: errors.top + 2, width: Math.max(unit - 2, 1), height: errors.height - 4 });
    ui.set(picker, { "aria-valuenow": d, "aria-valuetext": `degree ${d}: training error ${size(all.train[d])}, validation error ${size(all.heldOut[d])}` });

    // the words
    fitTitle.replaceChildren(ui.h("b", { text: `Degree ${d}` }), `: ${d + 1} coefficient${d ? "s" : ""}, ${state.examples} training points`);
    errorTitle.replaceChildren(ui.h("b", { text: "All degrees" }), ": mean squared error");
    const swatch = (cls, words) => ui.h("span", { class: "of-key" }, ui.h("i", { class: cls }), words);
    if (!legend.childNodes.length) legend.append(swatch("of-k-train", "training"), swatch("of-k-held", "validation"), swatch("of-k-fit", "the fit"),
      swatch("of-k-truth", "the curve behind the points"), swatch("of-k-floor", "noise²: what the true curve itself would get on average"));
    readout.replaceChildren(
      ui.h("p", { class: "of-numbers" }, ui.h("span", {}, "Training error ", ui.h("b", { text: size(all.train[d]) })), ui.h("span", {}, "Validation error ", ui.h("b", { text: size(all.heldOut[d]) })),
        ui.h("span", {}, `Lowest: degree ${best}, `, ui.h("b", { text: size(all.heldOut[best]) })), ui.h("span", {}, "Largest coefficient ", ui.h("b", { text: number(Math.max(...c.map(Math.abs))) }))),
      ui.h("p", { text: sentence() }));
    degree.set(d);
    penalty.set(place(state.penalty));
    penalty.output.textContent = penaltyText(state.penalty);
    examples.set(state.examples);
    noise.set(state.noise);
    back.disable(!Object.keys(state.moved).some((i) => Number(i) < state.examples));
  }

  cx.observe(model, OVF_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
