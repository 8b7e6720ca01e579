// Explaining away: z and y are drawn apart, x = z + y + noise. Once x is seen they depend on each
// other: the more y explains of it, the less is left for z. Everything is Gaussian, as (7.2) says.
(() => {
  "use strict";
  const {nats, clamp, element} = Explore;
  const RANGE = {x: [-2, 2, 0.05], noise: [0.1, 2, 0.05], y: [-1.5, 1.5, 0.05]};  // all of it in the picture

  // z and y given what is seen of x and y: means, variances, correlation.
  function numbers({seen, x, y, noise}) {
    const v = noise ** 2;
    if (seen === "nothing") return {z: 0, y: 0, var_z: 1, var_y: 1, correlation: 0};
    if (seen === "x") {
      const mean = x / (2 + v), variance = (1 + v) / (2 + v);
      return {z: mean, y: mean, var_z: variance, var_y: variance, correlation: -1 / (1 + v)};
    }
    return {z: (x - y) / (1 + v), y, var_z: v / (1 + v), var_y: 0, correlation: 0};
  }

  function mount(box) {
    const state = {seen: "x", x: 1, y: 1, noise: 0.5};
    const tabs = Explore.tabs(box, "What is seen?", {nothing: "nothing", x: "x", both: "x and y"},
                              seen => set({seen}));
    const plot = Explore.stage(box, 340, drawPlot, {
      start: px => state.seen !== "nothing" && (moveTo(px), true), move: moveTo, key
    });
    const sliders = element("div", {class: "explore-sliders"});
    box.append(sliders);
    const x = Explore.slider(sliders, "x", RANGE.x, state.x, v => set({x: v}));
    const y = Explore.slider(sliders, "y", RANGE.y, state.y, v => set({y: v}));
    const noise = Explore.slider(sliders, "noise in x", RANGE.noise, state.noise, v => set({noise: v}));
    const note = element("p", {class: "explore-sum"});
    box.append(note);
    const speak = Explore.speaker(box);
    let now;

    function set(change) {
      for (const [key, value] of Object.entries(change))
        state[key] = RANGE[key] ? clamp(value, RANGE[key]) : value;
      x.set(state.x); y.set(state.y); noise.set(state.noise);
      x.row.hidden = state.seen === "nothing";
      y.row.hidden = state.seen !== "both";
      tabs.show(state.seen);
      now = numbers(state);
      note.textContent = {
        nothing: "Drawn separately: correlation 0. Now look at x.",
        x: `x = ${nats(state.x)} is seen: the correlation of z and y is ${nats(now.correlation)}, ` +
          "whatever x is.",
        both: `y is seen too, and explains its part: z has mean ${nats(now.z)} and width ` +
          `${nats(Math.sqrt(now.var_z))}.`
      }[state.seen];
      plot.say(`The plane of y and z. ${note.textContent} ` +
        "Arrow keys move x, with the shift key y.");
      speak(note.textContent);
      plot.redraw();
    }

    const unit = (width, height) => Math.min(width, height - 20) / 6.4;
    function drawPlot(c, width, height, colours) {
      const u = unit(width, height), ox = width / 2, oy = (height - 20) / 2 + 4;
      const at = (a, b) => [ox + a * u, oy - b * u];
      c.strokeStyle = colours.rule; c.lineWidth = 1;
      c.beginPath(); c.moveTo(...at(-3.1, 0)); c.lineTo(...at(3.1, 0));
      c.moveTo(...at(0, -3.1)); c.lineTo(...at(0, 3.1)); c.stroke();
      c.fillStyle = colours.quiet; c.textAlign = "center";
      c.fillText("y", ...at(3.1, -0.35)); c.fillText("z", ...at(-0.25, 2.9));

      const ellipse = (mean_y, mean_z, var_y, var_z, r, colour, dash) => {
        for (const k of [2, 1]) {
          c.beginPath();
          for (let i = 0; i <= 90; i++) {
            const t = i / 90 * 2 * Math.PI, a = k * Math.cos(t);
            const b = k * (r * Math.cos(t) + Math.sqrt(1 - r * r) * Math.sin(t));
            c.lineTo(...at(mean_y + Math.sqrt(var_y) * a, mean_z + Math.sqrt(var_z) * b));
          }
          c.setLineDash(dash); c.strokeStyle = colour; c.lineWidth = 2.2; c.stroke(); c.setLineDash([]);
          c.globalAlpha = 0.12; c.fillStyle = colour; if (!dash.length) c.fill(); c.globalAlpha = 1;
        }
      };
      ellipse(0, 0, 1, 1, 0, colours.prior, [6, 4]);
      if (state.seen !== "nothing") {  // where z + y = x
        c.strokeStyle = colours.quiet; c.lineWidth = 1.2;
        c.save(); c.beginPath(); c.rect(ox - 3.1 * u, oy - 3.1 * u, 6.2 * u, 6.2 * u); c.clip();
        c.beginPath(); c.moveTo(...at(-4, state.x + 4)); c.lineTo(...at(4, state.x - 4)); c.stroke();
        c.restore();
        const [hx, hy] = handle(width, height);
        const seen = numbers({...state, seen: "x"});
        if (state.seen === "x")
          ellipse(seen.y, seen.z, seen.var_y, seen.var_z, seen.correlation, colours.posterior, []);
        else {
          const sd = Math.sqrt(now.var_z);
          c.strokeStyle = colours.posterior;
          for (const [k, w] of [[2, 3], [1, 8]]) {
            c.lineWidth = w;
            c.beginPath(); c.moveTo(...at(state.y, now.z - k * sd));
            c.lineTo(...at(state.y, now.z + k * sd)); c.stroke();
          }
          c.fillStyle = colours.posterior;
          c.beginPath(); c.arc(...at(state.y, now.z), 5, 0, 7); c.fill();
        }
        Explore.handle(c, hx, hy, state.seen === "x" ? "x" : "y", colours.ink, colours);
      }
      const names = [["prior", colours.prior, [6, 4]]];
      if (state.seen !== "nothing")
        names.push([state.seen === "x" ? "given x" : "given x and y", colours.posterior, []]);
      Explore.key(c, names, 2, 0, colours);
    }
    // The handle lies on the line z + y = x: in its middle for x, at y for y.
    function handle(width, height) {
      const u = unit(width, height), a = state.seen === "x" ? state.x / 2 : state.y;
      const b = state.seen === "x" ? state.x / 2 : now.z;
      return [width / 2 + a * u, (height - 20) / 2 + 4 - b * u];
    }
    function moveTo(px) {
      const {clientWidth: width, clientHeight: height} = plot.element;
      const a = (px - width / 2) / unit(width, height);
      set(state.seen === "x" ? {x: 2 * a} : {y: a});
    }
    function key(name, shift) {
      const step = {ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1}[name];
      if (!step || state.seen === "nothing") return false;
      const moved = shift && state.seen === "both" ? "y" : "x";
      set({[moved]: state[moved] + step});
      return true;
    }
    box.explore = {state, set, get now() { return now; }};
    set({});
  }

  Explore.add("explaining", {title: "Explaining away: z and y once x is seen", mount, numbers});
})();
