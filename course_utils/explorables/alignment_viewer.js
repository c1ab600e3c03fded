// AlignmentViewer: attention weights of some examples, step by step. Pure display: nothing is learnt here.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.

const AV_QUESTION = "Where does the network look while it writes each token?";

// For each target token the source token of the largest weight; of equals the first.
const avStrongest = (weights) => weights.map((row) => row.reduce((best, v, k) => (v > row[best] ? k : best), 0));
// Entropy of each row in bits.
const avEntropy = (weights) => weights.map((row) => row.reduce((sum, v) => (v > 0 ? sum - v * Math.log2(v) : sum), 0));
// Steps at which the strongest source token stands before that of the step before.
const avBack = (weights) => {
  const best = avStrongest(weights);
  return best.map((_, t) => t).filter((t) => t > 0 && best[t] < best[t - 1]);
};
const avPlain = (token) => (token === " " ? "␣" : token);
const avMark = (token) => `“${avPlain(token)}”`;
// In words: whether the alignment is monotone, and where it first goes back.
function avVerdict(source, target, weights) {
  const best = avStrongest(weights);
  const back = avBack(weights);
  if (best.length === 1) return "One step only, so there is no order to speak of.";
  if (new Set(best).size === 1) return `Every step looks most at the same source token, ${avMark(source[best[0]])}.`;
  if (!back.length) return "Monotone: the strongest source token never goes back.";
  if (back.length === best.length - 1) return "Backwards: at every step the strongest source token stands before the last one.";
  const [t] = back;
  return `Not monotone: it goes back ${back.length === 1 ? "once" : `${back.length} times`}, first at ${avMark(target[t])} (step ${t + 1}), `
    + `from source token ${best[t - 1] + 1} to ${best[t] + 1}.`;
}
const avWrong = (target, correct) => target.map((_, t) => t).filter((t) => t >= correct.length || target[t] !== correct[t]);
const avJoined = (tokens) => tokens.join(tokens.every((t) => Array.from(t).length === 1) ? "" : " ");

export const math = { strongest: avStrongest, entropy: avEntropy, back: avBack, verdict: avVerdict, wrong: avWrong, joined: avJoined };

const AV_STATE = ["example", "step", "show"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "alignment",
    question: model.get("title") || AV_QUESTION,
    lead: "The upper row is what was written, the lower row what was read; a line is as strong as the attention weight. "
      + "Point at a target token, or walk through them with the arrow keys: the bars show how the weight of that step is shared among the source tokens.",
    tries: [
      "Walk from the first target token to the last. When does the strongest line jump back, and does the order of the words explain it?",
      "Look for rows of high entropy. Is the network unsure there, or does that token need no single place of the source?",
      model.get("examples").some((e) => e.correct) ? "Look at a wrong token, marked ✗. Did the network look at the wrong place, "
        + "or at the right one and still write the wrong token?" : "Show the lines of all steps. Which source tokens does no target token look at?",
    ],
  });
  const { h, svg, set, clamp, fixed, color } = ui;
  const examples = model.get("examples");
  const get = () => Object.fromEntries(AV_STATE.map((name) => [name, model.get(name)]));
  const opening = get();
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  let width = 0;
  let seen = "";

  // ---- measuring and shortening labels ----
  const pen = h("canvas").getContext("2d");
  const measure = (text, bold = true) => {
    pen.font = `${bold ? "700" : "400"} 13px ${getComputedStyle(cx.root).fontFamily}`;
    return pen.measureText(text).width;
  };
  const cutTo = (token, most) => {
    const text = avPlain(token);
    if (measure(text) <= most) return text;
    const parts = Array.from(text);
    while (parts.length > 1 && measure(`${parts.join("")}…`) > most) parts.pop();
    return `${parts.join("")}…`;
  };

  // ---- the example, prepared once ----
  let kept = { example: -1 };
  function current() {
    const example = clamp(model.get("example"), 0, examples.length - 1);
    if (kept.example !== example) {
      const { source, target, weights, correct } = examples[example];
      kept = { example, source, target, weights, correct, best: avStrongest(weights), entropy: avEntropy(weights),
        verdict: avVerdict(source, target, weights), wrong: new Set(correct ? avWrong(target, correct) : []) };
    }
    return { ...kept, step: clamp(model.get("step"), 0, kept.target.length - 1), all: model.get("show") === "all" };
  }

  const chooser = cx.select({
    label: "Example", parent: cx.stage, value: String(opening.example), inline: true,
    options: examples.map((e, k) => {
      const text = `${avJoined(e.source)} → ${avJoined(e.target)}`;
      const wrong = e.correct && (avWrong(e.target, e.correct).length || e.correct.length !== e.target.length) ? " ✗" : "";
      return [String(k), `${k + 1}: ${text.length > 60 ? `${text.slice(0, 59)}…` : text}${wrong}`];
    }),
    onChange: (v) => { put({ example: Number(v), step: 0 }); tell(); request(); },
  });
  chooser.element.classList.add("av-chooser");
  const picture = svg("svg", { class: "av-picture", role: "slider", tabindex: 0, "aria-label": "Target token", "aria-orientation": "horizontal" });
  const scroller = h("div", { class: "av-scroller" }, picture);
  cx.stage.append(scroller);

  const steps = cx.row();
  const previous = cx.button({ label: "Previous", parent: steps, onClick: () => go(current().step - 1) });
  const following = cx.button({ label: "Next", primary: true, parent: steps, onClick: () => go(current().step + 1) });
  const where = h("span", { class: "av-where" });
  steps.append(where);
  const readout = h("div", { class: "av-readout" });
  const shares = h("ol", { class: "av-shares" });
  cx.panel.append(readout);
  const lines = cx.choice({ legend: "Lines", value: opening.show, options: [["step", "of this step"], ["all", "of all steps"]],
    onChange: (v) => { put({ show: v }); request(); } });
  const verdict = h("div", { class: "av-verdict" });
  cx.panel.append(verdict);
  cx.resetButton(() => { put({ ...opening }); cx.announce("Back to the opening state."); request(); }, cx.row());

  function go(step, save = true) {
    const to = clamp(step, 0, current().target.length - 1);
    put({ step: to }, save);
    tell();
    request();
  }
  const said = (s) => {
    const k = s.best[s.step];
    return `Step ${s.step + 1} of ${s.target.length}, writing ${avMark(s.target[s.step])}: ${fixed(s.weights[s.step][k], 2)} on ${avMark(s.source[k])}, `
      + `source token ${k + 1}; entropy ${fixed(s.entropy[s.step], 2)} bits`;
  };
  const tell = () => { cx.announce(`${said(current())}.`); };

  // ---- pointer and keys ----
  let moved = false;
  const stepAt = (event) => {
    const node = event.target.closest?.("[data-step]");
    return node ? Number(node.dataset.step) : null;
  };
  cx.on(picture, "pointerover click", (event) => {
    const step = stepAt(event);
    if (step === null || step === current().step) return;
    moved = event.type !== "click";
    go(step, !moved);
  });
  cx.on(picture, "pointerleave", () => {
    if (moved) model.save_changes();
    moved = false;
  });
  cx.on(picture, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { step, target } = current();
    const to = { ArrowLeft: step - 1, ArrowUp: step - 1, ArrowRight: step + 1, ArrowDown: step + 1, Home: 0, End: target.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });

  // ---- drawing ----
  const tenths = (v) => v.toFixed(1);
  const path = (d, attrs) => svg("path", { d, ...attrs });
  function draw() {
    if (!width) return;
    const s = current();
    const { source, target, weights } = s;
    const [S, T] = [source.length, target.length];
    const right = 42;
    const label = Math.min(Math.max(...target.map((t) => measure(avPlain(t)))), width < 430 ? 58 : 120);
    const left = Math.max(Math.ceil(label) + (s.wrong.size ? 24 : 12), 32); // room for the scale of the bars
    const widest = Math.max(...source.map((t) => measure(avPlain(t))));
    const targetWidest = Math.max(...target.map((t) => measure(avPlain(t)) + (s.wrong.size ? 8 : 0)));
    // columns: as wide as the place allows; where words do not fit they are turned, where not even that, one scrolls
    const single = source.every((t) => Array.from(t).length === 1); // never turned, and in a font of one width
    let cell = Math.min((width - left - right) / S, S > 12 ? Math.max(widest + 12, 30) : 90);
    const turned = !single && widest + 4 > cell;
    cell = Math.max(cell, turned ? 14 : single ? 8 : 11);
    const total = Math.max(Math.ceil(left + cell * S + right), Math.min(width, 260));
    const letters = target.every((t) => Array.from(t).length === 1);
    let gap = Math.min(total / T, T > 12 ? Math.max(targetWidest + 14, 30) : Math.max(targetWidest + 14, 0.9 * cell, 30));
    const tilted = !letters && targetWidest + 4 > gap;
    gap = Math.max(gap, tilted ? 14 : letters ? (s.wrong.size ? 13 : 8) : 11);
    const picWidth = Math.max(total, Math.ceil(gap * T));
    const X = (k) => left + cell * (k + 0.5);
    const middle = clamp(left + (cell * S) / 2, (gap * T) / 2, picWidth - (gap * T) / 2);
    const TX = (t) => middle + gap * (t - (T - 1) / 2);
    const [sourceDeep, targetDeep] = [turned ? Math.min(widest, 96) + 10 : 22, tilted ? Math.min(targetWidest, 96) + 10 : 22];

    const y0 = targetDeep + 2; // lines begin here
    const fan = clamp(60 + 1.5 * Math.max(S, T), 70, 110);
    const y1 = y0 + fan; // and end here
    const y2 = y1 + sourceDeep; // below the source tokens
    const high = 58;
    const y3 = y2 + 10 + high; // the base line of the bars
    const rowHigh = T > 20 ? 20 : 23;
    const y4 = y3 + 26; // the heat map
    const height = Math.ceil(y4 + rowHigh * T + 4);
    const now = weights[s.step];
    const nodes = [];

    // lines
    const line = (t, k, w, className) => path(
      `M${tenths(TX(t))} ${y0}C${tenths(TX(t))} ${y0 + fan / 2} ${tenths(X(k))} ${y1 - fan / 2} ${tenths(X(k))} ${y1}`, { class: `av-line ${className}`, "stroke-width": (0.8 + 6 * w).toFixed(2), "stroke-opacity": clamp(0.12 + w, 0, 1).toFixed(3) });
    if (s.all) weights.forEach((row, t) => t !== s.step && row.forEach((w, k) => w >= 0.02 && nodes.push(line(t, k, w, "av-other"))));
    now.forEach((w, k) => w >= 0.005 && nodes.push(line(s.step, k, w, "av-now")));

    // a token of one of the two rows: across or turned upwards
    const token = (text, x, y, isTurned, upwards, className) => svg("text", isTurned
      ? { class: className, transform: `translate(${(x + 4.5).toFixed(1)} ${y}) rotate(-90)`, "text-anchor": upwards ? "start" : "end", text }
      : { class: className, x: x.toFixed(1), y: upwards ? y : y + 10, "text-anchor": "middle", text });
    const room = Math.max(gap, 12);
    target.forEach((t, k) => {
      const here = k === s.step;
      const shown = (letters ? avPlain(t) : cutTo(t, tilted ? 96 : gap - 2)) + (s.wrong.has(k) ? "✗" : "");
      nodes.push(svg("rect", { class: here ? "av-box" : "av-hit", x: tenths(TX(k) - room / 2 + 1), y: 1, width: tenths(room - 2), height: y0 - 2, rx: 4, "data-step": k }),
        token(shown, TX(k), y0 - 7, tilted, true, `av-token${letters ? " av-letter" : ""}${here ? " av-bold" : ""}${s.wrong.has(k) ? " av-wrong" : ""}`));
    });
    const focus = s.best[s.step];
    source.forEach((t, k) => nodes.push(token(single ? avPlain(t) : cutTo(t, turned ? 96 : cell), X(k), y1 + 5, turned, false,
      `av-token${single ? " av-letter" : ""}${k === focus ? " av-bold" : ""}`)));

    // bars
    const across = (y, className) => path(`M${left} ${y}H${tenths(left + cell * S)}`, { class: className });
    nodes.push(across(y3 - high, "av-grid"), across(y3 - high / 2, "av-grid"));
    [[1, "1"], [0.5, "0.5"], [0, "0"]].forEach(([v, text]) => nodes.push(svg("text", { class: "av-soft", x: left - 6, y: y3 - high * v + 4.5, "text-anchor": "end", text })));
    now.forEach((w, k) => nodes.push(svg("rect", { class: `av-bar${k === focus ? " av-best" : ""}`, x: (X(k) - Math.max(cell * 0.36, 3)).toFixed(1), y: (y3 - high * w).toFixed(2),
      width: Math.max(cell * 0.72, 6).toFixed(1), height: (high * w).toFixed(2) })));
    const text = fixed(now[focus], 2);
    const inside = now[focus] > 0.72;
    const beside = inside ? (X(focus) + cell * 0.4 + 34 > left + cell * S ? -1 : 1) : 0;
    nodes.push(svg("text", { class: "av-value cx-halo", x: tenths(X(focus) + beside * (cell * 0.4 + 4)), y: tenths(y3 - high * now[focus] + (inside ? 12 : -5)),
      "text-anchor": beside > 0 ? "start" : beside < 0 ? "end" : "middle", text }));
    nodes.push(across(y3, "av-base"));

    // heat map
    nodes.push(svg("text", { class: "av-soft", x: left + cell * S + 6, y: y4 - 7, text: "bits" }),
      svg("rect", { class: "cx-plot", x: left, y: y4, width: (cell * S).toFixed(1), height: rowHigh * T }));
    weights.forEach((row, t) => {
      const y = y4 + rowHigh * t;
      row.forEach((w, k) => w >= 0.003 && nodes.push(svg("rect", {
        class: "av-cell", x: (left + cell * k).toFixed(2), y, width: cell.toFixed(2), height: rowHigh, "fill-opacity": w.toFixed(3) })));
    });
    for (let t = 1; t < T; t += 1) nodes.push(path(`M${left} ${y4 + rowHigh * t}h${(cell * S).toFixed(1)}`, { class: "av-grid" }));
    for (let k = 1; k < S; k += 1) nodes.push(path(`M${(left + cell * k).toFixed(1)} ${y4}v${rowHigh * T}`, { class: "av-grid" }));
    target.forEach((t, k) => {
      const y = y4 + rowHigh * k;
      const here = k === s.step;
      nodes.push(
        svg("text", { class: `av-token${here ? " av-bold" : ""}${s.wrong.has(k) ? " av-wrong" : ""}`, x: left - 7, y: y + rowHigh / 2 + 4.5, "text-anchor": "end",
          text: (s.wrong.has(k) ? "✗ " : "") + cutTo(t, label) }),
        svg("text", { class: `av-number${here ? " av-bold" : ""}`, x: left + cell * S + 6, y: y + rowHigh / 2 + 4.5, text: fixed(s.entropy[k], 2) }),
        svg("rect", { class: "av-hit", x: 0, y, width: picWidth, height: rowHigh, "data-step": k }));
    });
    nodes.push(svg("rect", { class: "av-frame", x: left, y: y4 + rowHigh * s.step, width: (cell * S).toFixed(1), height: rowHigh }));
    set(picture, { width: picWidth, height, viewBox: `0 0 ${picWidth} ${height}`,
      "aria-valuemin": 1, "aria-valuemax": T, "aria-valuenow": s.step + 1, "aria-valuetext": said(s) });
    picture.style.maxWidth = "none";
    picture.replaceChildren(...nodes);
    scroller.classList.toggle("av-wide", picWidth > width);
    const place = `${s.example} ${s.step} ${width}`;
    if (picWidth > width && place !== seen && !moved) scroller.scrollLeft = X(focus) - width / 2; // what is looked at is in view
    seen = place;

    // words
    chooser.set(String(s.example));
    lines.set(s.all ? "all" : "step");
    previous.disable(s.step === 0);
    following.disable(s.step === T - 1);
    where.textContent = `step ${s.step + 1} of ${T}`;
    const order = now.map((_, k) => k).sort((a, b) => now[b] - now[a] || a - b).slice(0, 3).filter((k, n) => n === 0 || now[k] >= 0.005);
    shares.replaceChildren(...order.map((k) => h("li", {}, h("b", { text: fixed(now[k], 2) }), ` on ${avMark(source[k])}, source token ${k + 1}`)));
    const correct = s.correct && s.wrong.has(s.step)
      ? h("p", { class: "av-error", text: s.step < s.correct.length ? `✗ Correct here: ${avMark(s.correct[s.step])}` : "✗ The correct target is shorter." }) : null;
    const alike = ui.number(2 ** s.entropy[s.step]);
    readout.replaceChildren(...[h("p", { class: "av-head", text: `Writing ${avMark(target[s.step])} the network looks at` }), shares,
      h("p", {}, `Entropy ${fixed(s.entropy[s.step], 2)} bits of at most ${fixed(Math.log2(S), 2)}: `
        + (alike === "1" ? "one token has all of the weight." : `as if ${alike} tokens shared the weight evenly.`)), correct].filter(Boolean));
    const mean = s.entropy.reduce((a, b) => a + b, 0) / T;
    const score = () => {
      if (!s.wrong.size && s.correct.length === T) return "Every target token is correct.";
      const short = s.correct.length > T ? ` It stops too early: the correct target has ${s.correct.length} tokens.` : "";
      if (!s.wrong.size) return `No target token is wrong, but it stops too early: the correct target, “${avJoined(s.correct)}”, has ${s.correct.length} tokens.`;
      return `${s.wrong.size} of ${T} target tokens ${s.wrong.size === 1 ? "differs" : "differ"} from the correct target, “${avJoined(s.correct)}”.${short}`;
    };
    verdict.replaceChildren(...[h("p", { class: "av-head", text: s.verdict }), h("p", { text: `Mean entropy over the ${T} steps: ${fixed(mean, 2)} bits.` }),
      s.correct && h("p", { text: score() })].filter(Boolean));
  }

  cx.observe(model, AV_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize((w) => { width = w; draw(); });
  return cx.dispose;
}

export default { render };
