// SamplingLab: a small exported character model that runs here, in the page, and is sampled.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js and _sampling.js in front of this file.

const SL_MAX_PROMPT = 200;
const SL_MAX_TEXT = 600;
const SL_SHADES = [0.5, 0.2, 0.05, 0.01]; // a character is shaded more strongly below each of these probabilities

const slHalf = (bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 0x1f;
  const part = bits & 0x3ff;
  if (power === 0) return sign * part * 2 ** -24;
  return power === 31 ? (part ? NaN : sign * Infinity) : sign * (1 + part / 1024) * 2 ** (power - 15);
};

// The network with its weights as numbers; matrices are flat, row by row.
function slDecode(exported) {
  const bytes = Uint8Array.from(atob(exported.weights), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const flat = exported.precision === "float32"
    ? Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true))
    : Float64Array.from({ length: bytes.length / 2 }, (_, k) => slHalf(view.getUint16(2 * k, true)));
  let at = 0;
  const take = (count) => flat.subarray(at, (at += count));
  const alphabet = Array.from(exported.alphabet);
  const V = alphabet.length;
  let width = exported.embedding;
  const embedding = take(V * width);
  const layers = exported.layers.map(({ type, input, units }) => {
    const columns = (type === "lstm" ? 4 : 3) * units;
    width = units;
    return { type, input, units, W: take(input * columns), U: take(units * columns), b: take(type === "lstm" ? columns : 2 * columns) };
  });
  return { alphabet, place: new Map(alphabet.map((c, k) => [c, k])), V, e: exported.embedding, embedding, layers, out: take(width * V), bias: take(V) };
}

// ---- the model ----

const slSigmoid = (z) => 1 / (1 + Math.exp(-z));
// y += x @ M
function slAdd(y, x, M) {
  const n = y.length;
  for (let i = 0, q = 0; i < x.length; i += 1, q += n) {
    const a = x[i];
    for (let j = 0; j < n; j += 1) y[j] += a * M[q + j];
  }
  return y;
}
// [h, c]; the gates stand in the order input, forget, candidate, output
function slLstm({ units: u, W, U, b }, x, [h, c]) {
  const z = slAdd(slAdd(Float64Array.from(b), x, W), h, U);
  const [nh, nc] = [new Float64Array(u), new Float64Array(u)];
  for (let k = 0; k < u; k += 1) {
    nc[k] = slSigmoid(z[u + k]) * c[k] + slSigmoid(z[k]) * Math.tanh(z[2 * u + k]);
    nh[k] = slSigmoid(z[3 * u + k]) * Math.tanh(nc[k]);
  }
  return [nh, nc];
}
// [h]; the gates: update, reset, candidate; the reset acts after the product
function slGru({ units: u, W, U, b }, x, [h]) {
  const a = slAdd(Float64Array.from(b.subarray(0, 3 * u)), x, W);
  const r = slAdd(Float64Array.from(b.subarray(3 * u)), h, U);
  const nh = new Float64Array(u);
  for (let k = 0; k < u; k += 1) {
    const update = slSigmoid(a[k] + r[k]);
    const reset = slSigmoid(a[u + k] + r[u + k]);
    nh[k] = update * h[k] + (1 - update) * Math.tanh(a[2 * u + k] + reset * r[2 * u + k]);
  }
  return [nh];
}
const slBegin = (net) => net.layers.map(({ type, units }) => Array.from({ length: type === "lstm" ? 2 : 1 }, () => new Float64Array(units)));
// Reads one token: {state, logits}; the old state stays as it was.
function slStep(net, state, token) {
  let x = net.embedding.subarray(token * net.e, (token + 1) * net.e);
  const after = net.layers.map((layer, k) => {
    const now = (layer.type === "lstm" ? slLstm : slGru)(layer, x, state[k]);
    [x] = now;
    return now;
  });
  return { state: after, logits: slAdd(Float64Array.from(net.bias), x, net.out) };
}
// Logits after each character of a text.
function slAllLogits(net, text) {
  let state = slBegin(net);
  return Array.from(text, (c) => {
    const step = slStep(net, state, net.place.get(c));
    state = step.state;
    return Array.from(step.logits);
  });
}
// ---- sampling ----

const { softmax: slSoftmax, ranked: slRanked, adjust: slAdjust, uniform: slUniform, draw: slDraw, entropy: slEntropy, glyph: slGlyph, title: slName } = sampling;

function slGenerate(net, text, length, { temperature = 1, topK = null, topP = 1, seed = 0, drawn = 0, greedy = false } = {}) {
  let state = slBegin(net);
  let logits;
  const read = (c) => ({ state, logits } = slStep(net, state, net.place.get(c)));
  Array.from(text).forEach(read);
  let added = "";
  for (let n = 0; n < length; n += 1) {
    const p = slSoftmax(logits);
    const token = greedy ? slRanked(p)[0] : slDraw(slAdjust(p, temperature, topK, topP).adjusted, slUniform(seed, drawn + n));
    added += net.alphabet[token];
    read(net.alphabet[token]);
  }
  return added;
}

// ---- measures ----

const slPerplexity = (p) => (p.length ? Math.exp(-p.reduce((sum, v) => sum + Math.log(v), 0) / p.length) : NaN);
const slShade = (p) => SL_SHADES.filter((limit) => p < limit).length;

export const math = {
  decode: slDecode, logits: slAllLogits, softmax: slSoftmax, ranked: slRanked, adjust: slAdjust, uniform: slUniform, draw: slDraw, generate: slGenerate,
  entropy: slEntropy, perplexity: slPerplexity, shade: slShade,
};

const SL_STATE = ["prompt", "generated", "temperature", "top_k", "top_p", "seed", "length"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "sampling",
    question: "What comes next, and what do temperature, top-k and top-p do to the choice?",
    lead: "A small trained model runs in this page. Type a beginning: the bars show what it expects as the next character. "
      + "Click a bar to append that character, or let the model draw.",
    tries: [
      `Press \`Greedy ${model.get("length")}\`. How long does it take until the text goes round in a circle?`,
      `Sample ${model.get("length")} characters at temperature 0.3, at 1 and at 1.8, each time back at the prompt. The random numbers are the same: `
        + "what changes, the spelling or the sense?",
      "Set the temperature to 1.8 and lower top-p until the words are words again. Compare with top-k: where does each cut when the model is sure, and where when it is not?",
      "Type a word the model knows and one it cannot know. At which characters does it get surprised, and what happens to the perplexity?",
    ],
  });
  const { h, set, clamp, fixed } = ui;
  const net = slDecode(model.get("network"));
  const { V } = net;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(SL_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const length = opening.length;
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const { short } = sampling;
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

  // What the model has read: for each character its state and the probabilities of what follows.
  const trail = [];
  function read(text) {
    const characters = Array.from(text);
    let same = 0;
    while (same < trail.length && same < characters.length && trail[same].character === characters[same]) same += 1;
    trail.length = same;
    for (const character of characters.slice(same)) {
      const before = trail.length ? trail[trail.length - 1] : null;
      const step = slStep(net, before ? before.state : slBegin(net), net.place.get(character));
      const token = net.place.get(character);
      trail.push({ character, state: step.state, chances: slSoftmax(step.logits), p: before ? before.chances[token] : null,
        rank: before ? before.chances.filter((v) => v > before.chances[token]).length + 1 : 0 });
    }
    return trail;
  }
  const whole = () => model.get("prompt") + model.get("generated");
  const count = (text) => Array.from(text).length;
  const full = () => count(whole()) >= SL_MAX_TEXT;

  // ---- prompt and text ----
  const field = h("textarea", { id: ui.uid("in"), rows: 2, maxlength: SL_MAX_PROMPT, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  const fault = h("p", { class: "sl-fault", role: "alert" });
  cx.stage.append(h("div", { class: "sl-field" }, h("label", { for: field.id, text: "Prompt" }), field, fault));
  let complained = "";
  cx.on(field, "input", () => {
    stop();
    const unknown = [];
    const typed = Array.from(field.value).map((c) => {
      if (net.place.has(c)) return c;
      const other = [c.toLowerCase(), c.toUpperCase()].find((d) => net.place.has(d));
      if (!other) unknown.push(c);
      return other || "";
    }).join("");
    if (typed !== field.value) {
      const caret = field.selectionStart - (field.value.length - typed.length);
      field.value = typed;
      field.setSelectionRange(Math.max(caret, 0), Math.max(caret, 0));
    }
    complained = unknown.length ? `Left out, because the model never saw it: ${[...new Set(unknown)].map(slName).join(" ")}` : "";
    put({ prompt: typed, generated: "" });
    tellNext();
    request();
  });

  const box = h("div", { class: "sl-text", role: "slider", tabindex: 0, "aria-label": "Text, character by character", "aria-orientation": "horizontal" });
  const line = h("p", { class: "sl-line" });
  const key = (className, text) => h("span", { class: "sl-key" }, h("i", { class: className, "aria-hidden": "true" }), text);
  const legend = h("p", { class: "sl-legend" }, "The model’s probability:",
    key("sl-l0", "from 0.5"), key("sl-l1", "from 0.2"), key("sl-l2", "from 0.05"), key("sl-l3", "from 0.01"), key("sl-l4", "less"), key("sl-prompt", "prompt"));
  cx.stage.append(h("div", { class: "sl-textbox" }, box, line, legend));
  let at = null; // the character looked at; null: the last one
  const look = (k) => {
    at = k;
    request();
  };
  const spanAt = (event) => {
    const span = event.target.closest?.("[data-k]");
    return span ? Number(span.dataset.k) : null;
  };
  cx.on(box, "pointerover click", (event) => { const k = spanAt(event); if (k !== null) look(k); });
  cx.on(box, "pointerleave", (event) => { if (event.pointerType === "mouse" && box.getRootNode().activeElement !== box) look(null); });
  cx.on(box, "blur", () => look(null));
  cx.on(box, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !trail.length) return;
    const last = trail.length - 1;
    const now = at ?? last;
    const k = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[event.key];
    if (k === undefined) return;
    event.preventDefault();
    look(clamp(k, 0, last));
  });

  // ---- drawing characters ----
  const buttons = h("div", { class: "cx-row sl-buttons" });
  cx.stage.append(buttons);
  const one = cx.button({ label: "Sample one", primary: true, parent: buttons, onClick: () => { stop(); append(next(false)); said(); } });
  const many = cx.button({ label: `Sample ${length}`, parent: buttons, onClick: () => toggle(false) });
  const greedy = cx.button({ label: `Greedy ${length}`, parent: buttons, title: "Always the most probable character", onClick: () => toggle(true) });
  const back = cx.button({ label: "Back to the prompt", parent: buttons, onClick: () => {
    stop();
    put({ generated: "" });
    cx.announce("Only the prompt is left.");
    request();
  } });

  const next = (best) => {
    const s = get();
    read(whole());
    const { chances } = trail[trail.length - 1];
    const token = best ? slRanked(chances)[0] : slDraw(slAdjust(chances, s.temperature, s.top_k, s.top_p).adjusted, slUniform(s.seed, count(s.generated)));
    return net.alphabet[token];
  };
  function append(character, save = true) {
    if (full() || !model.get("prompt")) return false;
    at = null;
    put({ generated: model.get("generated") + character }, save);
    request();
    return !full();
  }
  function said() {
    read(whole());
    const last = trail[trail.length - 1];
    cx.announce(`${slName(last.character)} added, probability ${short(last.p)}. Next: entropy ${fixed(slEntropy(last.chances), 2)} bits.`);
  }
  let run = null; // {left, greedy, due}
  const player = cx.animate((now, passed) => {
    run.due += passed;
    while (run.due > 0 && run.left > 0) {
      run.due -= 60;
      run.left -= 1;
      if (!append(next(run.greedy), false)) run.left = 0;
    }
    if (run.left > 0) return true;
    finish();
    return false;
  });
  function finish() {
    run = null;
    model.save_changes();
    cx.announce(`The text now ends: ${Array.from(whole()).slice(-length).join("")}`);
    request();
  }
  function stop() {
    if (!run) return;
    player.stop();
    finish();
  }
  function toggle(best) {
    const same = run && run.greedy === best;
    stop();
    if (same || full() || !model.get("prompt")) return;
    run = { left: length, greedy: best, due: 0 };
    if (cx.calm) {
      while (run.left > 0 && append(next(best), false)) run.left -= 1;
      finish();
    } else player.start();
    request();
  }

  // ---- the distribution ----
  const scale = h("span", { class: "sl-scale" });
  const head = h("p", { class: "sl-title" }, h("span", { text: "Next character" }), scale);
  const keys = h("p", { class: "sl-legend" }, key("sl-before", "the model"), key("sl-after", "after the settings"), key("sl-before sl-hatched", "cut: cannot be drawn"));
  const list = h("div", { class: "sl-rows", role: "group", "aria-label": "Next character, most probable first; press one to append it" });
  const rows = net.alphabet.map((_, k) => {
    const name = h("span", { class: "sl-name" });
    const before = h("i", { class: "sl-before" });
    const after = h("i", { class: "sl-after" });
    const numbers = [h("span", { class: "sl-number" }), h("span", { class: "sl-number" })];
    const button = h("button", { type: "button", class: "sl-row", tabindex: k ? -1 : 0 }, name, h("span", { class: "sl-track" }, before, after), numbers);
    return { button, name, before, after, numbers };
  });
  list.append(...rows.map((r) => r.button));
  const heads = h("div", { class: "sl-heads", "aria-hidden": "true" }, h("span"), h("span"),
    ["model", "drawn"].map((text) => h("span", { class: "sl-number", text })));
  cx.stage.append(h("div", { class: "sl-chances" }, head, keys, heads, list));
  const rowOf = (event) => rows.findIndex((r) => r.button.contains(event.target));
  const rove = (k) => rows.forEach((r, j) => set(r.button, { tabindex: j === k ? 0 : -1 }));
  cx.on(list, "click", (event) => {
    const k = rowOf(event);
    if (k < 0 || !model.get("prompt")) return;
    stop();
    rove(k);
    read(whole());
    if (full()) return;
    append(net.alphabet[slRanked(trail[trail.length - 1].chances)[k]]);
    said();
  });
  cx.on(list, "keydown", (event) => {
    const now = rowOf(event);
    if (now < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const k = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: V - 1 }[event.key];
    if (k === undefined) return;
    event.preventDefault();
    if (!rows[k]) return;
    rove(k);
    rows[k].button.focus();
  });

  // ---- settings ----
  const setting = (values) => { put(values, false); request(); };
  const settled = () => { model.save_changes(); tellNext(); };
  const temperature = cx.slider({ label: "temperature", min: 0.1, max: 2, step: 0.05, value: opening.temperature, format: (v) => fixed(v, 2),
    onInput: (v) => setting({ temperature: v }), onChange: settled });
  const topK = cx.slider({ label: "top-k", min: 1, max: V, step: 1, value: opening.top_k ?? V, format: (v) => (v >= V ? `all ${V}` : String(v)),
    onInput: (v) => setting({ top_k: v >= V ? null : v }), onChange: settled });
  const topP = cx.slider({ label: "top-p", min: 0.05, max: 1, step: 0.05, value: opening.top_p, format: (v) => (v >= 1 ? "1 (all)" : fixed(v, 2)),
    onInput: (v) => setting({ top_p: v }), onChange: settled });
  const readout = h("div", { class: "sl-readout" });
  cx.panel.append(readout);
  const seedText = h("span", { class: "sl-seed" });
  const seedRow = cx.row();
  seedRow.append(seedText);
  cx.button({ label: "Other seed", parent: seedRow, title: "Other random numbers, from the prompt on", onClick: () => {
    stop();
    put({ seed: (model.get("seed") + 1) % 2 ** 31, generated: "" });
    cx.announce(`Seed ${model.get("seed")}; only the prompt is left.`);
    request();
  } });
  cx.note("Character n after the prompt always meets random number n of the seed. So the same seed and settings give the same text.");
  cx.resetButton(() => {
    stop();
    at = null;
    complained = "";
    put(copy(opening));
    rove(0);
    list.scrollTop = 0;
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  function tellNext() {
    if (!model.get("prompt")) return;
    const s = get();
    read(whole());
    const { chances } = trail[trail.length - 1];
    const { adjusted, reason } = slAdjust(chances, s.temperature, s.top_k, s.top_p);
    const best = slRanked(chances)[0];
    cx.announce(`Most probable: ${slName(net.alphabet[best])}, ${short(chances[best])}, after the settings ${short(adjusted[best])}. `
      + `${reason.filter((r) => !r).length} of ${V} characters can be drawn.`);
  }

  // ---- drawing ----
  const about = (k) => {
    const step = trail[k];
    const here = `Character ${k + 1}, ${slName(step.character)}`;
    if (step.p === null) return `${here}: nothing stands before it.`;
    const nth = step.rank === 1 ? "the most probable" : `place ${step.rank} of ${V}`;
    return `${here}: probability ${short(step.p)} (${fixed(-Math.log2(step.p), 1)} bits), ${nth}.`;
  };
  const title = (node, c) => {
    node.textContent = c === " " ? "space" : slGlyph(c);
    node.classList.toggle("sl-word", node.textContent.length > 2);
  };
  let drawn = null;
  function drawText(prompt) {
    const text = whole();
    if (text !== drawn || box.dataset.start !== String(prompt)) {
      const start = count(model.get("prompt"));
      box.replaceChildren(...trail.flatMap((step, k) => {
        const end = step.character === "\n";
        const span = h("span", { class: `sl-l${step.p === null ? 0 : slShade(step.p)}${k < start ? " sl-prompt" : ""}`, "data-k": k,
          text: end || step.character === "\t" || slGlyph(step.character).startsWith("U+") ? slGlyph(step.character) : step.character });
        return end ? [span, "\n"] : [span];
      }), h("span", { class: "sl-caret", "aria-hidden": "true" }));
      box.dataset.start = String(prompt);
      drawn = text;
      box.scrollTop = box.scrollHeight;
    }
    box.querySelectorAll(".sl-here").forEach((node) => node.classList.remove("sl-here"));
    const last = trail.length - 1;
    const k = at === null ? last : Math.min(at, last);
    const span = at !== null && box.querySelector(`[data-k="${k}"]`);
    if (span) {
      span.classList.add("sl-here");
      const from = span.offsetTop - box.scrollTop; // into view within the text, without moving the page
      if (from < 0) box.scrollTop += from - 4;
      else if (from + span.offsetHeight > box.clientHeight) box.scrollTop += from + span.offsetHeight - box.clientHeight + 4;
    }
    line.textContent = k < 0 ? "" : about(k);
    set(box, { "aria-valuemin": 1, "aria-valuemax": Math.max(last + 1, 1), "aria-valuenow": Math.max(k + 1, 1), "aria-valuetext": k < 0 ? "no text" : about(k) });
  }
  function draw() {
    const s = get();
    const ready = s.prompt.length > 0;
    read(whole());
    if (field.value !== s.prompt) field.value = s.prompt;
    fault.textContent = ready ? complained || (full() ? `At ${SL_MAX_TEXT} characters the text ends here.` : "") : "The model needs at least one character to go on from.";
    drawText(count(s.prompt));

    const stuck = !ready || full();
    [one, many, greedy].forEach((b) => b.disable(stuck && !run));
    back.disable(!s.generated);
    many.set(run && !run.greedy ? "Stop" : `Sample ${length}`);
    greedy.set(run && run.greedy ? "Stop" : `Greedy ${length}`);
    temperature.set(s.temperature);
    topK.set(s.top_k ?? V);
    topP.set(s.top_p);
    seedText.textContent = `seed ${s.seed}`;
    rows.forEach((r) => { r.button.disabled = stuck; });
    list.classList.toggle("sl-empty", !ready);
    if (!ready) {
      readout.replaceChildren(h("p", { text: "Nothing to go on from yet." }));
      rows.forEach((r, k) => {
        [r.before, r.after].forEach((bar) => { bar.style.width = "0"; });
        r.numbers.forEach((n) => { n.textContent = "–"; });
        title(r.name, net.alphabet[k]);
        set(r.button, { "aria-label": slName(net.alphabet[k]) });
      });
      return;
    }

    const { chances } = trail[trail.length - 1];
    const { adjusted, reason } = slAdjust(chances, s.temperature, s.top_k, s.top_p);
    const longest = Math.max(...chances, ...adjusted);
    const end = [0.25, 0.5].find((v) => longest <= v) ?? 1;
    scale.textContent = `full width: probability ${end}`;
    slRanked(chances).forEach((token, k) => {
      const r = rows[k];
      const c = net.alphabet[token];
      const cut = reason[token];
      title(r.name, c);
      r.before.style.width = `${((100 * chances[token]) / end).toFixed(2)}%`;
      r.after.style.width = `${((100 * adjusted[token]) / end).toFixed(2)}%`;
      r.before.classList.toggle("sl-hatched", cut !== "");
      r.button.classList.toggle("sl-cut", cut !== "");
      r.numbers[0].textContent = short(chances[token]);
      r.numbers[1].textContent = cut ? `cut: ${cut}` : short(adjusted[token]);
      set(r.button, { "aria-label": `${slName(c)}: the model ${short(chances[token])}, ${cut ? `cut by ${cut}` : `after the settings ${short(adjusted[token])}`}` });
    });

    const H = slEntropy(chances);
    const left = reason.filter((r) => !r).length;
    const each = trail.map((step) => step.p).filter((p) => p !== null);
    const own = trail.slice(count(s.prompt)).map((step) => step.p).filter((p) => p !== null);
    const pair = (name, value, words) => h("p", {}, h("b", { text: `${name} ${value}` }), words);
    readout.replaceChildren(
      pair("Entropy", `${fixed(H, 2)} bits`, `: as unsure as between ${ui.number(2 ** H)} equally probable characters. `
        + `After the settings: ${fixed(slEntropy(adjusted), 2)} bits, `
        + `${plural(left, "character")} left.`),
      each.length ? pair("Perplexity", ui.number(slPerplexity(each)), ` over ${plural(each.length, "character")} of the text${own.length
        ? `; over the ${own.length} after the prompt alone ${ui.number(slPerplexity(own))}` : ""}.`) : h("p", { text: "Perplexity: the text is too short." }),
      h("p", { class: "sl-small", text: "Perplexity and shading use the model’s own probabilities, before the settings." }));
  }

  cx.observe(model, SL_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
