// LabelBudgetChart: accuracy over label budgets, with ranges over seeds; a budget and a wanted accuracy to be dragged.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const lbMean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const lbSummary = (rows) => rows.map((row) => ({ mean: lbMean(row), low: Math.min(...row), high: Math.max(...row), seeds: row.length }));
// A value at any budget, straight over the logarithm of the budget.
function lbAt(budgets, values, budget) {
  const last = budgets.length - 1;
  if (budget <= budgets[0]) return values[0];
  if (budget >= budgets[last]) return values[last];
  const k = budgets.findIndex((b) => b > budget);
  const share = Math.log(budget / budgets[k - 1]) / Math.log(budgets[k] / budgets[k - 1]);
  return values[k - 1] + share * (values[k] - values[k - 1]);
}
// The smallest budget at which the mean first reaches an accuracy, not rounded; null: nowhere.
function lbNeeded(budgets, means, accuracy) {
  if (means[0] >= accuracy) return budgets[0];
  const k = means.findIndex((m) => m >= accuracy);
  if (k < 0) return null;
  const share = (accuracy - means[k - 1]) / (means[k] - means[k - 1]);
  return Math.exp(Math.log(budgets[k - 1]) + share * Math.log(budgets[k] / budgets[k - 1]));
}
const lbWhole = (needed) => Math.ceil(needed - 1e-6);

export const math = { summary: lbSummary, at: lbAt, needed: lbNeeded, whole: lbWhole };

const LB_STATE = ["budget", "accuracy"];
const LB_COLOURS = ["blue", "orange", "green", "purple", "grey"];
const LB_MARKS = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  (r) => `M${-0.9 * r} ${-0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}Z`,
  (r) => `M0 ${-1.2 * r}L${1.15 * r} ${0.85 * r}H${-1.15 * r}Z`,
  (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
  (r) => `M0 ${1.2 * r}L${1.15 * r} ${-0.85 * r}H${-1.15 * r}Z`,
];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "budget",
    question: "How many labels does each method need?",
    lead: "Each line is the mean accuracy over seeds, its band reaches from the lowest to the highest seed. Drag the upright line to a budget and the level line "
      + "to the accuracy you want, or click into the chart.",
    tries: [
      "Drag the budget to its smallest value. Which method would you take there, and would another seed have told you the same?",
      "Find the budget at which two methods change places, if there is one.",
      "Raise the wanted accuracy step by step. How fast does the number of labels grow that the best method needs, and where does the first method drop out?",
    ],
  });
  const { h, svg, set, clamp, fixed } = ui;
  const budgets = model.get("budgets");
  const methods = model.get("methods").map(([name, rows], k) => ({ name, colour: LB_COLOURS[k], shape: LB_MARKS[k], stats: lbSummary(rows) }));
  methods.forEach((m) => { for (const key of ["mean", "low", "high"]) m[key] = m.stats.map((s) => s[key]); });
  const cost = model.get("cost_per_label");
  const currency = model.get("currency");
  const seeds = [Math.min(...methods.flatMap((m) => m.stats.map((s) => s.seeds))), Math.max(...methods.flatMap((m) => m.stats.map((s) => s.seeds)))];
  const [first, final] = [budgets[0], budgets[budgets.length - 1]];
  const get = () => Object.fromEntries(LB_STATE.map((name) => [name, model.get(name)]));
  const opening = get();
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
    request();
  };
  const request = cx.frame(draw);
  const percent = (v) => `${fixed(100 * v, 1)} %`;
  const money = (labels) => `${currency}${fixed(labels * cost, 2)}`;
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const whole = (b) => Math.round(b);

  // the accuracies that the axis reaches
  const all = methods.flatMap((m) => [...m.low, ...m.high]);
  const y0 = Math.floor(10 * Math.min(...all, opening.accuracy) + 1e-9) / 10;
  let y1 = Math.min(1, Math.ceil(10 * Math.max(...all, opening.accuracy) - 1e-9) / 10);
  if (y1 <= y0) y1 = y0 + 0.1;

  // ---- what is read ----
  const at = (budget) => methods.map((m) => ({ ...m, value: lbAt(budgets, m.mean, budget), from: lbAt(budgets, m.low, budget), to: lbAt(budgets, m.high, budget) }));
  const need = (accuracy) => methods.map((m) => {
    const exact = lbNeeded(budgets, m.mean, accuracy);
    return { ...m, exact, labels: exact === null ? null : lbWhole(exact) };
  });
  function advice(budget) {
    const order = at(budget).sort((a, b) => b.value - a.value);
    const [best, second] = order;
    const start = `With ${plural(whole(budget), "label")}: ${best.name}, ${percent(best.value)}`;
    if (!second) return `${start}.`;
    const ahead = 100 * (best.value - second.value);
    const lead = ahead < 0.05 ? `level with ${second.name}` : `${plural(fixed(ahead, 1), "point").replace(/ point$/, " points")} ahead of ${second.name}`;
    if (seeds[1] === 1) return `${start}, ${lead}. One seed each: another may tell another story.`;
    const near = order.slice(1).filter((m) => best.from <= m.to).map((m) => m.name);
    return `${start}, ${lead}. ${near.length ? `Its range overlaps with that of ${near.join(", ")}: another seed may turn the order over.`
      : "Even its lowest seed is above every seed of the others."}`;
  }
  function price(accuracy) {
    const found = need(accuracy).filter((m) => m.labels !== null).sort((a, b) => a.exact - b.exact);
    if (!found.length) return `For ${percent(accuracy)}: no method reaches it with ${final} labels.`;
    const [best] = found;
    const most = best.labels === first ? "at most " : "";
    return `For ${percent(accuracy)}: fewest labels with ${best.name}, ${most}${best.labels} (${money(best.labels)}).`;
  }

  // ---- the chart ----
  const marks = svg("g", { "aria-hidden": "true" });
  const handles = svg("g", {});
  const area = svg("rect", { class: "lb-area" });
  const chart = svg("svg", { role: "group", "aria-label": "Accuracy over the number of labels" }, marks, area, handles);
  cx.stage.append(chart);
  const place = { left: 50, top: 10, width: 1, height: 1 };
  const X = (b) => place.left + (place.width * Math.log(b / first)) / Math.log(final / first);
  const Y = (a) => place.top + (place.height * (y1 - a)) / (y1 - y0);
  const toBudget = (x) => clamp(first * Math.exp(((x - place.left) / place.width) * Math.log(final / first)), first, final);
  const toAccuracy = (y) => clamp(y1 - ((y - place.top) / place.height) * (y1 - y0), y0, y1);
  const pixel = (event) => {
    const box = chart.getBoundingClientRect();
    const scale = chart.viewBox.baseVal.width / box.width || 1;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const level = (a) => Math.round(a * 200) / 200;
  cx.on(area, "click", (event) => {
    const p = pixel(event);
    put({ budget: whole(toBudget(p.x)), accuracy: level(toAccuracy(p.y)) });
    cx.announce(`${advice(model.get("budget"))} ${price(model.get("accuracy"))}`);
  });
  const grip = (className) => {
    const line = svg("path", { class: "lb-line" });
    const wide = svg("path", { class: "lb-wide" });
    const knob = svg("path", { class: "lb-knob" });
    const ring = svg("circle", { class: "cx-ring", r: 13 });
    const tag = svg("text", { class: "lb-tag cx-halo", "aria-hidden": "true" });
    const node = svg("g", { class: className }, line, wide, knob, ring, tag);
    handles.append(node);
    return { node, line, wide, knob, ring, tag };
  };
  const upright = grip("lb-upright");
  const flat = grip("lb-flat");
  const budgetHandle = cx.handle(upright.node, {
    label: "Budget, in labels", role: "slider", point: pixel,
    value: () => ({ now: whole(model.get("budget")), min: first, max: final, text: plural(whole(model.get("budget")), "label") }),
    at: () => ({ x: X(model.get("budget")), y: place.top }),
    move: ({ x }, event) => {
      if (event.type !== "keydown") {
        put({ budget: whole(toBudget(x)) }, false);
        return;
      }
      const way = event.key === "ArrowRight" || event.key === "ArrowUp" ? 1 : -1;
      const old = whole(model.get("budget"));
      const moved = whole(toBudget(X(old) + (way * (event.shiftKey ? 5 : 1) * place.width) / 50));
      put({ budget: clamp(moved === old ? old + way : moved, first, final) });
    },
    end: () => { model.save_changes(); cx.announce(advice(model.get("budget"))); },
    keys: { Home: () => jump({ budget: first }), End: () => jump({ budget: final }),
      PageUp: () => jump({ budget: budgets.find((b) => b > model.get("budget")) ?? final }),
      PageDown: () => jump({ budget: budgets.filter((b) => b < model.get("budget")).pop() ?? first }) },
  });
  const accuracyHandle = cx.handle(flat.node, {
    label: "Wanted accuracy", role: "slider", point: pixel,
    value: () => ({ now: model.get("accuracy"), min: y0, max: y1, text: percent(model.get("accuracy")) }),
    at: () => ({ x: place.left, y: Y(model.get("accuracy")) }),
    move: ({ y }, event) => {
      if (event.type === "keydown") {
        const by = (event.shiftKey ? 0.05 : 0.005) * (event.key === "ArrowUp" || event.key === "ArrowRight" ? 1 : -1);
        put({ accuracy: clamp(level(model.get("accuracy") + by), y0, y1) });
      } else put({ accuracy: level(toAccuracy(y)) }, false);
    },
    end: () => { model.save_changes(); cx.announce(price(model.get("accuracy"))); },
    keys: { Home: () => jump({ accuracy: y0 }), End: () => jump({ accuracy: y1 }),
      PageUp: () => jump({ accuracy: clamp(level(model.get("accuracy") + 0.05), y0, y1) }),
      PageDown: () => jump({ accuracy: clamp(level(model.get("accuracy") - 0.05), y0, y1) }) },
  });
  function jump(values) {
    put(values);
    cx.announce("budget" in values ? advice(values.budget) : price(values.accuracy));
  }

  // ---- the tables ----
  const swatch = (m) => svg("svg", { class: "lb-swatch", width: 26, height: 14, viewBox: "-13 -7 26 14", "aria-hidden": "true" },
    svg("path", { d: "M-13 0h26", stroke: ui.color[m.colour], "stroke-width": 2.4 }), svg("path", { d: m.shape(4.4), fill: ui.color[m.colour] }));
  const table = (heads) => {
    const cells = methods.map((m) => heads.slice(1).map(() => h("td")));
    const rows = methods.map((m, k) => h("tr", {}, h("th", { scope: "row" }, swatch(m), h("span", { text: m.name })), cells[k]));
    const top = heads.map((text) => h("th", { scope: "col", text }));
    return { rows, cells, top, element: h("table", { class: "lb-table" }, h("thead", {}, h("tr", {}, top)), h("tbody", {}, rows)) };
  };
  const budgetWords = h("p", { class: "lb-words" });
  const accuracyWords = h("p", { class: "lb-words" });
  const perBudget = table(["method", "accuracy", seeds[1] > 1 ? "range of seeds" : ""]);
  const perAccuracy = table(["method", "labels", "cost"]);
  cx.panel.append(h("div", { class: "lb-box" }, budgetWords, perBudget.element), h("div", { class: "lb-box lb-second" }, accuracyWords, perAccuracy.element));
  cx.note(`${seeds[0] === seeds[1] ? plural(seeds[0], "seed") : `${seeds[0]} to ${seeds[1]} seeds`} for each budget. Between two budgets that were tried, a straight line over the `
    + `logarithm stands in for experiments. A label costs ${currency}${cost < 0.01 && cost > 0 ? cost : fixed(cost, 2)}.`);
  cx.resetButton(() => {
    put(opening);
    cx.announce("Back to the opening state.");
  }, cx.row());

  const pen = h("canvas").getContext("2d");
  const measure = (text) => {
    pen.font = `600 13px ${getComputedStyle(cx.root).fontFamily}`;
    return pen.measureText(text).width;
  };

  let width = 0;
  function draw() {
    if (!width) return;
    const s = get();
    const longest = Math.max(...methods.map((m) => measure(m.name)));
    const named = width - longest - 90 >= 260; // room for names at the ends of the lines
    place.left = 50;
    place.width = width - place.left - (named ? longest + 38 : 16);
    place.height = Math.round(clamp(0.95 * place.width, 220, 380));
    place.top = 46;
    const { left, top, width: wide, height: tall } = place;
    const bottom = top + tall;
    set(chart, { width, height: bottom + 44, viewBox: `0 0 ${width} ${bottom + 44}` });
    set(area, { x: left, y: top, width: wide, height: tall });
    const out = [svg("rect", { class: "cx-plot", x: left, y: top, width: wide, height: tall })];
    for (const v of ui.ticks([100 * y0, 100 * y1], Math.max(3, Math.round(tall / 50))))
      out.push(svg("path", { class: "cx-grid", d: `M${left} ${Y(v / 100)}h${wide}` }), svg("text", { class: "cx-tick", x: left - 6, y: Y(v / 100) + 4.5, "text-anchor": "end", text: `${v} %` }));
    let edge = -Infinity;
    budgets.forEach((b) => {
      out.push(svg("path", { class: "cx-grid", d: `M${X(b)} ${top}v${tall}` }));
      const half = measure(String(b)) / 2;
      if (X(b) - half < edge + 7) return;
      edge = X(b) + half;
      out.push(svg("text", { class: "cx-tick", x: X(b), y: bottom + 17, "text-anchor": "middle", text: b }));
    });
    out.push(svg("text", { x: left + wide / 2, y: bottom + 38, "text-anchor": "middle", text: "number of labels, logarithmic" }));
    const path = (values) => values.map((v, k) => `${X(budgets[k]).toFixed(1)} ${Y(v).toFixed(1)}`);
    methods.forEach((m) => out.push(svg("path", { class: "lb-band", fill: ui.color[m.colour], d: `M${path(m.high).join("L")}L${path(m.low).reverse().join("L")}Z` })));
    methods.forEach((m) => {
      out.push(svg("path", { class: "lb-mean", stroke: ui.color[m.colour], d: `M${path(m.mean).join("L")}` }));
      m.stats.forEach((one, k) => out.push(
        svg("path", { class: "lb-range", stroke: ui.color[m.colour], d: `M${X(budgets[k])} ${Y(one.low)}V${Y(one.high)}` }),
        svg("path", { class: "lb-mark", fill: ui.color[m.colour], transform: `translate(${X(budgets[k]).toFixed(1)} ${Y(one.mean).toFixed(1)})`, d: m.shape(4.6) })));
    });
    if (named) {
      const ends = methods.map((m) => ({ m, y: Y(m.mean[m.mean.length - 1]) })).sort((a, b) => a.y - b.y);
      ends.forEach((e, k) => { if (k) e.y = Math.max(e.y, ends[k - 1].y + 17); });
      const over = ends[ends.length - 1].y - (bottom - 2);
      if (over > 0) ends.forEach((e) => { e.y -= over; });
      ends.forEach(({ m, y }) => out.push(svg("path", { d: m.shape(4.6), fill: ui.color[m.colour], transform: `translate(${left + wide + 22} ${y})` }), svg("text", { class: "lb-name", x: left + wide + 31, y: y + 4.5, text: m.name })));
    }
    // where the lines stand
    const now = at(s.budget);
    const wanted = need(s.accuracy);
    wanted.forEach((m) => {
      if (m.exact === null) return;
      out.push(svg("path", { class: "lb-drop", stroke: ui.color[m.colour], d: `M${X(m.exact)} ${Y(s.accuracy)}V${bottom}` }),
        svg("circle", { class: "lb-cross", stroke: ui.color[m.colour], cx: X(m.exact), cy: Y(s.accuracy), r: 6 }));
    });
    marks.replaceChildren(...out);
    const bx = X(s.budget);
    const ay = Y(s.accuracy);
    set(upright.line, { d: `M${bx} ${top}V${bottom}` });
    set(upright.wide, { d: `M${bx} ${top - 20}V${bottom}` });
    set(upright.knob, { d: "M0 8L8 -4V-10H-8V-4Z", transform: `translate(${bx} ${top - 9})` });
    set(upright.ring, { cx: bx, cy: top - 10 });
    const label = plural(whole(s.budget), "label");
    set(upright.tag, { x: clamp(bx, left + measure(label) / 2, left + wide - measure(label) / 2), y: top - 28, "text-anchor": "middle", text: label });
    set(flat.line, { d: `M${left - 2} ${ay}H${left + wide}` });
    set(flat.wide, { d: `M${left} ${ay}H${left + wide}` });
    set(flat.knob, { d: "M-8 0L4 -8H10V8H4Z", transform: `translate(${left + wide} ${ay})` });
    set(flat.ring, { cx: left + wide + 1, cy: ay });
    set(flat.tag, { x: left + 6, y: ay - top > 22 ? ay - 6 : ay + 17, text: percent(s.accuracy) });
    budgetHandle.refresh();
    accuracyHandle.refresh();

    budgetWords.textContent = advice(s.budget);
    accuracyWords.textContent = price(s.accuracy);
    const best = Math.max(...now.map((m) => m.value));
    now.forEach((m, k) => {
      perBudget.cells[k][0].textContent = percent(m.value);
      perBudget.cells[k][1].textContent = seeds[1] > 1 ? `${fixed(100 * m.from, 1)}–${fixed(100 * m.to, 1)}` : "";
      perBudget.rows[k].classList.toggle("lb-best", m.value === best);
    });
    const few = Math.min(...wanted.map((m) => m.exact ?? Infinity));
    wanted.forEach((m, k) => {
      const reached = m.labels !== null;
      set(perAccuracy.cells[k][0], { text: reached ? `${m.labels === first ? "≤ " : ""}${m.labels}` : "not reached", colspan: reached ? null : 2 });
      set(perAccuracy.cells[k][1], { text: reached ? money(m.labels) : "", hidden: !reached });
      perAccuracy.rows[k].classList.toggle("lb-best", m.exact === few);
    });
  }

  cx.onResize((w) => {
    width = w;
    request();
  });
  cx.observe(model, LB_STATE.map((name) => `change:${name}`).join(" "), request);
  width = Math.floor(cx.stage.clientWidth) || width;
  draw();
  return cx.dispose;
}

export default { render };
