// NextTokenLab: an exported character Transformer runs in the page; what it expects, where it looks, how surprised it is.
// _base.py puts _ui.js, _sampling.js and _transformer.js in front of this file.

const NT_MAX_PROMPT = 120;
const NT_MAX_TEXT = 400;
const NT_SHADES = [1, 2, 4, 6]; // bits
const NT_ROWS = 12;

// Reads texts through a window of `context` tokens. reader(codes) -> { chances(k), attention(k, block, head), start(k) } of the
// token number k (from 0): probabilities (V,) that it had, and where the token before it, whose output that is, looked. k may be
// codes.length: the token that follows. What the last texts had in common is kept.
function ntReader(net, context) {
  let codes = [];
  let base = null; // the first `context` tokens, read at once
  let later = []; // probabilities of the tokens beyond, one run each
  let last = { key: "", run: null };
  const run = (from, to) => {
    const key = codes.slice(from, to).join(" ");
    if (last.key !== key) last = { key, run: transformer.forward(net, codes.slice(from, to)) };
    return last.run;
  };
  const V = net.V;
  const start = (k) => Math.max(0, k - context);
  const self = {
    start,
    chances(k) {
      if (k <= context) return sampling.softmax(transformer.row(base.logits, k - 1, V));
      const at = k - context - 1;
      later[at] ||= sampling.softmax(transformer.lastLogits(net, codes.slice(start(k), k)));
      return later[at];
    },
    attention(k, block, head) {
      const found = k <= context ? base : run(start(k), k);
      const query = k - start(k) - 1;
      return Array.from(transformer.row(found.blocks[block].attention[head], query, found.T).subarray(0, query + 1));
    },
  };
  return (now) => {
    let same = 0;
    while (same < codes.length && same < now.length && codes[same] === now[same]) same += 1;
    const changed = same < codes.length || now.length > codes.length;
    codes = now;
    later.length = Math.max(0, Math.min(later.length, same - context));
    if (now.length && (!base || (changed && same < context))) base = transformer.forward(net, now.slice(0, context));
    return self;
  };
}
function ntGenerate(net, context, codes, length, { temperature = 1, topK = null, topP = 1, seed = 0, drawn = 0 } = {}) {
  const all = [...codes];
  for (let n = 0; n < length; n += 1) {
    const p = sampling.softmax(transformer.lastLogits(net, all.slice(-context)));
    all.push(sampling.draw(sampling.adjust(p, temperature, topK, topP).adjusted, sampling.uniform(seed, drawn + n)));
  }
  return all.slice(codes.length);
}
const ntShade = (bits) => NT_SHADES.filter((limit) => bits >= limit).length;

export const math = { transformer, sampling, reader: ntReader, generate: ntGenerate, shade: ntShade };

const NT_STATE = ["prompt", "generated", "temperature", "top_k", "top_p", "seed", "length", "layer", "head"];

function render({ model, el }) {
  const context = model.get("context");
  const cx = ui.shell(el, {
    kind: "nexttoken",
    question: "What does the model expect next, and where does it look?",
    lead: "A small trained Transformer runs in this page. Type a beginning: the bars show what it expects as the next character. "
      + "Click a bar to append it, or let the model draw. Point at a character of the text to see what was expected there instead.",
    tries: [
      "Type a name or a word, then begin to type it a second time. At which character does the surprise fall, and which head looks back at the first time?",
      `Sample ${model.get("length")} characters at temperature 0.3, at 1 and at 1.8, each time back at the prompt. The random numbers are the same: what changes?`,
      "Set the temperature to 1.8 and lower top-p until words are words again. How many characters does it leave when the model is sure, and how many when it is not?",
      `Make the text longer than ${context} characters. Which characters can no head see any more?`,
    ],
  });
  const { h, set, clamp, fixed } = ui;
  const { glyph, title, short, bits, ranked } = sampling;
  const vocabulary = model.get("vocabulary");
  const place = new Map(vocabulary.map((c, k) => [c, k]));
  const net = transformer.decode(model.get("network"));
  const { V } = net;
  const titles = vocabulary.map(title);
  const names = vocabulary.map((c) => (c === " " ? "space" : glyph(c)));
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(NT_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const { length } = opening;
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

  const reading = ntReader(net, context);
  const whole = () => Array.from(model.get("prompt") + model.get("generated"));
  const count = (text) => Array.from(text).length;
  const full = () => whole().length >= NT_MAX_TEXT;
  const read = (text = whole()) => reading(text.map((c) => place.get(c)));
  const expected = () => {
    const text = whole();
    return read(text).chances(text.length);
  };

  // ---- prompt and text ----
  const field = h("textarea", { id: ui.uid("in"), rows: 2, maxlength: NT_MAX_PROMPT, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  const fault = h("p", { class: "nt-fault", role: "alert" });
  cx.stage.append(h("div", { class: "nt-field" }, h("label", { for: field.id, text: "Prompt" }), field, fault));
  let complained = "";
  cx.on(field, "input", () => {
    stop();
    const unknown = [];
    const typed = Array.from(field.value).map((c) => {
      if (place.has(c)) return c;
      const other = [c.toLowerCase(), c.toUpperCase()].find((d) => place.has(d));
      if (!other) unknown.push(c);
      return other || "";
    }).join("");
    if (typed !== field.value) {
      const caret = Math.max(field.selectionStart - (field.value.length - typed.length), 0);
      field.value = typed;
      field.setSelectionRange(caret, caret);
    }
    complained = unknown.length ? `Left out, because the model never saw it: ${[...new Set(unknown)].map(title).join(" ")}` : "";
    at = null;
    put({ prompt: typed, generated: "" });
    tellNext();
    request();
  });

  // The text: a cell for each character, coloured by its surprise, below a bar for the attention it gets; the last cell
  // stands for the character to come.
  const box = h("div", { class: "nt-text", role: "slider", tabindex: 0, "aria-label": "Text, character by character", "aria-orientation": "horizontal" });
  const line = h("p", { class: "nt-line" });
  const looks = h("p", { class: "nt-line nt-looks" });
  const key = (className, text) => h("span", { class: "nt-key" }, h("i", { class: className, "aria-hidden": "true" }), text);
  const legend = h("p", { class: "nt-legend" }, "Surprise in bits:", key("nt-l0", "below 1"), NT_SHADES.map((v, k) => key(`nt-l${k + 1}`, k < 3 ? `from ${v}` : `${v} and more`)),
    key("nt-prompt", "prompt"), key("nt-weight", "attention weight"));
  cx.stage.append(h("div", { class: "nt-textbox" }, box, line, looks, legend));
  let at = null; // the character looked at; null: the one to come
  const look = (k) => {
    at = k;
    request();
  };
  const cellAt = (event) => {
    const cell = event.target.closest?.("[data-k]");
    return cell ? Number(cell.dataset.k) : null;
  };
  const orLast = (k) => (k >= whole().length ? null : k);
  cx.on(box, "pointerover click", (event) => { const k = cellAt(event); if (k !== null) look(orLast(k)); });
  cx.on(box, "pointerleave", (event) => { if (event.pointerType === "mouse" && box.getRootNode().activeElement !== box) look(null); });
  cx.on(box, "blur", () => look(null));
  cx.on(box, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = whole().length;
    const now = at ?? last;
    const k = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last, Escape: last }[event.key];
    if (k === undefined) return;
    event.preventDefault();
    look(orLast(clamp(k, 0, last)));
  });

  // ---- drawing characters ----
  const buttons = h("div", { class: "cx-row nt-buttons" });
  cx.stage.append(buttons);
  const one = cx.button({ label: "Sample one", primary: true, parent: buttons, onClick: () => { stop(); append(next()); said(); } });
  const many = cx.button({ label: `Sample ${length}`, parent: buttons, onClick: () => toggle() });
  const back = cx.button({ label: "Back to the prompt", parent: buttons, onClick: () => {
    stop();
    at = null;
    put({ generated: "" });
    cx.announce("Only the prompt is left.");
    request();
  } });
  const next = () => {
    const s = get();
    return vocabulary[sampling.draw(sampling.adjust(expected(), s.temperature, s.top_k, s.top_p).adjusted, sampling.uniform(s.seed, count(s.generated)))];
  };
  function append(character, save = true) {
    if (full() || !model.get("prompt")) return false;
    at = null;
    put({ generated: model.get("generated") + character }, save);
    request();
    return !full();
  }
  function said() {
    const text = whole();
    const last = text[text.length - 1];
    const reader = read(text);
    cx.announce(`${title(last)} added, surprise ${fixed(bits(reader.chances(text.length - 1)[place.get(last)]), 1)} bits. `
      + `Next: ${titles[ranked(reader.chances(text.length))[0]]} is most probable.`);
  }
  let run = null; // {left, due}
  const player = cx.animate((now, passed) => {
    run.due += Math.min(passed, 200);
    while (run.due > 0 && run.left > 0) {
      run.due -= 60;
      run.left -= 1;
      if (!append(next(), false)) run.left = 0;
    }
    if (run.left > 0) return true;
    finish();
    return false;
  });
  function finish() {
    run = null;
    model.save_changes();
    cx.announce(`The text now ends: ${whole().slice(-length).join("")}`);
    request();
  }
  function stop() {
    if (!run) return;
    player.stop();
    finish();
  }
  function toggle() {
    const running = Boolean(run);
    stop();
    if (running || full() || !model.get("prompt")) return;
    run = { left: length, due: 0 };
    if (cx.calm) {
      while (run.left > 0 && append(next(), false)) run.left -= 1;
      finish();
    } else player.start();
    request();
  }

  // ---- what is expected ----
  const head = h("p", { class: "nt-title" });
  const chancesBox = h("div", { class: "nt-chances" }, head);
  cx.stage.append(chancesBox);
  const bars = sampling.bars(cx, { parent: chancesBox, count: Math.min(NT_ROWS, V), label: "Expected characters; press one to append it", heads: ["model", "drawn"],
    onPick: (token) => {
      stop();
      if (full() || !model.get("prompt")) return;
      append(vocabulary[token]);
      said();
    } });

  // ---- settings ----
  const setting = (values) => { put(values, false); request(); };
  const settled = () => { model.save_changes(); tellNext(); };
  const temperature = cx.slider({ label: "temperature", min: 0.1, max: 2, step: 0.05, value: opening.temperature, format: (v) => fixed(v, 2),
    onInput: (v) => setting({ temperature: v }), onChange: settled });
  const topK = cx.slider({ label: "top-k", min: 1, max: V, step: 1, value: opening.top_k ?? V, format: (v) => (v >= V ? `all ${V}` : String(v)),
    onInput: (v) => setting({ top_k: v >= V ? null : v }), onChange: settled });
  const topP = cx.slider({ label: "top-p", min: 0.05, max: 1, step: 0.05, value: opening.top_p, format: (v) => (v >= 1 ? "1 (all)" : fixed(v, 2)),
    onInput: (v) => setting({ top_p: v }), onChange: settled });
  const pair = cx.row();
  pair.classList.add("nt-pair");
  const numbers = (n) => Array.from({ length: n }, (_, k) => [String(k + 1), `${k + 1} of ${n}`]);
  const tellLooks = () => { cx.announce(looks.textContent); };
  const layer = cx.select({ label: "layer", options: numbers(net.L), value: String(opening.layer), inline: true, parent: pair,
    onChange: (v) => { put({ layer: Number(v) }); draw(); tellLooks(); } });
  const which = cx.select({ label: "head", options: numbers(net.H), value: String(opening.head), inline: true, parent: pair,
    onChange: (v) => { put({ head: Number(v) }); draw(); tellLooks(); } });
  const readout = h("div", { class: "nt-readout" });
  cx.panel.append(readout);
  const seedText = h("span", { class: "nt-seed" });
  const seedRow = cx.row();
  seedRow.append(seedText);
  cx.button({ label: "Other seed", parent: seedRow, title: "Other random numbers, from the prompt on", onClick: () => {
    stop();
    at = null;
    put({ seed: (model.get("seed") + 1) % 2 ** 31, generated: "" });
    cx.announce(`Seed ${model.get("seed")}; only the prompt is left.`);
    request();
  } });
  cx.resetButton(() => {
    stop();
    at = null;
    complained = "";
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, seedRow);
  cx.note("Character n after the prompt always meets random number n of the seed. So the same seed and settings give the same text.");

  function tellNext() {
    if (!model.get("prompt")) return;
    const s = get();
    const chances = expected();
    const { adjusted, reason } = sampling.adjust(chances, s.temperature, s.top_k, s.top_p);
    const best = ranked(chances)[0];
    cx.announce(`Most probable: ${titles[best]}, ${short(chances[best])}, after the settings ${short(adjusted[best])}. `
      + `${reason.filter((r) => !r).length} of ${V} characters can be drawn.`);
  }

  // ---- drawing ----
  let drawn = null;
  function drawText(text, start, surprises) {
    const id = `${start} ${text.join("")}`;
    if (id !== drawn) {
      const cells = text.flatMap((c, k) => {
        const end = c === "\n";
        const cell = h("span", { class: `nt-cell nt-l${k ? ntShade(surprises[k]) : 0}${k < start ? " nt-prompt" : ""}`, "data-k": k },
          h("i", { "aria-hidden": "true" }), h("b", { class: c === " " || glyph(c) !== c ? "nt-sign" : null, text: glyph(c) }));
        return end ? [cell, h("br")] : [cell];
      });
      box.replaceChildren(...cells, h("span", { class: "nt-cell nt-next", "data-k": text.length }, h("i"), h("b", { text: "?" })));
      drawn = id;
      box.scrollTop = box.scrollHeight;
    }
  }
  function draw() {
    const s = get();
    const ready = s.prompt.length > 0;
    if (field.value !== s.prompt) field.value = s.prompt;
    fault.textContent = ready ? complained || (full() ? `At ${NT_MAX_TEXT} characters the text ends here.` : "") : "The model needs at least one character to go on from.";
    const stuck = !ready || full();
    one.disable(stuck && !run);
    many.disable(stuck && !run);
    back.disable(!s.generated);
    many.set(run ? "Stop" : `Sample ${length}`);
    temperature.set(s.temperature);
    topK.set(s.top_k ?? V);
    topP.set(s.top_p);
    layer.set(String(s.layer));
    which.set(String(s.head));
    seedText.textContent = `seed ${s.seed}`;
    const text = whole();
    const n = text.length;
    if (!ready) {
      drawText([], 0, []);
      line.textContent = looks.textContent = "";
      head.textContent = "Next character";
      readout.replaceChildren(h("p", { text: "Nothing to go on from yet." }));
      bars.show({ order: vocabulary.map((_, k) => k), names, said: titles, before: null, disabled: true });
      set(box, { "aria-valuemin": 1, "aria-valuemax": 1, "aria-valuenow": 1, "aria-valuetext": "no text" });
      return;
    }
    const reader = read(text);
    const start = count(s.prompt);
    const surprises = text.map((c, k) => (k ? bits(reader.chances(k)[place.get(c)]) : 0));
    drawText(text, start, surprises);

    // the character looked at, and the attention of the one before it
    const k = at === null ? n : Math.min(at, n);
    const from = reader.start(k);
    const weights = k > 0 ? reader.attention(k, s.layer - 1, s.head - 1) : [];
    box.querySelectorAll(".nt-cell").forEach((cell, j) => {
      const w = weights[j - from] ?? 0;
      cell.firstChild.style.height = `${(24 * w).toFixed(1)}px`;
      cell.classList.toggle("nt-here", j === k);
      cell.classList.toggle("nt-unseen", j < k && j < from);
    });
    if (at !== null) {
      const cell = box.querySelector(".nt-here");
      const top = cell.offsetTop - box.scrollTop; // into view within the text, without moving the page
      if (top < 0) box.scrollTop += top - 4;
      else if (top + cell.offsetHeight > box.clientHeight) box.scrollTop += top + cell.offsetHeight - box.clientHeight + 4;
    }
    const chances = k > 0 ? reader.chances(k) : null;
    const { adjusted, reason } = chances ? sampling.adjust(chances, s.temperature, s.top_k, s.top_p) : {};
    if (k === n) {
      const best = ranked(chances)[0];
      line.textContent = `The next character: most probable is ${titles[best]}, ${short(chances[best])}.`;
    } else {
      const token = place.get(text[k]);
      const rank = chances ? chances.filter((p) => p > chances[token]).length + 1 : 0;
      line.textContent = chances ? `Character ${k + 1}, ${titles[token]}: probability ${short(chances[token])} (${fixed(surprises[k], 1)} bits), `
        + `${rank === 1 ? "the most probable" : `place ${rank} of ${V}`}.` : `Character 1, ${titles[token]}: nothing stands before it.`;
    }
    const best = weights.map((w, j) => [w, j]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, 3);
    looks.textContent = weights.length ? `Before it, head ${s.head} of layer ${s.layer} looks at ${best.map(([w, j]) => `${title(text[from + j])} (${k - from - j} back) ${fixed(w, 2)}`).join(", ")}`
      + `${from > 0 ? `; the first ${plural(from, "character")} ${from === 1 ? "is" : "are"} out of its sight` : ""}.` : "";
    set(box, { "aria-valuemin": 1, "aria-valuemax": n + 1, "aria-valuenow": k + 1, "aria-valuetext": line.textContent });

    head.textContent = k === n ? "Next character" : chances ? `Expected as character ${k + 1}` : "Nothing is expected before the first character";
    if (chances) {
      const order = ranked(chances);
      const hidden = order.slice(NT_ROWS);
      const others = hidden.length ? `${plural(hidden.length, "other")}: together ${short(hidden.reduce((sum, t) => sum + chances[t], 0))}, `
        + `after the settings ${short(hidden.reduce((sum, t) => sum + adjusted[t], 0))}` : "";
      bars.show({ order, names, said: titles, before: chances, after: adjusted, notes: reason.map((r) => (r ? `cut: ${r}` : "")), mark: k < n ? place.get(text[k]) : -1,
        disabled: stuck || k < n, others });
    } else bars.show({ order: vocabulary.map((_, j) => j), names, said: titles, before: null, disabled: true });

    const tail = k === n ? chances : reader.chances(n);
    const after = k === n ? { adjusted, reason } : sampling.adjust(tail, s.temperature, s.top_k, s.top_p);
    const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
    const own = surprises.slice(Math.max(start, 1));
    const loss = n > 1 ? mean(surprises.slice(1)) : NaN;
    const line2 = (name, value, words) => h("p", {}, h("b", { text: `${name} ${value}` }), words);
    readout.replaceChildren(
      n > 1 ? line2("Mean surprise", `${fixed(loss, 2)} bits`, ` a character over ${plural(n - 1, "character")}: a loss of ${fixed(loss * Math.LN2, 2)} nats, `
        + `perplexity ${ui.number(2 ** loss)}. A guess among ${V} costs ${fixed(Math.log2(V), 2)} bits.`) : h("p", { text: "Mean surprise: the text is too short." }),
      s.generated && start < n ? h("p", { text: `After the prompt alone: ${fixed(mean(own), 2)} bits.` }) : "",
      line2("Next: entropy", `${fixed(sampling.entropy(tail), 2)} bits`, `; after the settings ${fixed(sampling.entropy(after.adjusted), 2)}, ${plural(after.reason.filter((r) => !r).length, "character")} left.`),
      h("p", { class: "nt-small", text: "Surprise uses the model’s own probabilities, before the settings." }));
  }

  cx.observe(model, NT_STATE.map((name) => `change:${name}`).join(" "), request);
  draw();
  return cx.dispose;
}

export default { render };
