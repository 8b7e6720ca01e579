// What the explorables share: where they stand, colours, numbers, and what one sees and touches.
//
//   Explore.add("bound", {title, mount(box), …});
//
// fills each <div class="explore" data-explore="bound">. Plain scripts: they work from a disk.
(() => {
  "use strict";
  if (window.Explore) return;  // two explorables on one page bring this script twice

  // As in the course's figures (cvae_tf.look), and lighter on a dark page. `models` has one colour
  // for each model, `classes` one for each of ten.
  const LIGHT = {
    ink: "#222222", quiet: "#595959", rule: "#c9ced6", ground: "#ffffff", prior: "#999933",
    q: "#AA4499", posterior: "#117733", kl: "#882255", bound: "#0072B2",
    models: {
      VAE: "#0072B2", CVAE1: "#D55E00", CVAE2: "#009E73", CVAE3: "#CC79A7", CMMA: "#E69F00",
      GSNN: "#56B4E9", M1: "#661100", M2: "#332288", baseline: "#595959"
    },
    classes: ["#332288", "#E69F00", "#56B4E9", "#661100", "#009E73",
              "#D55E00", "#0072B2", "#111111", "#CC79A7", "#595959"]
  };
  const DARK = {
    ink: "#e8eaed", quiet: "#b3bac4", rule: "#4a515c", ground: "#121212", prior: "#cfcf6e",
    q: "#e68ad6", posterior: "#5cc483", kl: "#e583ac", bound: "#56b4e9",
    models: {
      VAE: "#4aa8e0", CVAE1: "#ff8a3d", CVAE2: "#2cc79a", CVAE3: "#e3a0c6", CMMA: "#f0b93a",
      GSNN: "#8accf2", M1: "#c9776a", M2: "#9a8ee0", baseline: "#a3a9b2"
    },
    classes: ["#9a8ee0", "#f0b93a", "#8accf2", "#c9776a", "#2cc79a",
              "#ff8a3d", "#4aa8e0", "#f2f2f2", "#e3a0c6", "#a3a9b2"]
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const said = document.documentElement.dataset.theme;
    return said ? said === "dark" : system.matches;
  };
  const redraws = new Set();
  const redrawAll = () => redraws.forEach(draw => draw());
  system.addEventListener("change", redrawAll);
  addEventListener("resize", redrawAll);  // a slide grows with the window, its layout does not
  new MutationObserver(redrawAll).observe(document.documentElement, {attributeFilter: ["data-theme"]});

  // --- Numbers -----------------------------------------------------------------------------------

  const HALF_LOG_TAU = 0.5 * Math.log(2 * Math.PI);
  const logNormal = (x, mean, scale) =>
    -0.5 * ((x - mean) / scale) ** 2 - Math.log(scale) - HALF_LOG_TAU;
  const grid = (from, to, count) =>
    Float64Array.from({length: count}, (_, i) => from + (to - from) * i / (count - 1));
  // log of the integral of exp(values) by the trapezium rule, values on an even grid.
  const logIntegral = (values, step) => {
    let top = -Infinity, sum = 0;
    for (const v of values) if (v > top) top = v;
    values.forEach((v, i) => {
      sum += Math.exp(v - top) * (i === 0 || i === values.length - 1 ? 0.5 : 1);
    });
    return top + Math.log(sum * step);
  };
  // log of the sum of exp(values).
  const logSum = values => {
    const top = Math.max(...values);
    return top + Math.log(values.reduce((sum, v) => sum + Math.exp(v - top), 0));
  };
  // A small generator of random numbers in [0, 1) with a seed (mulberry32's recipe).
  const random = seed => () => {
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  // Standard normal numbers with a seed, as nested lists of this shape (Box and Muller's recipe).
  const normals = (seed, shape) => {
    const uniform = random(seed);
    const fill = ([count, ...rest]) => Array.from({length: count}, () => (rest.length ? fill(rest)
      : Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())));
    return fill(shape);
  };
  const nats = (value, digits = 2) =>
    (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
  // To the two digits that are shown, so that sums and differences are right as they are read.
  const round = value => Math.round(100 * value) / 100;
  const percent = share => `${Math.round(100 * share)}\u00a0%`;
  const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));
  // KL(N(mean, scale²) ‖ N(m, s²)) of one dimension, (2.4).
  const kl = (mean, scale, m = 0, s = 1) =>
    0.5 * ((scale / s) ** 2 + ((mean - m) / s) ** 2 - 1) - Math.log(scale / s);

  // --- Elements ----------------------------------------------------------------------------------

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  // A piece of text whose looks have a name, and a row of a table, of cells th or td.
  const part = (name, text) => element("span", {class: `explore-${name}`}, text);
  const row = (tag, ...cells) => element("tr", {}, ...cells.map(text => element(tag, {}, text)));

  // A canvas as wide as its box, sharp on any screen; draw(context, width, height, colours).
  // The height is a number of pixels, or a function of the width.
  const canvas = (box, height, label, draw) => {
    const made = element("canvas", {role: "img", "aria-label": label});
    const tallAt = typeof height === "function" ? height : () => height;
    made.style.height = `${tallAt(280)}px`;
    box.append(made);
    let asked = false;
    const paint = () => {
      asked = false;
      const width = made.clientWidth, tall = tallAt(width);
      if (!width) return;
      const dense = (window.devicePixelRatio || 1) * made.getBoundingClientRect().width / width;
      made.style.height = `${tall}px`;
      made.width = Math.round(width * dense);
      made.height = Math.round(tall * dense);
      const context = made.getContext("2d");
      context.scale(dense, dense);
      context.clearRect(0, 0, width, tall);
      context.font = "14px system-ui, sans-serif";
      draw(context, width, tall, isDark() ? DARK : LIGHT);
    };
    const redraw = () => {
      if (!asked) requestAnimationFrame(paint);
      asked = true;
    };
    new ResizeObserver(redraw).observe(made);
    redraws.add(redraw);
    return {element: made, redraw, say: text => made.setAttribute("aria-label", text)};
  };

  // A canvas to be touched: start(x, y) returns false where it holds nothing, move(x, y) follows,
  // end() lets go; key(name, shift) returns whether it knows the key. `touch` says which gestures
  // the page keeps.
  const stage = (box, height, draw, {start, move, end, key, touch = "pan-y"}) => {
    const made = canvas(box, height, "", draw);
    made.element.tabIndex = 0;
    made.element.setAttribute("role", "application");
    made.element.style.touchAction = touch;
    drag(made.element, (x, y) => {
      made.element.focus({preventScroll: true});
      return start(x, y) !== false;
    }, move, end);
    made.element.addEventListener("keydown", event => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && key(event.key, event.shiftKey))
        event.preventDefault();
    });
    return made;
  };

  // Grey values in [0, 1], or three per pixel for colours, as pixels: 0 is the page's ground, 1 ink.
  const bytes = (pixels, side, colours, into) => {
    const [low, high] = [colours.ground, colours.ink].map(c =>
      [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
    const channels = pixels.length / (side * side);
    for (let i = 0, at = 0; i < side * side; i++, at += 4) {
      for (let k = 0; k < 3; k++)
        into[at + k] = channels === 3 ? 255 * pixels[3 * i + k] : low[k] + (high[k] - low[k]) * pixels[i];
      into[at + 3] = 255;
    }
  };
  const scratch = {};
  // Draws such a picture into a square of another canvas.
  const image = (context, pixels, x, y, size, colours, side = 28) => {
    const sheet = scratch[side] ??= element("canvas", {width: side, height: side});
    const own = sheet.getContext("2d"), data = own.createImageData(side, side);
    bytes(pixels, side, colours, data.data);
    own.putImageData(data, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet, x, y, size, size);
  };
  // A picture of its own; show(pixels, label) replaces it. Its size is the style sheet's.
  const cell = (box, label, side = 28) => {
    const made = element("canvas", {role: "img", "aria-label": label, class: "explore-cell",
                                    width: side, height: side});
    box.append(made);
    let shown = new Float32Array(side * side);
    const paint = () => {
      const context = made.getContext("2d"), data = context.createImageData(side, side);
      bytes(shown, side, isDark() ? DARK : LIGHT, data.data);
      context.putImageData(data, 0, 0);
    };
    redraws.add(paint);
    paint();
    return {element: made, show(pixels, text) {
      shown = pixels;
      if (text) made.setAttribute("aria-label", text);
      paint();
    }};
  };
  // A cell with its name, and a quiet text below that.
  const shot = (box, name, what, side, below = "") => {
    const place = element("div", {class: "explore-shot"}), text = part("quiet", below);
    box.append(place);
    const made = cell(place, what, side);
    place.append(element("div", {class: "explore-caption"}, name, element("br"), text));
    return {cell: made, text};
  };

  // --- Parts of a plot ---------------------------------------------------------------------------

  // The line under a plot, its numbers, and the name of what is across; at(value) is in pixels.
  const axis = (c, at, ticks, floor, width, colours, name) => {
    c.strokeStyle = colours.rule; c.lineWidth = 1;
    c.beginPath(); c.moveTo(0, floor + .5); c.lineTo(width, floor + .5); c.stroke();
    c.fillStyle = colours.quiet; c.textAlign = "center";
    for (const tick of ticks) c.fillText(nats(tick, 0), at(tick), floor + 18);
    c.textAlign = "right"; c.fillText(name, width - 4, floor + 18);
  };
  // What the lines are: [name, colour, dash] each, on a ground of its own, its corner at (x, y).
  const key = (c, entries, x, y, colours) => {
    const wide = 44 + Math.max(...entries.map(([name]) => c.measureText(name).width));
    c.globalAlpha = 0.85; c.fillStyle = colours.ground;
    c.fillRect(x, y, wide, 20 * entries.length + 2);
    c.globalAlpha = 1; c.textAlign = "left"; c.lineWidth = 2.5;
    entries.forEach(([name, colour, dash = []], i) => {
      const up = y + 11 + 20 * i;
      c.strokeStyle = colour; c.setLineDash(dash);
      c.beginPath(); c.moveTo(x + 4, up); c.lineTo(x + 30, up); c.stroke(); c.setLineDash([]);
      c.fillStyle = colours.ink; c.fillText(name, x + 36, up + 5);
    });
  };
  // What can be taken hold of: a disc with a letter.
  const handle = (c, x, y, letter, edge, colours) => {
    c.beginPath(); c.arc(x, y, 11, 0, 7);
    c.fillStyle = colours.ground; c.fill();
    c.strokeStyle = edge; c.lineWidth = 2; c.stroke();
    c.fillStyle = colours.ink; c.textAlign = "center"; c.fillText(letter, x, y + 5);
  };

  // --- Controls ----------------------------------------------------------------------------------

  let counted = 0;
  // A slider with its name and its value; text(value) is how the value is written.
  const slider = (box, label, [low, high, step], value, changed, text = v => nats(v)) => {
    const id = `explore-${++counted}`;
    const shown = element("output", {for: id});
    const input = element("input", {type: "range", id, min: low, max: high, step});
    const show = () => {
      shown.textContent = text(Number(input.value));
      input.setAttribute("aria-valuetext", shown.textContent);
    };
    input.addEventListener("input", () => { show(); changed(Number(input.value)); });
    const set = v => { input.value = v; show(); };
    set(value);
    const row = element("div", {class: "explore-slider"}, element("label", {for: id}, label), input, shown);
    box.append(row);
    return {set, row, input};
  };

  const button = (box, text, pressed) => {
    const made = element("button", {type: "button", onclick: pressed}, text);
    box.append(made);
    return made;
  };

  // A title and buttons beside it, {key: text}, of which one is pressed: show(key) says which.
  const tabs = (box, title, choices, chosen) => {
    const row = element("div", {class: "explore-tabs"});
    box.append(element("div", {class: "explore-head"}, element("strong", {}, title), row));
    const made = Object.entries(choices).map(([key, text]) => [key, button(row, text, () => chosen(key))]);
    return {row, show: pressed => made.forEach(([key, each]) =>
      each.setAttribute("aria-pressed", String(key === pressed)))};
  };

  // Mouse, pen and finger alike: start(x, y) says whether to follow, move(x, y) follows, end() lets go.
  // x and y are the canvas's own pixels, also where a slide shows it larger.
  const drag = (target, start, move, end = () => {}) => {
    let held = null;  // the pointer that is followed: a second finger changes nothing
    const at = event => {
      const box = target.getBoundingClientRect(), zoom = box.width / target.offsetWidth;
      return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
    };
    target.addEventListener("pointerdown", event => {
      if (held !== null || event.button || !start(...at(event))) return;
      held = event.pointerId;
      target.setPointerCapture(held);
    });
    target.addEventListener("pointermove", event => event.pointerId === held && move(...at(event)));
    for (const over of ["pointerup", "pointercancel"])
      target.addEventListener(over, event => {
        if (event.pointerId !== held) return;
        held = null;
        end();
      });
  };

  // What changes is said to a screen reader, not at every step.
  const speaker = box => {
    const made = element("p", {class: "explore-said", "aria-live": "polite"});
    box.append(made);
    let waiting = 0;
    return text => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { made.textContent = text; }, 600);
    };
  };

  const known = {};
  const tools = {
    logNormal, grid, logIntegral, logSum, random, normals, nats, round, percent, clamp, kl,
    element, part, row, canvas, stage, image, cell, shot, axis, key, handle, slider, button, tabs, speaker,
    colours: () => (isDark() ? DARK : LIGHT)
  };
  const fill = () => {
    for (const box of document.querySelectorAll(".explore[data-explore]")) {
      const which = known[box.dataset.explore];
      if (!which || box.dataset.filled) continue;
      box.dataset.filled = "yes";
      box.replaceChildren();
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", which.title);
      which.mount(box);
    }
  };
  window.Explore = {
    ...tools, known,
    add(name, what) {
      known[name] = what;
      if (document.readyState === "loading") addEventListener("DOMContentLoaded", fill);
      else fill();
    }
  };
})();
