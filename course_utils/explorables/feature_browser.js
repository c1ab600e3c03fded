// FeatureBrowser: feature maps and Grad-CAM of a small exported network that runs here, in the page.
// First the mathematics (no DOM), then the figure. _base.py puts _ui.js in front of this file.
// Arrays are flat, channels last: place (i, j) of map c stands at (i * width + j) * channels + c.

const FB_GREY = 128;
const FB_SEQUENTIAL = [[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140], [34, 168, 132],
  [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]];
const FB_DIVERGING = [[127, 59, 8], [178, 87, 6], [224, 130, 20], [252, 183, 97], [254, 224, 182], [246, 246, 247], [216, 218, 235],
  [177, 170, 209], [128, 115, 172], [83, 38, 135], [45, 0, 75]];

const fbBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const fbSize = (shape) => shape.reduce((a, b) => a * b, 1);

const fbHalf = (bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 0x1f;
  const part = bits & 0x3ff;
  if (power === 0) return sign * part * 2 ** -24;
  return power === 31 ? (part ? NaN : sign * Infinity) : sign * (1 + part / 1024) * 2 ** (power - 15);
};

// The network with its weights as numbers; `positive`: the output of an operation is never below 0.
function fbDecode(exported) {
  const bytes = fbBytes(exported.weights);
  const view = new DataView(bytes.buffer);
  const flat = exported.precision === "float32"
    ? Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true))
    : Float64Array.from({ length: bytes.length / 2 }, (_, k) => fbHalf(view.getUint16(2 * k, true)));
  let positive = false;
  const ops = exported.ops.map((op) => {
    const out = { ...op };
    const size = op.shape[op.shape.length - 1];
    const inputs = op.input[op.input.length - 1];
    const count = { conv: op.kernel && op.kernel[0] * op.kernel[1] * inputs * size, dense: inputs * size, affine: size }[op.type];
    if (count) {
      out.w = flat.slice(op.weight, op.weight + count);
      out.b = flat.slice(op.bias, op.bias + size);
    }
    if (op.activation === "relu" || op.activation === "sigmoid") positive = true;
    else if (op.type === "conv" || op.type === "dense" || op.type === "affine" || op.activation === "tanh") positive = false;
    out.positive = positive;
    return out;
  });
  return { shape: exported.shape, ops };
}

// ---- forward ----

function fbActivate(name, y) {
  const n = y.length;
  if (name === "relu") for (let k = 0; k < n; k += 1) { if (y[k] < 0) y[k] = 0; }
  else if (name === "tanh") for (let k = 0; k < n; k += 1) y[k] = Math.tanh(y[k]);
  else if (name === "sigmoid") for (let k = 0; k < n; k += 1) y[k] = 1 / (1 + Math.exp(-y[k]));
  return y;
}

function fbConvolve(op, x) {
  const { w, b, stride: [sy, sx], dilation: [ry, rx], padding: [top, left], kernel: [kh, kw], input: [H, W, C], shape: [h, wide, F] } = op;
  const y = new Float64Array(h * wide * F);
  for (let i = 0; i < h; i += 1)
    for (let j = 0; j < wide; j += 1) {
      const o = (i * wide + j) * F;
      for (let f = 0; f < F; f += 1) y[o + f] = b[f];
      for (let u = 0; u < kh; u += 1) {
        const row = i * sy + u * ry - top;
        if (row < 0 || row >= H) continue;
        for (let v = 0; v < kw; v += 1) {
          const column = j * sx + v * rx - left;
          if (column < 0 || column >= W) continue;
          const p = (row * W + column) * C;
          let q = (u * kw + v) * C * F;
          for (let c = 0; c < C; c += 1, q += F) {
            const a = x[p + c];
            if (a === 0) continue; // after a ReLU many are
            for (let f = 0; f < F; f += 1) y[o + f] += a * w[q + f];
          }
        }
      }
    }
  return y;
}

// Calls visit(output place, input place or -1) for every place of a pooling window that lies in the picture.
function fbPool(op, visit, done) {
  const { stride: [sy, sx], padding: [top, left], kernel: [kh, kw], input: [H, W], shape: [h, wide] } = op;
  const places = new Int32Array(kh * kw);
  for (let i = 0; i < h; i += 1)
    for (let j = 0; j < wide; j += 1) {
      let n = 0;
      for (let u = 0; u < kh; u += 1)
        for (let v = 0; v < kw; v += 1) {
          const row = i * sy + u - top;
          const column = j * sx + v - left;
          if (row >= 0 && row < H && column >= 0 && column < W) places[n++] = row * W + column;
        }
      visit(i * wide + j, places, n);
    }
  return done;
}

function fbStep(op, x) {
  const n = fbSize(op.shape);
  const C = op.shape[op.shape.length - 1];
  const y = op.type === "conv" ? null : new Float64Array(n);
  switch (op.type) {
    case "conv": return fbActivate(op.activation, fbConvolve(op, x));
    case "max":
      return fbPool(op, (o, places, count) => {
        for (let c = 0; c < C; c += 1) {
          let best = -Infinity;
          for (let k = 0; k < count; k += 1) best = Math.max(best, x[places[k] * C + c]);
          y[o * C + c] = best;
        }
      }, y);
    case "average":
      return fbPool(op, (o, places, count) => {
        for (let c = 0; c < C; c += 1) {
          let sum = 0;
          for (let k = 0; k < count; k += 1) sum += x[places[k] * C + c];
          y[o * C + c] = sum / count;
        }
      }, y);
    case "affine":
      for (let k = 0; k < n; k += 1) y[k] = x[k] * op.w[k % C] + op.b[k % C];
      return y;
    case "activation":
      y.set(x);
      return fbActivate(op.activation, y);
    case "global": {
      for (let k = 0; k < x.length; k += 1) y[k % C] += x[k];
      for (let c = 0; c < C; c += 1) y[c] /= x.length / C;
      return y;
    }
    case "flatten":
      y.set(x);
      return y;
    case "dense":
      y.set(op.b);
      for (let k = 0; k < x.length; k += 1) for (let f = 0; f < n; f += 1) y[f] += x[k] * op.w[k * n + f];
      return fbActivate(op.activation, y);
    default: throw new Error(`There is no operation ${op.type}.`);
  }
}

// The picture and the output of every operation: values[k + 1] belongs to ops[k].
const fbForward = (net, x) => net.ops.reduce((values, op) => { values.push(fbStep(op, values[values.length - 1])); return values; }, [x]);

const fbSoftmax = (z) => {
  const top = Math.max(...z);
  const e = Array.from(z, (v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};

// ---- backward ----

function fbConvolveBack(op, g) {
  const { w, stride: [sy, sx], dilation: [ry, rx], padding: [top, left], kernel: [kh, kw], input: [H, W, C], shape: [h, wide, F] } = op;
  const back = new Float64Array(H * W * C);
  for (let i = 0; i < h; i += 1)
    for (let j = 0; j < wide; j += 1) {
      const o = (i * wide + j) * F;
      for (let u = 0; u < kh; u += 1) {
        const row = i * sy + u * ry - top;
        if (row < 0 || row >= H) continue;
        for (let v = 0; v < kw; v += 1) {
          const column = j * sx + v * rx - left;
          if (column < 0 || column >= W) continue;
          const p = (row * W + column) * C;
          let q = (u * kw + v) * C * F;
          for (let c = 0; c < C; c += 1, q += F) {
            let sum = 0;
            for (let f = 0; f < F; f += 1) sum += g[o + f] * w[q + f];
            back[p + c] += sum;
          }
        }
      }
    }
  return back;
}

function fbStepBack(op, x, y, arriving) {
  let g = arriving;
  if (op.activation && op.activation !== "linear") {
    g = new Float64Array(arriving.length);
    const slope = { relu: (v) => (v > 0 ? 1 : 0), tanh: (v) => 1 - v * v, sigmoid: (v) => v * (1 - v) }[op.activation];
    for (let k = 0; k < g.length; k += 1) g[k] = arriving[k] * slope(y[k]);
  }
  const C = op.input[op.input.length - 1];
  const back = new Float64Array(x.length);
  switch (op.type) {
    case "conv": return fbConvolveBack(op, g);
    case "max": // all of it to the largest number of the window, to the first of equals
      return fbPool(op, (o, places, count) => {
        for (let c = 0; c < C; c += 1) {
          let best = 0;
          for (let k = 1; k < count; k += 1) if (x[places[k] * C + c] > x[places[best] * C + c]) best = k;
          back[places[best] * C + c] += g[o * C + c];
        }
      }, back);
    case "average":
      return fbPool(op, (o, places, count) => {
        for (let c = 0; c < C; c += 1) for (let k = 0; k < count; k += 1) back[places[k] * C + c] += g[o * C + c] / count;
      }, back);
    case "affine":
      for (let k = 0; k < back.length; k += 1) back[k] = g[k] * op.w[k % C];
      return back;
    case "global":
      for (let k = 0; k < back.length; k += 1) back[k] = g[k % C] / (back.length / C);
      return back;
    case "dense": {
      const n = g.length;
      for (let k = 0; k < back.length; k += 1) for (let f = 0; f < n; f += 1) back[k] += op.w[k * n + f] * g[f];
      return back;
    }
    default: return g; // activation, flatten
  }
}

// Gradient of one logit with respect to the output of operation `index`.
function fbGradient(net, values, index, target) {
  let g = new Float64Array(values[values.length - 1].length);
  g[target] = 1;
  for (let k = net.ops.length - 1; k > index; k -= 1) g = fbStepBack(net.ops[k], values[k], values[k + 1], g);
  return g;
}

// Grad-CAM: {cam, weights}; a weight is the mean of the gradient over a map.
function fbGradcam(net, values, index, target) {
  const g = fbGradient(net, values, index, target);
  const F = net.ops[index].shape[2];
  const maps = values[index + 1];
  const places = maps.length / F;
  const weights = new Float64Array(F);
  for (let k = 0; k < g.length; k += 1) weights[k % F] += g[k] / places;
  const cam = new Float64Array(places);
  for (let p = 0; p < places; p += 1) {
    let sum = 0;
    for (let f = 0; f < F; f += 1) sum += maps[p * F + f] * weights[f];
    cam[p] = Math.max(sum, 0);
  }
  return { cam, weights };
}

const fbArgmax = (list) => list.reduce((best, v, k) => (v > list[best] ? k : best), 0);

// The map that adds most where the Grad-CAM is brightest; where it is zero everywhere, the one that responds most.
function fbLeading(maps, { cam, weights }) {
  const F = weights.length;
  const p = fbArgmax(cam);
  if (cam[p] > 0) return fbArgmax(weights.map((w, f) => w * maps[p * F + f]));
  const largest = new Float64Array(F).fill(-Infinity);
  for (let k = 0; k < maps.length; k += 1) largest[k % F] = Math.max(largest[k % F], maps[k]);
  return fbArgmax(largest);
}

// ---- what the figure draws ----

const fbMapLayers = (net) => net.ops.map((op, k) => k)
  .filter((k) => k >= net.ops.findIndex((op) => op.type === "conv") && net.ops[k].shape.length === 3 && net.ops[k].type !== "global");

// The part of the picture that place (0, 0) sees, how far it moves per place, and how large it is.
function fbField(net, index) {
  const [start, jump, size] = [[0, 0], [1, 1], [1, 1]];
  for (const op of net.ops.slice(0, index + 1))
    if (op.kernel) for (const a of [0, 1]) {
      start[a] -= op.padding[a] * jump[a];
      size[a] += op.dilation[a] * (op.kernel[a] - 1) * jump[a];
      jump[a] *= op.stride[a];
    }
  return { start, jump, size };
}

// The convolution whose filters are seen directly in the maps of operation `index`, or null.
function fbFirst(net, index) {
  let found = null;
  for (const op of net.ops.slice(0, index + 1)) {
    if (op.type === "conv" && !found) found = op;
    else if (op.type !== "affine" && op.type !== "activation") return null;
  }
  return found;
}

// Map `unit` of the output of an operation, row by row.
const fbMap = (values, F, unit) => Float64Array.from({ length: values.length / F }, (_, p) => values[p * F + unit]);

// Places of the largest responses above 0, the largest first; more than an eighth of the map's side apart.
function fbStrongest(map, width, count = 3) {
  const left = Float64Array.from(map);
  const height = left.length / width;
  const apart = Math.max(1, Math.floor(Math.max(height, width) / 8));
  const found = [];
  while (found.length < count) {
    let best = 0;
    for (let k = 1; k < left.length; k += 1) if (left[k] > left[best]) best = k;
    if (!(left[best] > 0)) break;
    const [i, j] = [Math.floor(best / width), best % width];
    found.push([i, j]);
    for (let a = Math.max(i - apart, 0); a <= Math.min(i + apart, height - 1); a += 1)
      for (let b = Math.max(j - apart, 0); b <= Math.min(j + apart, width - 1); b += 1) left[a * width + b] = 0;
  }
  return found;
}

function fbPaint(bytes, [H, W, C], square, size) {
  const out = Uint8Array.from(bytes);
  if (square.length)
    for (let i = Math.max(square[0], 0); i < Math.min(square[0] + size, H); i += 1)
      for (let j = Math.max(square[1], 0); j < Math.min(square[1] + size, W); j += 1) out.fill(FB_GREY, (i * W + j) * C, (i * W + j + 1) * C);
  return out;
}

function fbEnlarge(values, h, w, height, width) {
  const line = (n, m) => Array.from({ length: m }, (_, k) => {
    const at = Math.min(Math.max(((k + 0.5) * n) / m - 0.5, 0), n - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, n - 1), at - low];
  });
  const columns = line(w, width);
  const out = new Float64Array(height * width);
  line(h, height).forEach(([a, b, t], i) => columns.forEach(([c, d, s], j) => {
    const left = values[a * w + c] * (1 - t) + values[b * w + c] * t;
    const right = values[a * w + d] * (1 - t) + values[b * w + d] * t;
    out[i * width + j] = left * (1 - s) + right * s;
  }));
  return out;
}

function fbColour(stops, value) {
  const at = Math.min(Math.max(value, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const t = at - low;
  return [0, 1, 2].map((k) => stops[low][k] * (1 - t) + stops[low + 1][k] * t);
}

// The picture under the colours of a Grad-CAM of h rows and w columns: three numbers per pixel, 0 to 255.
function fbOverlay(bytes, [H, W, C], cam, h, w, opacity) {
  const top = Math.max(...cam) || 1;
  const heat = fbEnlarge(cam, h, w, H, W);
  const out = new Float64Array(H * W * 3);
  for (let p = 0; p < H * W; p += 1) {
    const colour = fbColour(FB_SEQUENTIAL, heat[p] / top);
    for (let k = 0; k < 3; k += 1) out[3 * p + k] = (1 - opacity) * bytes[p * C + (C === 3 ? k : 0)] + opacity * colour[k];
  }
  return out;
}

export const math = {
  decode: fbDecode, bytes: fbBytes, forward: fbForward, softmax: fbSoftmax, gradient: fbGradient, gradcam: fbGradcam, leading: fbLeading, mapLayers: fbMapLayers,
  field: fbField, first: fbFirst, map: fbMap, strongest: fbStrongest, paint: fbPaint, enlarge: fbEnlarge, colour: fbColour, overlay: fbOverlay,
  sequential: FB_SEQUENTIAL, diverging: FB_DIVERGING,
};

const FB_STATE = ["picture", "layer", "unit", "target", "opacity", "square", "size"];

function render({ model, el }) {
  const cx = ui.shell(el, {
    kind: "features",
    question: "What has each feature map learned to see, and what does the decision rest on?",
    lead: "A small trained network runs in this page. Choose a picture and a layer, and look at single maps. Drag over the left picture to hide a part of it "
      + "under a grey square: maps, probabilities and Grad-CAM follow.",
    tries: [
      "Find a map of the first layer that draws edges, and one that answers to a colour. Does its filter tell you so beforehand?",
      "Stay with one picture and go from layer to layer. When do the maps stop looking like the picture?",
      "Hide the brightest place of the Grad-CAM with the square. Does the probability fall? Then hide a dark place, and the ground.",
      model.get("labels").length ? "Pictures marked ✗ are those the network gets wrong. What does it offer as evidence for the wrong class?"
        : "Choose a class that the picture does not show. What does the network offer as evidence for it?",
    ],
  });
  const { h, svg, set, clamp, fixed } = ui;
  const net = fbDecode(model.get("network"));
  const shape = net.shape;
  const [H, W, C] = shape;
  const { count, scale } = model.get("pictures");
  const stored = fbBytes(model.get("pictures").data);
  const bytesOf = (k) => stored.subarray(k * H * W * C, (k + 1) * H * W * C);
  const names = model.get("class_names");
  const labels = model.get("labels");
  const layers = fbMapLayers(net);
  const indexOf = (name) => layers.find((k) => net.ops[k].name === name) ?? layers[0];
  const most = Math.max(2, Math.floor(Math.min(H, W) / 2));
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const get = () => Object.fromEntries(FB_STATE.map((name) => [name, model.get(name)]));
  const opening = copy(get());
  const put = (values, save = true) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    if (save) model.save_changes();
  };
  const request = cx.frame(draw);
  const signed = (v) => (v > 0 ? "+" : "") + ui.number(v);

  const run = (bytes) => fbForward(net, Float64Array.from(bytes, (v) => v / scale));
  let plain = { picture: -1 }; // the picture without the square, kept until another is chosen
  const untouched = (picture) => {
    if (plain.picture !== picture) {
      const values = run(bytesOf(picture));
      plain = { picture, values, chances: fbSoftmax(values[values.length - 1]) };
    }
    return plain;
  };
  const argmax = fbArgmax;

  // rgb: three numbers per pixel
  const show = (canvas, rgb, width, height) => {
    if (canvas.width !== width || canvas.height !== height) set(canvas, { width, height });
    const pixels = new ImageData(width, height);
    for (let p = 0; p < width * height; p += 1) {
      for (let k = 0; k < 3; k += 1) pixels.data[4 * p + k] = Math.round(rgb[3 * p + k]);
      pixels.data[4 * p + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  };
  const rgbOf = (bytes) => Array.from({ length: H * W * 3 }, (_, k) => bytes[C === 3 ? k : Math.floor(k / 3)]);
  const table = (stops) => Array.from({ length: 256 }, (_, k) => fbColour(stops, k / 255));
  const [sequential, diverging] = [table(FB_SEQUENTIAL), table(FB_DIVERGING)];
  const showMap = (canvas, values, F, unit, width, height, top, positive) => {
    const rgb = new Float64Array(width * height * 3);
    for (let p = 0; p < width * height; p += 1) {
      const v = values[p * F + unit] / top;
      rgb.set((positive ? sequential : diverging)[Math.round(255 * clamp(positive ? v : (v + 1) / 2, 0, 1))], 3 * p);
    }
    show(canvas, rgb, width, height);
  };

  // A group of small pictures of which one is chosen, by pointer or by arrow keys.
  const gallery = (className, label, choose) => {
    const element = h("div", { class: className, role: "radiogroup", "aria-label": label });
    let items = [];
    const perRow = () => {
      const top = items[0]?.button.offsetTop;
      return Math.max(1, items.filter((item) => item.button.offsetTop === top).length);
    };
    cx.on(element, "click", (event) => {
      const k = items.findIndex((item) => item.button.contains(event.target));
      if (k >= 0) choose(k);
    });
    cx.on(element, "keydown", (event) => {
      const now = items.findIndex((item) => item.button.contains(event.target));
      if (now < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      const row = perRow();
      const k = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowUp: now - row, ArrowDown: now + row, Home: 0, End: items.length - 1 }[event.key];
      if (k === undefined) return;
      event.preventDefault();
      if (!items[k]) return;
      items[k].button.focus();
      choose(k);
    });
    return {
      element,
      fill(n) {
        items = Array.from({ length: n }, () => {
          const canvas = h("canvas", { "aria-hidden": "true" });
          return { canvas, button: h("button", { type: "button", role: "radio" }, canvas) };
        });
        element.replaceChildren(...items.map((item) => item.button));
      },
      mark: (chosen) => items.forEach(({ button }, k) => set(button, { "aria-checked": String(k === chosen), tabindex: k === chosen ? 0 : -1 })),
      get items() { return items; },
    };
  };

  // ---- the pictures ----
  const thumbs = gallery("fb-thumbs", "Picture", (k) => { put({ picture: k }); tell(); });
  thumbs.fill(count);
  thumbs.items.forEach(({ canvas }, k) => show(canvas, rgbOf(bytesOf(k)), W, H));
  const nameOf = (k, found) => `picture ${k + 1}${labels.length ? `, true class ${names[labels[k]]}` : ""}${found >= 0 && labels.length && found !== labels[k] ? `, taken for ${names[found]}` : ""}`;
  thumbs.items.forEach(({ button }, k) => set(button, { "aria-label": nameOf(k, -1), title: nameOf(k, -1) }));
  cx.stage.append(thumbs.element);
  let looked = 0; // one picture per frame: which ones the network gets wrong
  const looking = cx.animate(() => {
    const values = run(bytesOf(looked));
    const found = argmax(fbSoftmax(values[values.length - 1]));
    const { button } = thumbs.items[looked];
    const text = nameOf(looked, found);
    set(button, { "aria-label": text, title: text });
    if (found !== labels[looked]) button.append(h("span", { class: "fb-wrong", "aria-hidden": "true", text: "✗" }));
    looked += 1;
    return looked < count;
  });
  if (labels.length) looking.start();

  const layerRow = h("div", { class: "fb-layer" });
  cx.stage.append(layerRow);
  const sizeOf = (k) => `${net.ops[k].shape[0]} × ${net.ops[k].shape[1]}`;
  const layer = cx.select({
    label: "Layer", inline: true, parent: layerRow, value: model.get("layer"),
    options: layers.map((k) => [net.ops[k].name, `${net.ops[k].name}: ${net.ops[k].shape[2]} maps of ${sizeOf(k)}`]),
    onChange: (name) => { put({ layer: name, unit: -1 }); tell(); },
  });

  const card = (kind) => {
    const title = h("p", { class: "fb-title", id: ui.uid("t") });
    const canvas = h("canvas", { role: "img", "aria-labelledby": title.id });
    const over = svg("svg", { role: "group", "aria-labelledby": title.id });
    const screen = h("div", { class: "fb-screen" }, canvas, over);
    const element = h("div", { class: `fb-card fb-${kind}` }, title, screen);
    return { element, title, canvas, over, screen };
  };
  const pictureCard = card("picture");
  const mapCard = card("map");
  cx.stage.append(h("div", { class: "fb-cards" }, pictureCard.element, mapCard.element));
  set(mapCard.over, { "aria-hidden": "true", role: null, "aria-labelledby": null });
  pictureCard.screen.style.aspectRatio = `${W} / ${H}`;
  const pictureMarks = svg("g", { "aria-hidden": "true" });
  const [edge, ring, hit] = ["fb-edge", "cx-ring", "fb-hit"].map((name) => svg("rect", { class: name }));
  const grip = svg("g", { class: "fb-grip" }, hit, ring, edge);
  pictureCard.over.append(pictureMarks, grip);

  // ---- the square ----
  const unitsOf = (event) => {
    const box = pictureCard.over.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * W, y: ((event.clientY - box.top) / box.height) * H };
  };
  const within = (row, column, size) => [clamp(Math.round(row), 0, H - size), clamp(Math.round(column), 0, W - size)];
  const place = (row, column, save) => put({ square: within(row, column, model.get("size")) }, save);
  const centre = (p, save) => place(p.y - model.get("size") / 2, p.x - model.get("size") / 2, save);
  const handle = cx.handle(grip, {
    label: () => {
      const at = model.get("square");
      return at.length ? `Grey square of ${model.get("size")} pixels at row ${at[0]}, column ${at[1]}. Arrow keys move it, Delete removes it` : "Grey square, not shown";
    },
    point: (event) => { const p = unitsOf(event); return { x: p.x, y: -p.y }; },
    at: () => { const [row = 0, column = 0] = model.get("square"); return { x: column, y: -row }; },
    move: (p) => place(-p.y, p.x, false),
    end: () => { model.save_changes(); tell(); },
    step: 1,
    keys: { Delete: remove, Backspace: remove, Escape: remove, "+": () => resize(1), "-": () => resize(-1) },
  });
  function remove() {
    put({ square: [] });
    hide.input.focus();
    tell();
  }
  function resize(by) {
    setSize(clamp(model.get("size") + by, 2, most));
    model.save_changes();
    tell();
  }
  function setSize(size) {
    const [row, column] = model.get("square");
    const old = model.get("size");
    put({ size, ...(row === undefined ? {} : { square: within(row + (old - size) / 2, column + (old - size) / 2, size) }) }, false);
  }
  // pressing beside the square brings it there; a finger has to tap, so that it can still scroll the page
  let dragging = null;
  let finger = false; // not every browser tells it with the click
  cx.on(pictureCard.over, "pointerdown", (event) => {
    finger = event.pointerType === "touch";
    if (event.button !== 0 || finger) return;
    event.preventDefault();
    dragging = event.pointerId;
    pictureCard.over.setPointerCapture(event.pointerId);
    centre(unitsOf(event), false);
  });
  cx.on(pictureCard.over, "pointermove", (event) => { if (event.pointerId === dragging) centre(unitsOf(event), false); });
  cx.on(pictureCard.over, "pointerup pointercancel lostpointercapture", (event) => {
    if (event.pointerId !== dragging) return;
    dragging = null;
    model.save_changes();
    tell();
  });
  cx.on(pictureCard.over, "click", (event) => {
    if (!finger) return;
    centre(unitsOf(event), true);
    tell();
  });

  // ---- the maps ----
  const filter = h("canvas", { "aria-hidden": "true" });
  const filterText = h("span", {});
  const filterBox = h("div", { class: "fb-filter" }, filter, filterText);
  const words = h("p", {});
  cx.stage.append(h("div", { class: "fb-detail" }, filterBox, words));
  const mapsTitle = h("span", {});
  const [low, bar, high] = [h("span", {}), h("span", { class: "fb-scale" }), h("span", {})];
  const legend = h("span", { class: "fb-legend", role: "img" }, low, bar, high);
  const mapsBox = h("div", { class: "fb-mapsbox" }, h("p", { class: "fb-maps-title" }, mapsTitle, legend));
  cx.stage.after(mapsBox);
  const maps = gallery("fb-maps", "Feature map", (k) => { put({ unit: k }); tell(); });
  mapsBox.append(maps.element);

  // ---- probabilities and controls ----
  const group = ui.uid("radio");
  const row = (value, text) => {
    const input = h("input", { type: "radio", name: group, value });
    const name = h("span", { class: "fb-name", text });
    const [fill, was] = [h("span", { class: "fb-fill" }), h("span", { class: "fb-was" })];
    const track = h("span", { class: "fb-track", "aria-hidden": "true" }, fill, was);
    const number = h("span", { class: "fb-number" });
    const element = h("label", { class: value < 0 ? "fb-row fb-auto" : "fb-row" }, input, name, value >= 0 && track, value >= 0 && number);
    return { input, name, fill, was, number, element };
  };
  const rows = names.map((name, k) => row(k, name));
  const auto = row(-1, "the most probable class");
  const chances = h("fieldset", { class: "fb-chances" }, h("legend", { text: "Probabilities; Grad-CAM for" }), h("div", { class: "fb-rows" }, rows.map((r) => r.element)), auto.element);
  cx.on(chances, "change", (event) => { put({ target: Number(event.target.value) }); tell(); });
  const hint = h("p", { class: "cx-note fb-hint" });
  cx.panel.append(chances, hint);
  const opacity = cx.slider({
    label: "Opacity of the Grad-CAM", min: 0, max: 1, step: 0.05, value: model.get("opacity"), format: (v) => `${Math.round(100 * v)} %`,
    onInput: (v) => put({ opacity: v }, false), onChange: () => model.save_changes(),
  });
  const hide = cx.checkbox({
    label: "Grey square", value: model.get("square").length > 0,
    onChange: (on) => {
      if (on) centre({ x: W / 2, y: H / 2 }, true);
      else put({ square: [] });
      tell();
    },
  });
  const size = cx.slider({
    label: "Side of the square", min: 2, max: most, step: 1, value: model.get("size"), format: (v) => `${v} px`,
    onInput: (v) => setSize(v), onChange: () => { model.save_changes(); tell(); },
  });
  const places = cx.checkbox({ label: "Places where the map responds most", value: true, onChange: request });
  const own = cx.checkbox({ label: "Each map on its own colour scale", value: true, onChange: request });
  cx.resetButton(() => {
    places.set(true);
    own.set(true);
    put(copy(opening));
    cx.announce("Back to the opening state.");
    request();
  }, cx.row());

  // ---- drawing ----
  // What is drawn in the brightest colour, for each map: its own largest response, or the layer's.
  function scales(before, here, F) {
    const tops = new Float64Array(F);
    for (const values of [before, here]) {
      const silent = tops.map((v) => (v > 0 ? 0 : 1));
      for (let k = 0; k < values.length; k += 1) if (silent[k % F]) tops[k % F] = Math.max(tops[k % F], Math.abs(values[k]));
    }
    const top = tops.reduce((a, b) => Math.max(a, b), 0);
    return tops.map((v) => (own.value ? v : top) || 1);
  }
  function compute() {
    const state = get();
    const base = untouched(state.picture);
    const index = indexOf(state.layer);
    const [rowsOf, columns, F] = net.ops[index].shape;
    const bytes = fbPaint(bytesOf(state.picture), shape, state.square, state.size);
    const values = state.square.length ? run(bytes) : base.values;
    const before = base.values[index + 1];
    let unit = state.unit;
    const target = state.target < 0 ? argmax(base.chances) : state.target;
    const explained = fbGradcam(net, values, index, target);
    if (unit < 0 || unit >= F) unit = fbLeading(before, state.square.length ? fbGradcam(net, base.values, index, target) : explained);
    const positive = net.ops[index].positive;
    return {
      ...state, index, rows: rowsOf, columns, F, bytes, values, before, unit, target,
      chances: fbSoftmax(values[values.length - 1]), untouched: base.chances, positive, ...explained,
      // colours keep the scale of the untouched picture, so that a map that falls silent turns dark
      tops: scales(before, values[index + 1], F),
    };
  }
  function tell() {
    const s = compute();
    const best = argmax(s.chances);
    const part = s.square.length ? `, without the square ${fixed(s.untouched[best], 2)}` : "";
    cx.announce(`${names[best]}: probability ${fixed(s.chances[best], 2)}${part}. ${sentence(s)}`);
    request();
  }
  const strength = (values, s) => fbMap(values, s.F, s.unit).reduce((a, b) => Math.max(a, b), -Infinity);
  const sentence = (s) => {
    const here = strength(s.values[s.index + 1], s);
    const before = strength(s.before, s);
    const silent = here <= 0;
    const bright = s.positive ? "where it is bright it" : "where it is positive it";
    const first = silent ? `Map ${s.unit} is ${s.positive ? "silent" : "nowhere positive"} on this picture${s.square.length && before > 0 ? ` (without the square ${fixed(before, 2)})` : ""}.`
      : `Map ${s.unit} responds with up to ${fixed(here, 2)}${s.square.length ? ` (without the square ${fixed(before, 2)})` : ""}.`;
    const weight = s.weights[s.unit];
    const sense = Math.abs(weight) < 1e-12 ? "it has no say on" : `${bright} speaks ${weight > 0 ? "for" : "against"}`;
    return `${first} Its Grad-CAM weight is ${signed(weight)}: ${sense} ${names[s.target]}.`;
  };

  // A number beside a marked place; `x`, `y` its middle, `reach` half its width.
  const mark = (text, x, y, reach, width, height) => svg("text", {
    class: "fb-mark", "text-anchor": "middle", text, x: x + reach + 16 > width ? x - reach - 8 : x + reach + 8, y: clamp(y + 5, 14, height - 4),
  });
  const frame = (className, x, y, w, hh) => [svg("rect", { class: "fb-under", x, y, width: w, height: hh }), svg("rect", { class: className, x, y, width: w, height: hh })];

  let filled = -1;
  function draw() {
    const s = compute();
    const op = net.ops[s.index];
    const chosen = names[s.target];
    thumbs.mark(s.picture);
    layer.set(op.name);
    if (filled !== s.index) {
      maps.fill(s.F);
      maps.element.style.setProperty("--fb-shape", `${s.columns} / ${s.rows}`);
      mapCard.screen.style.aspectRatio = `${s.columns} / ${s.rows}`;
      filled = s.index;
    }
    const here = s.values[s.index + 1];
    maps.items.forEach(({ canvas, button }, f) => {
      showMap(canvas, here, s.F, f, s.columns, s.rows, s.tops[f], s.positive);
      set(button, { "aria-label": `map ${f}`, title: `map ${f}` });
    });
    maps.mark(s.unit);
    const { button } = maps.items[s.unit]; // into view within the maps, without moving the page
    const list = maps.element;
    const from = button.getBoundingClientRect().top - list.getBoundingClientRect().top;
    if (from < 0) list.scrollTop += from - 4;
    else if (from + button.offsetHeight > list.clientHeight) list.scrollTop += from + button.offsetHeight - list.clientHeight + 4;

    // the enlarged map
    showMap(mapCard.canvas, here, s.F, s.unit, s.columns, s.rows, s.tops[s.unit], s.positive);
    mapCard.title.textContent = `Map ${s.unit} of ${op.name}`;
    const wide = mapCard.screen.clientWidth;
    const tall = mapCard.screen.clientHeight;
    set(mapCard.over, { viewBox: `0 0 ${wide} ${tall}` });
    const found = places.value ? fbStrongest(fbMap(here, s.F, s.unit), s.columns) : [];
    const [cw, ch] = [wide / s.columns, tall / s.rows];
    mapCard.over.replaceChildren(...found.flatMap(([i, j], k) => [
      ...frame("fb-place", j * cw, i * ch, cw, ch), mark(String(k + 1), (j + 0.5) * cw, (i + 0.5) * ch, cw / 2, wide, tall)]));

    // the picture: Grad-CAM, what the strongest places see, the square
    const pw = pictureCard.screen.clientWidth;
    const ph = pictureCard.screen.clientHeight;
    const unit = pw / W;
    set(pictureCard.over, { viewBox: `0 0 ${pw} ${ph}` });
    show(pictureCard.canvas, fbOverlay(s.bytes, shape, s.cam, s.rows, s.columns, s.opacity), W, H);
    pictureCard.title.textContent = `Grad-CAM for ${chosen}`;
    const field = fbField(net, s.index);
    pictureMarks.replaceChildren(...found.flatMap(([i, j], k) => {
      const [y0, x0] = [i, j].map((v, a) => field.start[a] + v * field.jump[a]);
      const [y1, x1] = [Math.min(y0 + field.size[0], H), Math.min(x0 + field.size[1], W)];
      const [top, left] = [Math.max(y0, 0), Math.max(x0, 0)];
      const small = field.size[0] <= 8 && field.size[1] <= 8;
      const middle = [clamp(x0 + field.size[1] / 2, 0, W) * unit, clamp(y0 + field.size[0] / 2, 0, H) * unit];
      if (small) {
        return [...frame("fb-place", left * unit, top * unit, (x1 - left) * unit, (y1 - top) * unit),
          mark(String(k + 1), ((left + x1) / 2) * unit, middle[1], ((x1 - left) / 2) * unit, pw, ph)];
      }
      const dot = [svg("circle", { class: "fb-dot", cx: middle[0], cy: middle[1], r: 4 }), mark(String(k + 1), ...middle, 4, pw, ph)];
      return k ? dot : [...frame("fb-field", left * unit, top * unit, (x1 - left) * unit, (y1 - top) * unit), ...dot];
    }));
    const shown = s.square.length > 0;
    set(grip, { display: shown ? null : "none" });
    if (shown) {
      const box = { x: s.square[1] * unit, y: s.square[0] * unit, width: s.size * unit, height: s.size * unit };
      set(edge, box);
      const wider = (by) => ({ x: box.x - by, y: box.y - by, width: box.width + 2 * by, height: box.height + 2 * by });
      set(ring, wider(3));
      set(hit, wider(Math.max(0, (32 - box.width) / 2)));
    }
    handle.refresh();

    // its filter and its numbers
    const first = fbFirst(net, s.index);
    filterBox.hidden = !first;
    if (first) {
      const [kh, kw] = first.kernel;
      const weights = fbMap(first.w, s.F, s.unit);
      const top = weights.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
      const rgb = C === 3 ? weights.map((v) => 127.5 + (127.5 * v) / top)
        : Float64Array.from(Array.from(weights).flatMap((v) => diverging[Math.round(127.5 + (127.5 * v) / top)]));
      show(filter, rgb, kw, kh);
      filter.style.aspectRatio = `${kw} / ${kh}`;
      filterText.textContent = `its filter, ${kh} × ${kw} × ${C}; ${C === 3 ? "mid-grey" : "white"} is 0`;
    }
    const whole = field.size[0] >= H && field.size[1] >= W;
    const framed = found.length > 0 && (field.size[0] > 8 || field.size[1] > 8) && !whole;
    const sees = whole ? "an area larger than the picture" : `${field.size[0]} × ${field.size[1]} pixels`;
    words.textContent = `${sentence(s)} One place sees ${sees}${framed ? ", for place 1 the dashed frame" : ""}.`;
    mapsTitle.textContent = `All ${s.F} maps of ${op.name}, ${s.rows} × ${s.columns}`;
    const top = own.value ? "its largest" : ui.number(s.tops[0]);
    low.textContent = s.positive ? "0" : `−${top}`;
    if (own.value && !s.positive) low.textContent = "negative";
    high.textContent = top;
    const stops = s.positive ? FB_SEQUENTIAL : FB_DIVERGING;
    bar.style.background = `linear-gradient(90deg, ${stops.map((c) => `rgb(${c.join(",")})`).join(",")})`;
    set(legend, { "aria-label": `Colours from ${low.textContent} to ${high.textContent}` });

    // probabilities
    rows.forEach((r, k) => {
      r.input.checked = s.target === k && s.target === model.get("target");
      r.fill.style.width = `${(100 * s.chances[k]).toFixed(2)}%`;
      r.was.style.left = `${(100 * s.untouched[k]).toFixed(2)}%`;
      r.was.hidden = !shown;
      r.number.textContent = fixed(s.chances[k], 2);
      r.element.classList.toggle("fb-chosen", k === s.target);
      r.name.textContent = labels.length && labels[s.picture] === k ? `${names[k]} (true)` : names[k];
    });
    auto.input.checked = model.get("target") < 0;
    auto.name.textContent = shown ? "most probable class, no square" : "the most probable class";
    const none = !s.cam.some((v) => v > 0);
    hint.textContent = none ? `At ${op.name} nothing speaks for ${chosen}: its Grad-CAM is zero everywhere.`
      : shown ? "The thin line marks the probability without the square." : "Bright places speak for the chosen class.";
    opacity.set(s.opacity);
    hide.set(shown);
    size.set(s.size);
    size.disable(!shown);
  }

  cx.observe(model, FB_STATE.map((name) => `change:${name}`).join(" "), request);
  cx.onResize(request);
  draw();
  return cx.dispose;
}

export default { render };
