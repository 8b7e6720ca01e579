// The library's networks in the browser: their weights from 16 bits, and their forward pass.
//
//   Explore.weights("five", {facts, arrays: {name: {shape, dtype, data}}, nets: {name: {inputs, layers}}})
//
// is what weights_NAME.js calls (written by tools/explorables.py, data in base64). Then
//
//   const {facts, arrays, nets} = Explore.loaded("five");
//   nets["VAE.posterior"](x)       // Float32Array: one example in, raw output out
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
  const softmax = values => {
    const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = values.map(v => Math.exp(v - top)), sum = weights.reduce((a, b) => a + b, 0);
    return weights.map(v => v / sum);
  };
  const ACTIVATIONS = {
    linear: values => values, relu: each(v => Math.max(v, 0)), tanh: each(Math.tanh),
    sigmoid: each(sigmoid), softplus: each(softplus), softmax, silu: each(v => v * sigmoid(v))
  };

  // layer kind → (what weights_NAME.js says of the layer, the arrays) → (values in → values out)
  const LAYERS = {
    dense({kernel, bias, activation}, arrays) {
      const {shape: [, wide], values: weights} = arrays[kernel], offsets = arrays[bias].values;
      const act = ACTIVATIONS[activation];
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
      return run;
    }
  };

  // run(...inputs): side by side, in the order of the network's inputs. run.given(x)(z) is run(x, z)
  // for many z: what x adds to the first layer is summed up once.
  const network = ({layers}, arrays) => {
    const [first, ...others] = layers.map(layer => LAYERS[layer.kind](layer, arrays));
    const onwards = values => others.reduce((v, step) => step(v), values);
    const run = (...inputs) => {
      let values = inputs[0];
      if (inputs.length > 1) {
        values = new Float32Array(inputs.reduce((sum, one) => sum + one.length, 0));
        let at = 0;
        for (const one of inputs) { values.set(one, at); at += one.length; }
      }
      return onwards(first(values));
    };
    run.given = x => {
      const begun = first.given(x);
      return z => onwards(begun(z));
    };
    return run;
  };

  // --- Distributions, as cvae_tf.distributions has them ------------------------------------------

  const LEAST_SCALE = 1e-4;
  // A Gaussian over z from a network's raw output: means, then raw scales.
  const gaussian = raw => {
    const size = raw.length / 2;
    return {mean: raw.slice(0, size), scale: raw.slice(size).map(v => LEAST_SCALE + softplus(v))};
  };
  const standard = size => ({mean: new Float32Array(size), scale: new Float32Array(size).fill(1)});
  // KL(q ‖ p) of diagonal Gaussians, (2.4).
  const divergence = (q, p) => q.mean.reduce(
    (sum, m, j) => sum + Explore.kl(m, q.scale[j], p.mean[j], p.scale[j]), 0);
  // log p of binary pixels, from logits.
  const logBernoulli = (pixels, logits) => {
    let sum = 0;
    for (let i = 0; i < logits.length; i++) sum += pixels[i] * logits[i] - softplus(logits[i]);
    return sum;
  };

  // Standard normal numbers of a seed, after Box and Muller: `count` arrays of `size`.
  const normals = (count, size, seed) => {
    const draw = Explore.random(seed);
    const one = () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
    return Array.from({length: count}, () => Float32Array.from({length: size}, one));
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
    softplus, sigmoid, softmax, gaussian, standard, divergence, logBernoulli, normals
  });
})();
