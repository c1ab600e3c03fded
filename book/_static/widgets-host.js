/* Interactive figures without a kernel.
 *
 * A notebook that was run keeps the state of its widgets, and for an anywidget the state holds everything that
 * the figure needs: its module (`_esm`), its style (`_css`) and its values. This script plays the part that
 * JupyterLab plays otherwise: it reads the saved state from the page, imports the module, and renders each view
 * with a model that behaves as a model does in a notebook, except that nobody listens at the other end.
 *
 * The page is written by course_utils/lessons/book_extension.py:
 *
 *   <div class="course-widget" data-state="waiting">
 *     <div class="course-widget-fallback"> a static picture </div>
 *     <script type="application/vnd.jupyter.widget-view+json"> {"model_id": ...} </script>
 *   </div>
 *
 * data-state becomes "live" when the figure runs (the picture is removed, so that its ids cannot clash with
 * the figure's own), or "failed" when it cannot start (the picture stays, with one sentence). Nothing is
 * requested from anywhere; the script works on a page opened from the file system, too.
 */
(() => {
  "use strict";

  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const REFERENCE = "IPY_MODEL_";

  // Values

  const isObject = (x) => x !== null && typeof x === "object";

  /** Equality of two JSON-like values; binary values are equal only when they are the same object. */
  function same(a, b) {
    if (Object.is(a, b)) return true;
    if (!isObject(a) || !isObject(b) || ArrayBuffer.isView(a) || ArrayBuffer.isView(b)) return false;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && same(a[k], b[k]));
  }

  /** The bytes of one saved buffer: base64 as notebooks store them, or hexadecimal as the format also allows. */
  function decode({ data, encoding }) {
    const bytes =
      encoding === "hex"
        ? Uint8Array.from(data.match(/../g) ?? [], (pair) => parseInt(pair, 16))
        : Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    return new DataView(bytes.buffer);
  }

  /** The values of a saved model, its binary values put back where they were taken from. */
  function values(saved) {
    const state = structuredClone(saved.state);
    for (const buffer of saved.buffers ?? []) {
      const parent = buffer.path.slice(0, -1).reduce((value, key) => value[key], state);
      parent[buffer.path.at(-1)] = decode(buffer);
    }
    return state;
  }

  // Models

  /** What a figure sees of its model: the interface of an anywidget model, without a kernel behind it. */
  class Model {
    #values;
    #listeners = []; // { event, callback, context }

    constructor(saved, manager) {
      this.#values = values(saved);
      this.widget_manager = manager;
    }

    get(name) {
      return this.#values[name];
    }

    /** set(name, value) or set({ name: value, ... }): one "change:name" for each new value, then one "change". */
    set(name, value) {
      const given = isObject(name) ? name : { [name]: value };
      const fresh = Object.entries(given).filter(([key, v]) => !same(this.#values[key], v));
      for (const [key, v] of fresh) this.#values[key] = v;
      for (const [key, v] of fresh) this.#emit(`change:${key}`, this, v);
      if (fresh.length) this.#emit("change", this);
      return this;
    }

    on(events, callback, context) {
      for (const event of events.split(/\s+/)) this.#listeners.push({ event, callback, context });
      return this;
    }

    once(events, callback, context) {
      const heard = (...details) => {
        this.off(events, heard);
        callback.apply(context ?? this, details);
      };
      return this.on(events, heard, context);
    }

    /** off(), off("event"), off("event", callback), off(null, null, context): whatever is not given matches all. */
    off(events, callback, context) {
      const names = events?.split(/\s+/);
      this.#listeners = this.#listeners.filter(
        (l) =>
          (names && !names.includes(l.event)) ||
          (callback && callback !== l.callback) ||
          (context && context !== l.context),
      );
      return this;
    }

    save_changes() {} // nobody to tell

    send() {} // nobody to answer

    #emit(event, ...details) {
      for (const l of [...this.#listeners]) if (l.event === event) l.callback.apply(l.context ?? this, details);
    }
  }

  /** All models of the page. Each is made, and its module initialised, once: two views of it move together. */
  class Manager {
    #saved;
    #models = new Map(); // model id -> Model
    #widgets = new Map(); // model id -> promise of { render }
    #modules = new Map(); // module text -> promise of the module
    #styles = new Set();

    constructor(saved) {
      this.#saved = saved;
    }

    model(id) {
      if (!this.#models.has(id)) {
        if (!this.#saved[id]) throw new Error(`the page holds no state for the widget ${id}`);
        this.#models.set(id, new Model(this.#saved[id], this));
      }
      return this.#models.get(id);
    }

    /** For figures made of figures: the model behind a saved reference. */
    async get_model(reference) {
      return this.model(reference.replace(REFERENCE, ""));
    }

    async #import(text) {
      const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      try {
        return await import(address);
      } finally {
        URL.revokeObjectURL(address);
      }
    }

    async #start(id) {
      const model = this.model(id);
      const text = model.get("_esm");
      if (!text) throw new Error("the saved state holds no module");
      if (!this.#modules.has(text)) this.#modules.set(text, this.#import(text));
      const exported = (await this.#modules.get(text)).default;
      const widget = typeof exported === "function" ? await exported() : exported;
      if (typeof widget?.render !== "function") throw new Error("the module exports no render function");
      const style = model.get("_css");
      if (style && !this.#styles.has(style)) {
        this.#styles.add(style);
        document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
      }
      await widget.initialize?.({ model, signal: new AbortController().signal, experimental });
      return widget;
    }

    async render(id, el) {
      if (!this.#widgets.has(id)) this.#widgets.set(id, this.#start(id));
      const widget = await this.#widgets.get(id);
      const controller = new AbortController();
      try {
        await widget.render({ model: this.model(id), el, signal: controller.signal, experimental });
      } catch (error) {
        controller.abort(error); // lets go of what a half-rendered figure listens to
        throw error;
      }
    }
  }

  const experimental = {
    invoke: () => Promise.reject(new Error("no kernel behind this page")),
  };

  // The page

  function note(text) {
    const paragraph = document.createElement("p");
    paragraph.className = "course-widget-note";
    paragraph.setAttribute("role", "status");
    paragraph.textContent = text;
    const colab = document.querySelector('a[href^="https://colab.research.google.com/"]');
    if (colab) {
      const link = Object.assign(document.createElement("a"), { href: colab.href, textContent: "in Colab" });
      paragraph.append(" The lesson also runs ", link, ".");
    }
    return paragraph;
  }

  async function show(script, manager) {
    const box = script.closest(".course-widget") ?? script.parentElement;
    const fallback = box.querySelector(".course-widget-fallback");
    const live = document.createElement("div");
    live.className = "course-widget-live";
    script.after(live);
    try {
      await manager.render(JSON.parse(script.textContent).model_id, live);
      fallback?.remove();
      box.dataset.state = "live";
    } catch (error) {
      console.error("An interactive figure could not start:", error);
      live.remove();
      box.dataset.state = "failed";
      box.append(
        note(
          fallback?.childElementCount
            ? "This figure could not come to life in this browser; the picture shows how it begins."
            : "This figure could not come to life in this browser.",
        ),
      );
    }
  }

  function main() {
    const state = document.querySelector(STATE);
    if (!state) return;
    const manager = new Manager(JSON.parse(state.textContent).state);
    for (const script of document.querySelectorAll(`.course-widget ${VIEW}`)) show(script, manager);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", main);
  else main();
})();
