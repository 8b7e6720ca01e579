// Noise levels: a CVAE with T levels (11.3) walks back from noise, guided by (11.6) or not.
//
// To points on three arms, the labels y, of three clumps each: the true p(x|y), what q makes of it at
// each level, and the best guess of x are known, and stand beside the network's. And to digits.
(() => {
  "use strict";
  const {nats, percent, element, part, row, clamp, sigmoid, logSum} = Explore;
  const WALKERS = 150, POINTS = 150, TRUTH = 4000, TRACED = 3, SECONDS = 4;
  const GUIDANCE = [0, 4, 0.05], VIEW = 2.9, NARROW = 520;
  const alpha = level => Math.sqrt(sigmoid(level)), sigma = level => Math.sqrt(sigmoid(-level));
  const sum = values => values.reduce((a, b) => a + b, 0), mean = values => sum(values) / values.length;
  const squares = (a, b) => a.reduce((total, v, i) => total + (v - b[i]) ** 2, 0);
  const length = a => a.reduce((total, v) => total + v * v, 0);
  const range = count => Array.from({length: count}, (_, i) => i);

  // T levels, from log SNR `end` (z_1) to −end (z_T). guess(level, rows of z, their labels) are rows
  // of x̂; a label that is not told is null.
  function chain(T, end, guess) {
    const line = range(T).map(t => end - 2 * end * t / (T - 1)), untell = labels => labels.map(() => null);

    // All levels of walks, a label each: z_T from noise, z_{t−1} ~ p(z_{t−1}|z_t, y); last the mean of x.
    function* walk(labels, w, epsilon) {
      const at = [epsilon[T - 1]];
      for (let t = T - 1; t > 0; t--) {
        const level = line[t], finer = line[t - 1], kept = Math.exp(level - finer);
        const ofZ = kept * alpha(finer) / alpha(level), ofX = (1 - kept) * alpha(finer);
        const spread = sigma(finer) * Math.sqrt(1 - kept), rows = at[at.length - 1];
        const told = guess(level, rows, labels), untold = w ? guess(level, rows, untell(labels)) : told;
        at.push(rows.map((z, i) => z.map((v, k) => ofZ * v + spread * epsilon[t - 1][i][k] +
                                                   ofX * ((1 + w) * told[i][k] - w * untold[i][k]))));
        yield;
      }
      at.push(at[T - 1].map(z => z.map(v => v / alpha(end))));
      return at;
    }

    // The terms of (11.3) for examples x, each level with noise of its own. By (11.4) and (11.6) a
    // level's KL is a − 2bw + cw²; kl(w) lists them, the finest first.
    function* terms(x, labels, epsilon) {
      const steps = [], n = x[0].length;
      for (let t = 1; t < T; t++) {
        const level = line[t], half = 0.5 * (Math.exp(line[t - 1]) - Math.exp(level));
        let a = 0, b = 0, c = 0;
        const z = x.map((one, i) => one.map((v, k) => alpha(level) * v + sigma(level) * epsilon[t - 1][i][k]));
        const told = guess(level, z, labels), untold = guess(level, z, untell(labels));
        x.forEach((one, i) => one.forEach((v, k) => {
          const error = v - told[i][k], apart = told[i][k] - untold[i][k];
          a += error ** 2; b += error * apart; c += apart ** 2;
        }));
        steps.push([a, b, c].map(v => half * v / x.length));
        yield;
      }
      const reconstruction = -0.5 * n * Math.log(2 * Math.PI) - n * Math.log(sigma(end) / alpha(end)) -
        0.5 * mean(epsilon.slice(0, T - 1).flat().map(length));
      const a2 = alpha(-end) ** 2, s = sigma(-end);
      const top = mean(x.map(v => 0.5 * (a2 * length(v) + n * (s * s - 1)) - n * Math.log(s)));
      const kl = w => steps.map(([a, b, c]) => a - 2 * b * w + c * w * w);
      return {reconstruction, top, kl, bound: w => reconstruction - top - sum(kl(w))};
    }
    return {T, line, walk, terms};
  }

  // A network's guesses of x: it says which noise to take off.
  const byNetwork = (net, count) => (level, rows, labels) => {
    const hot = Float32Array.from(labels.flatMap(label => range(count).map(y => Number(y === label))));
    const off = net.rows(rows.length, hot, Float32Array.of(level / 4), Float32Array.from(rows.flat()));
    const a = alpha(level), s = sigma(level);
    return rows.map((z, i) => z.map((v, k) => a * v - s * off[i * z.length + k]));
  };

  // The points: their truth, and two chains, with the network's guesses and with the best ones.
  function points({facts: {levels, points: {end, clumps, scale}}, nets}) {
    const all = clumps.flat(), of = label => (label === null ? all : clumps[label]);
    // Of z = ax + sε: log p(z|y), each clump's part in it, and the variance in a clump.
    function mixture(z, label, a, s) {
      const variance = (a * scale) ** 2 + s ** 2;
      const logs = of(label).map(c => -0.5 * squares(z, c.map(v => a * v)) / variance);
      const total = logSum(logs), log = total - Math.log(2 * Math.PI * variance * logs.length);
      return {log, parts: logs.map(v => Math.exp(v - total)), variance};
    }
    const logTrue = (x, label) => mixture(x, label, 1, 0).log;
    function best(level, z, label) {  // (11.5) of each clump, times its part
      const a = alpha(level), {parts, variance} = mixture(z, label, a, sigma(level));
      const kept = a * scale ** 2 / variance;
      return z.map((v, k) => sum(of(label).map((c, i) => parts[i] * (c[k] + kept * (v - a * c[k])))));
    }
    // Shares: of the label's clumps, of other arms, off all clumps, and read as the label.
    function judge(x, label) {
      const far = 2 * Math.log(1000) * scale ** 2;  // 99.9 % of what happens is nearer to its clump
      const found = {clumps: [0, 0, 0], other: 0, off: 0, read: 0}, share = 1 / x.length;
      for (const point of x) {
        const from = all.map(c => squares(point, c)), least = Math.min(...from);
        const own = from.indexOf(least) - 3 * label;
        if (least > far) found.off += share;
        else if (own >= 0 && own < 3) found.clumps[own] += share;
        else found.other += share;
        if (sum(clumps.map((_, y) => Math.exp(logTrue(point, y) - logTrue(point, label)))) < 2) found.read += share;
      }
      return found;
    }
    // Draws from the true p(x|y).
    function draw(label, count, seed) {
      const uniform = Explore.random(seed);
      return Explore.normals(seed + 1, [count, 2]).map(e => {
        const c = clumps[label][Math.floor(3 * uniform())];
        return e.map((v, k) => c[k] + scale * v);
      });
    }
    const network = chain(levels, end, byNetwork(nets["points.likelihood"], 3));
    const byBest = (level, rows, labels) => rows.map((z, i) => best(level, z, labels[i]));
    return {size: 2, clumps, scale, network, best: chain(levels, end, byBest), bestGuess: best, judge, draw, logTrue};
  }

  // The digits, by their principal components; they have no known truth.
  function digits({facts: {levels, digits: {end, measured}}, nets, arrays}) {
    const {shape: [size, pixels], values} = arrays.pictures, centre = arrays.centre.values;
    const picture = (z, a) => {
      const sums = Float64Array.from(centre, v => a * v);
      z.forEach((v, j) => { for (let i = 0; i < pixels; i++) sums[i] += v * values[j * pixels + i]; });
      return sums.map(v => clamp(v, [0, 1]));
    };
    const real = range(10).map(k => Array.from(arrays.real.values.subarray(k * size, (k + 1) * size)));
    return {size, real, measured, picture, network: chain(levels, end, byNetwork(nets["digits.likelihood"], 10))};
  }

  // Runs a generator a few milliseconds at a time, so that the page stays alive.
  function inSlices(work, done) {
    const go = () => {
      const until = performance.now() + 12;
      let step;
      do step = work.next(); while (!step.done && performance.now() < until);
      if (step.done) done(step.value); else setTimeout(go);
    };
    go();
  }

  function mount(box) {
    const loaded = Explore.loaded("levels"), worlds = {points: points(loaded), digits: digits(loaded)};
    const {T, line} = worlds.points.network, {clumps, scale} = worlds.points;
    const state = {world: "points", label: 0, guess: "network", w: 2, step: T, seed: 1};
    const walks = {}, bounds = {}, truths = [];
    let busy = false, playing = 0, shown = null;

    const tabs = Explore.tabs(box, "Walk back from noise to", {0: "arm 1", 1: "arm 2", 2: "arm 3", digits: "digits"},
      which => set(which === "digits" ? {world: "digits", guess: "network"} : {world: "points", label: Number(which)}));
    const lead = element("p", {class: "explore-sum"});
    box.append(lead);
    const plane = Explore.stage(box, tall, draw, {start: scrub, move: scrub, key});
    const buttons = element("div", {class: "explore-tabs"});
    box.append(buttons);
    Explore.button(buttons, "walk back", play);
    Explore.button(buttons, "other noise", () => set({seed: state.seed + 1}));
    const sliders = element("div", {class: "explore-sliders"});
    box.append(sliders);
    const weight = Explore.slider(sliders, "guidance w", GUIDANCE, state.w, w => set({w}));
    const level = Explore.slider(sliders, "level", [0, T, 1], state.step, step => { playing = 0; set({step}); }, nameOf);
    const left = element("div"), right = element("div");
    box.append(element("div", {class: "explore-halves"}, left, right));
    const table = element("table", {class: "explore-table"});
    left.append(table);
    const bars = Explore.stage(right, 170, drawBars, {start: scrub, move: scrub, key});
    const cost = element("p");
    right.append(cost);
    const guesses = Explore.tabs(box, "Guesses of x", {network: "by the network", best: "the best there are"},
                                 guess => set({guess}));
    const note = element("p", {class: "explore-note"});
    box.append(note);
    const speak = Explore.speaker(box);

    function set(change) {
      Object.assign(state, change);
      state.step = clamp(state.step, [0, T]);
      state.w = clamp(state.w, GUIDANCE);
      weight.set(state.w); level.set(state.step);
      tabs.show(state.world === "digits" ? "digits" : String(state.label));
      guesses.show(state.guess);
      guesses.row.parentElement.hidden = state.world === "digits";
      work();
      if (["w", "world", "label", "guess", "seed"].some(key => key in change)) write();
      plane.redraw(); bars.redraw();
    }

    // z_t with a small t, or x.
    function nameOf(step) {
      return step === T ? "x" : "z" + String(T - step).replace(/\d/g, d => "₀₁₂₃₄₅₆₇₈₉"[d]);
    }

    // What is to be computed for the state as it is now, one piece after the other.
    const about = () => `${state.world} ${state.guess} ${state.world === "points" ? state.label : "all"}`;
    const walkOf = w => `${about()} ${state.seed} ${w}`;
    const askedOf = rows => range(rows).map(i => (state.world === "points" ? state.label : i));
    const noiseOf = () => Explore.normals(state.seed, [T, state.world === "points" ? WALKERS : 10, worlds[state.world].size]);
    function work() {
      if (busy) return;
      const world = worlds[state.world], missing = [state.w, 0].find(w => !walks[walkOf(w)]);
      const start = (job, done) => {
        busy = true;
        inSlices(job, found => { busy = false; done(found); work(); write(); });
      };
      if (missing !== undefined) {
        const name = walkOf(missing), epsilon = noiseOf(), labels = askedOf(epsilon[0].length);
        start(world[state.guess].walk(labels, missing, epsilon), found => {
          const old = Object.keys(walks);
          if (old.length > 40) old.slice(0, 20).forEach(key => delete walks[key]);
          walks[name] = {at: found, labels, epsilon};
        });
      } else if (!bounds[about()]) {
        const name = about(), x = state.world === "points" ? world.draw(state.label, POINTS, 11) : world.real;
        const labels = askedOf(x.length), epsilon = Explore.normals(12, [T - 1, x.length, world.size]);
        start(world[state.guess].terms(x, labels, epsilon), found => { bounds[name] = {...found, x, epsilon}; });
      }
    }

    function write() {
      const plain = walks[walkOf(0)], guided = walks[walkOf(state.w)];
      if (plain && guided) {
        shown = {plain: plain.at, guided: guided.at, w: state.w, label: state.label, world: state.world};
        (state.world === "points" ? writePoints : writeDigits)();
      }
      const known = bounds[about()];
      if (known) {
        const now = known.bound(state.w), lost = known.bound(0) - now, {x} = known;
        const labels = state.world === "points" ? 3 : 10, truth = state.world === "points"
          ? ` (their log p(x|y): ${nats(mean(x.map(one => worlds.points.logTrue(one, state.label))))})` : "";
        cost.textContent = `Bound of ${x.length} true x: ${nats(now)} nats${truth}. Guidance costs ${nats(lost)}; with ` +
          `many levels and the best guesses at most w² log ${labels} = ${nats(state.w ** 2 * Math.log(labels))}.`;
      } else cost.textContent = "";
      plane.say(`Walks back from noise, without guidance and with w = ${nats(state.w)}. ${lead.textContent} ` +
        "Arrow keys left and right walk, up and down change w.");
      bars.say(`KL of each level, from noise to x. ${cost.textContent}`);
      speak(`${lead.textContent} ${cost.textContent}`);
      plane.redraw(); bars.redraw();
    }
    function writePoints() {
      const {judge, draw} = worlds.points, {label} = shown;
      truths[label] ??= judge(draw(label, TRUTH, 21), label);
      const found = [truths[label], judge(shown.plain[T], label), judge(shown.guided[T], label)];
      const [truth, , now] = found;
      const line = (name, of) => row("td", name, ...found.map(one => percent(of(one))));
      table.replaceChildren(
        row("th", "where x lies", "truth", "w = 0", `w = ${nats(shown.w)}`),
        line("inner clump", one => one.clumps[0]), line("middle clump", one => one.clumps[1]),
        line("outer clump", one => one.clumps[2]), line("another arm", one => one.other),
        line("off all clumps", one => one.off), line(`read as ${label + 1}`, one => one.read));
      lead.replaceChildren(
        part("bound", `${percent(now.read)} read as ${label + 1}`), ` (truth ${percent(truth.read)}), `,
        part("kl", `${percent(now.clumps[0])} in the inner clump`), ` (truth ${percent(truth.clumps[0])})`);
      note.textContent = `Violet: where true points lie at this level. Read as ${label + 1}: p(y = ${label + 1}|x) > ½. ` +
        `${TRUTH} draws of the truth, ${WALKERS} walks. ` + (state.guess === "best"
        ? "With the best guesses guidance shifts the shares, and the points stay in the clumps."
        : "Much guidance pushes points off all clumps: the network's two guesses are not the best ones.");
    }
    function writeDigits() {
      const found = Object.entries(worlds.digits.measured), real = found[0][1], [name, [read, covered]] = found.at(-1);
      table.replaceChildren(row("th", "digits", "read as asked", "coverage"),
                            ...found.map(([of, values]) => row("td", of, ...values.map(percent))));
      lead.replaceChildren(
        `${name}: `, part("bound", `${percent(read)} read as asked`), ` (real ${percent(real[0])}), `,
        part("kl", `coverage ${percent(covered)}`), ` (real ${percent(real[1])})`);
      note.textContent = "The table is measured as in the lesson, on 1000 draws for each w: a support vector machine reads; " +
        "coverage is the share of test images that have a draw nearby.";
    }

    // --- The pictures ----
    function tall(width) {
      if (state.world === "points") return width < NARROW ? width : Math.min(380, width / 2);
      return width < NARROW ? 6 * width / 5 + 12 : 0.3 * width + 18;
    }
    function draw(c, width, height, colours) {
      if (!shown || shown.world !== state.world) return;
      if (shown.world === "digits") return drawDigits(c, width, colours);
      const side = width < NARROW ? width : Math.min(height, (width - 16) / 2), now = `w = ${nats(shown.w)}`;
      if (width < NARROW) return drawPlane(c, 0, side, shown.guided, now, colours);
      const from = (width - 2 * side - 16) / 2;
      drawPlane(c, from, side, shown.plain, "w = 0", colours);
      drawPlane(c, from + side + 16, side, shown.guided, now, colours);
    }
    function drawPlane(c, from, side, walk, name, colours) {
      const unit = side / (2 * VIEW), k = state.step;
      const at = ([a, b]) => [from + side / 2 + a * unit, side / 2 - b * unit];
      const a = k < T ? alpha(line[T - 1 - k]) : 1, s = k < T ? sigma(line[T - 1 - k]) : 0;
      const disc = (where, radius) => { c.beginPath(); c.arc(...at(where), radius, 0, 7); };
      c.save();
      c.beginPath(); c.rect(from, 0, side, side); c.clip();
      c.textAlign = "center"; c.lineWidth = 1; c.strokeStyle = colours.rule; c.fillStyle = colours.quiet;
      clumps.forEach((arm, y) => {
        const [tx, ty] = at(arm[2].map(v => 1.36 * a * v));
        c.fillText(String(y + 1), tx, ty + 5);
        if (y !== shown.label) for (const m of arm) { disc(m.map(v => a * v), 2.5 * Math.hypot(a * scale, s) * unit); c.stroke(); }
      });
      c.fillStyle = colours.q; c.globalAlpha = 0.16;  // what q makes of the truth at this level
      for (const m of clumps[shown.label])
        for (const times of [2.5, 1.5]) { disc(m.map(v => a * v), times * Math.hypot(a * scale, s) * unit); c.fill(); }
      c.strokeStyle = c.fillStyle = colours.bound; c.globalAlpha = 0.45;
      for (let i = 0; i < TRACED; i++) {
        c.beginPath();
        for (let step = 0; step <= k; step++) c.lineTo(...at(walk[step][i]));
        c.stroke();
      }
      c.globalAlpha = 0.85;
      for (const z of walk[k]) { disc(z, 2.4); c.fill(); }
      c.globalAlpha = 1;
      c.restore();
      c.strokeStyle = colours.rule; c.strokeRect(from + .5, .5, side - 1, side - 1);
      c.fillStyle = colours.ink; c.textAlign = "right"; c.fillText(`${nameOf(k)}, ${name}`, from + side - 10, 22);
    }
    // Ten columns, or twice five: a real digit, and below it the two walks that ask for its label.
    function drawDigits(c, width, colours) {
      const {real, picture} = worlds.digits, k = state.step, columns = width < NARROW ? 5 : 10, side = width / columns;
      const a = k < T ? alpha(worlds.digits.network.line[T - 1 - k]) : 1;
      const rows = [real, shown.plain[k], shown.guided[k]];
      for (let label = 0; label < 10; label++)
        rows.forEach((each, i) => Explore.image(c, picture(each[label], i ? a : 1), label % columns * side + 1,
          (3 * Math.floor(label / columns) + i) * (side - 2), side - 4, colours));
      c.fillStyle = colours.quiet; c.textAlign = "left";
      const below = 3 * (10 / columns) * (side - 2) + 16;
      c.fillText(width < NARROW ? `test image, w = 0, w = ${nats(shown.w)}; ${nameOf(k)}`
        : `above a test image, then ${nameOf(k)} with w = 0 and with w = ${nats(shown.w)}, from the same noise`, 2, below);
    }

    function drawBars(c, width, height, colours) {
      const known = bounds[about()], floor = height - 24;
      Explore.axis(c, null, [], floor, width, colours, "x");
      c.textAlign = "left"; c.fillText("noise", 2, height - 6);
      if (!known) return;
      const plain = known.kl(0), guided = known.kl(state.w), most = Math.max(...plain, ...guided);
      const wide = width / (T - 1), up = v => v / most * (floor - 44);
      c.fillStyle = colours.kl;
      plain.forEach((base, i) => {  // the finest level at the right
        const bar = (low, high) => c.fillRect(width - (i + 1) * wide + 1, floor - up(high), wide - 2, up(high - low));
        c.globalAlpha = 0.8; bar(0, Math.min(base, guided[i]));
        c.globalAlpha = 0.35; if (guided[i] > base) bar(base, guided[i]);
      });
      c.globalAlpha = 1; c.fillStyle = colours.ink; c.textAlign = "left";
      c.fillText(`KL of each level, up to ${nats(most)} nats`, 2, 15);
      c.fillStyle = colours.quiet; c.fillText("pale: added by guidance", 2, 34);
      const x = width * (state.step + 0.5) / (T + 1);
      c.strokeStyle = colours.ink; c.lineWidth = 1.5; c.setLineDash([3, 3]);
      c.beginPath(); c.moveTo(x, 40); c.lineTo(x, floor); c.stroke(); c.setLineDash([]);
    }

    // --- Mouse, finger, keys, and the walk by itself ----
    function scrub(x) {
      const wide = (document.activeElement === bars.element ? bars : plane).element.clientWidth;
      playing = 0;
      set({step: Math.round(x / wide * T)});
    }
    function key(name, shift) {
      const much = shift ? 5 : 1;
      const change = {
        ArrowLeft: {step: state.step - much}, ArrowRight: {step: state.step + much},
        ArrowUp: {w: state.w + 0.1 * much}, ArrowDown: {w: state.w - 0.1 * much}
      }[name];
      if (!change) return false;
      playing = 0;
      set(change);
      return true;
    }
    function play() {
      const run = playing = performance.now();
      const next = now => {
        if (playing !== run || !box.isConnected) return;
        set({step: Math.floor(Math.max(0, now - run) / 1000 / SECONDS * T)});
        if (state.step < T) requestAnimationFrame(next);
      };
      requestAnimationFrame(next);
    }
    box.explore = {  // for the tests
      state, set, get shown() { return shown; }, get known() { return bounds[about()]; },
      get noise() { return walks[walkOf(state.w)].epsilon; },
      get ready() { return !busy && Boolean(walks[walkOf(state.w)] && walks[walkOf(0)] && bounds[about()]); }
    };
    set({});
    write();
  }

  Explore.add("levels", {title: "Noise levels: a walk back from noise, guided or not", mount, points, digits});
})();
