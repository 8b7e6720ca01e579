// Futures: a ball at a junction, its possible paths, and what three models make of them, (9.1), (9.2).
//
// A still is as cvae_tf.tasks.futures draws it, so the true p(y|x) is known. The regressor predicts one
// path, the mixture six Gaussians, the CVAE a path for each z. All draw y by the same fixed noise.
(() => {
  "use strict";
  const {nats, percent, element, part, row, clamp, logNormal, logSum, softplus} = Explore;
  const DRAWS = 200, SAMPLES = 100, TURN = 2 * Math.PI;
  const MODELS = {CVAE: "CVAE", mixture: "mixture", regressor: "regressor", truth: "truth"};
  const sum = values => values.reduce((a, b) => a + b, 0);
  const logDensity = (y, mean, scale) => sum(Array.from(mean, (m, i) => logNormal(y[i], m, scale[i] ?? scale)));
  const distance = (a, b) => Math.hypot(...Array.from(a, (v, i) => v - b[i]));

  // What the stills and the models are, from what is known of them (tools/explorable_models/futures.py).
  function world({facts, nets}) {
    const {frames: T, reach, sigma, side, directions, sigmas} = facts, K = 5;
    const wave = (k, t) => (k ? Math.SQRT2 : 1) * Math.cos(Math.PI * k * (t + 0.5) / T);
    const compass = d => [Math.cos(TURN * d / directions), Math.sin(TURN * d / directions)];
    const speeding = Array.from({length: K}, (_, k) =>
      sum(Array.from({length: T}, (_, t) => (t / (T - 1)) ** 2 * wave(k, t))) / T);
    // Ten numbers y: of the path that speeds up to `end`, in pixels to the right and down of the ball.
    const motion = end => end.flatMap(to => speeding.map(c => c * to));
    const path = y => Array.from({length: T}, (_, t) => [0, K].map(from =>
      sum(speeding.map((_, k) => y[from + k] * wave(k, t)))));

    // The picture x, and the ways with their motions.
    function still({arms, start}) {
      const x = new Float32Array(side * side), toward = arms.map(compass);
      for (let i = 0; i < side * side; i++) {
        const at = [i % side - start[0], Math.floor(i / side) - start[1]];
        let value = clamp(2 - Math.hypot(...at), [0, 1]);
        for (const d of toward) {
          const along = clamp(at[0] * d[0] + at[1] * d[1], [0, reach]);
          const off = Math.hypot(at[0] - along * d[0], at[1] - along * d[1]);
          value = Math.max(value, 0.45 * clamp(1.3 - off, [0, 1]));
        }
        x[i] = value;
      }
      return {x, ways: toward.map(d => motion(d.map(v => reach * v)))};
    }
    const nearest = (y, ways) => {
      const far = ways.map(m => distance(y, m)), least = Math.min(...far);
      return {way: far.indexOf(least), least, off: least > facts.radius};
    };

    // The mixture's weights (as logs), means and scales.
    function mixture(x) {
      const raw = nets["mixture.likelihood"](x), parts = facts.components, size = 2 * K;
      const logits = raw.subarray(0, parts), total = logSum(logits);
      return Array.from({length: parts}, (_, k) => ({
        log: logits[k] - total, mean: raw.subarray(parts + k * size, parts + (k + 1) * size),
        scale: raw.slice(parts + (parts + k) * size, parts + (parts + k + 1) * size).map(v => facts.least + softplus(v))
      }));
    }
    // What the networks say of a still; no future is needed for it.
    const predict = ({x, ways}) => ({
      x, ways, mean: nets["regressor.likelihood"](x), mixture: mixture(x), decode: nets["CVAE.likelihood"].given(x)
    });

    // One draw of y, from a number u in (0, 1) and eleven normal ones.
    function draw(model, {ways, mean, mixture: parts, decode}, u, [first, ...rest]) {
      if (model === "regressor") return rest.map((e, i) => mean[i] + sigmas.regressor * e);
      if (model === "CVAE") {
        const f = decode([first]);
        return rest.map((e, i) => f[i] + sigmas.CVAE * e);
      }
      if (model === "truth") {
        const way = ways[Math.floor(u * ways.length)];
        return rest.map((e, i) => way[i] + sigma * e);
      }
      let k = 0;
      for (let left = u; k < parts.length - 1 && (left -= Math.exp(parts[k].log)) >= 0;) k++;
      return rest.map((e, i) => parts[k].mean[i] + parts[k].scale[i] * e);
    }

    const logTrue = (y, ways) => logSum(ways.map(w => logDensity(y, w, sigma))) - Math.log(ways.length);
    // log p(y|x) in nats. The CVAE's by importance sampling (5.8), with its bound (9.1) beside it.
    function judge(y, {x, ways, mean, mixture: parts, decode}, noise) {
      const q = Explore.gaussian(nets["CVAE.posterior"](x, Float32Array.from(y))), m = q.mean[0], s = q.scale[0];
      const each = noise.map(e => {
        const z = m + s * e, log_y = logDensity(y, decode([z]), sigmas.CVAE);
        return {log_y, log_weight: log_y + logNormal(z, 0, 1) - logNormal(z, m, s)};
      });
      return {
        truth: logTrue(y, ways),
        regressor: logDensity(y, mean, sigmas.regressor),
        mixture: logSum(parts.map(p => p.log + logDensity(y, p.mean, p.scale))),
        CVAE: logSum(each.map(one => one.log_weight)) - Math.log(noise.length),
        bound: sum(each.map(one => one.log_y)) / noise.length - Explore.kl(m, s),
        kl: Explore.kl(m, s)
      };
    }
    return {reach, side, directions, radius: facts.radius, motion, path, compass, still, nearest, predict, draw, logTrue, judge};
  }

  function mount(box) {
    const here = world(Explore.loaded("futures")), {side, reach, directions} = here;
    const middle = (side - 1) / 2, JITTER = [-1, 1], FAR = [-6.5, 6.5];
    const state = {model: "CVAE", arms: [5, 7], start: [7.5, 8.5], end: null, seed: 1};
    const forY = Explore.normals(77, [SAMPLES]);
    let noise, uniforms, seen, drawn, now;

    const tabs = Explore.tabs(box, "Whose futures?", MODELS, model => set({model}));
    const lead = element("p", {class: "explore-sum"});
    box.append(lead);
    const left = element("div"), right = element("div");
    box.append(element("div", {class: "explore-halves"}, left, right));
    const scene = Explore.stage(left, width => Math.min(width, 400) + 48, drawScene, {start: take, move, key});
    const table = element("table", {class: "explore-table"});
    right.append(table);
    const buttonsOf = (title, choices) => {
      const row = element("div", {class: "explore-tabs"}, element("span", {class: "explore-name"}, title));
      right.append(row);
      for (const [text, pressed] of Object.entries(choices)) Explore.button(row, text, pressed);
    };
    buttonsOf("future y", {
      "mean path": () => set({end: meanEnd()}),
      "an arm": () => {
        const before = state.arms.findIndex(d => distance(endOf(d), state.end) < 0.1);
        set({end: endOf(state.arms[(before + 1) % state.arms.length])});
      }
    });
    buttonsOf("still x", {
      "another": () => set(another([2, 3][Math.floor(2 * Math.random())])),
      "1 arm": () => set(another(1)), "4 arms": () => set(another(4))
    });
    buttonsOf("noise", {"draw anew": () => set({seed: state.seed + 1})});
    const note = element("p", {class: "explore-note"});
    box.append(note);
    const speak = Explore.speaker(box);

    // Where the way of a direction ends, and where the regressor's path does.
    const endOf = direction => here.compass(direction).map(v => reach * v);
    const meanEnd = () => here.path(seen.mean).at(-1);

    function another(count) {
      for (;;) {
        const arms = Array.from({length: directions}, (_, d) => [Math.random(), d]).sort((a, b) => a[0] - b[0])
          .slice(0, count).map(([, d]) => d);
        if (isApart(arms)) return {arms, start: [0, 1].map(() => middle - 1 + 2 * Math.random()), end: null};
      }
    }
    const isApart = arms => arms.every((a, i) => arms.every((b, j) =>
      i === j || Math.min((a - b + directions) % directions, (b - a + directions) % directions) >= directions / 4));

    function set(change) {
      Object.assign(state, change);
      state.start = state.start.map(v => clamp(v, JITTER.map(j => middle + j)));
      if (!seen || change.arms || change.start) seen = here.predict(here.still(state));
      if (!state.end) state.end = endOf(state.arms[0]);
      state.end = state.end.map(v => clamp(v, FAR));
      if (!noise || change.seed) {
        noise = Explore.normals(state.seed, [DRAWS, 11]);
        const uniform = Explore.random(state.seed + 1000);
        uniforms = noise.map(() => uniform());
      }
      if (!drawn || change.arms || change.start || change.seed)
        drawn = Object.fromEntries(Object.keys(MODELS).map(model => [model, drawsOf(model)]));
      now = here.judge(here.motion(state.end), seen, forY);
      tabs.show(state.model);
      write();
      scene.redraw();
    }
    function drawsOf(model) {
      const paths = uniforms.map((u, i) => here.draw(model, seen, u, noise[i]));
      const where = paths.map(y => here.nearest(y, seen.ways));
      const shares = seen.ways.map((_, w) => where.filter(one => one.way === w && !one.off).length / DRAWS);
      return {paths, where, shares, off: where.filter(one => one.off).length / DRAWS};
    }

    function write() {
      const mean = here.nearest(seen.mean, seen.ways);
      const atMean = here.logTrue(seen.mean, seen.ways);
      lead.replaceChildren(part("ink", "Mean path: "), mean.off
        ? `${nats(mean.least)} px from the nearest way. Nobody takes it: its true log p is ${nats(atMean)} nats.`
        : `${nats(mean.least)} px from a way.`);
      table.replaceChildren(row("th", "nats", "log\u00a0p(y|x)", "draws\u00a0off"));
      for (const model of ["truth", "regressor", "mixture", "CVAE"])
        table.append(row("td", MODELS[model], nats(now[model]), percent(drawn[model].off)));
      table.append(row("td", "CVAE, bound (9.1)", nats(now.bound), ""));
      const unlike = state.arms.length === 1 || state.arms.length > 3
        ? `No training still had ${state.arms.length === 1 ? "one arm" : "four arms"}. `
        : isApart(state.arms) ? "" : "In no training still were arms as near to each other. ";
      note.textContent = `${unlike}Drag the end of y, the arms and the ball. Of each model ${DRAWS} draws; off a way is ` +
        `farther than ${nats(here.radius)} px. The CVAE's log p is (5.8) with S = ${SAMPLES}, too low on average.`;
      const own = drawn[state.model];
      scene.say(`A still of ${state.arms.length} arms with ${DRAWS} draws of the ${MODELS[state.model]}: ` +
        `${own.shares.map(percent).join(", ")} along the arms, ${percent(own.off)} off every way. ` +
        `${lead.textContent} Arrow keys move the end of the future y.`);
      speak(`${lead.textContent} log p of y: ${Object.keys(MODELS).map(m => `${MODELS[m]} ${nats(now[m])}`).join(", ")}.`);
    }

    // --- The picture ----
    const place = () => {
      const wide = scene.element.clientWidth, size = Math.min(wide, 400), unit = size / side;
      const from = (wide - size) / 2;
      const at = ([right, down]) => [from + (right + 0.5) * unit, (down + 0.5) * unit];
      const still = ([x, y]) => [(x - from) / unit - 0.5, y / unit - 0.5];
      const ball = at(state.start), moved = d => at(d.map((v, i) => v + state.start[i]));
      return {from, size, unit, at, still, ball, moved,
              end: moved(state.end), tips: state.arms.map(d => moved(here.compass(d).map(v => (reach + 1.3) * v)))};
    };
    function drawScene(c, width, height, colours) {
      const {from, size, moved, end, tips} = place();
      Explore.image(c, seen.x.map(v => 0.5 * v), from, 0, size, colours, side);
      c.save();
      c.beginPath(); c.rect(from, 0, size, size); c.clip();
      const line = (y, colour, wide, strength = 1) => {
        c.beginPath();
        for (const d of here.path(y)) c.lineTo(...moved(d));
        c.strokeStyle = colour; c.lineWidth = wide; c.globalAlpha = strength; c.stroke(); c.globalAlpha = 1;
      };
      const {paths, where, shares} = drawn[state.model];
      paths.forEach((y, i) => line(y, where[i].off ? colours.ink : colours.models.CVAE3, 1.3, where[i].off ? 0.4 : 0.5));
      line(seen.mean, colours.ground, 8);
      line(seen.mean, colours.models.baseline, 4.5);
      const [x, y] = moved(meanEnd());
      for (const [wide, colour] of [[9, colours.ground], [4.5, colours.models.baseline]]) {
        c.strokeStyle = colour; c.lineWidth = wide; c.beginPath();
        c.moveTo(x - 8, y - 8); c.lineTo(x + 8, y + 8); c.moveTo(x - 8, y + 8); c.lineTo(x + 8, y - 8); c.stroke();
      }
      line(here.motion(state.end), colours.models.CVAE1, 3);
      c.restore();
      Explore.handle(c, ...end, "y", colours.models.CVAE1, colours);
      c.textAlign = "center"; c.lineWidth = 1.5;
      tips.forEach(([px, py], w) => {
        c.beginPath(); c.roundRect(px - 24, py - 12, 48, 24, 12);
        c.fillStyle = colours.ground; c.fill();
        c.strokeStyle = colours.models.CVAE3; c.stroke();
        c.fillStyle = colours.ink; c.fillText(percent(shares[w]), px, py + 5);
      });
      c.strokeStyle = colours.rule; c.lineWidth = 1; c.strokeRect(from + .5, .5, size - 1, size - 1);
      Explore.key(c, [["draw on a way", colours.models.CVAE3], ["draw off all ways", colours.ink]], from, size + 4, colours);
      Explore.key(c, [["mean path", colours.models.baseline], ["a future y", colours.models.CVAE1]],
                  from + size / 2 + 8, size + 4, colours);
    }

    // --- Mouse, finger, keys ----
    let held = null;
    function take(x, y) {
      const {ball, end, tips} = place(), far = ([a, b]) => Math.hypot(a - x, b - y);
      const arm = tips.findIndex(tip => far(tip) < 26);
      held = far(end) < 24 ? "end" : arm >= 0 ? arm : far(ball) < 26 ? "ball" : "end";
      move(x, y);
    }
    function move(x, y) {
      const to = place().still([x, y]), off = to.map((v, i) => v - state.start[i]);
      if (held === "end") return set({end: off});
      if (held === "ball") return set({start: to});
      const turn = Math.round(Math.atan2(off[1], off[0]) / (TURN) * directions);
      const direction = (turn + directions) % directions;
      if (!state.arms.includes(direction))
        set({arms: state.arms.map((d, i) => (i === held ? direction : d))});
    }
    function key(name, shift) {
      const far = shift ? 0.05 : 0.25;
      const [right, down] = {ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far]}[name] ?? [];
      if (right === undefined) return false;
      set({end: [state.end[0] + right, state.end[1] + down]});
      return true;
    }
    box.explore = {  // for the tests
      state, set, place, forY, path: here.path, get seen() { return seen; }, get drawn() { return drawn; }, get now() { return now; },
      get noise() { return {uniforms, normals: noise}; }
    };
    set({});
  }

  Explore.add("futures", {title: "Futures: paths at a junction, and the mean path", mount, world});
})();
