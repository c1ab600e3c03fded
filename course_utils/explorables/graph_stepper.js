// GraphStepper: an expression as a graph, computed forward and differentiated backward, step by step.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const GS_MAX = { operations: 14, variables: 6 };
const GS_SYMBOLS = { add: "+", subtract: "−", multiply: "×", divide: "÷", negate: "−( )" };
const gsSigmoid = (a) => (a >= 0 ? 1 / (1 + Math.exp(-a)) : Math.exp(a) / (1 + Math.exp(a)));

// function -> [value, derivative, how the derivative is written]; at the kink of ReLU it is 0, as in TensorFlow
const GS_FUNCTIONS = {
  exp: [Math.exp, Math.exp, "the exponential itself"],
  log: [(a) => (a > 0 ? Math.log(a) : NaN), (a) => 1 / a, "1 / input"],
  sin: [Math.sin, Math.cos, "cos(input)"],
  cos: [Math.cos, (a) => -Math.sin(a), "−sin(input)"],
  tanh: [Math.tanh, (a) => 1 - Math.tanh(a) ** 2, "1 − tanh²"],
  sigmoid: [gsSigmoid, (a) => gsSigmoid(a) * gsSigmoid(-a), "σ(1 − σ)"],
  relu: [(a) => Math.max(0, a), (a) => (a > 0 ? 1 : 0), "1 if the input is positive, else 0"],
  sqrt: [(a) => Math.sqrt(a), (a) => 0.5 / Math.sqrt(a), "1 / (2 √input)"],
};

// Text -> nodes, every node after its arguments. A variable is one node however often it is used.
// The grammar is Python's: sums of products of signed powers; a power binds tighter than a sign before it.
function gsParse(text) {
  const tokens = [];
  const pattern = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/()]))/y;
  let place = 0;
  const source = text.trim();
  while (place < source.length) {
    pattern.lastIndex = place;
    const found = pattern.exec(source);
    if (!found) throw new Error(`“${source.slice(place, place + 8)}” cannot be used here: write numbers, names, + - * / ** and functions.`);
    tokens.push(found[1] !== undefined ? { number: Number(found[1]) } : found[2] ? { name: found[2] } : { sign: found[3] });
    place = pattern.lastIndex;
  }
  const nodes = [];
  const variables = {};
  let next = 0;
  const incomplete = () => new Error(`“${source}” is not a complete expression.`);
  const sign = () => tokens[next]?.sign;
  const take = (wanted) => {
    if (sign() !== wanted) throw incomplete();
    next += 1;
  };
  const put = (kind, label, args = [], number = 0) => nodes.push({ kind, label, args, number }) - 1;
  const constant = (value) => put("constant", String(value).replace("-", "−"), [], value);

  function sum() {
    let left = product();
    while (sign() === "+" || sign() === "-") {
      const kind = tokens[next++].sign === "+" ? "add" : "subtract";
      left = put(kind, GS_SYMBOLS[kind], [left, product()]);
    }
    return left;
  }
  function product() {
    let left = signed();
    while (sign() === "*" || sign() === "/") {
      const kind = tokens[next++].sign === "*" ? "multiply" : "divide";
      left = put(kind, GS_SYMBOLS[kind], [left, signed()]);
    }
    return left;
  }
  function signed() {
    if (sign() !== "-") return power();
    next += 1;
    const alone = tokens[next]?.number !== undefined && tokens[next + 1]?.sign !== "**";
    if (alone) return constant(-tokens[next++].number);
    return put("negate", GS_SYMBOLS.negate, [signed()]);
  }
  function power() {
    const base = atom();
    if (sign() !== "**") return base;
    next += 1;
    let factor = 1;
    if (sign() === "-") { factor = -1; next += 1; }
    const exponent = tokens[next]?.number;
    if (exponent === undefined) throw tokens[next] ? new Error("An exponent has to be a number, as in x**2.") : incomplete();
    next += 1;
    return put("power", `( ) ^ ${String(factor * exponent).replace("-", "−")}`, [base], factor * exponent);
  }
  function atom() {
    const token = tokens[next];
    if (!token) throw incomplete();
    if (token.number !== undefined) { next += 1; return constant(token.number); }
    if (token.sign === "(") {
      next += 1;
      const inside = sum();
      take(")");
      return inside;
    }
    if (!token.name) throw incomplete();
    next += 1;
    if (sign() === "(") {
      if (!Object.hasOwn(GS_FUNCTIONS, token.name))
        throw new Error(`There is no function “${token.name}”; there are ${Object.keys(GS_FUNCTIONS).join(", ")}.`);
      next += 1;
      const inside = sum();
      take(")");
      return put(token.name, token.name, [inside]);
    }
    if (Object.hasOwn(GS_FUNCTIONS, token.name)) throw new Error(`The function ${token.name} needs a bracket: ${token.name}(x).`);
    if (!Object.hasOwn(variables, token.name)) variables[token.name] = put("variable", token.name);
    return variables[token.name];
  }

  sum();
  if (next < tokens.length) throw incomplete();
  const operations = nodes.filter((node) => node.args.length).length;
  const names = Object.keys(variables).length;
  if (!operations) throw new Error("An expression needs at least one operation.");
  if (operations > GS_MAX.operations || names > GS_MAX.variables)
    throw new Error(`The graph can hold ${GS_MAX.operations} operations and ${GS_MAX.variables} variables, and this has ${operations} and ${names}.`);
  return nodes;
}

function gsValue({ kind, number }, [a, b]) {
  switch (kind) {
    case "add": return a + b;
    case "subtract": return a - b;
    case "multiply": return a * b;
    case "divide": return b === 0 ? NaN : a / b;
    case "negate": return -a;
    case "power": return a === 0 && number < 0 ? NaN : a ** number;
    default: return GS_FUNCTIONS[kind][0](a);
  }
}

function gsLocal({ kind, number }, [a, b]) {
  switch (kind) {
    case "add": return [1, 1];
    case "subtract": return [1, -1];
    case "multiply": return [b, a];
    case "divide": return [1 / b, -a / b ** 2];
    case "negate": return [-1];
    case "power": return [a === 0 && number < 1 ? NaN : number * a ** (number - 1)];
    default: return [GS_FUNCTIONS[kind][1](a)];
  }
}

const gsOperations = (nodes) => nodes.flatMap((node, i) => (node.args.length ? [i] : []));
const gsLastStep = (nodes) => 2 * gsOperations(nodes).length + 1;

// Values, gradients and what each operation has handed back after a number of steps; null: not reached.
function gsRun(nodes, inputs, step = gsLastStep(nodes)) {
  const operations = gsOperations(nodes);
  const values = nodes.map((n) => (n.kind === "variable" ? inputs[n.label] : n.kind === "constant" ? n.number : null));
  const gradients = nodes.map(() => null);
  const handed = nodes.map(() => null);
  for (const i of operations.slice(0, Math.max(0, step))) values[i] = gsValue(nodes[i], nodes[i].args.map((a) => values[a]));
  if (step > operations.length) gradients[nodes.length - 1] = 1;
  for (const i of operations.reverse().slice(0, Math.max(0, step - operations.length - 1))) {
    const local = gsLocal(nodes[i], nodes[i].args.map((a) => values[a]));
    handed[i] = local.map((slope, k) => {
      const a = nodes[i].args[k];
      const before = gradients[a];
      gradients[a] = (before || 0) + gradients[i] * slope;
      return { to: a, k, slope, amount: gradients[i] * slope, before, total: gradients[a] };
    });
  }
  return { values, gradients, handed };
}

// Level (0: the first inputs) and place across, centred on 0, of every node.
function gsLayout(nodes) {
  const level = nodes.map(() => 0);
  const order = nodes.map(() => 0);
  let leaf = 0;
  nodes.forEach(({ args }, i) => {
    if (args.length) {
      level[i] = 1 + Math.max(...args.map((a) => level[a]));
      order[i] = args.reduce((sum, a) => sum + order[a], 0) / args.length;
    } else order[i] = leaf++;
  });
  nodes.forEach(({ args }, i) => {
    if (!args.length) level[i] = Math.min(...nodes.flatMap((n, j) => (n.args.includes(i) ? [level[j]] : []))) - 1;
  });
  const places = [];
  for (let n = 0; n <= Math.max(...level); n += 1) {
    const row = nodes.map((_, i) => i).filter((i) => level[i] === n).sort((i, j) => order[i] - order[j] || i - j);
    row.forEach((i, k) => { places[i] = [n, k - (row.length - 1) / 2]; });
  }
  return places;
}

export const math = { parse: gsParse, run: gsRun, lastStep: gsLastStep, layout: gsLayout };

const gsNumber = (value) => (value === null ? "" : Number.isNaN(value) ? "none" : ui.number(value));
const gsBracket = (value) => (value < 0 ? `(${gsNumber(value)})` : gsNumber(value));

// What an operation computes, in numbers: "0.8 × 1.5".
function gsArithmetic({ kind, number, label }, [a, b]) {
  switch (kind) {
    case "negate": return `−${gsBracket(a)}`;
    case "power": return `${gsBracket(a)} to the power ${gsNumber(number)}`;
    case "add": case "subtract": case "multiply": case "divide": return `${gsNumber(a)} ${label} ${gsBracket(b)}`;
    default: return `${label}(${gsNumber(a)})`;
  }
}
const gsReason = ({ kind, number }, k) => {
  switch (kind) {
    case "add": return "a sum passes the gradient on as it is";
    case "subtract": return k ? "what is subtracted gets the opposite sign" : "the first part of a difference gets it as it is";
    case "multiply": return "in a product it is the other factor";
    case "divide": return k ? "−numerator / denominator²" : "1 / denominator";
    case "negate": return "a minus sign turns it round";
    case "power": return `${gsNumber(number)} × input to the power ${gsNumber(number - 1)}`;
    default: return GS_FUNCTIONS[kind][2];
  }
};

const GS_BOX = { width: 76, height: 60 };
const GS_EXAMPLES = [
  ["(sigmoid(w*x + b) - y)**2", "one neuron and its squared error"],
  ["tanh(w*x + b)*w", "a value used twice"],
  ["-log(exp(z1)/(exp(z1) + exp(z2)))", "softmax cross-entropy, two classes"],
  ["(v*relu(w*x + b) + c - y)**2", "a hidden unit and an output"],
];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "graph",
    question: "How does a gradient find its way back?",
    lead: "Step on: every operation hands the gradient that it received to its inputs, multiplied by its own local derivative.",
    tries: [
      "Before each step, say which boxes will receive a gradient and what it will be. Then press *Step*.".replaceAll("*", "`"),
      "Choose “a value used twice”. Two operations hand something back to `w`: what becomes of the two amounts?",
      "With the neuron, move `b` far up. The sigmoid saturates; watch its local derivative, and what is left for `w`.",
      "Type an expression of your own and work out one derivative on paper first.",
    ],
  });
  const opening = { expression: model.get("expression"), values: { ...model.get("values") }, step: model.get("step") };
  let nodes = gsParse(opening.expression);
  const put = (changes, save = true) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    if (save) model.save_changes();
  };
  const step = () => ui.clamp(model.get("step"), 0, gsLastStep(nodes));

  // ---- drawing ----
  const scroll = ui.h("div", { class: "gs-scroll", tabindex: 0, role: "group", "aria-label": "Computation graph, scrolls sideways where it is wide" });
  const edges = ui.svg("g", {});
  const boxes = ui.svg("g", {});
  const slopes = ui.svg("g", {});
  const picture = ui.svg("svg", { role: "img", class: "gs-picture" }, edges, boxes, slopes);
  scroll.append(picture);
  const says = ui.h("p", { class: "gs-says" });
  const legend = ui.h("p", { class: "cx-note" },
    ui.h("span", { class: "gs-value", text: "value" }), " forward, ",
    ui.h("span", { class: "gs-gradient", text: "∂ gradient" }),
    " backward: the derivative of the result by that box. On the arrows: ×local derivative. Dashed boxes are constants.");
  cx.stage.append(scroll, says, legend);

  // ---- controls ----
  const buttons = cx.row();
  const back = cx.button({ label: "Back", parent: buttons, onClick: () => go(step() - 1) });
  const on = cx.button({ label: "Step", primary: true, parent: buttons, onClick: () => go(step() + 1) });
  const all = cx.button({ label: "To the end", parent: buttons, onClick: () => go(gsLastStep(nodes)) });
  cx.resetButton(() => {
    nodes = gsParse(opening.expression);
    put({ expression: opening.expression, values: { ...opening.values }, step: opening.step });
    fill();
    cx.announce("Back to the opening state.");
  }, buttons);
  const go = (to) => {
    put({ step: ui.clamp(to, 0, gsLastStep(nodes)) });
    draw();
    cx.announce(says.textContent);
  };

  const sliders = ui.h("div", { class: "gs-sliders" });
  const checks = ui.h("div", { class: "gs-checks" });
  const field = ui.uid("expression");
  const typed = ui.h("input", { type: "text", id: field, spellcheck: "false", autocomplete: "off", class: "gs-typed" });
  const complaint = ui.h("p", { class: "gs-complaint", role: "alert" });
  const examples = [...GS_EXAMPLES];
  if (!examples.some(([e]) => e === opening.expression)) examples.unshift([opening.expression, "the one above"]);
  cx.panel.append(sliders, checks);
  const chooser = cx.select({
    label: "Expression", value: opening.expression,
    options: [...examples.map(([e, about]) => [e, `${about}: ${e}`]), ["", "your own, typed below"]],
    onChange: (e) => (e ? change(e) : typed.focus()),
  });
  cx.panel.append(ui.h("div", { class: "cx-field" }, ui.h("label", { for: field, text: "… or type one, then press Enter" }), typed), complaint);
  cx.on(typed, "change", () => change(typed.value));
  cx.on(typed, "keydown", (event) => event.key === "Enter" && change(typed.value));

  function change(text) {
    let fresh;
    try {
      fresh = gsParse(text);
    } catch (error) {
      complaint.textContent = error.message;
      return;
    }
    complaint.textContent = "";
    if (text.trim() === model.get("expression")) return;
    nodes = fresh;
    const known = { ...opening.values, ...model.get("values") };
    const values = Object.fromEntries(nodes.filter((n) => n.kind === "variable").map((n) => [n.label, known[n.label] ?? 1]));
    put({ expression: text.trim(), values, step: (gsLastStep(nodes) + 1) / 2 });
    fill();
    draw();
    cx.announce(`New expression with ${gsOperations(nodes).length} operations. ${says.textContent}`);
  }

  let inputs = {};
  function fill() {
    const values = model.get("values");
    sliders.replaceChildren();
    inputs = {};
    for (const { kind, label: name } of nodes) { // in the expression's order; a saved state may be sorted by name
      if (kind !== "variable") continue;
      const value = values[name];
      const low = Math.min(-3, Math.floor(value));
      const high = Math.max(3, Math.ceil(value));
      inputs[name] = cx.slider({
        label: name, min: low, max: high, step: 0.05, value, parent: sliders, format: (v) => ui.fixed(v, 2),
        onInput: (v) => put({ values: { ...model.get("values"), [name]: v } }, false),
        onChange: () => { model.save_changes(); cx.announce(says.textContent); },
      });
    }
    typed.value = model.get("expression");
    const listed = examples.some(([e]) => e === model.get("expression"));
    chooser.set(listed ? model.get("expression") : "");
  }

  const name = (i) => (nodes[i].args.length ? `the ${nodes[i].label} box` : nodes[i].label);

  // In words, what the last step did.
  function sentence(now, { values, gradients, handed }) {
    const operations = gsOperations(nodes);
    const n = operations.length;
    if (now === 0) return "The inputs are known, nothing is computed yet. Press Step.";
    if (now <= n) {
      const i = operations[now - 1];
      const from = nodes[i].args.map((a) => values[a]);
      if (Number.isNaN(values[i])) return `Forward, ${now} of ${n}: ${gsArithmetic(nodes[i], from)} is no number. Move an input.`;
      return `Forward, ${now} of ${n}: ${gsArithmetic(nodes[i], from)} = ${gsNumber(values[i])}.`;
    }
    if (now === n + 1) return `All values are there; the result is ${gsNumber(values.at(-1))}. Backward begins with 1: the result changes as fast as itself.`;
    const i = operations[2 * n + 1 - now];
    const parts = handed[i].filter(({ to }) => nodes[to].kind !== "constant").map(({ to, k, slope, amount, before, total }) => {
      const sum = before !== null ? `, and with the ${gsNumber(before)} already there ${gsNumber(total)}` : "";
      return `${name(to)}: ${gsNumber(gradients[i])} × ${gsBracket(slope)} = ${gsNumber(amount)} (${gsReason(nodes[i], k)})${sum}`;
    });
    const count = `Backward, ${now - n - 1} of ${n}: ${nodes[i].label} hands back to `;
    return parts.length ? `${count}${parts.join("; ")}.` : `Backward, ${now - n - 1} of ${n}: ${nodes[i].label} has only constants before it.`;
  }

  function draw() {
    const values = model.get("values");
    const now = step();
    const result = gsRun(nodes, values, now);
    const operations = gsOperations(nodes);
    const active = now === 0 ? -1 : now <= operations.length ? operations[now - 1]
      : now === operations.length + 1 ? nodes.length - 1 : operations[2 * operations.length + 1 - now];
    const forward = now <= operations.length;
    const places = gsLayout(nodes);
    const levels = Math.max(...places.map(([level]) => level));
    const routes = nodes.flatMap(({ args }, i) => args.map((a, k) => ({ from: a, to: i, k, bow: 0 })));
    const seen = {};
    for (const route of routes) {
      const key = `${route.from}-${route.to}`;
      route.twin = seen[key] || 0; // x*x: two arrows between the same boxes
      seen[key] = route.twin + 1;
      const [l1, c1] = places[route.from];
      const [l2, c2] = places[route.to];
      if (l2 - l1 < 2) continue;
      const between = places.filter(([l]) => l > l1 && l < l2).map(([, c]) => c);
      const above = Math.min(...between) - 0.85;
      const below = Math.max(...between) + 0.85;
      const middle = (c1 + c2) / 2;
      route.bow = middle - above <= below - middle ? above : below;
      if (middle < above || middle > below) route.bow = null; // a straight line passes outside anyway
    }
    const cross = [...places.map(([, c]) => c), ...routes.map((r) => r.bow || 0)];
    const [low, high] = [Math.min(...cross), Math.max(...cross)];
    const room = Math.max(240, Math.floor(cx.stage.clientWidth));
    const { width: w, height: h } = GS_BOX;
    const wide = levels * (w + 42) + w + 8 <= room;
    const alongGap = wide ? Math.min(150, (room - w - 8) / levels) : h + 40;
    const crossGap = wide ? h + 26 : Math.max(w + 4, Math.min(120, (room - w - 8) / Math.max(high - low, 1)));
    const total = wide ? levels * alongGap + w + 8 : (high - low) * crossGap + w + 8;
    const width = Math.max(room, Math.ceil(total));
    const height = Math.ceil(wide ? (high - low) * crossGap + h + 8 : levels * alongGap + h + 8);
    const start = (width - total) / 2 + w / 2 + 4;
    const spot = (level, c) => wide
      ? [start + level * alongGap, h / 2 + 4 + (c - low) * crossGap]
      : [start + (c - low) * crossGap, h / 2 + 4 + level * alongGap];
    ui.set(picture, { width, height, viewBox: `0 0 ${width} ${height}` });

    const arrows = [];
    const labels = [];
    for (const { from, to, k, bow, twin } of routes) {
      const [x1, y1] = spot(...places[from]);
      const [x2, y2] = spot(...places[to]);
      const [ax, ay] = wide ? [x1 + w / 2, y1] : [x1, y1 + h / 2];
      const [bx, by] = wide ? [x2 - w / 2 - 7, y2] : [x2, y2 - h / 2 - 7];
      const turn = places[to][0] - places[from][0] < 2 || bow === null ? null : bow;
      const reach = 0.45 * (wide ? bx - ax : by - ay);
      let [p, q] = wide ? [[ax + reach, ay], [bx - reach, by]] : [[ax, ay + reach], [bx, by - reach]];
      if (turn !== null) {
        const [, edgeY] = spot(0, turn);
        const [edgeX] = spot(0, turn);
        if (wide) { const y = (edgeY - 0.125 * (ay + by)) / 0.75; p = [ax + reach * 0.6, y]; q = [bx - reach * 0.6, y]; }
        else { const x = (edgeX - 0.125 * (ax + bx)) / 0.75; p = [x, ay + reach * 0.6]; q = [x, by - reach * 0.6]; }
      }
      if (twin || nodes[to].args.filter((a) => a === from).length > 1) {
        const off = (twin ? 1 : -1) * 26;
        if (wide) { p[1] += off; q[1] += off; } else { p[0] += off; q[0] += off; }
      }
      const moved = result.handed[to] !== null;
      const current = to === active && now > 0 && now !== operations.length + 1;
      const kind = [current ? "gs-current" : "", moved && nodes[from].kind !== "constant" ? "gs-back" : ""].join(" ");
      arrows.push(ui.svg("path", { class: `gs-edge ${kind}`, d: `M${ax} ${ay}C${p} ${q} ${bx} ${by}` }));
      arrows.push(ui.svg("path", { class: `gs-head ${kind}`, d: wide ? `M${bx} ${by - 4}l7 4l-7 4Z` : `M${bx - 4} ${by}l4 7l4 -7Z` }));
      if (moved && nodes[from].kind !== "constant") {
        const at = (i, t = 0.5) => [ax, ay][i] * (1 - t) ** 3 + 3 * p[i] * t * (1 - t) ** 2 + 3 * q[i] * t * t * (1 - t) + [bx, by][i] * t ** 3;
        labels.push(ui.svg("text", { class: `gs-slope cx-halo${current ? " gs-current" : ""}`, x: at(0), y: at(1) + 4.5,
          "text-anchor": "middle", text: `×${gsNumber(result.handed[to][k].slope)}` }));
      }
    }
    edges.replaceChildren(...arrows);
    slopes.replaceChildren(...labels);
    const receiving = !forward && result.handed[active] ? new Set(nodes[active].args) : new Set();
    boxes.replaceChildren(...nodes.map((node, i) => {
      const [x, y] = spot(...places[i]);
      const kind = node.args.length ? "gs-operation" : `gs-${node.kind}`;
      const lit = i === active ? " gs-active" : receiving.has(i) ? " gs-receiving" : "";
      const gradient = node.kind === "constant" ? null : result.gradients[i];
      return ui.svg("g", { class: `gs-box ${kind}${lit}`, transform: `translate(${x - w / 2} ${y - h / 2})`, "data-node": i },
        ui.svg("rect", { width: w, height: h, rx: 8 }),
        ui.svg("text", { class: "gs-name", x: w / 2, y: 17, "text-anchor": "middle", text: node.label }),
        ui.svg("text", { class: "gs-value", x: w / 2, y: 35, "text-anchor": "middle", text: gsNumber(result.values[i]) }),
        gradient === null ? null
          : ui.svg("text", { class: "gs-gradient", x: w / 2, y: 53, "text-anchor": "middle", text: `∂ ${gsNumber(gradient)}` }));
    }));
    says.textContent = sentence(now, result);
    says.classList.toggle("gs-backward", !forward);
    const finished = now === gsLastStep(nodes);
    ui.set(picture, { "aria-label": `Computation graph of ${model.get("expression")}. ${says.textContent}` });
    for (const [variable, slider] of Object.entries(inputs)) slider.set(values[variable]);
    back.disable(now === 0);
    on.disable(finished);
    all.disable(finished);
    verify(values, finished, result);
  }

  // At the end: the gradients beside what a small nudge of each input does to the result.
  function verify(values, finished, { gradients }) {
    if (!finished) {
      checks.replaceChildren(ui.h("p", { class: "cx-note", text: "When the gradient has reached the inputs, a nudge of each input tests it here." }));
      return;
    }
    const h = 1e-4;
    const last = (change) => gsRun(nodes, { ...values, ...change }, gsOperations(nodes).length).values.at(-1);
    const rows = nodes.flatMap((node, i) => {
      if (node.kind !== "variable") return [];
      const v = values[node.label];
      const nudged = (last({ [node.label]: v + h }) - last({ [node.label]: v - h })) / (2 * h);
      return [ui.h("tr", {}, ui.h("th", { scope: "row", text: node.label }),
        ui.h("td", { class: "gs-gradient", text: gsNumber(gradients[i]) }), ui.h("td", { text: gsNumber(Math.abs(nudged) < 1e-9 ? 0 : nudged) }))];
    });
    checks.replaceChildren(ui.h("table", {}, ui.h("caption", { text: "Does a nudge agree?" }),
      ui.h("thead", {}, ui.h("tr", {}, ui.h("th", { scope: "col", text: "input" }), ui.h("th", { scope: "col", text: "∂ by graph" }), ui.h("th", { scope: "col", text: "by nudge" }))),
      ui.h("tbody", {}, rows)));
  }

  const request = cx.frame(draw);
  cx.observe(model, "change:values change:step", request);
  cx.observe(model, "change:expression", () => {
    try { nodes = gsParse(model.get("expression")); } catch { return; }
    request();
  });
  cx.onResize(request);
  fill();
  draw();
  return cx.dispose;
}

export default { render };
