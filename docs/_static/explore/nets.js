// The library's networks in the browser: their weights from 16 bits, and their forward pass.
//
//   Explore.weights("five", {facts, arrays: {name: {shape, dtype, data}}, nets: {name: {inputs, layers}}})
//
// is what weights_NAME.js calls (written by tools/explorables.py, data in base64). Then
//
//   const {facts, arrays, nets} = Explore.loaded("five");
//   nets["VAE.posterior"](x)          // Float32Array: one example in, raw output out
//   nets["VAE.posterior"].rows(5, x)  // five examples, one after the other
//
// A layer's values are rounded to 32 bits, as Keras has them; its sums are kept in 64.
(() => {
  "use strict";
  if (Explore.loaded) return;

  // --- Numbers from text -------------------------------------------------------------------------

  // The value of each of the 65,536 numbers of 16 bits (IEEE 754 binary16).
  const HALF = new Float32Array(65536);
  for (let i = 0; i < 65536; i++) {
    const exponent = (i >> 10) & 31, fraction = i & 1023;
    const size = exponent === 31 ? (fraction ? NaN : Infinity)
      : exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    HALF[i] = i & 32768 ? -size : size;
  }
  const DECODE = {
    float16: raw => Float32Array.from({length: raw.length / 2}, (_, i) => HALF[raw[2 * i] | raw[2 * i + 1] << 8]),
    uint8: raw => raw,
    // Eight yes or no in a byte, the first in its highest bit (NumPy's packbits).
    bits: raw => Uint8Array.from({length: 8 * raw.length}, (_, i) => raw[i >> 3] >> (7 - (i & 7)) & 1)
  };
  const decode = ({dtype, data, shape}) => {
    const text = atob(data), raw = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) raw[i] = text.charCodeAt(i);
    const size = shape.reduce((a, b) => a * b, 1);
    return {shape, values: DECODE[dtype](raw).subarray(0, size)};
  };

  // --- Layers ------------------------------------------------------------------------------------

  const softplus = v => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
  const sigmoid = v => (v >= 0 ? 1 / (1 + Math.exp(-v)) : 1 - 1 / (1 + Math.exp(v)));
  const each = f => values => values.map(f);
  const ACTIVATIONS = {
    linear: values => values, relu: each(v => Math.max(v, 0)), tanh: each(Math.tanh),
    sigmoid: each(sigmoid), softplus: each(softplus), silu: each(v => v * sigmoid(v))
  };

  // layer kind → (what weights_NAME.js says of the layer, the arrays) → values in → values out
  const LAYERS = {
    dense({kernel, bias, activation}, arrays) {
      const {shape: [tall, wide], values: weights} = arrays[kernel], offsets = arrays[bias].values;
      const act = ACTIVATIONS[activation];
      // One example, of which much may be zero: what is not, times its row of weights.
      const add = (sums, input, row) => {
        for (let i = 0; i < input.length; i++) {
          const v = input[i], from = (row + i) * wide;
          if (v !== 0) for (let j = 0; j < wide; j++) sums[j] += v * weights[from + j];
        }
        return sums;
      };
      const finish = sums => {
        const out = new Float32Array(wide);
        for (let j = 0; j < wide; j++) out[j] = sums[j] + offsets[j];
        return act(out);
      };
      const run = input => finish(add(new Float64Array(wide), input, 0));
      run.given = first => {
        const begun = add(new Float64Array(wide), first, 0);
        return rest => finish(add(begun.slice(), rest, first.length));
      };
      // Several examples: each weight is fetched once for four of them.
      let columns = null;
      run.rows = (input, rows) => {
        columns ??= Float64Array.from(weights, (_, k) => weights[(k % tall) * wide + Math.floor(k / tall)]);
        const full = Math.ceil(rows / 4) * 4, values = new Float64Array(full * tall);
        values.set(input);
        const out = new Float32Array(rows * wide);
        for (let r = 0; r < full; r += 4) {
          const a = r * tall, b = a + tall, c = b + tall, d = c + tall;
          for (let j = 0; j < wide; j++) {
            const from = j * tall, start = offsets[j];
            let s0 = start, s1 = start, s2 = start, s3 = start;
            for (let i = 0; i < tall; i++) {
              const w = columns[from + i];
              s0 += w * values[a + i]; s1 += w * values[b + i];
              s2 += w * values[c + i]; s3 += w * values[d + i];
            }
            const at = r * wide + j;  // what lies beyond the last row is not stored
            out[at] = s0; out[at + wide] = s1; out[at + 2 * wide] = s2; out[at + 3 * wide] = s3;
          }
        }
        for (let at = 0; at < out.length; at += wide) out.set(act(out.subarray(at, at + wide)), at);
        return out;
      };
      return run;
    }
  };

  // run(x, …) takes one example, its inputs side by side in their order. run.given(x)(z) is run(x, z)
  // for many z: what x adds to the first layer is summed up once. run.rows(n, x, …) takes n examples,
  // one after the other in each input; an input of one example is shared by all.
  const network = ({inputs, layers}, arrays) => {
    const [first, ...others] = layers.map(layer => LAYERS[layer.kind](layer, arrays));
    const onwards = values => others.reduce((v, step) => step(v), values);
    const sizes = Object.values(inputs), wide = sizes.reduce((a, b) => a + b, 0);
    const beside = (count, given) => {
      const values = new Float32Array(count * wide);
      for (let row = 0, at = 0; row < count; row++)
        given.forEach((one, k) => {
          const from = one.length === sizes[k] ? 0 : row * sizes[k];
          values.set(one.subarray(from, from + sizes[k]), at);
          at += sizes[k];
        });
      return values;
    };
    const run = (...given) => onwards(first(given.length > 1 ? beside(1, given) : given[0]));
    run.given = x => {
      const begun = first.given(x);
      return z => onwards(begun(z));
    };
    run.rows = (count, ...given) =>
      others.reduce((v, step) => step.rows(v, count), first.rows(beside(count, given), count));
    return run;
  };

  // --- Distributions, as cvae_tf.distributions has them ------------------------------------------

  const LEAST_SCALE = 1e-4;
  // A Gaussian over z from a network's raw output: means, then raw scales.
  const gaussian = raw => {
    const size = raw.length / 2;
    return {mean: raw.slice(0, size), scale: raw.slice(size).map(v => LEAST_SCALE + softplus(v))};
  };
  // z = mean + scale · ε, (2.1).
  const moved = ({mean, scale}, epsilon) => mean.map((m, j) => m + scale[j] * epsilon[j]);
  const standard = size => ({mean: new Float32Array(size), scale: new Float32Array(size).fill(1)});
  // KL(q ‖ p) of diagonal Gaussians, (2.4).
  const divergence = (q, p) => q.mean.reduce(
    (sum, m, j) => sum + Explore.kl(m, q.scale[j], p.mean[j], p.scale[j]), 0);
  // log p of binary pixels, from logits. A factor lies in (1, 2], so sixteen share a logarithm.
  const logBernoulli = (pixels, logits) => {
    let sum = 0, product = 1;
    for (let i = 0; i < logits.length; i++) {
      const v = logits[i];
      sum += pixels[i] * v - (v > 0 ? v : 0);
      product *= 1 + Math.exp(v > 0 ? -v : v);
      if ((i & 15) === 15) { sum -= Math.log(product); product = 1; }
    }
    return sum - Math.log(product);
  };

  const given = {}, ready = {};
  Object.assign(Explore, {
    weights(name, what) { given[name] = what; },
    loaded(name) {
      if (!ready[name]) {
        const {facts, arrays, nets} = given[name];
        const made = Object.fromEntries(Object.entries(arrays).map(([key, one]) => [key, decode(one)]));
        const built = Object.fromEntries(Object.entries(nets).map(([key, one]) => [key, network(one, made)]));
        ready[name] = {facts, arrays: made, nets: built};
      }
      return ready[name];
    },
    softplus, sigmoid, gaussian, moved, standard, divergence, logBernoulli
  });
})();
