// LossExplorer: three logits, their softmax, the surprise at the true class and its gradient.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const LOSS_LIMIT = 10; // logits run from -LOSS_LIMIT to LOSS_LIMIT
const LOSS_CLASSES = ["A", "B", "C"];
const LOSS_STATE = ["logits", "target", "temperature"];

// log p of softmax(z / T): a logit minus log-sum-exp, with the largest taken out first.
function lossLogSoftmax(logits, temperature = 1) {
  const scaled = logits.map((z) => z / temperature);
  const largest = Math.max(...scaled);
  const logSum = Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - largest), 0));
  return scaled.map((z) => z - largest - logSum);
}
const lossProbabilities = (logits, temperature = 1) => lossLogSoftmax(logits, temperature).map(Math.exp);
const lossErrors = (p, target) => p.map((share, k) => share - (k === target ? 1 : 0));

const lossCrossEntropy = (logits, target, temperature = 1) => -lossLogSoftmax(logits, temperature)[target];
const lossCrossEntropyGradient = (logits, target, temperature = 1) =>
  lossErrors(lossProbabilities(logits, temperature), target).map((e) => e / temperature);

const lossSquaredError = (logits, target, temperature = 1) =>
  0.5 * lossErrors(lossProbabilities(logits, temperature), target).reduce((sum, e) => sum + e * e, 0);
function lossSquaredErrorGradient(logits, target, temperature = 1) {
  const p = lossProbabilities(logits, temperature);
  const errors = lossErrors(p, target);
  const mean = p.reduce((sum, share, k) => sum + share * errors[k], 0);
  return p.map((share, k) => (share * (errors[k] - mean)) / temperature);
}
const lossEntropy = (logits, temperature = 1) =>
  -lossLogSoftmax(logits, temperature).reduce((sum, logP) => sum + Math.exp(logP) * logP, 0);

export const math = {
  logSoftmax: lossLogSoftmax,
  probabilities: lossProbabilities,
  crossEntropy: lossCrossEntropy,
  crossEntropyGradient: lossCrossEntropyGradient,
  squaredError: lossSquaredError,
  squaredErrorGradient: lossSquaredErrorGradient,
  entropy: lossEntropy,
};

// 0.705, 4×10⁻⁵: three decimals, and a power of ten where these would read 0.000.
function lossNumber(value) {
  const size = Math.abs(value);
  if (size < 1e-300) return "0";
  if (size >= 0.0005) return ui.fixed(value, size >= 100 ? 1 : size >= 10 ? 2 : 3);
  const [digits, power] = size.toExponential(0).split("e");
  return `${value < 0 ? "−" : ""}${digits}×10${ui.superscript(Number(power))}`;
}
const lossSigned = (value) => (value > 0 ? "+" : "") + lossNumber(value);

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "loss",
    question: "What does the loss punish?",
    lead: "Drag the round handles of the logits up and down (or select one and use the arrow keys). Below, drag the point along the curve.",
    tries: [
      "Drag the logit of the true class to the bottom. Cross-entropy grows by the same amount for every step down; the squared error runs onto a plateau, and its slope goes to zero where the answer is most wrong.",
      "Add up the three gradient bars. What the true class is to gain, the others give up, each in proportion to its probability.",
      "Lower the temperature to 0.1: softmax becomes a hard choice of the largest logit. Then declare another class the true one and read the loss.",
      "Raise the temperature to 10. The probabilities draw level, and the loss comes near log 3 = 1.10 whichever class is true.",
    ],
  });
  const opening = Object.fromEntries(LOSS_STATE.map((name) => [name, model.get(name)]));
  const get = (name) => model.get(name);
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const rounded = (z) => ui.clamp(Math.round(z * 20) / 20, -LOSS_LIMIT, LOSS_LIMIT);
  const setLogit = (k, z, save = true) =>
    put({ logits: get("logits").map((old, j) => (j === k ? rounded(z) : old)) }, save);
  const target = () => get("target");
  const shares = () => lossProbabilities(get("logits"), get("temperature"));
  const say = () => cx.announce(verdict.textContent);

  // ---- the three bar charts: logits, probabilities, gradient ----
  const chart = ui.svg("svg", { role: "group", "aria-label": "Logits, probabilities and gradient of three classes" });
  const back = ui.svg("g", { "aria-hidden": "true" });
  const bars = ui.svg("g", { "aria-hidden": "true" });
  const front = ui.svg("g", {});
  chart.append(back, bars, front);
  cx.stage.append(chart);
  const box = { left: 44, right: 6, width: 0, logits: [46, 168], shares: [262, 74], slopes: [386, 96], height: 496 };
  const rows = {
    logits: (z) => box.logits[0] + ((LOSS_LIMIT - z) / (2 * LOSS_LIMIT)) * box.logits[1],
    shares: (p) => box.shares[0] + (1 - p) * box.shares[1],
    slopes: (g, most) => box.slopes[0] + ((most - g) / (2 * most)) * box.slopes[1],
  };
  const middle = (k) => box.left + (box.width * (k + 0.5)) / 3;
  const fromEvent = (event) => {
    const place = chart.getBoundingClientRect();
    const scale = chart.viewBox.baseVal.width / place.width || 1;
    return { x: (event.clientX - place.left) * scale, y: (event.clientY - place.top) * scale };
  };
  const toLogit = (y) => LOSS_LIMIT - ((y - box.logits[0]) / box.logits[1]) * 2 * LOSS_LIMIT;

  const knobs = LOSS_CLASSES.map((name, k) => {
    const node = ui.svg("g", { class: `loss-knob loss-class-${k}` },
      ui.svg("circle", { class: "loss-hit", r: 22 }), ui.svg("circle", { class: "cx-ring", r: 14 }),
      ui.svg("circle", { class: "loss-dot", r: 9 }));
    front.append(node);
    const jump = (z) => () => { setLogit(k, z()); knobs[k].refresh(); say(); };
    const grip = cx.handle(node, {
      label: () => `Logit of class ${name}${k === target() ? ", the true class" : ""}`,
      role: "slider",
      value: () => ({
        now: get("logits")[k], min: -LOSS_LIMIT, max: LOSS_LIMIT,
        text: `${ui.fixed(get("logits")[k])}, probability ${lossNumber(shares()[k])}`,
      }),
      point: (event) => ({ x: 0, y: toLogit(fromEvent(event).y) }),
      at: () => ({ x: 0, y: get("logits")[k] }),
      move: (p, event) => setLogit(k, event.type === "keydown" ? p.x + p.y : p.y, false),
      end: () => { model.save_changes(); say(); },
      step: 0.1,
      keys: {
        Home: jump(() => -LOSS_LIMIT), End: jump(() => LOSS_LIMIT),
        PageUp: jump(() => get("logits")[k] + 1), PageDown: jump(() => get("logits")[k] - 1),
      },
    });
    return { node, refresh: grip.refresh };
  });
  cx.on(chart, "click", (event) => {
    const p = fromEvent(event);
    const k = Math.floor(((p.x - box.left) / box.width) * 3);
    if (k < 0 || k > 2 || p.y < box.logits[0] || p.y > box.logits[0] + box.logits[1]) return;
    setLogit(k, toLogit(p.y));
    say();
  });

  // ---- controls ----
  const chooser = cx.choice({
    legend: "True class", value: String(target()),
    options: LOSS_CLASSES.map((name, k) => [String(k), name]),
    onChange: (k) => { put({ target: Number(k) }); say(); },
  });
  const heat = cx.slider({
    label: "temperature T", min: -1, max: 1, step: 0.05, value: Math.log10(get("temperature")),
    format: (v) => ui.fixed(10 ** v),
    onInput: (v) => put({ temperature: ui.clamp(Math.round(1000 * 10 ** v) / 1000, 0.1, 10) }, false),
    onChange: () => { model.save_changes(); say(); },
  });
  const surpriseOut = ui.h("output", { class: "loss-surprise" });
  const squareOut = ui.h("output", { class: "loss-square" });
  const entropyOut = ui.h("output", { class: "loss-entropy" });
  const pushOut = ui.h("output", { class: "loss-push" });
  const squarePushOut = ui.h("output", { class: "loss-square-push" });
  const verdict = ui.h("p", { class: "loss-verdict" });
  const line = (text, ...cells) => ui.h("tr", {}, ui.h("th", { scope: "row", text }), cells.map((c) => ui.h("td", {}, c)));
  cx.panel.append(
    ui.h("table", { class: "loss-table" },
      ui.h("thead", {}, ui.h("tr", {}, ui.h("th", {}, ui.h("span", { class: "cx-hidden", text: "quantity" })),
        ui.h("th", { scope: "col", text: "loss" }), ui.h("th", { scope: "col", text: "slope" }))),
      ui.h("tbody", {},
        line("cross-entropy", surpriseOut, pushOut),
        line("squared error", squareOut, squarePushOut))),
    ui.h("p", { class: "loss-also" }, "Entropy of the stated probabilities: ", entropyOut),
    verdict,
  );
  cx.note("Loss: −log p of the true class, in nats; squared error: ½ Σ (p − y)². Slope: with respect to the logit of the true class.");
  cx.resetButton(() => {
    put(opening);
    cx.announce("Back to the opening state.");
  }, cx.row());

  // ---- loss and slope against the logit of the true class ----
  const swatch = (kind) => ui.svg("svg", { class: "loss-swatch", width: 30, height: 10, viewBox: "0 0 30 10", "aria-hidden": "true" },
    ui.svg("path", { class: `loss-line loss-${kind}`, d: "M1 5H29" }));
  const titled = (title) => ui.h("p", { class: "loss-title" }, ui.h("strong", { text: title }),
    ui.h("span", { class: "loss-key" }, swatch("cross"), "cross-entropy"),
    ui.h("span", { class: "loss-key" }, swatch("squared"), "squared error"));
  const lossStage = ui.h("div", { class: "cx-stage" }, titled("Loss"));
  const slopeStage = ui.h("div", { class: "cx-stage" }, titled("Slope"));
  const lossHost = ui.h("div", {});
  const slopeHost = ui.h("div", {});
  lossStage.append(lossHost);
  slopeStage.append(slopeHost);
  cx.stage.parentNode.append(lossStage, slopeStage);

  let ready = false;
  const onLayout = () => ready && request();
  const x = [-LOSS_LIMIT, LOSS_LIMIT];
  const lossPlane = ui.plane(cx, {
    x, y: [0, 12], aspect: 0.5, maxWidth: 560, parent: lossHost, xLabel: "logit of the true class", onLayout,
    label: "Cross-entropy and squared error against the logit of the true class",
  });
  const slopePlane = ui.plane(cx, {
    x, y: [-1.1, 0.1], aspect: 0.75, maxWidth: 420, parent: slopeHost, xLabel: "logit of the true class", onLayout, role: "img",
    label: "Slopes of cross-entropy and squared error against the logit of the true class",
  });
  const planes = [lossPlane, slopePlane].map((plane) => {
    const cross = ui.svg("path", { class: "loss-line loss-cross" });
    const squared = ui.svg("path", { class: "loss-line loss-squared" });
    const drop = ui.svg("path", { class: "loss-drop" });
    const squaredDot = ui.svg("rect", { class: "loss-squared-dot", width: 10, height: 10 });
    plane.layer.append(drop, squared, cross, squaredDot);
    return { plane, cross, squared, drop, squaredDot };
  });
  const slopeDot = ui.svg("circle", { class: "loss-cross-dot", r: 6 });
  slopePlane.front.append(slopeDot);
  const tag = ui.svg("text", { class: "loss-tag cx-halo", "aria-hidden": "true" });
  const knob = ui.svg("g", { class: "loss-point" },
    ui.svg("circle", { class: "loss-hit", r: 22 }), ui.svg("circle", { class: "cx-ring", r: 14 }),
    ui.svg("circle", { class: "loss-cross-dot", r: 9 }));
  lossPlane.front.append(tag, knob);
  const jumpPoint = (z) => () => { setLogit(target(), z()); point.refresh(); say(); };
  const point = cx.handle(knob, {
    label: "Point on the loss curve: logit of the true class",
    role: "slider",
    value: () => ({
      now: get("logits")[target()], min: -LOSS_LIMIT, max: LOSS_LIMIT,
      text: `logit ${ui.fixed(get("logits")[target()])}, cross-entropy ${surpriseOut.textContent}`,
    }),
    point: (event) => lossPlane.point(event),
    at: () => ({ x: get("logits")[target()], y: 0 }),
    move: (p, event) => setLogit(target(), event.type === "keydown" ? p.x + p.y : p.x, false),
    end: () => { model.save_changes(); say(); },
    step: 0.1,
    keys: {
      Home: jumpPoint(() => -LOSS_LIMIT), End: jumpPoint(() => LOSS_LIMIT),
      PageUp: jumpPoint(() => get("logits")[target()] + 1), PageDown: jumpPoint(() => get("logits")[target()] - 1),
    },
  });

  // ---- drawing ----
  function drawBars(p, gradient) {
    const total = Math.max(240, Math.floor(cx.stage.clientWidth));
    box.width = total - box.left - box.right;
    ui.set(chart, { width: total, height: box.height, viewBox: `0 0 ${total} ${box.height}` });
    const logits = get("logits");
    const most = 1 / get("temperature"); // p - y lies between -1 and 1
    const marks = [];
    const frame = (title, [top, height], values, Y, zero) => {
      marks.push(
        ui.svg("text", { class: "loss-heading", x: box.left, y: top - 12, text: title }),
        ui.svg("rect", { class: "cx-plot", x: box.left, y: top, width: box.width, height }));
      for (const [v, text] of values)
        marks.push(
          ui.svg("path", { class: v === zero ? "cx-zero" : "cx-grid", d: `M${box.left} ${Y(v)}h${box.width}` }),
          ui.svg("text", { class: "cx-tick", x: box.left - 6, y: Y(v) + 4.5, "text-anchor": "end", text }));
    };
    const mostText = ui.fixed(most, most >= 10 || Number.isInteger(most) ? 0 : 1);
    frame("logits z", box.logits, [[-10, "−10"], [-5, "−5"], [0, "0"], [5, "5"], [10, "10"]], rows.logits, 0);
    frame("probabilities p = softmax(z / T)", box.shares, [[0, "0"], [0.5, "½"], [1, "1"]], rows.shares, 0);
    const slopeY = (g) => rows.slopes(g, most);
    frame("gradient of cross-entropy, (p − y) / T", box.slopes, [[-most, `−${mostText}`], [0, "0"], [most, mostText]], slopeY, 0);

    const drawn = [];
    const width = Math.min(64, (box.width / 3) * 0.46);
    const bar = (k, from, to) => ui.svg("rect", {
      class: `loss-bar loss-class-${k}${k === target() ? " loss-true" : ""}`,
      x: middle(k) - width / 2, width, y: Math.min(from, to), height: Math.max(1.5, Math.abs(to - from)),
    });
    LOSS_CLASSES.forEach((name, k) => {
      const z = logits[k];
      const y = rows.logits(z);
      drawn.push(bar(k, rows.logits(0), y));
      ui.set(knobs[k].node, { transform: `translate(${middle(k)} ${y})` });
      drawn.push(ui.svg("text", {
        // beyond the end of the bar, and at the ends of the scale inside it
        class: "loss-value cx-halo", x: middle(k), "text-anchor": "middle",
        y: (z >= 0 && z < 7.3) || z < -7.3 ? y - 14 : y + 23, text: ui.fixed(z),
      }));
      drawn.push(ui.svg("text", {
        class: `loss-name loss-class-${k}`, x: middle(k), y: 16, "text-anchor": "middle",
        text: k === target() ? `${name} ★ true` : name,
      }));
      drawn.push(bar(k, rows.shares(0), rows.shares(p[k])));
      drawn.push(ui.svg("text", {
        class: "loss-value cx-halo loss-share", x: middle(k), "text-anchor": "middle",
        y: p[k] > 0.72 ? rows.shares(p[k]) + 17 : rows.shares(p[k]) - 5, text: lossNumber(p[k]),
      }));
      const g = gradient[k];
      drawn.push(bar(k, slopeY(0), slopeY(g)));
      drawn.push(ui.svg("text", {
        class: "loss-value cx-halo loss-gradient", x: middle(k), "text-anchor": "middle",
        y: g > 0 ? slopeY(0) + 17 : slopeY(0) - 6, text: lossSigned(g),
      }));
    });
    back.replaceChildren(...marks);
    bars.replaceChildren(...drawn);
  }

  function drawCurves(loss, square, slope, squareSlope) {
    const k = target();
    const logits = get("logits");
    const temperature = get("temperature");
    const at = (z) => logits.map((old, j) => (j === k ? z : old));
    const worst = lossCrossEntropy(at(-LOSS_LIMIT), k, temperature);
    const top = worst > 6 ? 12 : worst > 3 ? 6 : 3;
    if (lossPlane.y[1] !== top) lossPlane.range(null, [0, top]);
    const deepest = -1.1 / temperature;
    if (slopePlane.y[0] !== deepest) slopePlane.range(null, [deepest, 0.1 / temperature]);
    const trace = (plane, f) => {
      const points = [];
      for (let i = 0; i <= 400; i += 1) {
        const z = -LOSS_LIMIT + i / 20;
        // far above the plot the path needs no more than its direction
        points.push(`${i ? "L" : "M"}${plane.X(z).toFixed(1)} ${Math.max(-4000, plane.Y(f(at(z)))).toFixed(1)}`);
      }
      return points.join("");
    };
    const functions = [
      [(v) => lossCrossEntropy(v, k, temperature), (v) => lossSquaredError(v, k, temperature)],
      [(v) => lossCrossEntropyGradient(v, k, temperature)[k], (v) => lossSquaredErrorGradient(v, k, temperature)[k]],
    ];
    const values = [[loss, square], [slope, squareSlope]];
    const z = logits[k];
    planes.forEach(({ plane, cross, squared, drop, squaredDot }, i) => {
      if (!plane.width) return;
      ui.set(cross, { d: trace(plane, functions[i][0]) });
      ui.set(squared, { d: trace(plane, functions[i][1]) });
      const px = plane.X(z);
      ui.set(drop, { d: `M${px} ${plane.top}V${plane.top + plane.height}` });
      ui.set(squaredDot, { x: px - 5, y: plane.Y(values[i][1]) - 5 });
    });
    const px = lossPlane.X(z);
    const py = Math.max(lossPlane.top + 4, lossPlane.Y(loss));
    ui.set(knob, { transform: `translate(${px} ${py})` });
    ui.set(slopeDot, { cx: slopePlane.X(z), cy: slopePlane.Y(slope) });
    const beyond = loss > top;
    const text = `loss ${lossNumber(loss)}${beyond ? ", off the scale ↑" : ""}`;
    const late = px + 14 + 8 * text.length > lossPlane.left + lossPlane.width;
    ui.set(tag, {
      x: px + (late ? -14 : 14), y: Math.max(lossPlane.top + 20, py - (late ? 12 : 8)), "text-anchor": late ? "end" : "start", text,
    });
  }

  function draw() {
    const logits = get("logits");
    const k = target();
    const temperature = get("temperature");
    const p = shares();
    const loss = lossCrossEntropy(logits, k, temperature);
    const square = lossSquaredError(logits, k, temperature);
    const gradient = lossCrossEntropyGradient(logits, k, temperature);
    const slope = gradient[k];
    const squareSlope = lossSquaredErrorGradient(logits, k, temperature)[k];
    chooser.set(String(k));
    heat.set(Math.log10(temperature));
    surpriseOut.textContent = lossNumber(loss);
    squareOut.textContent = lossNumber(square);
    entropyOut.textContent = `${lossNumber(lossEntropy(logits, temperature))} nats`;
    pushOut.textContent = lossNumber(slope);
    squarePushOut.textContent = lossNumber(squareSlope);

    const best = Math.max(...p);
    const right = p[k] === best;
    const sure = best > 0.9;
    const ratio = slope / squareSlope;
    const kind = right ? (sure ? "sure-right" : "right") : p[k] < 0.05 ? "sure-wrong" : "wrong";
    verdict.textContent = {
      "sure-right": `Right and sure (p = ${lossNumber(p[k])}): a small loss, and little left to push.`,
      right: `Right, but not sure (p = ${lossNumber(p[k])}): both losses still ask for more.`,
      wrong: `Wrong, but not sure (p = ${lossNumber(p[k])} for the true class): both losses push.`,
      "sure-wrong": `Wrong, and sure that it is not ${LOSS_CLASSES[k]} (p = ${lossNumber(p[k])}): cross-entropy pushes ` +
        (ratio < 9999 ? `${lossNumber(ratio).replace(/\.\d+$/, "")} times as hard as the squared error.` : "hard, the squared error hardly at all."),
    }[kind];
    verdict.dataset.kind = kind;
    drawBars(p, gradient);
    drawCurves(loss, square, slope, squareSlope);
    chart.dataset.gradient = JSON.stringify(gradient);
    knobs.forEach(({ refresh }) => refresh());
    point.refresh();
  }

  const request = cx.frame(draw);
  cx.observe(model, LOSS_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize(request);
  ready = true;
  draw();
  return cx.dispose;
}

export default { render };
