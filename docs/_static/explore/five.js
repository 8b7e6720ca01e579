// Five models side by side: the same digit, two latents each, and what each makes of it.
//
// The models are the library's, trained on the bundled digits (tools/explorable_models/five.py), and
// weights_five.js has their networks. An expectation under q is a sum over a fixed grid of points
// (Gauss-Hermite, 5 × 5), so that no number here is a matter of chance.
(() => {
  "use strict";
  const {nats, round, clamp, element} = Explore;
  const BINARY_FROM = 0.5;  // a pixel with more ink is black
  let facts, arrays, nets, RULE;
  const load = () => {
    if (facts) return;
    ({facts, arrays, nets} = Explore.loaded("five"));
    RULE = [];
    const {points, weights} = facts.rule;
    points.forEach((a, i) => points.forEach((b, j) => RULE.push([a, b, weights[i] * weights[j]])));
  };

  // --- The models --------------------------------------------------------------------------------

  const oneHot = y => Float32Array.from({length: facts.classes}, (_, c) => Number(c === y));
  // What a model calls x and y, of a picture and its label.
  const variables = (name, pixels, y) => name === "CVAE3"
    ? {x: pixels.subarray(0, facts.half), y: pixels.subarray(facts.half)}
    : {x: pixels, y: oneHot(y)};
  const inputs = (name, part, of) => facts.models[name].parents[part].map(v => of[v]);
  const run = (name, part, of) => nets[`${name}.${part}`](...inputs(name, part, of));
  const distribution = (name, part, of) => nets[`${name}.${part}`]
    ? Explore.gaussian(run(name, part, of)) : Explore.standard(facts.latents);
  // The likelihood's logits for `count` of what it sees, one after the other.
  const logits = (name, count, of) => count === 1 ? run(name, "likelihood", of)
    : nets[`${name}.likelihood`].rows(count, ...inputs(name, "likelihood", of));

  // q, the prior, and the bound with its two terms in nats.
  function numbersOf(name, pixels, y) {
    const of = variables(name, pixels, y), observed = of[facts.models[name].observed];
    const q = distribution(name, "posterior", of), prior = distribution(name, "prior", of);
    const kl = Explore.divergence(q, prior);
    const z = Float32Array.from(RULE.flatMap(point => [...Explore.moved(q, point)]));
    const all = logits(name, RULE.length, {...of, z}), size = observed.length;
    const reconstruction = RULE.reduce((sum, [, , weight], k) =>
      sum + weight * Explore.logBernoulli(observed, all.subarray(k * size, (k + 1) * size)), 0);
    return {q, prior, kl, reconstruction, bound: reconstruction - kl};
  }
  function numbers(pixels, y) {
    load();
    return Object.fromEntries(Object.keys(facts.models).map(name => [name, numbersOf(name, pixels, y)]));
  }
  // The mean pictures for `count` z or y, one after the other; CVAE-3 keeps the upper half as it is.
  function pictures(name, count, of, pixels) {
    const means = logits(name, count, of).map(Explore.sigmoid), size = means.length / count;
    return Array.from({length: count}, (_, k) => {
      const mean = means.subarray(k * size, (k + 1) * size);
      if (name !== "CVAE3") return mean;
      const whole = Float32Array.from(pixels);
      whole.set(mean, facts.half);
      return whole;
    });
  }
  function decoded(name, z, pixels, y) {
    load();
    return pictures(name, 1, {...variables(name, pixels, y), z: Float32Array.from(z)}, pixels)[0];
  }
  // The label under which CVAE-1's bound is highest: Bayes's rule with equally likely labels.
  function guess(pixels) {
    load();
    const bounds = Array.from({length: facts.classes}, (_, y) => numbersOf("CVAE1", pixels, y).bound);
    return bounds.indexOf(Math.max(...bounds));
  }

  // --- From strokes to pixels --------------------------------------------------------------------

  // How much ink each pixel gets from lines of a pen that is 2·radius wide; strokes are lists of [x, y].
  function inked(strokes, radius, side) {
    const pixels = new Float32Array(side * side);
    for (const stroke of strokes)
      stroke.forEach(([x1, y1], k) => {
        const [x0, y0] = stroke[Math.max(0, k - 1)], dx = x1 - x0, dy = y1 - y0, long = dx * dx + dy * dy;
        const from = v => Math.max(0, Math.floor(v - radius - 1)), to = v => Math.min(side - 1, Math.ceil(v + radius));
        for (let row = from(Math.min(y0, y1)); row <= to(Math.max(y0, y1)); row++)
          for (let column = from(Math.min(x0, x1)); column <= to(Math.max(x0, x1)); column++) {
            const x = column + 0.5 - x0, y = row + 0.5 - y0;
            const t = long ? clamp((x * dx + y * dy) / long, [0, 1]) : 0;
            const ink = clamp(radius + 0.5 - Math.hypot(x - t * dx, y - t * dy), [0, 1]);
            const at = row * side + column;
            if (ink > pixels[at]) pixels[at] = ink;
          }
      });
    return pixels;
  }
  const PEN = 1.15;  // pixels: half the width of a line
  // As MNIST's digits are made: scaled into 20 × 20, the centre of mass in the middle of 28 × 28.
  function centred(strokes, side = 28) {
    const points = strokes.flat();
    if (!points.length) return new Float32Array(side * side);
    const [xs, ys] = [0, 1].map(k => points.map(p => p[k]));
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const wide = Math.max(Math.max(...xs) - left, Math.max(...ys) - top, 1e-6);
    const scale = Math.min((20 - 2 * PEN) / wide, 4);
    let moved = strokes.map(s => s.map(([x, y]) => [4 + PEN + (x - left) * scale, 4 + PEN + (y - top) * scale]));
    let mass = 0, across = 0, down = 0;
    inked(moved, PEN, side).forEach((ink, i) => {
      mass += ink;
      across += ink * (i % side + 0.5);
      down += ink * (Math.floor(i / side) + 0.5);
    });
    moved = moved.map(s => s.map(([x, y]) => [x + side / 2 - across / mass, y + side / 2 - down / mass]));
    return inked(moved, PEN, side);
  }
  const binary = grey => Float32Array.from(grey, v => Number(v > BINARY_FROM));

  // --- The graph of a model, as SVG --------------------------------------------------------------

  const NODES = {y: [22, 20], z: [108, 20], x: [65, 84]};
  const PART_COLOUR = {prior: "prior", posterior: "q", likelihood: "ink"};
  function graphOf(name) {
    const {parents, observed, given} = facts.models[name], other = observed === "y" ? "x" : "y";
    const at = {z: NODES.z, [observed]: NODES.x, [other]: NODES.y};  // what is given stands above
    const edges = [];
    for (const [part, from] of Object.entries(parents))
      for (const parent of from) edges.push([part, parent, part === "likelihood" ? observed : "z"]);
    const lines = edges.map(([part, parent, child]) => {
      const [[a, b], [c, d]] = [at[parent], at[child]];
      const long = Math.hypot(c - a, d - b), ux = (c - a) / long, uy = (d - b) / long;
      const bend = part === "posterior" ? (parent === observed ? 17 : -15) : 0;
      const [mx, my] = [(a + c) / 2 - uy * bend, (b + d) / 2 + ux * bend];
      const end = (px, py, cx, cy, r) => {
        const l = Math.hypot(cx - px, cy - py);
        return [px + (cx - px) / l * r, py + (cy - py) / l * r];
      };
      const [x0, y0] = end(a, b, mx, my, 15), [x1, y1] = end(c, d, mx, my, 18);
      const [hx, hy] = [c - x1, d - y1], h = Math.hypot(hx, hy), vx = hx / h, vy = hy / h;
      const head = [[x1 + 4 * vx, y1 + 4 * vy], [x1 - 4 * vx - 4 * vy, y1 - 4 * vy + 4 * vx],
                    [x1 - 4 * vx + 4 * vy, y1 - 4 * vy - 4 * vx]].map(p => p.map(v => v.toFixed(1)).join(" "));
      return `<g class="explore-edge explore-${PART_COLOUR[part]}" data-part="${part}" data-from="${parent}">` +
        `<path d="M${x0.toFixed(1)} ${y0.toFixed(1)}Q${mx.toFixed(1)} ${my.toFixed(1)} ` +
        `${x1.toFixed(1)} ${y1.toFixed(1)}"${part === "posterior" ? ' stroke-dasharray="5 3"' : ""}/>` +
        `<path d="M${head.join("L")}Z" class="explore-head-of"/></g>`;
    });
    const nodes = Object.entries(at).filter(([v]) => v === "z" || v === observed || given.includes(v))
      .map(([v, [x, y]]) => `<circle cx="${x}" cy="${y}" r="14" class="${v === "z" ? "" : "explore-seen"}` +
        `${v === given[0] ? " explore-given" : ""}"/><text x="${x}" y="${y + 5}">${v}</text>`);
    return `<svg viewBox="0 -10 140 112" role="img" aria-label="${said(name)}">${lines.join("")}${nodes.join("")}</svg>`;
  }
  const said = name => {
    const {parents} = facts.models[name];
    return `${facts.models[name].name}: ${density("p", "z", parents.prior)}, ` +
      `${density(...likelihoodOf(name))}, ${density("q", "z", parents.posterior)}`;
  };
  const density = (letter, child, parents) => `${letter}(${child}${parents.length ? "|" : ""}${parents.join(",")})`;
  const likelihoodOf = name => ["p", facts.models[name].observed, facts.models[name].parents.likelihood];
  const evidence = name => density("p", facts.models[name].observed, facts.models[name].given);

  // Where what is given enters p, in words.
  function entry(name) {
    const {parents, given} = facts.models[name];
    if (!given.length) return "no y anywhere";
    const where = ["prior", "likelihood"].filter(part => parents[part].includes(given[0]));
    return `${given[0]} in ${where.join(" and ")}`;
  }
  const WORDS = {
    VAE: "nobody can ask it for a 3",
    CVAE1: "y moves the prior, and tells the decoder",
    CVAE2: "one prior for all; y tells the decoder",
    CMMA: "y picks the place, and z alone draws",
    CVAE3: "another question: the lower half, y, from the upper, x"
  };
  // What a strip of ten pictures shows.
  function stripText(name, kind) {
    const {prior, likelihood} = facts.models[name].parents;
    if (name === "CVAE3") return "z from p(z|x), ten draws";
    if (kind === "prior") return `z from ${density("p", "z", prior)}, y = 0 to 9`;
    return `this z, y = 0 to 9${likelihood.includes("y") ? "" : ": all alike"}`;
  }

  // --- The page ----------------------------------------------------------------------------------

  function mount(box) {
    load();
    const names = Object.keys(facts.models), side = facts.side;
    const first = 3;
    const state = {
      pixels: null, y: 0, strokes: [], preset: 0, z: {}, chosen: "CVAE1", touched: "", guessed: false
    };
    let now, set_of_presets = 0;
    const pen = {at: [14, 6], down: false};  // moved by keys

    box.classList.add("explore-five");
    const top = element("div", {class: "explore-five-top"});
    box.append(top);
    const left = element("div", {class: "explore-five-pad"}), right = element("div", {});
    top.append(left, right);
    const pad = Explore.stage(left, 224, drawPad, {
      start: beginStroke, move: addToStroke, end: endStroke, key: padKey, touch: "none"
    });
    const under = element("div", {class: "explore-tabs"});
    left.append(under);
    Explore.button(under, "clear", () => {
      pen.down = false;
      set({strokes: [], preset: -1, pixels: new Float32Array(side * side)}, "x");
    });
    pad.element.addEventListener("blur", pad.redraw);
    Explore.button(under, "z back to q", () => set({z: {}}, "z"));

    right.append(element("p", {class: "explore-five-ask"}, "Draw a digit, or take one:"));
    const presets = element("div", {class: "explore-row"});
    right.append(presets);
    const cells = Array.from({length: facts.classes}, (_, c) => {
      const made = element("button", {type: "button", class: "explore-pick", onclick: () => take(c)});
      presets.append(made);
      return {button: made, cell: Explore.cell(made, "")};
    });
    const others = Explore.button(presets, "others", () => {
      set_of_presets = (set_of_presets + 1) % (arrays.presets.shape[0] / facts.classes);
      fillPresets();
      take(state.y);
    });
    others.setAttribute("aria-label", "other digits of the test images");
    right.append(element("p", {class: "explore-five-ask"}, "Which digit is it? Say y. Then say it wrong: whose number falls?"));
    const labels = element("div", {class: "explore-row explore-ys", role: "group", "aria-label": "y"});
    right.append(labels);
    const ys = Array.from({length: facts.classes}, (_, c) =>
      Explore.button(labels, String(c), () => set({y: c, guessed: false}, "y")));
    const note = element("p", {class: "explore-note"});
    right.append(note);

    const grid = element("div", {class: "explore-cards"});
    box.append(grid);
    const cards = Object.fromEntries(names.map(name => [name, cardOf(name)]));
    const code = element("div", {class: "explore-code"});
    const [trained, tested] = facts.images.map(n => n.toLocaleString("en"));
    box.append(code, element("p", {class: "explore-note"}, `Each model: ${facts.latents} latents, ${trained} of MNIST's ` +
      `images cut at ½, ${facts.epochs} epochs. A reconstruction is its mean under q by a rule of ` +
      `${facts.rule.points.length} × ${facts.rule.points.length} fixed points, without draws; averages are over ` +
      `${tested} test images, with their own labels.`));
    const speak = Explore.speaker(box);

    function cardOf(name) {
      const {name: title} = facts.models[name];
      const made = element("div", {class: "explore-card", role: "group", "data-model": name, "aria-label": title});
      if (name === "CVAE3") made.classList.add("explore-apart");
      grid.append(made);
      const heading = element("button", {type: "button", class: "explore-title",
                                         onclick: () => choose(name)}, title);
      made.append(heading, element("p", {class: "explore-entry"}, entry(name),
        element("span", {}, WORDS[name])));
      const graph = element("div", {class: "explore-graph"});
      graph.innerHTML = graphOf(name);
      made.append(graph);
      const part = (key, ...what) => element("span", {class: "explore-factor", "data-part": key}, density(...what));
      const {parents} = facts.models[name];
      made.append(element("p", {class: "explore-factors"}, part("prior", "p", "z", parents.prior), " ",
        part("likelihood", ...likelihoodOf(name)), " ", part("posterior", "q", "z", parents.posterior)));
      const map = Explore.stage(made, width => width, (...given) => drawMap(name, ...given), {
        start: (x, y) => { state.chosen = name; moveZ(name, x, y); }, move: (x, y) => moveZ(name, x, y),
        key: (key, shift) => mapKey(name, key, shift), touch: "none"
      });
      const pictures = element("div", {class: "explore-pair"});
      made.append(pictures);
      const pictured = text => {
        const picture = element("div", {}), cell = Explore.cell(picture, "");
        picture.append(element("span", {}, text));
        pictures.append(picture);
        return cell;
      };
      const seen = pictured(name === "CVAE3" ? "x over y" : "x"), picture = pictured("at z");
      const sums = element("div", {class: "explore-terms"}), bound = element("p", {class: "explore-bound-of"});
      made.append(sums, bound, element("p", {class: "explore-mean"},
        `test images: ${nats(facts.test_bounds[name], 1)} on average`));
      const strips = (name === "CVAE3" ? ["prior"] : ["held", "prior"]).map(kind => {
        made.append(element("p", {class: "explore-strip"}, stripText(name, kind)));
        const strip = Explore.canvas(made, width => 2 * Math.floor(width / 5) + 2, "",
                                     (...given) => drawStrip(name, kind, ...given));
        return {...strip, kind};
      });
      return {made, heading, map, seen, picture, sums, bound, strips};
    }

    // --- What happens ----
    function set(change, touched = state.touched) {
      const moved = Object.keys(change);
      Object.assign(state, change, {touched});
      if (moved.includes("pixels")) state.z = {};
      if (moved.includes("pixels") || moved.includes("y")) now = numbers(state.pixels, state.y);
      write();
    }
    // Of the set that is shown, the one for class c.
    function presetAt(c) {
      const at = set_of_presets * facts.classes + c, size = side * side;
      return {pixels: Float32Array.from(arrays.presets.values.subarray(at * size, (at + 1) * size)),
              y: arrays.preset_labels.values[at]};
    }
    function take(c, touched = "x") {
      pen.down = false;
      set({...presetAt(c), preset: c, strokes: [], guessed: false}, touched);
    }
    const choose = name => { state.chosen = name; write(); };
    const zOf = name => state.z[name] || Array.from(now[name].q.mean);

    // Drawing: strokes in units of the pad's 28 cells.
    const unit = () => side / pad.element.clientHeight;
    function beginStroke(x, y) {
      pen.down = false;
      newStroke([x * unit(), y * unit()]);
    }
    function newStroke(point) {
      if (state.preset >= 0) state.strokes = [];
      state.strokes.push([point]);
      drawn();
    }
    function addToStroke(x, y) {
      state.strokes.at(-1).push([x * unit(), y * unit()]);
      drawn();
    }
    let asked = false;
    function drawn() {  // the numbers follow once a frame
      state.preset = -1;
      pad.redraw();
      if (!asked) requestAnimationFrame(() => { asked = false; if (state.strokes.length) follow(); });
      asked = true;
    }
    const follow = () => set({pixels: binary(centred(state.strokes))}, "x");
    function endStroke() {
      follow();
      if (state.pixels.some(v => v)) set({y: guess(state.pixels), guessed: true}, "x");
    }
    function padKey(key, shift) {
      const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[key];
      if (step) {
        const far = shift ? 3 : 1;
        pen.at.forEach((v, k) => { pen.at[k] = clamp(v + far * step[k], [1, side - 1]); });
        if (pen.down) { state.strokes.at(-1).push([...pen.at]); drawn(); }
      } else if (key === " " || key === "Enter") {
        pen.down = !pen.down;
        if (pen.down) newStroke([...pen.at]);
        else endStroke();
      } else return false;
      pad.redraw();
      return true;
    }

    function moveZ(name, x, y) {
      const size = cards[name].map.element.clientWidth, {centre, half} = facts.views[name];
      const to = v => (v / size * 2 - 1) * half;
      putZ(name, [centre[0] + to(x), centre[1] - to(y)]);
    }
    function putZ(name, z) {
      const {centre, half} = facts.views[name];
      state.z[name] = z.map((v, k) => clamp(v, [centre[k] - half, centre[k] + half]));
      state.touched = "z";
      write(name);
    }
    function mapKey(name, key, shift) {
      const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[key];
      if (!step) return false;
      state.chosen = name;
      const far = facts.views[name].half * (shift ? 0.005 : 0.03);
      putZ(name, zOf(name).map((v, k) => v + far * step[k]));
      return true;
    }

    // --- What is written ----
    function write(only) {
      for (const name of only ? [only] : names) writeCard(name);
      ys.forEach((each, c) => each.setAttribute("aria-pressed", String(c === state.y)));
      cells.forEach(({button}, c) => button.setAttribute("aria-pressed", String(c === state.preset)));
      for (const name of names) cards[name].heading.setAttribute("aria-pressed", String(name === state.chosen));
      light();
      if (only) return;
      pad.redraw();
      note.textContent = state.guessed
        ? `y = ${state.y} is what CVAE-1's bounds say by Bayes's rule. Say another.`
        : "Orange: what is given; thick arrows: where it enters p. All four that have a y show it to q. Drag z on any " +
          "map: the ring is q, dashed the prior, and dots are q's means of the test images, coloured by digit.";
      pad.say(`The digit, 28 by 28 pixels${state.preset >= 0 ? `, a ${state.y} of the test images` : ""}. ` +
        "Arrow keys move a pen, the space bar puts it down and lifts it.");
      speak(names.map(name => `${facts.models[name].name}: ${cards[name].bound.textContent}`).join("; "));
    }
    function writeCard(name) {
      const card = cards[name], {kl, bound} = now[name], z = zOf(name);
      const [whole, part] = [round(bound), round(kl)];
      card.bound.replaceChildren(element("span", {}, `log ${evidence(name)} ≥ `),
                                 element("strong", {}, `${nats(whole)} nats`));
      card.sums.replaceChildren(
        element("p", {}, element("span", {}, "reconstruction"), element("span", {}, nats(whole + part))),
        element("p", {class: "explore-kl-of"}, element("span", {}, "minus KL"), element("span", {}, nats(part))));
      card.seen.show(state.pixels, name === "CVAE3" ? "x, the upper half, and y, the lower" : "x");
      const place = `z = (${z.map(v => nats(v)).join(", ")})`;
      card.picture.show(decoded(name, z, state.pixels, state.y),
        name === "CVAE3" ? `The upper half as it is, the lower half as expected at ${place}.`
          : `What ${facts.models[name].name} decodes at ${place}.`);
      const {q} = now[name];
      card.map.say(`Map of z of ${facts.models[name].name}: q with means ${[...q.mean].map(v => nats(v)).join(", ")} ` +
        `and widths ${[...q.scale].map(v => nats(v)).join(", ")}; ${place}. Arrow keys move z.`);
      for (const strip of card.strips) {
        strip.say(strip.kind === "held" ? `The decoded picture at ${place} for each y.`
          : "Pictures decoded from z that is drawn from the prior.");
        strip.redraw();
      }
      card.map.redraw();
    }
    // Lit up: the factors that see what was touched last, in graph, densities and code.
    function light() {
      for (const name of names) {
        const {parents, given} = facts.models[name];
        // CVAE-3's x and y are the two halves of the picture; the label is no part of it.
        const touched = name !== "CVAE3" ? [state.touched] : {x: ["x", "y"], z: ["z"]}[state.touched] || [];
        const lit = part => (parents[part] || []).some(v => touched.includes(v));
        for (const each of cards[name].made.querySelectorAll("[data-part]")) {
          const is = each.dataset.from ? touched.includes(each.dataset.from) : lit(each.dataset.part);
          each.classList.toggle("explore-lit", is);
          each.classList.toggle("explore-from-y", given[0] === each.dataset.from && each.dataset.part !== "posterior");
        }
        if (name === state.chosen) writeCode(name, lit);
      }
    }
    const PART_NAME = {prior: "prior", posterior: "q", likelihood: "likelihood", factors: "bound"};
    function writeCode(name, lit) {
      const {name: title, code: lines, equation} = facts.models[name];
      const body = Object.entries(lines).map(([part, text]) => {
        const is = part === "factors" ? state.touched === "" || ["prior", "posterior", "likelihood"].some(lit) : lit(part);
        return element("code", {class: is ? "explore-lit" : "", "data-line": part}, text);
      });
      const doc = name === "CVAE3" ? " Here x is the upper half, y the lower." : "";
      code.replaceChildren(
        element("p", {}, element("strong", {}, title), ` in the library, bound (${equation}).${doc} ` +
          "Lit: the factors that see what you touched last."),
        element("div", {class: "explore-lines"}, ...body));
    }

    // --- What is drawn ----
    function drawPad(c, width, height, colours) {
      const size = height, cellSize = size / side;
      c.fillStyle = colours.ground; c.fillRect(0, 0, width, height);
      if (state.preset >= 0 || !state.strokes.length) Explore.image(c, state.pixels, 0, 0, size, colours, side);
      else {
        c.strokeStyle = colours.ink; c.lineWidth = 2 * PEN * cellSize * 1.1; c.lineCap = c.lineJoin = "round";
        for (const stroke of state.strokes) {
          c.beginPath();
          stroke.forEach(([x, y], k) => c[k ? "lineTo" : "moveTo"](x * cellSize, y * cellSize));
          if (stroke.length === 1) c.lineTo(stroke[0][0] * cellSize + .1, stroke[0][1] * cellSize);
          c.stroke();
        }
        c.lineCap = "butt"; c.lineJoin = "miter";
        c.globalAlpha = 0.9;
        Explore.image(c, state.pixels, size - 58, 2, 56, colours, side);  // as the models see it
        c.globalAlpha = 1;
        c.strokeStyle = colours.rule; c.lineWidth = 1; c.strokeRect(size - 58.5, 1.5, 57, 57);
      }
      if (document.activeElement === pad.element) {
        c.beginPath(); c.arc(pen.at[0] * cellSize, pen.at[1] * cellSize, 7, 0, 7);
        c.strokeStyle = pen.down ? colours.bound : colours.quiet; c.lineWidth = 2.5; c.stroke();
      }
      if (state.preset < 0 && !state.strokes.length) {
        c.fillStyle = colours.quiet; c.textAlign = "center"; c.fillText("draw here", size / 2, size / 2);
      }
    }

    // The dots behind a map do not change: painted once for a size and a mode.
    const grounds = {};
    function groundOf(name, size, colours) {
      cards[name].made.style.setProperty("--model", colours.models[name]);
      const dense = window.devicePixelRatio || 1, kept = grounds[name];
      if (kept?.size === size && kept.colours === colours) return kept.sheet;
      const sheet = element("canvas", {width: Math.round(size * dense), height: Math.round(size * dense)});
      const c = sheet.getContext("2d"), view = facts.views[name], at = spot(size, view);
      c.scale(dense, dense);
      c.fillStyle = colours.ground; c.fillRect(0, 0, size, size);
      const means = arrays[`${name}.means`].values, classes = arrays.labels.values;
      const of_class = Array.from({length: facts.classes}, () => [[], []]);
      c.globalAlpha = 0.5;
      classes.forEach((label, i) => {
        const z = [means[2 * i], means[2 * i + 1]];
        of_class[label][0].push(z[0]); of_class[label][1].push(z[1]);
        c.fillStyle = colours.classes[label];
        c.fillRect(...at(z).map(v => v - 1), 2, 2);
      });
      c.globalAlpha = 1;
      const median = values => values.sort((a, b) => a - b)[values.length >> 1];
      const spots = of_class.map(each => at(each.map(median)));
      c.font = "600 13px system-ui, sans-serif"; c.textAlign = "center"; c.lineWidth = 3; c.lineJoin = "round";
      const placed = [];
      spots.forEach(([x, y], label) => {
        if (placed.some(([a, b]) => Math.hypot(a - x, b - y) < Math.max(9, 0.065 * size))) return;
        placed.push([x, y, label]);
      });
      if (placed.length >= 0.8 * facts.classes && name !== "CVAE3")
        for (const [x, y, label] of placed) {
          c.strokeStyle = colours.ground; c.strokeText(label, x, y + 5);
          c.fillStyle = colours.ink; c.fillText(label, x, y + 5);
        }
      grounds[name] = {size, colours, sheet};
      return sheet;
    }
    const spot = (size, {centre, half}) => ([a, b]) =>
      [((a - centre[0]) / half + 1) / 2 * size, (1 - (b - centre[1]) / half) / 2 * size];
    function drawMap(name, c, width, height, colours) {
      const view = facts.views[name], at = spot(width, view), scale = width / (2 * view.half);
      c.drawImage(groundOf(name, width, colours), 0, 0, width, height);
      const ellipse = ({mean, scale: s}, radius, colour, dash, least = 0) => {
        c.beginPath();
        c.ellipse(...at(mean), Math.max(least, radius * s[0] * scale), Math.max(least, radius * s[1] * scale), 0, 0, 7);
        c.strokeStyle = colour; c.setLineDash(dash); c.stroke(); c.setLineDash([]);
      };
      c.lineWidth = 2;
      for (const radius of [1, 2]) ellipse(now[name].prior, radius, colours.prior, [5, 3]);
      c.lineWidth = 5; ellipse(now[name].q, 2, colours.ground, [], 5);
      c.lineWidth = 3; ellipse(now[name].q, 2, colours.q, [], 5);
      const [x, y] = at(zOf(name));
      c.beginPath();
      if (!state.z[name]) { c.arc(x, y, 2, 0, 7); c.fillStyle = colours.q; c.fill(); return; }
      c.moveTo(x - 9, y); c.lineTo(x + 9, y); c.moveTo(x, y - 9); c.lineTo(x, y + 9);
      c.strokeStyle = colours.ground; c.lineWidth = 5; c.stroke();
      c.strokeStyle = colours.ink; c.lineWidth = 2.2; c.stroke();
    }
    // Ten pictures: of one z with each y, or of fixed draws from each prior.
    const EPSILON = Explore.normals(1, [facts.classes, facts.latents]);
    const EVERY_Y = Float32Array.from({length: facts.classes ** 2},
                                      (_, k) => Number(k % (facts.classes + 1) === 0));
    function held(name) {
      const z = zOf(name), count = facts.classes;
      if (!facts.models[name].parents.likelihood.includes("y"))
        return new Array(count).fill(decoded(name, z, state.pixels, state.y));
      return pictures(name, count, {y: EVERY_Y, z: Float32Array.from(z)}, state.pixels);
    }
    function fromPrior(name) {
      const z = Float32Array.from(EPSILON.flatMap((epsilon, c) => {
        const prior = distribution(name, "prior", variables(name, state.pixels, c));
        return [...Explore.moved(prior, epsilon)];
      }));
      const of = name === "CVAE3" ? variables(name, state.pixels, state.y) : {y: EVERY_Y};
      return pictures(name, facts.classes, {...of, z}, state.pixels);
    }
    const kept = {};  // pictures from the prior depend on what is drawn in CVAE-3 only
    function drawStrip(name, kind, c, width, height, colours) {
      const size = Math.floor(width / 5) - 2;
      const ten = kind === "held" ? held(name) : name === "CVAE3" ? fromPrior(name) : (kept[name] ??= fromPrior(name));
      ten.forEach((picture, k) => {
        const x = (k % 5) * (size + 2), y = Math.floor(k / 5) * (size + 2);
        Explore.image(c, picture, x, y, size, colours, side);
        if (kind === "held" && k === state.y) {
          c.strokeStyle = colours.bound; c.lineWidth = 2; c.strokeRect(x + 1, y + 1, size - 2, size - 2);
        }
      });
    }

    function fillPresets() {
      cells.forEach(({cell}, c) => {
        const {pixels, y} = presetAt(c);
        cell.show(pixels, `a ${y} of the test images`);
      });
    }
    box.explore = {
      state, set, take, putZ, zOf, choose, get now() { return now; }, get cards() { return cards; }
    };
    fillPresets();
    take(first, "");
  }

  Explore.add("five", {
    title: "Five models of one digit, side by side", mount, numbers, decoded, guess, centred, binary
  });
})();
