// Completion: a digit of which a part is covered, (5.2). x is what is seen, y what is covered.
//
// The regressor states one mean for each covered pixel. CVAE-3 draws z from p(z|x), and each z
// completes the digit in its own way.
(() => {
  "use strict";
  const {nats, round, element, part} = Explore;
  const SIDE = 28, SIZE = SIDE * SIDE, SHOWN = 6, DRAWS = 50, BRUSH = 2.3;
  const PRESETS = {  // what is seen
    upper: ["upper half", row => row < 14], left: ["left half", (row, column) => column < 14],
    quarter: ["a quarter", (row, column) => row >= 14 && column < 14],
    most: ["three quarters", (row, column) => row >= 14 || column < 14], none: ["nothing", () => false]
  };
  const MEANING = {uncover: 1, cover: 0};
  const START = {digit: 7, preset: "upper", brush: "uncover", seed: 3};

  const seenIn = preset => Uint8Array.from({length: SIZE}, (_, i) =>
    Number(PRESETS[preset][1](Math.floor(i / SIDE), i % SIDE)));

  const logDensity = ({mean, scale}, z) =>
    z.reduce((sum, v, j) => sum + Explore.logNormal(v, mean[j], scale[j]), 0);

  // What both models say of a digit of which `seen` is seen. Means are whole pictures.
  function numbers({pixels, seen, seed}) {
    const {nets} = Explore.loaded("completion");
    const x = Float32Array.from(pixels, (v, i) => (seen[i] ? v : 0.5));
    const y = Float32Array.from(pixels, (v, i) => (seen[i] ? 0 : v));
    const covered = [...seen.keys()].filter(i => !seen[i]);
    const ofCovered = values => Float32Array.from(covered, i => values[i]);
    const logLikelihood = logits => Explore.logBernoulli(ofCovered(pixels), ofCovered(logits));
    const together = logits => {
      const whole = Float32Array.from(pixels);
      for (const i of covered) whole[i] = Explore.sigmoid(logits[i]);
      return whole;
    };

    const stated = nets["baseline.likelihood"](x);
    const prior = Explore.gaussian(nets["CVAE3.prior"](x));
    const q = Explore.gaussian(nets["CVAE3.posterior"](x, y));
    const decode = nets["CVAE3.likelihood"].given(x);
    const epsilon = Explore.normals(seed, [2 * DRAWS, prior.mean.length]);
    const draws = epsilon.slice(0, DRAWS).map(e => together(decode(Explore.moved(prior, e))));
    const mean = new Float32Array(SIZE);
    for (const draw of draws) for (let i = 0; i < SIZE; i++) mean[i] += draw[i] / DRAWS;  // (5.6)
    const weights = epsilon.slice(DRAWS).map(e => {
      const z = Explore.moved(q, e);
      return logLikelihood(decode(z)) + logDensity(prior, z) - logDensity(q, z);
    });
    return {
      covered: covered.length, epsilon,
      regressor: {mean: together(stated), logP: logLikelihood(stated)},
      cvae: {draws: draws.slice(0, SHOWN), mean, logP: Explore.logSum(weights) - Math.log(DRAWS)}  // (5.8)
    };
  }

  function mount(box) {
    const {facts: {labels}, arrays: {digits}} = Explore.loaded("completion");
    const pixelsOf = digit => digits.values.subarray(digit * SIZE, (digit + 1) * SIZE);
    const state = {...START, seen: seenIn(START.preset), cursor: [20, 14], keys: false};
    let now, held = null, asked = false;

    const names = Object.fromEntries(Object.entries(PRESETS).map(([key, [name]]) => [key, name]));
    const presets = Explore.tabs(box, "What is seen of the digit?", names, preset =>
      set({preset, seen: seenIn(preset)}));
    const sides = element("div", {class: "explore-sides"});
    const left = element("div"), right = element("div", {class: "explore-shots"});
    sides.append(left, right);
    box.append(sides);

    const picture = Explore.stage(left, width => width, drawDigit, {start, move, end, key, touch: "none"});
    const buttons = element("div", {class: "explore-tabs"});
    left.append(buttons);
    const [uncover, cover] = Object.keys(MEANING).map(brush =>
      Explore.button(buttons, brush, () => set({brush})));
    Explore.button(buttons, "another digit", () => set({digit: (state.digit + 3) % labels.length}));
    Explore.button(buttons, "other draws of z", () => set({seed: state.seed + 1}));
    const shot = (name, below, what) => Explore.shot(right, name, what, SIDE, below).cell;
    const regressor = shot("regressor", "its mean", "the regressor's mean");
    const average = shot("CVAE-3", `mean of ${DRAWS}`, `the mean of ${DRAWS} completions by CVAE-3`);
    const truth = shot("the truth", "was covered", "the whole digit");
    const draws = Array.from({length: SHOWN}, (_, i) =>
      shot("CVAE-3", `draw ${i + 1}`, `completion ${i + 1} by CVAE-3`));
    const sum = element("p", {class: "explore-sum"}), note = element("p", {class: "explore-note"});
    box.append(sum, note);
    const speak = Explore.speaker(box);

    function set(change) {
      Object.assign(state, change);
      presets.show(state.preset);
      uncover.setAttribute("aria-pressed", String(state.brush === "uncover"));
      cover.setAttribute("aria-pressed", String(state.brush === "cover"));
      picture.redraw();
      if (!asked) requestAnimationFrame(compute);  // strokes of a finger come faster than frames
      asked = true;
    }

    function compute() {
      asked = false;
      const pixels = pixelsOf(state.digit);
      now = numbers({pixels, seen: state.seen, seed: state.seed});
      regressor.show(now.regressor.mean);
      average.show(now.cvae.mean);
      truth.show(Float32Array.from(pixels));
      draws.forEach((each, i) => each.show(now.cvae.draws[i]));
      write();
    }

    function write() {
      const [plain, cvae] = [now.regressor.logP, now.cvae.logP].map(round);
      if (!now.covered) {
        sum.replaceChildren("All of it is seen: nothing is left to predict.");
        note.textContent = "";
      } else {
        sum.replaceChildren("How likely was the truth? regressor ", part("ink", nats(plain)), ", CVAE-3 ",
          part("ink", nats(cvae)), part("quiet", " nats"));
        note.textContent = `log p(covered | seen) of ${now.covered} pixels: ` +
          (cvae > plain ? `CVAE-3 gives the truth ${nats(cvae - plain)} nats more.`
            : `the regressor gives the truth ${nats(plain - cvae)} nats more.`) +
          ` The regressor's number is exact; CVAE-3's is (5.8) with ${DRAWS} draws from q, too low on average.` +
          " A picture called draw is the mean of p(y|x,z) at one z from p(z|x).";
      }
      picture.say(`The digit ${labels[state.digit]}, ${SIZE - now.covered} of ${SIZE} pixels seen. ` +
        `Arrow keys move the brush, space applies it, with the shift key it paints.`);
      speak(sum.textContent);
    }

    // --- The digit and its cover ----
    function drawDigit(c, width, height, colours) {
      const size = width / SIDE, pixels = pixelsOf(state.digit);
      const edge = v => Math.round(v * size);
      c.fillStyle = colours.ground; c.fillRect(0, 0, width, width);
      for (let i = 0; i < SIZE; i++) {
        if (state.seen[i] && !pixels[i]) continue;
        c.fillStyle = state.seen[i] ? colours.ink : colours.rule;
        const [x, y] = [i % SIDE, Math.floor(i / SIDE)];
        c.fillRect(edge(x), edge(y), edge(x + 1) - edge(x), edge(y + 1) - edge(y));
      }
      c.strokeStyle = colours.quiet; c.lineWidth = 1;
      c.strokeRect(0.5, 0.5, width - 1, width - 1);
      if (state.keys && document.activeElement === picture.element) {
        c.strokeStyle = colours.bound; c.lineWidth = 2.5;
        const [row, column] = state.cursor;
        c.beginPath(); c.arc((column + 0.5) * size, (row + 0.5) * size, BRUSH * size, 0, 7); c.stroke();
      }
    }

    // The brush at a place, in pixels of the digit.
    function dab(seen, [row, column]) {
      for (let i = 0; i < SIZE; i++)
        if (Math.hypot(Math.floor(i / SIDE) - row, i % SIDE - column) < BRUSH)
          seen[i] = MEANING[state.brush];
    }
    function stroke(from, to) {
      const seen = state.seen.slice(), steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])) || 1;
      for (let k = 0; k <= steps; k++)
        dab(seen, from.map((v, axis) => v + (to[axis] - v) * k / steps));
      set({seen, preset: null});
    }
    const placeOf = (x, y) => [y, x].map(v => v / picture.element.clientWidth * SIDE - 0.5);
    function start(x, y) {
      state.keys = false;
      held = placeOf(x, y);
      stroke(held, held);
    }
    function move(x, y) {
      const to = placeOf(x, y);
      stroke(held, to);
      held = to;
    }
    function end() { held = null; }
    function key(name, shift) {
      const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[name];
      if (!step && name !== " " && name !== "Enter") return false;
      state.keys = true;
      const from = state.cursor;
      state.cursor = step ? from.map((v, axis) => Explore.clamp(v + step[axis], [0, SIDE - 1])) : from;
      if (!step || shift) stroke(from, state.cursor);
      else picture.redraw();
      return true;
    }

    box.explore = {state, set, get now() { return now; }};  // for the tests
    set({});
  }

  Explore.add("completion", {title: "Completion: uncover a part of a digit", mount, numbers});
})();
