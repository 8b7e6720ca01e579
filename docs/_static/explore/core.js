// What the explorables share: where they stand, colours, a canvas, sliders, pointer and keys.
//
//   Explore.add("bound", {title, mount(box, tools), …});
//
// fills each <div class="explore" data-explore="bound">. Plain scripts: they work from a disk.
(() => {
  "use strict";

  // As in the course's figures (cvae_tf.look), and lighter on a dark page.
  const LIGHT = {
    ink: "#222222", quiet: "#595959", rule: "#c9ced6", ground: "#ffffff", prior: "#999933",
    q: "#AA4499", posterior: "#117733", kl: "#882255", bound: "#0072B2"
  };
  const DARK = {
    ink: "#e8eaed", quiet: "#b3bac4", rule: "#4a515c", ground: "#121212", prior: "#cfcf6e",
    q: "#e68ad6", posterior: "#5cc483", kl: "#e583ac", bound: "#56b4e9"
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
  // A small generator of random numbers in [0, 1) with a seed (mulberry32's recipe).
  const random = seed => () => {
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const nats = (value, digits = 2) =>
    (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");

  // --- Elements ----------------------------------------------------------------------------------

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // A canvas as wide as its box, sharp on any screen; draw(context, width, height, colours).
  const canvas = (box, height, label, draw) => {
    const made = element("canvas", {role: "img", "aria-label": label});
    made.style.height = `${height}px`;
    box.append(made);
    let asked = false;
    const paint = () => {
      asked = false;
      const width = made.clientWidth;
      if (!width) return;
      const dense = (window.devicePixelRatio || 1) * made.getBoundingClientRect().width / width;
      made.width = Math.round(width * dense);
      made.height = Math.round(height * dense);
      const context = made.getContext("2d");
      context.scale(dense, dense);
      context.clearRect(0, 0, width, height);
      draw(context, width, height, isDark() ? DARK : LIGHT);
    };
    const redraw = () => {
      if (!asked) requestAnimationFrame(paint);
      asked = true;
    };
    new ResizeObserver(redraw).observe(made);
    redraws.add(redraw);
    return {element: made, redraw};
  };

  let counted = 0;
  const slider = (box, label, [low, high, step], value, changed) => {
    const id = `explore-${++counted}`;
    const shown = element("output", {for: id});
    const input = element("input", {type: "range", id, min: low, max: high, step});
    const show = () => { shown.textContent = nats(Number(input.value)); };
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

  // Mouse, pen and finger alike: start(x, y) says whether to follow, move(x, y) follows. x and y are
  // the canvas's own pixels, also where a slide shows it larger.
  const drag = (target, start, move) => {
    let held = false;
    const at = event => {
      const box = target.getBoundingClientRect(), zoom = box.width / target.offsetWidth;
      return [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
    };
    target.addEventListener("pointerdown", event => {
      held = start(...at(event));
      if (held) target.setPointerCapture(event.pointerId);
    });
    target.addEventListener("pointermove", event => held && move(...at(event)));
    for (const end of ["pointerup", "pointercancel"])
      target.addEventListener(end, () => { held = false; });
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
  const tools = {logNormal, grid, logIntegral, random, nats, element, canvas, slider, button, drag, speaker};
  const fill = () => {
    for (const box of document.querySelectorAll(".explore[data-explore]")) {
      const which = known[box.dataset.explore];
      if (!which || box.dataset.filled) continue;
      box.dataset.filled = "yes";
      box.replaceChildren();
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", which.title);
      which.mount(box, tools);
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
