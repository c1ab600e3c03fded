// ChainRule: two linked curves, y = inner(x) and L = outer(y), their tangents, and what a nudge dx becomes.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const chnSigmoid = (v) => (v >= 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

// name -> label, formula of the value (a = argument), value f and slope d.
// At the kink of ReLU the slope is the 0 that TensorFlow uses.
const CHN_FUNCTIONS = {
  linear: { label: "double, 2v", text: (a) => `2${chnGroup(a)}`, f: (v) => 2 * v, d: () => 2 },
  square: { label: "square, v²", text: (a) => `${chnGroup(a)}²`, f: (v) => v * v, d: (v) => 2 * v },
  cube: { label: "cube, v³", text: (a) => `${chnGroup(a)}³`, f: (v) => v * v * v, d: (v) => 3 * v * v },
  sin: { label: "sine, sin v", text: (a) => `sin ${chnGroup(a)}`, f: Math.sin, d: Math.cos },
  exp: { label: "exponential, exp v", text: (a) => `exp ${chnGroup(a)}`, f: Math.exp, d: Math.exp },
  sigmoid: { label: "sigmoid, σ(v)", text: (a) => `σ(${a})`, f: chnSigmoid, d: (v) => chnSigmoid(v) * chnSigmoid(-v) },
  tanh: { label: "tanh v", text: (a) => `tanh ${chnGroup(a)}`, f: Math.tanh, d: (v) => 1 - Math.tanh(v) ** 2 },
  relu: { label: "ReLU, max(0, v)", text: (a) => `max(0, ${a})`, f: (v) => Math.max(0, v), d: (v) => (v > 0 ? 1 : 0) },
};
function chnGroup(argument) {
  return argument.length > 1 ? `(${argument})` : argument;
}

function chnChain(inner, outer, x) {
  const y = CHN_FUNCTIONS[inner].f(x);
  const slope_inner = CHN_FUNCTIONS[inner].d(x);
  const slope_outer = CHN_FUNCTIONS[outer].d(y);
  return { y, L: CHN_FUNCTIONS[outer].f(y), slope_inner, slope_outer, slope: slope_outer * slope_inner };
}

// What a step dx does: to y and L by the slopes (says_), and really.
function chnNudge(inner, outer, x, dx) {
  const at = chnChain(inner, outer, x);
  const after = CHN_FUNCTIONS[inner].f(x + dx);
  return {
    says_dy: at.slope_inner * dx, says_dL: at.slope * dx,
    dy: after - at.y, dL: CHN_FUNCTIONS[outer].f(after) - at.L,
  };
}

// The slope of the composition measured by a difference.
function chnQuotient(inner, outer, x, dx, kind) {
  const loss = (v) => CHN_FUNCTIONS[outer].f(CHN_FUNCTIONS[inner].f(v));
  return kind === "forward" ? (loss(x + dx) - loss(x)) / dx : (loss(x + dx) - loss(x - dx)) / (2 * dx);
}

export const math = {
  names: Object.keys(CHN_FUNCTIONS),
  value: (name, v) => CHN_FUNCTIONS[name].f(v),
  derivative: (name, v) => CHN_FUNCTIONS[name].d(v),
  formula: (name, argument) => CHN_FUNCTIONS[name].text(argument),
  chain: chnChain,
  nudge: chnNudge,
  quotient: chnQuotient,
};

const CHN_LIMIT = 1.5; // the point stays within; the plots go to 2, so a nudged point is always inside
const CHN_LARGEST = 0.5; // dx is 0.5 times a power of ten
const CHN_DECADES = -12;
const CHN_STATE = ["inner", "outer", "x", "dx", "secant"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "chain",
    question: "How do slopes combine?",
    lead: "Drag the filled point in the first or third plot, or select it and use the arrow keys. A nudge `dx` of `x` moves `y` by about slope times `dx`; that nudge of `y` moves `L` by about slope times `dy`.",
    tries: [
      "Drag the point to where one of the first two curves is flat. Whatever the other slope says, the product is 0 and `L` stands still.",
      "Make `dx` ten times smaller and look at the last column of the table: the slopes err by a hundred times less. That is what makes them slopes.",
      "Choose ReLU inside and drag the point to 0. Switch on the forward secant, then the central one. Which slope do they find, and what does the tangent say?",
      "With a secant on, shrink `dx` down to 10⁻¹². The error falls, and then it grows again: the digits run out.",
    ],
  });
  const opening = Object.fromEntries(CHN_STATE.map((name) => [name, model.get(name)]));
  const get = (name) => model.get(name);
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const clampX = (x) => ui.clamp(Math.round(x * 100) / 100, -CHN_LIMIT, CHN_LIMIT);
  const clampDx = (dx) => Number(ui.clamp(dx, CHN_LARGEST * 10 ** CHN_DECADES, CHN_LARGEST).toPrecision(2));
  const state = () => CHN_STATE.map(get);

  // ---- the three plots ----
  cx.stage.classList.add("chn-stage");
  const grid = ui.h("div", { class: "chn-plots" });
  cx.stage.append(grid);

  const makePlot = (xLabel, yLabel, legs) => {
    const title = ui.h("p", { class: "chn-title" });
    const slope = ui.h("p", { class: "chn-slope" });
    const box = ui.h("div", {});
    grid.append(ui.h("div", { class: "chn-plot" }, title, box, slope));
    const parts = {
      title, slope,
      guide: ui.svg("path", { class: "chn-guide" }),
      curve: ui.svg("path", { class: "chn-curve" }),
      across: ui.svg("path", { class: `chn-leg chn-leg-${legs[0]}` }),
      up: ui.svg("path", { class: `chn-leg chn-leg-${legs[1]}` }),
      acrossName: ui.svg("text", { class: `chn-name chn-name-${legs[0]} cx-halo`, "text-anchor": "middle", text: legs[0] }),
      upName: ui.svg("text", { class: `chn-name chn-name-${legs[1]} cx-halo`, text: legs[1] }),
      tangent: ui.svg("path", { class: "chn-tangent" }),
      secant: ui.svg("path", { class: "chn-secant" }),
      after: ui.svg("circle", { class: "chn-after chn-passive", r: 5 }),
    };
    const options = {
      x: [-2, 2], y: [-1, 1], aspect: 0.78, maxWidth: 420, xLabel, yLabel, label: "plot", parent: box,
      onLayout: () => request?.(),
    };
    const plane = ui.plane(cx, options);
    const marks = ui.svg("g", { "aria-hidden": "true" }, parts.guide, parts.across, parts.up, parts.curve, parts.tangent,
      parts.secant, parts.acrossName, parts.upName, parts.after);
    plane.layer.append(marks);
    const range = (x, y) => {
      options.xTicks = ui.ticks(x, 5); // each pair of functions has a range of its own
      options.yTicks = ui.ticks(y, 5);
      plane.range(x, y);
    };
    return { ...parts, plane, range };
  };
  let request = null;
  const plots = [makePlot("x", "y", ["dx", "dy"]), makePlot("y", "L", ["dy", "dL"]), makePlot("x", "L", ["dx", "dL"])];

  const makeKnob = (plot, role) => {
    const node = ui.svg("g", { class: `chn-knob chn-knob-${role}` },
      ui.svg("circle", { class: "chn-hit", r: 22 }), ui.svg("circle", { class: "cx-ring", r: 13 }),
      ui.svg("circle", { class: "chn-dot", r: 8 }));
    plot.plane.front.append(node);
    return node;
  };
  const jump = (to) => () => { put({ x: clampX(to()) }); grips.forEach((grip) => grip.refresh()); };
  const makeGrip = (plot, node, name) => cx.handle(node, {
    label: name,
    role: "slider",
    value: () => {
      const at = chnChain(get("inner"), get("outer"), get("x"));
      return {
        now: get("x"), min: -CHN_LIMIT, max: CHN_LIMIT,
        text: `x ${ui.fixed(get("x"))}, slopes ${ui.number(at.slope_inner)} and ${ui.number(at.slope_outer)}, product ${ui.number(at.slope)}`,
      };
    },
    point: (event) => plot.plane.point(event),
    at: () => ({ x: get("x"), y: 0 }),
    // an arrow key up means the same as right: one number moves
    move: (p, event) => put({ x: clampX(event.type === "keydown" ? p.x + p.y : p.x) }, false),
    end: () => model.save_changes(),
    step: 0.05,
    keys: {
      Home: jump(() => -CHN_LIMIT), End: jump(() => CHN_LIMIT),
      PageUp: jump(() => get("x") + 0.5), PageDown: jump(() => get("x") - 0.5),
    },
  });
  // the nudged point in the first plot can be dragged as well; it lies below the black one
  const nudged = ui.svg("g", { class: "chn-nudged" }, ui.svg("circle", { class: "chn-hit", r: 18 }),
    ui.svg("circle", { class: "cx-ring", r: 11 }), ui.svg("circle", { class: "chn-after", r: 6 }));
  plots[0].plane.front.append(nudged);
  plots[0].after.remove();
  const nudgeGrip = cx.handle(nudged, {
    label: "Nudged point: x plus dx",
    role: "slider",
    value: () => ({ now: get("dx"), min: 0, max: CHN_LARGEST, text: `dx ${ui.number(get("dx"))}` }),
    point: (event) => plots[0].plane.point(event),
    at: () => ({ x: get("x") + get("dx"), y: 0 }),
    move: (p, event) => put({ dx: clampDx(Math.max(0.01, (event.type === "keydown" ? p.x + p.y : p.x) - get("x"))) }, false),
    end: () => model.save_changes(),
    step: 0.05,
  });
  const knobs = [makeKnob(plots[0], "inner"), makeKnob(plots[2], "both")];
  const grips = [
    makeGrip(plots[0], knobs[0], "Point x on the inner curve"),
    makeGrip(plots[2], knobs[1], "Point x on the composed curve"),
  ];
  const middle = ui.svg("circle", { class: "chn-dot chn-passive", r: 6, "aria-hidden": "true" });
  plots[1].plane.front.append(middle);
  for (const plot of [plots[0], plots[2]])
    cx.on(plot.plane.svg, "click", (event) => {
      const p = plot.plane.point(event);
      if (plot.plane.inside(p)) put({ x: clampX(p.x) });
    });

  const sample = (cls) => ui.svg("svg", { width: 30, height: 10, viewBox: "0 0 30 10", "aria-hidden": "true" },
    ui.svg("path", { class: cls, d: "M1 5H29" }));
  const secantKey = ui.h("span", {}, sample("chn-secant"), "secant");
  cx.stage.append(ui.h("p", { class: "chn-key" }, ui.h("span", {}, sample("chn-tangent"), "tangent"), secantKey,
    ui.h("span", { text: "○ after the nudge" })));

  // ---- bars and table ----
  const below = ui.h("div", { class: "chn-below" });
  cx.panel.before(below);
  const bars = ui.svg("svg", { class: "chn-bars", role: "img" });
  const cells = {};
  const bodyRow = (name) => {
    cells[name] = [ui.h("td", {}), ui.h("td", {}), ui.h("td", {})];
    return ui.h("tr", {}, ui.h("th", { scope: "row", class: `chn-${name}`, text: name }), cells[name]);
  };
  const table = ui.h("table", { class: "chn-table" },
    ui.h("thead", {}, ui.h("tr", {}, ui.h("th", {}, ui.h("span", { class: "cx-hidden", text: "change" })),
      ui.h("th", { scope: "col", text: "slopes say (filled)" }),
      ui.h("th", { scope: "col", text: "really (outline)" }), ui.h("th", { scope: "col", text: "off by" }))),
    ui.h("tbody", {}, ["dx", "dy", "dL"].map(bodyRow)));
  below.append(bars, table);

  // ---- controls ----
  const pair = ui.h("div", { class: "chn-functions" });
  cx.panel.append(pair);
  const options = Object.entries(CHN_FUNCTIONS).map(([name, { label }]) => [name, label]);
  const choosers = {};
  for (const [name, label] of [["inner", "Inner, y ="], ["outer", "Outer, L ="]])
    choosers[name] = cx.select({
      label, options, value: get(name), parent: pair,
      onChange: (v) => { put({ [name]: v }); say(); },
    });
  const place = (dx) => Math.round(10 * Math.log10(dx / CHN_LARGEST)) / 10;
  const fromPlace = (e) => clampDx(CHN_LARGEST * 10 ** e);
  const slider = cx.slider({
    label: "nudge dx", min: CHN_DECADES, max: 0, step: 0.1, value: place(get("dx")),
    format: () => ui.number(get("dx")),
    onInput: (e) => { put({ dx: fromPlace(e) }, false); slider.set(e); },
    onChange: () => { model.save_changes(); say(); },
  });
  const secant = cx.choice({
    legend: "Measure the slope by a secant", value: get("secant"),
    options: [["off", "off"], ["forward", "forward"], ["central", "central"]],
    onChange: (v) => { put({ secant: v }); say(); },
  });
  const result = ui.h("p", { class: "chn-result" });
  cx.panel.append(result);
  cx.resetButton(() => { put(opening); cx.announce("Back to the opening state."); }, cx.row());
  const say = () => { draw(); cx.announce(result.textContent); };

  // ---- drawing ----
  const reachable = Array.from({ length: 121 }, (_, i) => -CHN_LIMIT + (2 * CHN_LIMIT * i) / 120);
  const windowOf = (values) => {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const pad = Math.max(0.12 * (high - low), 0.05);
    return [low - pad, high + pad];
  };
  let drawn = "";

  function layCurves(inner, outer) {
    const f = CHN_FUNCTIONS[inner].f;
    const g = CHN_FUNCTIONS[outer].f;
    const both = (v) => g(f(v));
    const yWindow = windowOf(reachable.map(f));
    const lWindow = windowOf(reachable.map(both));
    const shapes = [[f, [-2, 2], yWindow], [g, yWindow, lWindow], [both, [-2, 2], lWindow]];
    plots.forEach(({ plane, curve, range }, i) => {
      const [shape, across, up] = shapes[i];
      range(across, up);
      let d = "";
      for (let k = 0; k <= 240; k += 1) {
        const u = across[0] + ((across[1] - across[0]) * k) / 240;
        // far outside the plot the path is cut, so that no coordinate grows without bound
        const v = ui.clamp(shape(u), up[0] - 2 * (up[1] - up[0]), up[1] + 2 * (up[1] - up[0]));
        d += `${k ? "L" : "M"}${plane.X(u).toFixed(1)} ${plane.Y(v).toFixed(1)}`;
      }
      ui.set(curve, { d });
    });
    const names = [CHN_FUNCTIONS[inner].text("x"), CHN_FUNCTIONS[outer].text("y"), CHN_FUNCTIONS[outer].text(CHN_FUNCTIONS[inner].text("x"))];
    plots.forEach((plot, i) => {
      plot.title.textContent = `${i ? "L" : "y"} = ${names[i]}`;
      ui.set(plot.plane.svg, { "aria-label": `${i ? "L" : "y"} = ${names[i]} with its tangent` });
    });
  }

  // the line through (u, v) with a slope, of a fixed length in pixels
  const lineAt = (plane, u, v, slope, length) => {
    const dx = plane.X(1) - plane.X(0);
    const dy = -slope * (plane.Y(0) - plane.Y(1));
    const reach = length / Math.hypot(dx, dy);
    const px = plane.X(u);
    const py = plane.Y(v);
    return `M${px - dx * reach} ${py - dy * reach}L${px + dx * reach} ${py + dy * reach}`;
  };

  function drawPlot(plot, { u, v, du, dv, slope, secantPoints }) {
    const { plane } = plot;
    const px = plane.X(u);
    const py = plane.Y(v);
    const qx = plane.X(u + du);
    const qy = plane.Y(v + dv);
    ui.set(plot.guide, { d: `M${plane.left} ${py}H${px}V${plane.top + plane.height}` });
    ui.set(plot.across, { d: `M${px} ${py}H${qx}` });
    ui.set(plot.up, { d: `M${qx} ${py}V${qy}` });
    ui.set(plot.after, { cx: qx, cy: qy });
    ui.set(plot.tangent, { d: lineAt(plane, u, v, slope, 0.42 * plane.width) });
    // the legs turn upwards: write the horizontal one's name below it, if there is room
    const below = qy <= py && py + 24 < plane.top + plane.height;
    ui.set(plot.acrossName, { x: (px + qx) / 2, y: below ? py + 19 : py - 10 });
    ui.set(plot.upName, { x: qx + (qx >= px ? 8 : -8), y: (py + qy) / 2 + 5, "text-anchor": qx >= px ? "start" : "end" });
    plot.acrossName.classList.toggle("chn-hidden", Math.abs(qx - px) < 14);
    plot.upName.classList.toggle("chn-hidden", Math.abs(qy - py) < 14);
    if (!secantPoints) ui.set(plot.secant, { d: "" });
    else {
      const [[a, fa], [b, fb]] = secantPoints;
      ui.set(plot.secant, { d: lineAt(plane, (a + b) / 2, (fa + fb) / 2, (fb - fa) / (b - a), 0.5 * plane.width) });
    }
  }

  function drawBars(at, step, dx) {
    const total = Math.max(240, Math.floor(below.clientWidth));
    const rows = [["dx", dx, dx], ["dy", step.says_dy, step.dy], ["dL", step.says_dL, step.dL]];
    const largest = Math.max(...rows.flatMap(([, says, really]) => [Math.abs(says), Math.abs(really)]));
    const left = 30;
    const half = (total - left - 12) / 2;
    const zero = left + half;
    const nodes = [ui.svg("path", { class: "chn-zero", d: `M${zero} 4V150` })];
    rows.forEach(([name, says, really], i) => {
      const y = 8 + 54 * i;
      const length = (v) => (v / largest) * (half - 4);
      const rect = (cls, v, top, height) => ui.svg("rect", {
        class: cls, x: Math.min(zero, zero + length(v)), width: Math.max(1.5, Math.abs(length(v))), y: top, height,
      });
      nodes.push(ui.svg("text", { class: `chn-name chn-name-${name}`, x: 2, y: y + 17, text: name }));
      nodes.push(rect(`chn-bar chn-fill-${name}`, says, y, 22));
      nodes.push(rect("chn-really", really, y + 3, 16));
      if (i < 2) {
        const slope = i ? at.slope_outer : at.slope_inner;
        nodes.push(ui.svg("text", { class: "chn-times cx-halo", x: zero, y: y + 43, "text-anchor": "middle", text: `× slope ${ui.number(slope)}` }));
      }
    });
    ui.set(bars, {
      width: total, height: 154, viewBox: `0 0 ${total} 154`,
      "aria-label": `Bars: dx ${ui.number(dx)}, dy ${ui.number(step.says_dy)} by the slopes and ${ui.number(step.dy)} really, dL ${ui.number(step.says_dL)} by the slopes and ${ui.number(step.dL)} really`,
    });
    bars.replaceChildren(...nodes);
    for (const [name, says, really] of rows) {
      cells[name][0].textContent = ui.number(says);
      cells[name][1].textContent = ui.number(really);
      cells[name][2].textContent = name === "dx" ? "" : ui.number(really - says);
    }
  }

  function draw() {
    const [inner, outer, x, dx, kind] = state();
    const key = [inner, outer, ...plots.map(({ plane }) => plane.width)].join();
    if (key !== drawn) {
      drawn = key;
      layCurves(inner, outer);
    }
    choosers.inner.set(inner);
    choosers.outer.set(outer);
    secant.set(kind);
    secantKey.hidden = kind === "off";
    slider.set(place(dx));

    const at = chnChain(inner, outer, x);
    const step = chnNudge(inner, outer, x, dx);
    const f = CHN_FUNCTIONS[inner].f;
    const both = (v) => CHN_FUNCTIONS[outer].f(f(v));
    const ends = kind === "off" ? null : kind === "forward" ? [x, x + dx] : [x - dx, x + dx];
    const chord = (shape, points) => points && points[0] !== points[1] && points.map((v) => [v, shape(v)]);
    drawPlot(plots[0], { u: x, v: at.y, du: dx, dv: step.dy, slope: at.slope_inner, secantPoints: chord(f, ends) });
    drawPlot(plots[1], {
      u: at.y, v: at.L, du: step.dy, dv: step.dL, slope: at.slope_outer,
      secantPoints: chord(CHN_FUNCTIONS[outer].f, ends && ends.map(f)),
    });
    drawPlot(plots[2], { u: x, v: at.L, du: dx, dv: step.dL, slope: at.slope, secantPoints: chord(both, ends) });
    knobs.forEach((knob, i) => {
      const { plane } = plots[2 * i];
      ui.set(knob, { transform: `translate(${plane.X(x)} ${plane.Y(i ? at.L : at.y)})` });
    });
    ui.set(middle, { cx: plots[1].plane.X(at.y), cy: plots[1].plane.Y(at.L) });
    ui.set(nudged, { transform: `translate(${plots[0].plane.X(x + dx)} ${plots[0].plane.Y(at.y + step.dy)})` });
    nudged.classList.toggle("chn-hidden", dx < 0.005);
    const slopes = [["slope of y by x", at.slope_inner], ["slope of L by y", at.slope_outer], ["slope of L by x", at.slope]];
    plots.forEach((plot, i) => plot.slope.replaceChildren(`${slopes[i][0]}: `, ui.h("b", { text: ui.number(slopes[i][1]) })));
    drawBars(at, step, dx);

    const kink = (inner === "relu" && x === 0) || (outer === "relu" && at.y === 0);
    const lines = [ui.h("span", {}, `${ui.number(at.slope_inner)} × ${ui.number(at.slope_outer)} = `, ui.h("b", { text: ui.number(at.slope) }),
      ", the slope of L by x.")];
    if (kink) lines.push(ui.h("span", { text: "ReLU has a kink here and no slope. The 0 is what frameworks put in its place." }));
    if (kind === "off") {
      const error = step.dL - step.says_dL;
      lines.push(ui.h("span", { text: `For dx = ${ui.number(dx)} it says dL = ${ui.number(step.says_dL)}. Really L changes by ${ui.number(step.dL)}${error === 0 ? "." : `, off by ${ui.number(error)}.`}` }));
    } else {
      const measured = chnQuotient(inner, outer, x, dx, kind);
      const rule = kind === "forward" ? "(L(x + h) − L(x)) / h" : "(L(x + h) − L(x − h)) / 2h";
      lines.push(ui.h("span", {}, `Secant with h = ${ui.number(dx)}: ${rule} = `, ui.h("b", { text: ui.number(measured) }),
        `, error ${ui.number(measured - at.slope)}.`));
    }
    result.replaceChildren(...lines.flatMap((line) => [line, " "]));
    result.classList.toggle("chn-kink", kink);
    grips.forEach((grip) => grip.refresh());
    nudgeGrip.refresh();
  }

  request = cx.frame(draw);
  cx.observe(model, CHN_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize(request);
  draw();
  return cx.dispose;
}

export default { render };
