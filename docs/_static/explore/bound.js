// The bound: log p(x) = KL(q ‖ p(z|x)) + L for every Gaussian q, (1.1) and (1.2), with one latent.
//
// The prior is N(0, 1). What is seen is a sum ("one mode": x = z + noise) or a square ("two modes":
// x = z² + noise), the noise N(0, 0.6²). All integrals are sums over a grid of z.
(() => {
  "use strict";
  const {logNormal, grid, logIntegral, random, nats, round, clamp, element, part} = Explore;
  const NOISE = 0.6, FROM = -16, TO = 16, COUNT = 3201, STEP = (TO - FROM) / (COUNT - 1);
  const Z = grid(FROM, TO, COUNT);
  const MEAN_OF_X = {one: z => z, two: z => z * z};
  const RANGE = {mean: [-3, 3, 0.01], scale: [0.1, 2, 0.01], x: [-2, 3, 0.05]};
  const START = {kind: "one", x: 1.2, mean: -0.2, scale: 0.9};
  const CLOSE = 0.05;  // nats: the game ends this near to the best q

  const logJoint = (kind, x) =>
    Z.map(z => logNormal(z, 0, 1) + logNormal(x, MEAN_OF_X[kind](z), NOISE));

  // The mean under q of f(log q(z), z, the number of z on the grid).
  const underQ = ({mean, scale}, f) => Z.reduce((sum, z, i) => {
    const log_q = logNormal(z, mean, scale);
    return sum + Math.exp(log_q) * STEP * f(log_q, z, i);
  }, 0);
  const boundOf = (joint, q) => underQ(q, (log_q, z, i) => joint[i] - log_q);

  // {bound, kl, evidence} in nats, and the bound's two terms.
  function numbers({kind, x, ...q}) {
    const joint = logJoint(kind, x), evidence = logIntegral(joint, STEP);
    return {
      bound: boundOf(joint, q), kl: underQ(q, (log_q, z, i) => log_q - (joint[i] - evidence)), evidence,
      reconstruction: underQ(q, (log_q, z) => logNormal(x, MEAN_OF_X[kind](z), NOISE)),
      divergence: Explore.kl(q.mean, q.scale)
    };
  }

  // The best Gaussian q, by a search that narrows down.
  function best({kind, x}) {
    const joint = logJoint(kind, x);
    let found = {mean: 0, scale: 1, bound: -Infinity}, wide = 3, narrow = 1;
    for (let round = 0; round < 7; round++) {
      const {mean: m, scale: s} = found;
      for (let i = -6; i <= 6; i++)
        for (let j = -6; j <= 6; j++) {
          const q = {mean: m + wide * i / 6, scale: s * Math.exp(narrow * j / 4)};
          const bound = boundOf(joint, q);
          if (bound > found.bound) found = {...q, bound};
        }
      wide /= 3; narrow /= 3;
    }
    return found;
  }

  function mount(box) {
    const state = {...START, game: null};
    const tabs = Explore.tabs(box, "Drag q", {one: "one mode", two: "two modes", game: "find q"},
                              pressed => ({
      one: () => set({kind: "one", x: 1.2, game: null}),
      two: () => set({kind: "two", x: 1.5, mean: 0.4, game: null}),
      game: begin
    })[pressed]());
    const sum = element("p", {class: "explore-sum"});
    box.append(sum);
    const plot = Explore.stage(box, 270, drawPlot, {start: take, move: moveTo, key});
    const bar = Explore.canvas(box, 54, "", drawBar);
    const sliders = element("div", {class: "explore-sliders"});
    box.append(sliders);
    const mean = Explore.slider(sliders, "mean of q", RANGE.mean, state.mean, v => move({mean: v}));
    const scale = Explore.slider(sliders, "width of q", RANGE.scale, state.scale, v => move({scale: v}));
    const seen = Explore.slider(sliders, "x, as seen", RANGE.x, state.x, v => set({x: v}));
    const said = element("p", {class: "explore-note"});
    box.append(said);
    const speak = Explore.speaker(box);
    let now;

    function set(change) {
      Object.assign(state, change);
      state.mean = clamp(state.mean, RANGE.mean);
      state.scale = clamp(state.scale, RANGE.scale);
      now = numbers(state);
      mean.set(state.mean); scale.set(state.scale); seen.set(state.x);
      seen.row.hidden = Boolean(state.game);
      tabs.show(state.game ? "game" : state.kind);
      judge();
      write();
      plot.redraw(); bar.redraw();
    }

    // What the player does counts, however it is done; a pull of the mouse or of a slider is one move.
    function move(change, begins = Date.now() - last > 400) {
      if (state.game && !state.game.over && begins) state.game.moves++;
      last = Date.now();
      set(change);
    }
    let last = 0;

    // The game: as in training, the bound is all that one sees.
    function begin() {
      const draw = random(state.game ? state.game.seed + 1 : 1 + Math.floor(1e6 * Math.random()));
      const seed = Math.floor(1e6 * draw()), kind = draw() < 0.5 ? "one" : "two";
      const x = kind === "one" ? -1.5 + 4 * draw() : 0.8 + 2 * draw();
      const found = best({kind, x});
      last = 0;  // whatever was moved just before, the next move is the game's first
      set({kind, x, mean: found.mean + (draw() < 0.5 ? -1.6 : 1.6), scale: 0.3 + 1.5 * draw(),
           game: {seed, best: found, moves: 0, over: false}});
    }
    function judge() {
      const game = state.game;
      if (game && !game.over && game.best.bound - now.bound < CLOSE) game.over = true;
    }
    const hidden = () => state.game && !state.game.over;

    function write() {
      const kl = round(now.evidence) - round(now.bound);  // so that the sum is right as it is read
      const L = part("bound", `L = ${nats(now.bound)}`);
      if (hidden()) {
        sum.replaceChildren(L, part("quiet", " nats. Raise it: nobody tells you KL or log p(x)."));
        said.textContent = "The posterior is hidden. Move q until L is as high as it can be.";
      } else {
        sum.replaceChildren(L, " + ", part("kl", `KL = ${nats(kl)}`), " = ",
                            part("ink", `log p(x) = ${nats(now.evidence)}`), part("quiet", " nats"));
        said.textContent = state.game
          ? `Found after ${state.game.moves} moves: ${nats(kl)} nats are missing` +
            (state.kind === "two" ? ", and one Gaussian on two modes cannot close them." : ".")
          : state.kind === "one" ? "Where q is the true posterior, KL is zero and L is log p(x)."
            : "A Gaussian q has to choose: one mode, or both and what lies between.";
      }
      const text = sum.textContent;
      plot.say(`Densities over z: prior, q with mean ` +
        `${nats(state.mean)} and width ${nats(state.scale)}` +
        `${hidden() ? "" : ", true posterior"}. Arrow keys move q.`);
      bar.say(text);
      speak(text);
    }

    // --- The picture ----
    const VIEW = [-3.6, 3.6], FOOT = 26;
    const across = width => z => (z - VIEW[0]) / (VIEW[1] - VIEW[0]) * width;
    const back = width => px => VIEW[0] + px / width * (VIEW[1] - VIEW[0]);
    // The density that is as high as the plot: all of q, and of the posterior where it is shown.
    const top = () => {
      let most = 1.14;
      if (!hidden())
        logJoint(state.kind, state.x).forEach(v => { most = Math.max(most, Math.exp(v - now.evidence)); });
      return 1.1 * Math.max(most, Math.exp(logNormal(0, 0, state.scale)));
    };
    const rising = (height, most) => d => height - FOOT - d / most * (height - FOOT - 12);
    const handles = (width, height, most) => {
      const at = across(width), up = rising(height, most);
      const peak = Math.exp(logNormal(0, 0, state.scale));
      return {
        mean: [at(state.mean), up(peak)],
        scale: [at(state.mean + state.scale), up(peak * Math.exp(-0.5))]
      };
    };

    function drawPlot(c, width, height, colours) {
      const at = across(width), floor = height - FOOT, most = top(), up = rising(height, most);
      Explore.axis(c, at, [-3, -2, -1, 0, 1, 2, 3], floor, width, colours, "z");

      const joint = logJoint(state.kind, state.x);
      const curve = (density, colour, fill, dash) => {
        c.beginPath();
        let first = true;
        Z.forEach((z, i) => {
          if (z < VIEW[0] || z > VIEW[1] || i % 2) return;
          c[first ? "moveTo" : "lineTo"](at(z), up(density(z, i)));
          first = false;
        });
        c.strokeStyle = colour; c.lineWidth = 2.5; c.setLineDash(dash); c.stroke(); c.setLineDash([]);
        if (fill) { c.lineTo(width, floor); c.lineTo(0, floor); c.globalAlpha = .13;
                    c.fillStyle = colour; c.fill(); c.globalAlpha = 1; }
      };
      curve(z => Math.exp(logNormal(z, 0, 1)), colours.prior, false, [6, 4]);
      if (!hidden()) curve((z, i) => Math.exp(joint[i] - now.evidence), colours.posterior, true, []);
      curve(z => Math.exp(logNormal(z, state.mean, state.scale)), colours.q, true, []);

      // The key, at the left above; dashes for the prior, so that colour is not all there is.
      const names = [["prior", colours.prior, [6, 4]], ["q", colours.q, []]];
      if (!hidden()) names.push(["true posterior", colours.posterior, []]);
      Explore.key(c, names, 2, 0, colours);
      const {mean: [mx, my], scale: [sx, sy]} = handles(width, height, most);
      Explore.handle(c, mx, my, "↔", colours.q, colours);
      Explore.handle(c, sx, sy, "σ", colours.q, colours);
    }

    function drawBar(c, width, height, colours) {
      // While log p(x) is hidden, the ends of the bar do not tell it.
      const [low, high] = hidden() ? [-14, 0]
        : [Math.min(now.evidence - 4, Math.max(now.bound - .4, now.evidence - 12)), now.evidence + 0.35];
      const at = v => 8 + (Math.max(v, low) - low) / (high - low) * (width - 16);
      const y = 6, tall = 24, L = at(now.bound), top = at(now.evidence);
      c.fillStyle = colours.bound; c.fillRect(8, y, Math.max(2, L - 8), tall);
      if (!hidden()) {
        c.fillStyle = colours.kl; c.fillRect(L, y, Math.max(0, top - L), tall);
        c.strokeStyle = colours.ink; c.lineWidth = 2;
        c.beginPath(); c.moveTo(top, 0); c.lineTo(top, y + tall + 6); c.stroke();
        c.fillStyle = colours.ink; c.textAlign = "right"; c.fillText("log p(x)", width - 2, height - 4);
      }
      c.fillStyle = colours.ground; c.textAlign = "left";
      if (L > 40) c.fillText("L", 16, y + 17);
      c.textAlign = "center";
      if (!hidden() && top - L > 34) c.fillText("KL", (L + top) / 2, y + 17);
    }

    // --- Mouse, finger, keys ----
    let held = null, from = 0;
    function take(x, y) {
      const {clientWidth: width, clientHeight: height} = plot.element;
      const {mean: m, scale: s} = handles(width, height, top());
      const far = ([a, b]) => Math.hypot(a - x, b - y);
      held = far(s) < far(m) ? "scale" : "mean";
      from = back(width)(x) - (held === "mean" ? state.mean : state.mean + state.scale);
      if (Math.min(far(m), far(s)) > 40) { held = "mean"; from = 0; }
      moveTo(x, true);
    }
    function moveTo(x, begins = false) {
      const z = back(plot.element.clientWidth)(x) - from;
      move(held === "mean" ? {mean: z} : {scale: z - state.mean}, begins);
    }
    function key(name, shift) {
      const fine = shift ? 0.01 : 0.1;
      const change = {
        ArrowLeft: {mean: state.mean - fine}, ArrowRight: {mean: state.mean + fine},
        ArrowUp: {scale: state.scale + fine / 2}, ArrowDown: {scale: state.scale - fine / 2}
      }[name];
      if (!change) return false;
      move(change, true);
      return true;
    }
    box.explore = {state, set, begin, get now() { return now; }};  // for the tests
    set({});
  }

  Explore.add("bound", {title: "The bound: drag q over the posterior", mount, numbers, best});
})();
