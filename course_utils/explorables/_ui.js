// Shared library of the interactive figures. `_base.py` puts this text before a figure's own file, so that
// the two are one ES module with no import. A figure's file may use the single name `ui`:
//
//   function render({ model, el }) {
//     const cx = ui.shell(el, { kind: "slope", question: "What does the slope do?", lead: "Drag the dot.",
//                               tries: ["Try a slope of 0."] });
//     const plane = ui.plane(cx, { x: [-2, 2], y: [-2, 2], label: "A line through the origin" });
//     const slope = cx.slider({ label: "slope", min: -2, max: 2, step: .1, value: model.get("slope"),
//                               onInput: (v) => { model.set("slope", v); model.save_changes(); } });
//     cx.observe(model, "change:slope", cx.frame(draw));       // draw() once per animation frame at most
//     return cx.dispose;                                       // removes every listener and the figure
//   }
//   export default { render };
//
// What `ui` offers
//   ui.h(tag, attrs, ...children), ui.svg(tag, attrs, ...children)   elements; on* attrs are not supported,
//        attrs: null/false is left out, true is "", `text` sets textContent; children: nodes or strings
//   ui.set(node, attrs)            the same attributes on an existing element
//   ui.rich(text)                  DocumentFragment, `backticks` become <code>; never HTML
//   ui.mulberry32(seed) -> () => number in [0, 1);  ui.gaussian(random) -> () => standard normal number
//   ui.clamp(v, lo, hi), ui.fixed(v, digits)  ("-0.00" never appears, minus is "−"), ui.ticks([lo, hi], about)
//   ui.number(v)  three significant digits as a person writes them: 0.105, 12.3, 3.2×10⁻⁸;  ui.superscript(-8) "⁻⁸"
//   ui.uid(prefix)                 an id unique on the page, also over several figures (for label/for, aria-*)
//   ui.marker(sign, r)             path data of a class marker round (0, 0): square for 1, circle for -1 or 0
//   ui.color                       {blue, orange, green, purple, sky, red, grey, ink, soft, rule, grid, plot, bg,
//                                  negative, positive, good, bad}: CSS values such as "var(--cx-blue)" for SVG
//   ui.plane(cx, {...})            an SVG plot with axes; see the function
//   ui.shell(el, {...}) -> cx      the figure's frame; `cx` keeps what must be cleaned up:
//
//   cx.root, cx.stage (drawings), cx.panel (controls)   elements; @container widths: one column below 620 px
//   cx.on(target, "a b", handler, options)   addEventListener, removed at the end
//   cx.observe(model, "change:a change:b", handler)     model.on, taken off at the end
//   cx.defer(fn)                   runs at the end
//   cx.frame(draw) -> request      request() calls draw(now) in the next animation frame, once
//   cx.animate(step) -> {start, stop, running}          step(now, milliseconds) each frame until it returns false
//   cx.announce(text)              polite live region, at most about once a second, the last text wins
//   cx.theme ("light" | "dark"), cx.onTheme(fn), cx.resolve("blue") -> "#0072c0" (for canvas; ask again on change)
//   cx.onResize(fn(width))         width of cx.stage, also called once at the start
//   cx.calm                        true when the reader prefers reduced motion
//   cx.slider({label, min, max, step, value, format, onInput, onChange, parent, valueText})
//        -> {element, input, output, value, set(v), disable(flag)};  set() does not call onInput
//   cx.select({label, options: [[value, text], ...], value, onChange, parent, inline}) -> {element, input, value, set, disable}
//   cx.button({label, onClick, primary, parent, title, pressed}) -> {element, set(label), press(flag), disable(flag)}
//   cx.resetButton(onClick, parent)
//   cx.checkbox({label, value, onChange, parent}) -> {element, input, value, set, disable}
//   cx.choice({legend, options: [[value, text], ...], value, onChange, parent}) -> radio buttons {element, value, set, disable}
//   cx.row(parent) -> element that lays out its children in a wrapping row;  cx.note(text, parent)
//   cx.handle(node, {...})         makes an SVG element draggable by pointer, touch and keys; see the function
//
// Controls without `parent` are put into cx.panel. Keys pressed in a figure never reach the page's or
// JupyterLab's own shortcuts.
const ui = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const THEMES = ["data-theme", "data-jp-theme-light", "theme", "data-vscode-theme-kind", "class", "style"];

  const set = (node, attrs) => {
    for (const [name, value] of Object.entries(attrs || {})) {
      if (name === "text") node.textContent = value;
      else if (value === null || value === undefined || value === false) node.removeAttribute(name);
      else node.setAttribute(name, value === true ? "" : value);
    }
    return node;
  };
  const build = (node, attrs, children) => {
    set(node, attrs);
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };
  const h = (tag, attrs, ...children) => build(document.createElement(tag), attrs, children);
  const svg = (tag, attrs, ...children) => build(document.createElementNS(SVG, tag), attrs, children);

  const rich = (text) => {
    const parts = String(text).split("`");
    const out = document.createDocumentFragment();
    if (parts.length % 2 === 0) out.append(String(text)); // an unpaired backtick is an ordinary character
    else parts.forEach((part, i) => part && out.append(i % 2 ? h("code", { text: part }) : part));
    return out;
  };

  const mulberry32 = (seed) => {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) >>> 0;
      let t = a;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  };
  const gaussian = (random) => () =>
    Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const fixed = (value, digits = 2) => {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
    const text = Math.abs(value).toFixed(digits);
    return value < 0 && Number(text) !== 0 ? "−" + text : text;
  };
  const superscript = (n) => String(n).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));
  const number = (value) => {
    if (Number.isNaN(value)) return "–";
    if (value === 0) return "0";
    const sign = value < 0 ? "−" : "";
    const size = Math.abs(value);
    if (!Number.isFinite(size)) return `${sign}∞`;
    if (size >= 0.001 && size < 9999.5) return sign + String(Number(size.toPrecision(3)));
    const [digits, power] = size.toExponential(1).split("e");
    return `${sign}${digits}×10${superscript(Number(power))}`;
  };
  const ticks = ([low, high], about = 5) => {
    const raw = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const out = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) out.push(+(i * step).toPrecision(12));
    return out;
  };

  let counter = 0;
  const salt = Math.random().toString(36).slice(2, 8); // two modules on a page count separately
  const uid = (prefix = "cx") => `${prefix}-${salt}-${(counter += 1)}`;

  const marker = (sign, r) =>
    sign <= 0
      ? `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`
      : `M${-0.9 * r} ${-0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}Z`;

  const color = {};
  for (const name of ["blue", "orange", "green", "purple", "sky", "red", "yellow", "grey", "ink", "soft", "rule",
    "grid", "plot", "bg", "panel", "good", "bad", "edge", "focus", "blue-soft", "orange-soft"]) color[name] = `var(--cx-${name})`;
  color.negative = color.orange;
  color.positive = color.blue;

  // Which theme the page shows: its own marker first, else the ground behind the figure, else the system.
  const themeOf = (el) => {
    const html = document.documentElement;
    const body = document.body;
    const declared = html.getAttribute("data-theme") || html.getAttribute("theme") || body?.getAttribute("theme");
    if (declared === "dark" || declared === "light") return declared;
    const lab = body?.getAttribute("data-jp-theme-light");
    if (lab) return lab === "false" ? "dark" : "light";
    const code = body?.getAttribute("data-vscode-theme-kind");
    if (code) return /dark|high-contrast$/.test(code) ? "dark" : "light";
    for (let node = el; node instanceof Element; node = node.parentElement || node.getRootNode().host) {
      const rgba = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number);
      if (rgba && rgba.length >= 3 && (rgba[3] ?? 1) > 0.5)
        return 0.299 * rgba[0] + 0.587 * rgba[1] + 0.114 * rgba[2] < 128 ? "dark" : "light";
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };

  function shell(el, { kind, question, lead, tries = [], label }) {
    const cleanup = [];
    const defer = (fn) => cleanup.push(fn);
    const on = (target, names, handler, options) => {
      for (const name of names.split(" ")) {
        target.addEventListener(name, handler, options);
        defer(() => target.removeEventListener(name, handler, options));
      }
    };

    const stage = h("div", { class: "cx-stage" });
    const panel = h("div", { class: "cx-panel" });
    const live = h("div", { class: "cx-hidden", role: "status", "aria-live": "polite" });
    const heading = question && h("p", { class: "cx-question", id: uid("q"), text: question });
    const root = h(
      "div",
      {
        class: `cx cx-${kind}`,
        role: "group",
        "aria-labelledby": heading ? heading.id : null,
        "aria-label": heading ? null : label,
        "data-lm-suppress-shortcuts": "true", // JupyterLab leaves keys pressed in here alone
      },
      heading,
      lead && h("p", { class: "cx-lead" }, rich(lead)),
      h("div", { class: "cx-main" }, stage, panel),
      tries.length > 0 &&
        h("details", { class: "cx-tries" }, h("summary", { text: "Things to try" }),
          h("ol", {}, tries.map((item) => h("li", {}, rich(item))))),
      live,
    );

    let disposed = false;
    const dispose = () => {
      if (disposed) return;
      disposed = true;
      while (cleanup.length) cleanup.pop()();
      root.remove();
    };

    const frame = (draw) => {
      let pending = 0;
      defer(() => cancelAnimationFrame(pending));
      return () => {
        if (!pending && !disposed)
          pending = requestAnimationFrame((now) => {
            pending = 0;
            draw(now);
          });
      };
    };
    const animate = (step) => {
      let handle = 0;
      let last = 0;
      const loop = (now) => {
        handle = requestAnimationFrame(loop);
        const passed = now - last;
        last = now;
        if (step(now, passed) === false) stop();
      };
      const start = () => {
        if (handle || disposed) return;
        last = performance.now();
        handle = requestAnimationFrame(loop);
      };
      const stop = () => {
        cancelAnimationFrame(handle);
        handle = 0;
      };
      defer(stop);
      return { start, stop, get running() { return handle !== 0; } };
    };

    let said = 0;
    let timer = 0;
    const announce = (text) => {
      clearTimeout(timer);
      const say = () => {
        said = performance.now();
        live.textContent = text;
      };
      timer = setTimeout(say, clamp(said + 1000 - performance.now(), 60, 1000));
    };
    defer(() => clearTimeout(timer));

    const themeHandlers = [];
    let theme = "light";
    const retheme = () => {
      const now = themeOf(el);
      if (now === theme && root.dataset.cxTheme) return;
      theme = now;
      root.dataset.cxTheme = now;
      themeHandlers.forEach((fn) => fn(now));
    };
    const watcher = new MutationObserver(retheme);
    for (const node of [document.documentElement, document.body]) if (node) watcher.observe(node, { attributes: true, attributeFilter: THEMES });
    defer(() => watcher.disconnect());
    on(matchMedia("(prefers-color-scheme: dark)"), "change", retheme);

    on(root, "keydown keyup keypress", (event) => event.stopPropagation());

    const onResize = (fn) => {
      let width = 0;
      const report = () => {
        const now = Math.floor(stage.clientWidth);
        if (now > 0 && now !== width) fn((width = now));
      };
      const observer = new ResizeObserver(report);
      observer.observe(stage);
      defer(() => observer.disconnect());
      report();
    };

    const place = (node, parent) => (parent || panel).append(node);

    const slider = ({ label: text, min, max, step, value, format = String, onInput, onChange, parent, valueText }) => {
      const id = uid("in");
      const input = h("input", { type: "range", id, min, max, step, value });
      const output = h("output", { for: id });
      const show = () => {
        output.textContent = format(Number(input.value));
        input.setAttribute("aria-valuetext", (valueText || format)(Number(input.value)));
      };
      on(input, "input", () => { show(); onInput?.(Number(input.value)); });
      if (onChange) on(input, "change", () => onChange(Number(input.value)));
      show();
      const element = h("div", { class: "cx-field" }, h("label", { for: id, text }), output, input);
      place(element, parent);
      return {
        element, input, output,
        get value() { return Number(input.value); },
        set(v) { input.value = v; show(); },
        disable(flag) { input.disabled = flag; },
      };
    };

    const select = ({ label: text, options, value, onChange, parent, inline }) => {
      const id = uid("in");
      const input = h("select", { id }, options.map(([v, t]) => h("option", { value: v, text: t })));
      input.value = value;
      on(input, "change", () => onChange?.(input.value));
      const element = h("div", { class: inline ? "cx-field cx-inline" : "cx-field" }, h("label", { for: id, text }), input);
      place(element, parent);
      return {
        element, input,
        get value() { return input.value; },
        set(v) { input.value = v; },
        disable(flag) { input.disabled = flag; },
      };
    };

    const button = ({ label: text, onClick, primary, parent, title, pressed }) => {
      const element = h("button", { type: "button", class: primary ? "cx-primary" : null, title, text,
        "aria-pressed": pressed === undefined ? null : String(pressed) });
      on(element, "click", (event) => onClick?.(event));
      place(element, parent);
      return {
        element,
        set(t) { if (element.textContent !== t) element.textContent = t; },
        press(flag) { element.setAttribute("aria-pressed", String(flag)); },
        disable(flag) { element.disabled = flag; },
      };
    };
    const resetButton = (onClick, parent) => button({ label: "Reset", title: "Back to the opening state", onClick, parent });

    const checkbox = ({ label: text, value, onChange, parent }) => {
      const input = h("input", { type: "checkbox" });
      input.checked = Boolean(value);
      on(input, "change", () => onChange?.(input.checked));
      const element = h("label", { class: "cx-check" }, input, h("span", { text }));
      place(element, parent);
      return {
        element, input,
        get value() { return input.checked; },
        set(v) { input.checked = Boolean(v); },
        disable(flag) { input.disabled = flag; },
      };
    };

    const choice = ({ legend, options, value, onChange, parent }) => {
      const name = uid("radio");
      const inputs = options.map(([v]) => h("input", { type: "radio", name, value: v }));
      const element = h("fieldset", { class: "cx-choice" }, h("legend", { text: legend }),
        h("div", { class: "cx-options" }, options.map(([, t], i) => h("label", {}, inputs[i], h("span", { text: t })))));
      const put = (v) => inputs.forEach((input) => { input.checked = input.value === String(v); });
      put(value);
      on(element, "change", (event) => onChange?.(event.target.value));
      place(element, parent);
      return {
        element,
        get value() { return inputs.find((input) => input.checked)?.value; },
        set: put,
        disable(flag) { element.disabled = flag; },
      };
    };

    const row = (parent) => {
      const element = h("div", { class: "cx-row" });
      place(element, parent);
      return element;
    };
    const note = (text, parent) => {
      const element = h("p", { class: "cx-note" }, rich(text));
      place(element, parent);
      return element;
    };

    // Make an SVG element a handle. Give it an invisible larger shape for fingers and an element of class
    // "cx-ring" that becomes visible at keyboard focus.
    //   label: text or () => text     accessible name; call the returned refresh() after the position changed
    //   role: "button" | "slider"     a slider also needs value: () => ({now, min, max, text})
    //   point(event) -> {x, y}        from a pointer event to the figure's coordinates (plane.point)
    //   at() -> {x, y}                where the handle is now
    //   move({x, y}, event)           the handle wants to be there (the distance to the grip is kept)
    //   start(event), end(event)      optional; `end` also follows keys
    //   step                          how far an arrow key goes (Shift: five times)
    //   keys: {Enter: fn, Delete: fn} more keys
    //   tabindex                      0 unless told
    const handle = (node, { label: name, role = "button", value, point, at, move, start, end, step = 0.1, keys = {}, tabindex = 0 }) => {
      set(node, { "data-cx-handle": true, role, tabindex, focusable: "true" });
      const refresh = () => {
        node.setAttribute("aria-label", typeof name === "function" ? name() : name);
        if (!value) return;
        const { now, min, max, text } = value();
        set(node, { "aria-valuenow": now, "aria-valuemin": min, "aria-valuemax": max, "aria-valuetext": text });
      };
      const own = [];
      const bind = (type, fn, options) => {
        node.addEventListener(type, fn, options);
        own.push(() => node.removeEventListener(type, fn, options));
      };
      let grip = null;
      bind("pointerdown", (event) => {
        if (event.button !== 0 || grip) return;
        event.preventDefault();
        event.stopPropagation();
        node.focus({ preventScroll: true, focusVisible: false });
        const p = point(event);
        const a = at();
        grip = { id: event.pointerId, dx: a.x - p.x, dy: a.y - p.y };
        node.setPointerCapture(event.pointerId);
        node.classList.add("cx-dragging");
        start?.(event);
      });
      bind("pointermove", (event) => {
        if (!grip || event.pointerId !== grip.id) return;
        const p = point(event);
        move({ x: p.x + grip.dx, y: p.y + grip.dy }, event);
      });
      const release = (event) => {
        if (!grip || event.pointerId !== grip.id) return;
        grip = null;
        node.classList.remove("cx-dragging");
        refresh();
        end?.(event);
      };
      bind("pointerup", release);
      bind("pointercancel", release);
      bind("lostpointercapture", release);
      bind("click", (event) => event.stopPropagation());
      const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      bind("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const arrow = ARROWS[event.key];
        if (arrow) {
          const by = step * (event.shiftKey ? 5 : 1);
          const a = at();
          event.preventDefault();
          move({ x: a.x + arrow[0] * by, y: a.y + arrow[1] * by }, event);
          refresh();
          end?.(event);
        } else if (keys[event.key]) {
          event.preventDefault();
          keys[event.key](event);
        }
      });
      const remove = () => { while (own.length) own.pop()(); };
      defer(remove);
      refresh();
      return { refresh, remove };
    };

    const cx = {
      root, stage, panel, on, defer, dispose, frame, animate, announce, onResize, slider, select, button, resetButton,
      checkbox, choice, row, note, handle,
      observe(model, names, handler) {
        for (const name of names.split(" ")) {
          model.on(name, handler);
          defer(() => model.off(name, handler));
        }
      },
      get theme() { return theme; },
      onTheme(fn) { themeHandlers.push(fn); },
      resolve: (name) => getComputedStyle(root).getPropertyValue(`--cx-${{ negative: "orange", positive: "blue" }[name] || name}`).trim(),
      get calm() { return matchMedia("(prefers-reduced-motion: reduce)").matches; },
    };
    el.append(root);
    retheme();
    return cx;
  }

  // A plot area with grid, ticks and axis names, as wide as `parent` (cx.stage) and redrawn when that changes.
  //   x, y: [low, high]; aspect: height of the plot / width, or "equal" for equal units; maxWidth;
  //   xLabel, yLabel; zero: draw the lines x = 0 and y = 0; xTicks, yTicks: numbers, else chosen;
  //   label: accessible name of the picture; parent; onLayout(plane): after each change of size
  //   role: "img" unless handles stand inside ("group")
  // -> { svg, back, layer, front, X(x), Y(y), toX(px), toY(py), point(event) -> {x, y}, inside({x, y}),
  //      width, height (of the plot area), left, top, range(x, y) to change the limits }
  // `back`, `layer` and `front` are <g> clipped to the plot area, in pixel coordinates of the svg.
  function plane(cx, options) {
    const { aspect = "equal", maxWidth = 560, xLabel = "", yLabel = "", zero = true, label, parent = cx.stage,
      onLayout, role = "group" } = options;
    let { x, y } = options;
    const left = yLabel ? 46 : 34;
    const right = 10;
    const top = 8;
    const bottom = xLabel ? 42 : 24;
    const axes = svg("g", { "aria-hidden": "true" });
    const clip = svg("svg", {}); // a nested svg clips without an id
    const [back, layer, front] = [svg("g", {}), svg("g", {}), svg("g", {})];
    clip.append(back, layer, front);
    const node = svg("svg", { role, "aria-label": label }, axes, clip);
    parent.append(node);
    const self = {
      svg: node, back, layer, front, left, top, width: 0, height: 0,
      X: (v) => left + ((v - x[0]) / (x[1] - x[0])) * self.width,
      Y: (v) => top + ((y[1] - v) / (y[1] - y[0])) * self.height,
      toX: (px) => x[0] + ((px - left) / self.width) * (x[1] - x[0]),
      toY: (py) => y[1] - ((py - top) / self.height) * (y[1] - y[0]),
      point(event) {
        const box = node.getBoundingClientRect();
        const scale = node.viewBox.baseVal.width / box.width || 1;
        return { x: self.toX((event.clientX - box.left) * scale), y: self.toY((event.clientY - box.top) * scale) };
      },
      inside: (p) => p.x >= x[0] && p.x <= x[1] && p.y >= y[0] && p.y <= y[1],
      get x() { return x; },
      get y() { return y; },
      range(nx, ny) {
        x = nx || x;
        y = ny || y;
        if (self.width) layout(self.width + left + right);
      },
    };
    const layout = (available) => {
      const total = Math.min(available, maxWidth);
      self.width = total - left - right;
      const ratio = aspect === "equal" ? (y[1] - y[0]) / (x[1] - x[0]) : aspect;
      self.height = Math.round(self.width * ratio);
      const height = top + self.height + bottom;
      set(node, { width: total, height, viewBox: `0 0 ${total} ${height}` });
      // the viewBox keeps the plot's pixel coordinates while everything outside is cut off
      set(clip, { x: left, y: top, width: self.width, height: self.height, viewBox: `${left} ${top} ${self.width} ${self.height}` });
      axes.replaceChildren(svg("rect", { class: "cx-plot", x: left, y: top, width: self.width, height: self.height }));
      const few = self.width < 340 ? 4 : 7;
      for (const v of options.xTicks || ticks(x, few))
        axes.append(
          svg("path", { class: zero && v === 0 ? "cx-zero" : "cx-grid", d: `M${self.X(v)} ${top}v${self.height}` }),
          svg("text", { class: "cx-tick", x: self.X(v), y: top + self.height + 16, "text-anchor": "middle", text: String(v).replace("-", "−") }));
      for (const v of options.yTicks || ticks(y, Math.max(3, Math.round(self.height / 55))))
        axes.append(
          svg("path", { class: zero && v === 0 ? "cx-zero" : "cx-grid", d: `M${left} ${self.Y(v)}h${self.width}` }),
          svg("text", { class: "cx-tick", x: left - 6, y: self.Y(v) + 4.5, "text-anchor": "end", text: String(v).replace("-", "−") }));
      if (xLabel) axes.append(svg("text", { x: left + self.width / 2, y: height - 6, "text-anchor": "middle", text: xLabel }));
      if (yLabel) axes.append(svg("text", { transform: `translate(12 ${top + self.height / 2}) rotate(-90)`, "text-anchor": "middle", text: yLabel }));
      onLayout?.(self);
    };
    if (parent === cx.stage) cx.onResize(layout);
    else {
      const observer = new ResizeObserver(() => parent.clientWidth && layout(parent.clientWidth));
      observer.observe(parent);
      cx.defer(() => observer.disconnect());
      layout(parent.clientWidth || maxWidth);
    }
    return self;
  }

  return { h, svg, set, rich, mulberry32, gaussian, clamp, fixed, number, superscript, ticks, uid, marker, color, plane, shell };
})();
