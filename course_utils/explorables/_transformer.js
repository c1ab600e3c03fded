// A small Transformer that runs in the page: the twin of _transformer.py, where shapes and names are explained.
//
//   const net = transformer.decode(packed)       packed: from _transformer.pack
//   transformer.forward(net, tokens, off)        off: [[block, head], ...] switched off
//     -> { T, logits, embedding, blocks: [{ attention, headOutputs, addedAttention, middle, addedMlp, stream }, ...], streams }
//        attention[h]: (T, T); headOutputs[h], everything of a stream: (T, d); streams: the stream at the beginning and after
//        each sub-block; logits: (T, V). All are Float64Array, flat, row by row.
//   transformer.lastLogits(net, tokens)          logits (V,) at the last position alone, in about half the time
//   transformer.row(array, i, width)             row i of such an array, without a copy
//   transformer.readOut(net, stream)             the output layer on a stream (T, d): logits (T, V)
//   transformer.directEffect(net, addition, stream)    (d,), (d,) -> what the addition does to the logits directly (V,)
//   transformer.norm(row)                        the length of a vector
const transformer = (() => {
  const EPSILON = 1e-6;

  const half = (code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const power = (code >> 10) & 0x1f;
    const part = code & 0x3ff;
    if (power === 0) return sign * part * 2 ** -24;
    return power === 31 ? (part ? NaN : sign * Infinity) : sign * (1 + part / 1024) * 2 ** (power - 15);
  };

  function decode(packed) {
    const bytes = Uint8Array.from(atob(packed.weights), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const flat = packed.precision === "float32"
      ? Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true))
      : Float64Array.from({ length: bytes.length / 2 }, (_, k) => half(view.getUint16(2 * k, true)));
    const { vocabulary: V, context, d, m, blocks: L, heads: H, causal, activation } = packed;
    let at = 0;
    const take = (count) => flat.subarray(at, (at += count));
    const tokenEmbedding = take(V * d);
    const positionEmbedding = take(context * d);
    const blocks = Array.from({ length: L }, () => {
      const w = { gamma1: take(d), beta1: take(d) };
      for (const name of ["q", "k", "v", "o"]) {
        w[`W${name}`] = take(d * d);
        w[`b${name}`] = take(d);
      }
      return { ...w, gamma2: take(d), beta2: take(d), W1: take(d * m), b1: take(m), W2: take(m * d), b2: take(d) };
    });
    return { V, context, d, m, L, H, causal, activation, tokenEmbedding, positionEmbedding, blocks,
      gamma: take(d), beta: take(d), Wv: take(d * V), bv: take(V), parameters: flat.length };
  }

  const row = (array, i, width) => array.subarray(i * width, (i + 1) * width);

  // X (T, inputs) @ W (inputs, outputs) + b; four rows at a time, so that each weight is fetched once for the four
  function dense(X, W, b, inputs, outputs) {
    const T = X.length / inputs;
    const out = new Float64Array(T * outputs);
    if (b) for (let t = 0; t < T; t += 1) out.set(b, t * outputs);
    let t = 0;
    for (; t + 4 <= T; t += 4) {
      const [y0, y1, y2, y3] = [0, 1, 2, 3].map((k) => row(out, t + k, outputs));
      const x = t * inputs;
      for (let i = 0, q = 0; i < inputs; i += 1, q += outputs) {
        const x0 = X[x + i];
        const x1 = X[x + inputs + i];
        const x2 = X[x + 2 * inputs + i];
        const x3 = X[x + 3 * inputs + i];
        for (let j = 0; j < outputs; j += 1) {
          const w = W[q + j];
          y0[j] += x0 * w;
          y1[j] += x1 * w;
          y2[j] += x2 * w;
          y3[j] += x3 * w;
        }
      }
    }
    for (; t < T; t += 1) {
      const y = row(out, t, outputs);
      for (let i = 0, q = 0; i < inputs; i += 1, q += outputs) {
        const x = X[t * inputs + i];
        for (let j = 0; j < outputs; j += 1) y[j] += x * W[q + j];
      }
    }
    return out;
  }
  function layerNorm(X, gamma, beta) {
    const d = gamma.length;
    const out = new Float64Array(X.length);
    for (let at = 0; at < X.length; at += d) {
      let mean = 0;
      for (let i = 0; i < d; i += 1) mean += X[at + i] / d;
      let variance = 0;
      for (let i = 0; i < d; i += 1) variance += (X[at + i] - mean) ** 2 / d;
      const spread = Math.sqrt(variance + EPSILON);
      for (let i = 0; i < d; i += 1) out[at + i] = ((X[at + i] - mean) / spread) * gamma[i] + beta[i];
    }
    return out;
  }
  const ROOT = Math.sqrt(2 / Math.PI);
  const SQUASH = {
    gelu: (z) => 0.5 * z * (1 + Math.tanh(ROOT * (z + 0.044715 * z * z * z))),
    relu: (z) => Math.max(z, 0),
  };
  const sum = (a, b) => Float64Array.from(a, (v, k) => v + b[k]);

  // What head h takes from whom, (n, T), and what it adds, (n, d), for the last n of T positions, whose queries q holds.
  function runHead({ d, H, causal }, q, k, v, Wo, h) {
    const T = k.length / d;
    const n = q.length / d;
    const width = d / H;
    const from = h * width;
    const attention = new Float64Array(n * T);
    const mixed = new Float64Array(n * width);
    for (let i = 0; i < n; i += 1) {
      const seen = causal ? T - n + i + 1 : T;
      const a = row(attention, i, T);
      let top = -Infinity;
      for (let j = 0; j < seen; j += 1) {
        let score = 0;
        for (let c = from; c < from + width; c += 1) score += q[i * d + c] * k[j * d + c];
        a[j] = score / Math.sqrt(width);
        top = Math.max(top, a[j]);
      }
      let total = 0;
      for (let j = 0; j < seen; j += 1) total += a[j] = Math.exp(a[j] - top);
      for (let j = 0; j < seen; j += 1) {
        a[j] /= total;
        for (let c = 0; c < width; c += 1) mixed[i * width + c] += a[j] * v[j * d + from + c];
      }
    }
    return { attention, added: dense(mixed, Wo.subarray(from * d, (from + width) * d), null, width, d) };
  }

  const readOut = (net, stream) => dense(layerNorm(stream, net.gamma, net.beta), net.Wv, net.bv, net.d, net.V);

  // One block on a stream (T, d), for all positions from number `from` on; `silent`: the heads that are switched off.
  function runBlock(net, w, stream, from, silent) {
    const { d, m, H } = net;
    const normed = layerNorm(stream, w.gamma1, w.beta1);
    const q = dense(normed.subarray(from * d), w.Wq, w.bq, d, d);
    const k = dense(normed, w.Wk, w.bk, d, d);
    const v = dense(normed, w.Wv, w.bv, d, d);
    const addedAttention = new Float64Array(q.length);
    for (let at = 0; at < q.length; at += d) addedAttention.set(w.bo, at);
    const attention = [];
    const headOutputs = [];
    for (let h = 0; h < H; h += 1) {
      const head = runHead(net, q, k, v, w.Wo, h);
      if (silent.includes(h)) head.added.fill(0);
      for (let i = 0; i < q.length; i += 1) addedAttention[i] += head.added[i];
      attention.push(head.attention);
      headOutputs.push(head.added);
    }
    const middle = sum(stream.subarray(from * d), addedAttention);
    const wide = dense(layerNorm(middle, w.gamma2, w.beta2), w.W1, w.b1, d, m);
    const addedMlp = dense(wide.map(SQUASH[net.activation]), w.W2, w.b2, m, d);
    return { attention, headOutputs, addedAttention, middle, addedMlp, stream: sum(middle, addedMlp) };
  }
  function embed({ d, tokenEmbedding, positionEmbedding }, tokens) {
    const stream = new Float64Array(tokens.length * d);
    tokens.forEach((token, t) => {
      for (let i = 0; i < d; i += 1) stream[t * d + i] = tokenEmbedding[token * d + i] + positionEmbedding[t * d + i];
    });
    return stream;
  }
  function forward(net, tokens, off = []) {
    const embedding = embed(net, tokens);
    const streams = [embedding];
    const blocks = net.blocks.map((w, b) => {
      const block = runBlock(net, w, streams[streams.length - 1], 0, off.filter(([i]) => i === b).map(([, h]) => h));
      streams.push(block.middle, block.stream);
      return block;
    });
    return { T: tokens.length, logits: readOut(net, streams[streams.length - 1]), embedding, blocks, streams };
  }
  function lastLogits(net, tokens) {
    const stream = net.blocks.reduce((x, w, b) => runBlock(net, w, x, b === net.L - 1 ? tokens.length - 1 : 0, []).stream, embed(net, tokens));
    return readOut(net, stream);
  }

  function directEffect(net, addition, stream) {
    const { d, V } = net;
    const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
    const middle = mean(stream);
    const spread = Math.sqrt(mean(stream.map((v) => (v - middle) ** 2)) + EPSILON);
    const shift = mean(addition);
    const effect = dense(addition.map((v, i) => ((v - shift) / spread) * net.gamma[i]), net.Wv, null, d, V);
    const level = mean(effect);
    return effect.map((v) => v - level);
  }
  const norm = (values) => Math.sqrt(values.reduce((total, v) => total + v * v, 0));

  return { decode, forward, lastLogits, row, readOut, directEffect, norm, layerNorm };
})();
