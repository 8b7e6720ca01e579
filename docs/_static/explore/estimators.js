// The estimators: SGVB-A (2.2), SGVB-B (2.3) and the score function, one draw of z after the other.
//
// The model is that of the bound with one mode: z ~ N(0, 1), x = z + noise, the noise N(0, 0.6²),
// x = 1.2. Each estimator's mean and variance per draw have a closed form, which stands beside.
(() => {
  "use strict";
  const {logNormal, nats, element, row} = Explore;
  const NOISE = 0.6, V = NOISE ** 2, X = 1.2;
  const POSTERIOR = {mean: X / (1 + V), scale: Math.sqrt(V / (1 + V))};
  const RANGE = {mean: [-2, 3, 0.01], scale: [0.1, 2, 0.01]};
  const NAMES = {A: "SGVB-A", B: "SGVB-B", score: "score function"};
  const OF = {value: ["A", "B"], gradient: ["A", "B", "score"]};
  const MOST = 5000;

  // What one draw gives: of the bound, or of its derivative in q's mean.
  function draw(q, epsilon, what) {
    const z = q.mean + q.scale * epsilon;
    const reconstruction = logNormal(X, z, NOISE);
    const f = logNormal(z, 0, 1) + reconstruction - logNormal(z, q.mean, q.scale);
    if (what === "value") return {z, A: f, B: reconstruction - Explore.kl(q.mean, q.scale)};
    return {z, A: -z + (X - z) / V, B: -q.mean + (X - z) / V, score: f * epsilon / q.scale};
  }

  // f(ε) = c + bε + aε², so that each mean and variance is a sum of Gaussian moments.
  function exact(q, what) {
    const {mean: m, scale: s} = q;
    const c = logNormal(m, 0, 1) + logNormal(X, m, NOISE) - logNormal(0, 0, s);
    const b = -m * s + (X - m) * s / V, a = 0.5 - s * s / 2 - s * s / (2 * V);
    if (what === "value") {
      const bb = (X - m) * s / V, ab = -s * s / (2 * V);
      return {mean: c + a, variance: {A: b * b + 2 * a * a, B: bb * bb + 2 * ab * ab}};
    }
    const slope = -m + (X - m) / V;
    return {mean: slope, variance: {
      A: (s * (1 + 1 / V)) ** 2, B: (s / V) ** 2,
      score: (c * c + 3 * b * b + 15 * a * a + 6 * c * a) / (s * s) - slope * slope
    }};
  }

  function mount(box) {
    const FAR = {mean: -0.4, scale: 0.7};
    const state = {...FAR, what: "value", seed: 1};
    let noise, draws, paths, running = false, fall = 1;

    const tabs = Explore.tabs(box, "Draw by draw", {value: "the bound", gradient: "its gradient"},
                              what => set({what}));
    const top = Explore.canvas(box, 150, "", drawDensities);
    const below = Explore.canvas(box, 190, "", drawPaths);
    const table = element("table", {class: "explore-table"});
    box.append(element("div", {class: "explore-scroll"}, table));
    const buttons = element("div", {class: "explore-tabs"});
    box.append(buttons);
    Explore.button(buttons, "one draw", () => { stop(); add(1); });
    Explore.button(buttons, "100 draws", () => { stop(); add(100); });
    const run = Explore.button(buttons, "run", () => (running ? stop() : go()));
    Explore.button(buttons, "start again", () => set({seed: state.seed + 1}));
    Explore.button(buttons, "q at the posterior", () => set({...POSTERIOR}));
    Explore.button(buttons, "q far off", () => set({...FAR}));
    const sliders = element("div", {class: "explore-sliders"});
    box.append(sliders);
    const mean = Explore.slider(sliders, "mean of q", RANGE.mean, state.mean, v => set({mean: v}));
    const scale = Explore.slider(sliders, "width of q", RANGE.scale, state.scale, v => set({scale: v}));
    const note = element("p", {class: "explore-note"});
    box.append(note);
    const speak = Explore.speaker(box);

    function set(change) {
      Object.assign(state, change);
      mean.set(state.mean); scale.set(state.scale);
      tabs.show(state.what);
      noise = Explore.normals(state.seed, [MOST]);
      draws = []; paths = {};
      for (const name of OF[state.what]) paths[name] = {sum: 0, squares: 0, means: []};
      write();
    }
    function add(count) {
      for (let i = 0; i < count && draws.length < MOST; i++) {
        const one = draw(state, noise[draws.length], state.what);
        draws.push(one.z);
        for (const name of OF[state.what]) {
          const path = paths[name];
          path.sum += one[name]; path.squares += one[name] ** 2;
          path.means.push(path.sum / draws.length);
        }
      }
      fall = matchMedia("(prefers-reduced-motion: reduce)").matches || count > 1 ? 1 : 0;
      write();
      if (fall < 1 && !running) requestAnimationFrame(dropping);
    }
    function dropping() {
      fall = Math.min(1, fall + 0.08);
      top.redraw();
      if (fall < 1) requestAnimationFrame(dropping);
    }
    let frame = 0;
    function step() {
      if (!running || !box.isConnected || draws.length >= MOST) return stop();
      frame++;
      if (draws.length >= 12) add(Math.ceil(draws.length / 150));
      else if (frame % 15 === 0) add(1);
      else { fall = Math.min(1, fall + 0.08); top.redraw(); }
      requestAnimationFrame(step);
    }
    function go() { running = true; run.textContent = "pause"; requestAnimationFrame(step); }
    function stop() { running = false; run.textContent = "run"; }

    function write() {
      const truth = exact(state, state.what), n = draws.length;
      const unit = state.what === "value" ? "nats" : "nats per unit of the mean";
      table.replaceChildren(row("th", "estimator", `mean of ${n} draws`, "variance", "exact variance"));
      for (const name of OF[state.what]) {
        const {sum, squares} = paths[name];
        const variance = n > 1 ? Math.max(0, (squares - sum * sum / n) / (n - 1)) : NaN;
        table.append(row("td", NAMES[name], n ? nats(sum / n, 3) : "–",
                         n > 1 ? nats(variance, 3) : "–", nats(truth.variance[name], 3)));
      }
      const at = Math.abs(state.mean - POSTERIOR.mean) + Math.abs(state.scale - POSTERIOR.scale) < 0.012;
      note.textContent = state.what === "value"
        ? at ? "q is the true posterior: each draw of A gives log p(x) itself, and B still varies."
          : `Both have the mean L = ${nats(truth.mean, 3)} nats.`
        : `All three have the mean ${nats(truth.mean, 3)} ${unit}, and differ in their noise.`;
      const said = [...table.rows].slice(1).map(r => [...r.cells].map(c => c.textContent).join(", "));
      top.say(`q, the true posterior, and ${n} draws of z from q.`);
      below.say(`Running means after ${n} draws: ${said.join("; ")}.`);
      speak(`${n} draws. ${said.join("; ")}.`);
      top.redraw(); below.redraw();
    }

    const colourOf = c => ({A: c.bound, B: c.kl, score: c.quiet});
    const DASH = {A: [], B: [8, 4], score: [2, 3]};

    function drawDensities(c, width, height, colours) {
      const floor = height - 22, at = z => (z + 3.6) / 7.2 * width;
      c.lineWidth = 2.5;
      const curve = (m, s, colour) => {
        c.beginPath();
        for (let px = 0; px <= width; px += 2) {
          const d = Math.exp(logNormal(px / width * 7.2 - 3.6, m, s));
          c.lineTo(px, floor - Math.min(d, 1.2) / 1.2 * (floor - 26));
        }
        c.strokeStyle = colour; c.stroke();
      };
      curve(POSTERIOR.mean, POSTERIOR.scale, colours.posterior);
      curve(state.mean, state.scale, colours.q);
      Explore.key(c, [["true posterior", colours.posterior], ["q, and draws of z", colours.q]],
                  2, 0, colours);
      Explore.axis(c, at, [-3, -2, -1, 0, 1, 2, 3], floor, width, colours, "z");
      c.fillStyle = colours.q;
      const shown = draws.slice(-400);
      shown.forEach((z, i) => {
        const last = i === shown.length - 1;
        c.globalAlpha = last ? 1 : 0.3;
        c.beginPath();
        c.arc(at(z), last ? 6 + (floor - 10) * fall * fall : floor - 4, last ? 5 : 3, 0, 7);
        c.fill();
      });
      c.globalAlpha = 1;
    }

    function drawPaths(c, width, height, colours) {
      const truth = exact(state, state.what), n = draws.length, left = 46, floor = height - 24;
      const sds = OF[state.what].map(name => Math.sqrt(truth.variance[name]));
      const reach = Math.max(0.3, 1.3 * Math.min(...sds, 3), 0.5 * Math.max(...sds));
      const up = v => floor / 2 - Math.max(-1, Math.min(1, (v - truth.mean) / reach)) * (floor / 2 - 10);
      const right = width - 8, across = i => left + Math.log(i) / Math.log(Math.max(n, 20)) * (right - left);
      c.lineWidth = 1; c.strokeStyle = colours.ink;
      c.setLineDash([3, 3]);
      c.beginPath(); c.moveTo(left, up(truth.mean)); c.lineTo(right, up(truth.mean)); c.stroke();
      c.setLineDash([]);
      c.fillStyle = colours.ink; c.textAlign = "right";
      c.fillText(nats(truth.mean), left - 4, up(truth.mean) + 5);
      c.fillStyle = colours.quiet;
      c.fillText(nats(truth.mean + reach), left - 4, 14);
      c.fillText(nats(truth.mean - reach), left - 4, floor - 2);
      c.textAlign = "center";
      for (let i = 1; i <= Math.max(n, 20); i *= 10) c.fillText(String(i), across(i), height - 6);
      c.textAlign = "right"; c.fillText("draws", right, height - 6);
      c.lineWidth = 2.2;
      OF[state.what].forEach(name => {
        const {means} = paths[name], colour = colourOf(colours)[name];
        c.strokeStyle = colour; c.setLineDash(DASH[name]);
        c.beginPath();
        let before = -9;
        means.forEach((v, i) => {
          const px = across(i + 1);
          if (px - before < 0.7 && i + 1 < means.length) return;
          c.lineTo(px, up(v)); before = px;
        });
        c.stroke();
        c.setLineDash([]);
      });
      const names = OF[state.what].map(name => [NAMES[name], colourOf(colours)[name], DASH[name]]);
      Explore.key(c, names, right - 144, floor - 4 - 20 * names.length, colours);
    }
    box.explore = {state, set, add, get draws() { return draws; }, get paths() { return paths; }};
    set({});
    add(8);
  }

  Explore.add("estimators", {title: "The estimators, draw by draw", mount, draw, exact});
})();
