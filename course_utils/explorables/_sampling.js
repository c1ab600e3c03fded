// Drawing the next token of a language model, and saying how surprising one was: what figures of language models share.
//
//   sampling.softmax(logits) -> probabilities
//   sampling.ranked(p)                 tokens, the most probable one first; of equals the one that comes first in the vocabulary
//   sampling.adjust(p, temperature, topK, topP) -> {adjusted, reason}     reason[token] is "" or what cut it
//   sampling.uniform(seed, index)      number `index` of the generator ui.mulberry32(seed)
//   sampling.draw(p, number)           the token that a number from [0, 1) draws
//   sampling.entropy(p), sampling.bits(p)      in bits
//   sampling.glyph(token), sampling.title(token)      how a token is written in a label, and how it is said
//   sampling.short(p)                  a probability in a few digits
//   sampling.bars(cx, { parent, count, label, heads: [before, after], words, onPick })      rows of two bars, for `count` tokens
//     -> { element, show({ order, names, said, before, after, notes, mark, disabled, others }) }
//        order: tokens, of which the first `count` get a row; names[token], and said[token] for who listens; before, after: probabilities, after may be null;
//        notes[token]: words in place of the second number; mark: the token with a sign beside it; others: the line below;
//        words: names are words, not characters;
//        onPick(token, event): a row is pressed; without it rows are read only
//
// The Python twins stand in sampling_lab.py.
const sampling = (() => {
  const softmax = (z) => {
    let top = -Infinity;
    for (const v of z) top = Math.max(top, v);
    const e = Array.from(z, (v) => Math.exp(v - top));
    const sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  };
  const ranked = (p) => p.map((_, k) => k).sort((a, b) => p[b] - p[a] || a - b);
  const adjust = (p, temperature = 1, topK = null, topP = 1) => {
    const tempered = softmax(p.map((v) => Math.log(v) / temperature));
    const few = ranked(p).slice(0, topK ?? p.length);
    let count = few.length;
    if (topP < 1) {
      const running = [];
      for (const token of few) running.push((running[running.length - 1] ?? 0) + tempered[token]);
      count = running.findIndex((v) => v >= topP * running[running.length - 1] - 1e-12) + 1;
    }
    const reason = new Array(p.length).fill("top-k");
    few.forEach((token, k) => { reason[token] = k < count ? "" : "top-p"; });
    const left = tempered.map((v, k) => (reason[k] ? 0 : v));
    const sum = left.reduce((a, b) => a + b, 0);
    return { adjusted: left.map((v) => v / sum), reason };
  };
  const uniform = (seed, index) => ui.mulberry32((seed + Math.imul(index, 0x6d2b79f5)) >>> 0)();
  const draw = (p, number) => {
    const order = ranked(p);
    const running = [];
    for (const token of order) running.push((running[running.length - 1] ?? 0) + p[token]);
    return order[running.findIndex((v) => v > number * running[running.length - 1])];
  };
  const entropy = (p) => p.reduce((sum, v) => (v > 0 ? sum - v * Math.log2(v) : sum), 0);
  const bits = (p) => -Math.log2(p) + 0;
  const GLYPHS = { " ": "␣", "\n": "⏎", "\t": "⇥" };
  const NAMES = { " ": "space", "\n": "end of line", "\t": "tabulator" };
  const glyph = (token) => GLYPHS[token] || (/^[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Zs}]$/u.test(token)
    ? `U+${token.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : token);
  const title = (token) => NAMES[token] || glyph(token);
  const short = (p) => (p >= 0.0995 ? ui.fixed(p, 2) : p >= 0.00095 ? ui.fixed(p, 3) : p === 0 ? "0" : "< 0.001");

  function bars(cx, { parent, count, label, heads, words, onPick }) {
    const { h, set } = ui;
    const scale = h("span", { class: "sa-scale" });
    const list = h("div", { role: onPick ? "group" : "list", "aria-label": label });
    const rest = h("p", { class: "sa-rest" });
    const rows = Array.from({ length: count }, (_, k) => {
      const name = h("span", { class: "sa-name" });
      const lower = h("i", { class: "sa-before" });
      const upper = h("i", { class: "sa-after" });
      const numbers = [h("span", { class: "sa-number" }), h("span", { class: "sa-number" })];
      const node = h(onPick ? "button" : "div", { class: "sa-row", type: onPick ? "button" : null, role: onPick ? null : "listitem",
        tabindex: onPick ? (k ? -1 : 0) : null }, name, h("span", { class: "sa-track" }, lower, upper), numbers);
      return { node, name, lower, upper, numbers, token: 0 };
    });
    list.append(...rows.map((r) => r.node));
    const element = h("div", { class: "sa-bars" },
      h("div", { class: "sa-heads", "aria-hidden": "true" }, h("span"), scale, heads.map((text, k) => h("span", { class: "sa-number" }, h("i", { class: k ? "sa-after" : "sa-before" }), text))),
      list, rest);
    element.classList.toggle("sa-words", Boolean(words));
    parent.append(element);
    const rowOf = (event) => rows.findIndex((r) => r.node.contains(event.target));
    const rove = (k) => rows.forEach((r, j) => set(r.node, { tabindex: j === k ? 0 : -1 }));
    if (onPick) {
      cx.on(list, "click", (event) => {
        const k = rowOf(event);
        if (k < 0 || rows[k].node.disabled) return;
        rove(k);
        onPick(rows[k].token, event);
      });
      cx.on(list, "keydown", (event) => {
        const now = rowOf(event);
        if (now < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
        const k = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: count - 1 }[event.key];
        if (k === undefined) return;
        event.preventDefault();
        if (!rows[k]) return;
        rove(k);
        rows[k].node.focus();
      });
    }
    function show({ order, names, said = names, before, after = null, notes = null, mark = -1, disabled = false, others = "" }) {
      let longest = 0;
      if (before) order.forEach((token) => { longest = Math.max(longest, before[token], after ? after[token] : 0); });
      const end = [0.25, 0.5].find((v) => longest <= v) ?? 1;
      element.classList.toggle("sa-single", !after && !notes);
      scale.textContent = before ? `full width: ${end}` : "";
      rows.forEach((r, k) => {
        const token = order[k];
        r.token = token;
        const note = notes ? notes[token] : "";
        r.name.textContent = names[token] + (token === mark ? " ◂" : "");
        r.lower.style.width = before ? `${((100 * before[token]) / end).toFixed(2)}%` : "0";
        r.upper.style.width = after ? `${((100 * after[token]) / end).toFixed(2)}%` : "0";
        r.lower.classList.toggle("sa-alone", !after);
        r.lower.classList.toggle("sa-hatched", Boolean(note));
        r.name.classList.toggle("sa-word", Array.from(names[token]).length > 1);
        r.node.classList.toggle("sa-cut", Boolean(note));
        r.node.classList.toggle("sa-marked", token === mark);
        r.numbers[0].textContent = before ? short(before[token]) : "–";
        r.numbers[1].textContent = note || (after ? short(after[token]) : "");
        if (onPick) r.node.disabled = disabled;
        set(r.node, { "aria-label": before ? `${said[token]}: ${heads[0]} ${short(before[token])}${note ? `, ${note}` : after ? `, ${heads[1]} ${short(after[token])}` : ""}` : said[token] });
      });
      rest.textContent = others;
    }
    return { element, show };
  }
  return { softmax, ranked, adjust, uniform, draw, entropy, bits, glyph, title, short, bars };
})();
