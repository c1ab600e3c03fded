// A sequence that the reader draws, and a cursor that walks through its steps: what figures of recurrent cells share.
//
//   const line = timeline(cx, model, { label, limit, pause, put, request, tell });
//     the model's state holds inputs (T numbers between -limit and limit) and step (1 ... T)
//     label: accessible name of the drawing; pause: milliseconds a step while playing
//     put(values, save = true): sets state; request(): redraws; tell(): says what is at the cursor
//   line.drawing, line.marks   the svg, and its <g> for everything that is made anew for each frame
//   line.walking               true while the steps after the cursor are still to come
//   line.still()               stops, and shows all steps
//   line.place({ left, col, inputZero, inputUnit, pads, area, ring, valuetext })
//     after each drawing: where columns begin and how wide they are, the input's zero and pixels a unit; pads, area and
//     ring are { y, height } of the inputs' handles, of where a press moves the cursor, and of the cursor; valuetext: its words
function timeline(cx, model, { label, limit, pause, put, request, tell }) {
  const length = () => model.get("inputs").length;
  let walking = false;
  let geometry = null;
  const marks = ui.svg("g", { "aria-hidden": "true" });
  const handles = ui.svg("g", {});
  const cursor = ui.svg("g", { "data-cx-handle": true, role: "slider", tabindex: 0, focusable: "true", "aria-label": "Step" });
  const cursorArea = ui.svg("rect", { class: "tl-area" });
  const cursorRing = ui.svg("rect", { class: "cx-ring", rx: 3 });
  cursor.append(cursorArea, cursorRing);
  const drawing = ui.svg("svg", { role: "group", "aria-label": label }, marks, cursor, handles);
  cx.stage.append(drawing);
  const point = (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width || 1;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const columnAt = (x) => ui.clamp(Math.floor((x - geometry.left) / geometry.col) + 1, 1, length());

  // ---- the inputs, one slider each; a drag also paints over its neighbours ----
  const pads = [];
  const setInput = (t, value, save = false) => {
    const inputs = [...model.get("inputs")];
    inputs[t - 1] = ui.clamp(Math.round(value * 20) / 20, -limit, limit);
    walking = false;
    put({ inputs, step: t }, save);
  };
  const makePad = (t) => {
    const hit = ui.svg("rect", { class: "tl-hit" });
    const ring = ui.svg("rect", { class: "cx-ring", rx: 3 });
    const node = ui.svg("g", { "data-cx-handle": true, class: "tl-pad", role: "slider", "aria-orientation": "vertical", focusable: "true",
      "aria-valuemin": -limit, "aria-valuemax": limit, "aria-label": `Input at step ${t}` }, hit, ring);
    let held = null;
    const paint = (event) => {
      const p = point(event);
      setInput(columnAt(p.x), (geometry.inputZero - p.y) / geometry.inputUnit);
    };
    cx.on(node, "pointerdown", (event) => {
      if (event.button !== 0 || held !== null) return;
      event.preventDefault();
      player.stop();
      node.focus({ preventScroll: true, focusVisible: false });
      node.setPointerCapture(event.pointerId);
      held = event.pointerId;
      paint(event);
    });
    cx.on(node, "pointermove", (event) => { if (held === event.pointerId) paint(event); });
    cx.on(node, "pointerup pointercancel lostpointercapture", (event) => {
      if (held !== event.pointerId) return;
      held = null;
      model.save_changes();
      tell();
    });
    cx.on(node, "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const value = model.get("inputs")[t - 1];
      const by = { ArrowUp: 0.1, ArrowDown: -0.1 }[event.key];
      const to = { ArrowLeft: t - 1, ArrowRight: t + 1, Home: 1, End: length() }[event.key];
      if (by) setInput(t, value + by * (event.shiftKey ? 5 : 1), true);
      else if (event.key === "Delete" || event.key === "Backspace" || event.key === "0") setInput(t, 0, true);
      else if (to !== undefined) {
        const near = ui.clamp(to, 1, length());
        put({ step: near });
        pads[near - 1].node.setAttribute("tabindex", 0);
        pads[near - 1].node.focus();
      } else return;
      event.preventDefault();
      player.stop();
      tell();
    });
    handles.append(node);
    return { node, hit, ring };
  };

  // ---- walking through time ----
  const go = (t) => {
    const step = ui.clamp(t, 1, length());
    walking = step < length();
    put({ step });
    request();
  };
  let since = 0;
  const player = cx.animate((now, passed) => {
    since += Math.min(passed, 100);
    if (since < pause) return true;
    since = 0;
    go(model.get("step") + 1);
    if (model.get("step") < length()) return true;
    tell();
    return false;
  });
  const walk = (t) => {
    player.stop();
    go(t);
    tell();
  };
  const bar = cx.row(cx.stage);
  bar.classList.add("tl-bar");
  const play = cx.button({ label: "Play", primary: true, parent: bar, title: "Walk through the steps", onClick: () => {
    if (player.running) player.stop();
    else if (cx.calm) walk(model.get("step") >= length() ? 1 : model.get("step") + 1); // no motion: one step each time
    else {
      if (model.get("step") >= length()) go(1);
      since = 0;
      player.start();
    }
    request();
  } });
  const back = cx.button({ label: "◀ Step", parent: bar, title: "One step back", onClick: () => walk(model.get("step") - 1) });
  const next = cx.button({ label: "Step ▶", parent: bar, title: "One step on", onClick: () => walk(model.get("step") + 1) });
  const where = ui.h("span", { class: "tl-where" });
  bar.append(where);
  cx.on(cursor, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = model.get("step");
    const to = { ArrowLeft: step - 1, ArrowDown: step - 1, ArrowRight: step + 1, ArrowUp: step + 1, Home: 1, End: length() }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    walk(to);
  });
  let held = null;
  cx.on(cursor, "pointerdown", (event) => {
    if (event.button !== 0) return;
    held = event.pointerId;
    cursor.focus({ preventScroll: true, focusVisible: false });
    cursor.setPointerCapture(held);
    player.stop();
    walking = false;
    put({ step: columnAt(point(event).x) }, false);
    request();
  });
  cx.on(cursor, "pointermove", (event) => { if (held === event.pointerId) put({ step: columnAt(point(event).x) }, false); });
  cx.on(cursor, "pointerup pointercancel", (event) => {
    if (held !== event.pointerId) return;
    held = null;
    model.save_changes();
    tell();
  });

  return {
    drawing,
    marks,
    get walking() { return walking; },
    still() {
      player.stop();
      walking = false;
    },
    place(now) {
      geometry = now;
      const { left, col } = now;
      const T = length();
      const step = ui.clamp(model.get("step"), 1, T);
      while (pads.length < T) pads.push(makePad(pads.length + 1));
      pads.forEach(({ node, hit, ring }, k) => {
        node.style.display = k < T ? "" : "none";
        if (k >= T) return;
        const value = model.get("inputs")[k];
        const x = left + k * col;
        ui.set(hit, { x, width: col, ...now.pads });
        ui.set(ring, { x: x + 1, width: Math.max(col - 2, 1), ...now.pads });
        ui.set(node, { tabindex: k + 1 === step ? 0 : -1, "aria-valuenow": value, "aria-valuetext": ui.fixed(value, 2) });
      });
      ui.set(cursorArea, { x: left, width: T * col, ...now.area });
      ui.set(cursorRing, { x: left + (step - 1) * col + 1.5, width: Math.max(col - 3, 1), ...now.ring });
      ui.set(cursor, { "aria-valuenow": step, "aria-valuemin": 1, "aria-valuemax": T, "aria-valuetext": `step ${step} of ${T}: ${now.valuetext}` });
      where.textContent = `step ${step} of ${T}`;
      play.set(player.running ? "Pause" : "Play");
      back.disable(step <= 1);
      next.disable(step >= T);
    },
  };
}
