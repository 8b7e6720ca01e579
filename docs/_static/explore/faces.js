// Faces: a CMMA of the drawn faces. Ask for other attributes, and see the face edited by transport,
// (6.3), and by re-encoding, (6.4), beside the true edit: the same identity, drawn anew.
(() => {
  "use strict";
  const {nats, element, clamp} = Explore;
  const SIDE = 24, SIZE = SIDE * SIDE, RANGE = [-1, 1, 0.1];
  const ENDS = {  // of the continuous attributes, as in cvae_tf.faces.ATTRIBUTES
    smile: ["frown", "smile"], brows: ["worried", "angry"], hair: ["short", "long"],
    pose: ["left", "right"], light: ["left", "right"]
  };
  const START = {face: 1, attribute: "hat", seed: 1};

  // --- The faces, as cvae_tf.faces.draw draws them ------------------------------------------------

  const {sin, cos, abs, sqrt, min, max} = Math;
  const within = (v, low, high) => min(high, max(low, v));

  // Signed distances to shapes, from the place (x, y) in [−1, 1]², y down.
  const ellipse = (cx, cy, rx, ry) => (x, y) => {
    const u = (x - cx) / rx, v = (y - cy) / ry, k = sqrt(u * u + v * v) + 1e-6;
    return k * (k - 1) / (sqrt((u / rx) ** 2 + (v / ry) ** 2) + 1e-6);
  };
  const stroke = (cx, cy, half, bend, slope, thickness) => (x, y) => {
    const dx = x - cx, inside = within(dx, -half, half);
    const curve = cy + slope * inside + bend * (1 - 2 * (inside / half) ** 2);
    const steepness = slope - 4 * bend * inside / half ** 2;
    return sqrt((dx - inside) ** 2 + ((y - curve) / sqrt(1 + steepness ** 2)) ** 2) - thickness / 2;
  };
  const rounded = (cx, cy, halfWidth, halfHeight, roundness) => (x, y) => {
    const u = abs(x - cx) - halfWidth + roundness, v = abs(y - cy) - halfHeight + roundness;
    return sqrt(max(u, 0) ** 2 + max(v, 0) ** 2) + min(max(u, v), 0) - roundness;
  };
  const both = (...shapes) => (x, y) => max(...shapes.map(shape => shape(x, y)));
  const either = (...shapes) => (x, y) => min(...shapes.map(shape => shape(x, y)));

  // A grey picture of `side` × `side`, light is 1; y: attributes, identity: what else varies.
  function draw(attributes, identity, side = SIDE) {
    const [glasses, beard, moustache, hat, bowTie, smile, brows, hair, pose, light] = attributes;
    const [wide, tall, across, down, apart, eyeSize, nose, mouthWidth, skin, hairShade, back, shirt] = identity;
    const rx = 0.50 + 0.045 * wide, ry = 0.62 + 0.035 * tall;
    const cx = 0.07 * across, cy = 0.03 + 0.045 * down;
    const skinTone = 0.84 + 0.09 * skin, hairTone = 0.20 + 0.15 * hairShade, ink = 0.06;
    // Where a feature at a longitude of the head stands, and how it is foreshortened.
    const place = (longitude, lift = 1) => cx + lift * rx * sin(longitude + 0.55 * pose);
    const facingOf = longitude => cos(longitude + 0.55 * pose);

    const picture = new Float64Array(side * side).fill(0.47 + 0.10 * back);
    const at = i => ((i + 0.5) / side) * 2 - 1;
    // tone: a number, or a function of how far a place is towards the light.
    const paint = (distance, tone, opacity = 1) => {
      for (let i = 0; i < side * side; i++) {
        const x = at(i % side), coverage = opacity *
          within(0.5 - distance(x, at(Math.floor(i / side))) * side / 2, 0, 1);
        if (!coverage) continue;
        const own = typeof tone === "number" ? tone : tone(within((x - cx) / rx, -1.3, 1.3) * light);
        picture[i] += coverage * (own - picture[i]);
      }
    };
    const shade = tone => toward => tone * (1 + 0.30 * toward - 0.10 * abs(light));
    const lit = (tone, base, slope) => toward => tone * (base + slope * toward);

    // behind the head: hair, neck and shoulders, ears
    const hairEnd = cy + 0.27 + 0.50 * hair, behind = cx - 0.06 * pose;
    const halfLength = max((hairEnd - cy + 0.35) / 2, 0.05);
    const cap = both(ellipse(behind, cy - 0.14, 1.20 * rx, ry), (x, y) => y - hairEnd);
    const locks = rounded(behind, hairEnd - halfLength, 1.30 * rx, halfLength, 0.12);
    paint(either(cap, locks), lit(hairTone, 0.9, 0.25));
    paint(rounded(cx, 0.72, 0.17, 0.26, 0.05), skinTone * 0.72);
    paint(ellipse(cx, 1.18, 0.80, 0.44), lit(0.76 + 0.18 * shirt, 1, 0.12));
    for (const side of [-1, 1])
      paint(ellipse(place(side * 1.72, 1.05), cy + 0.02, 0.085, 0.12), shade(skinTone * 0.86));

    // the head, and the hair in front: above a line that turns with it
    const head = ellipse(cx, cy, rx, ry), middle = place(0), facing = facingOf(0);
    paint(head, shade(skinTone));
    const line = x => cy - 0.66 * ry + 0.34 * ry * ((x - middle) / rx) ** 2;
    paint(both((x, y) => head(x, y) - 0.03, (x, y) => y - line(x)), lit(hairTone, 0.95, 0.3));

    // beard: below a line from ear to ear, with room for the mouth
    const mouthX = place(0, 1.04), mouthY = cy + 0.56 * ry;
    const halfMouth = (0.235 + 0.03 * mouthWidth) * facing;
    const jaw = x => cy + 0.36 * ry - 0.20 * ry * abs((x - middle) / rx) ** 2;
    const chin = ellipse(cx, cy + 0.03, 1.02 * rx, 1.03 * ry);
    paint(both(chin, (x, y) => jaw(x) - y), lit(hairTone, 0.95, 0.3), beard);
    paint(ellipse(mouthX, mouthY, halfMouth + 0.06, 0.17), shade(skinTone), beard);

    // mouth, nose, moustache
    paint(stroke(mouthX, mouthY, halfMouth, 0.10 * smile, 0, 0.080), 0.08);
    paint(ellipse(place(0, 1.16), cy + 0.17 * ry, 0.055 + 0.015 * nose, 0.085 + 0.02 * nose),
          shade(skinTone * 0.70));
    for (const side of [-1, 1])
      paint(stroke(place(side * 0.17, 1.06), cy + 0.335 * ry, 0.105 * facingOf(side * 0.17), 0.02,
                   0.35 * side, 0.085), hairTone * 0.9, moustache);

    // eyes, brows, glasses
    const eyeY = cy - 0.04 * ry, eye = 1 + 0.15 * eyeSize, sideways = 0.44 + 0.05 * apart;
    for (const side of [-1, 1]) {
      const x = place(side * sideways), fore = facingOf(side * sideways);
      paint(ellipse(x, eyeY, 0.105 * eye * fore, 0.08 * eye), 0.99);
      paint(ellipse(x + 0.02 * pose, eyeY, 0.062 * eye, 0.070 * eye), ink);
      paint(stroke(x, eyeY - 0.245, 0.14 * fore, -0.012, -0.75 * side * brows, 0.080), 0.10);
      const glass = ellipse(x, eyeY + 0.015, 0.185 * fore + 0.01, 0.165);
      paint((u, v) => abs(glass(u, v)) - 0.026, ink, glasses);
    }
    const left = place(-sideways), right = place(sideways);
    const bridge = max(abs(right - left) / 2 - 0.17 * facing, 0.02);
    paint(rounded((left + right) / 2, eyeY, bridge, 0.025, 0.01), ink, glasses);

    // hat and bow tie
    const brim = cy - 0.68 * ry, plus = (tone, slope) => toward => tone + slope * toward;
    const dome = both(ellipse(cx, brim, 0.98 * rx, 0.45), (x, y) => y - brim);
    paint(dome, plus(0.17, 0.10), hat);
    paint(both(dome, (x, y) => abs(y - (brim - 0.09)) - 0.045), lit(0.90, 0.95, 0.1), hat);
    paint(rounded(cx, brim, 1.34 * rx, 0.045, 0.04), plus(0.13, 0.08), hat);
    const tie = (x, y) => max(abs(y - 0.855) - 0.02 - 0.55 * abs(x - cx), abs(x - cx) - 0.22);
    paint(tie, ink, bowTie);
    return Float32Array.from(picture, v => within(v, 0, 1));
  }

  // --- The model ----------------------------------------------------------------------------------

  const distance = (a, b) =>  // root mean square over the pixels
    sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);

  // The edits of one face from y to y_new, and a new face, all by the same CMMA.
  function numbers({y, y_new, identity, seed}) {
    const {nets} = Explore.loaded("faces");
    const decode = nets["CMMA.likelihood"];
    const prior = attributes => Explore.gaussian(nets["CMMA.prior"](Float32Array.from(attributes)));
    const q = attributes => Explore.gaussian(nets["CMMA.posterior"](face, Float32Array.from(attributes)));
    const face = draw(y, identity), truth = draw(y_new, identity);
    const before = prior(y), after = prior(y_new), z = q(y).mean;
    const z_moved = z.map((v, j) =>
      after.mean[j] + after.scale[j] * (v - before.mean[j]) / before.scale[j]);  // (6.3)
    const z_read = q(y_new).mean;  // (6.4)
    const epsilon = Explore.normals(seed, [z.length]);
    const pictures = {
      face, truth, rebuilt: decode(z), transport: decode(z_moved), reencode: decode(z_read),
      generated: decode(Explore.moved(after, epsilon))
    };
    // Of the way that transport goes, how much re-encoding goes, in standard deviations of p(z|y).
    let way = 0, along = 0;
    z.forEach((v, j) => {
      const t = (z_moved[j] - v) / before.scale[j];
      way += t * t;
      along += t * (z_read[j] - v) / before.scale[j];
    });
    const errors = Object.fromEntries(["face", "transport", "reencode"].map(name =>
      [name, distance(pictures[name], truth)]));
    return {pictures, errors, epsilon, along: way > 0 ? along / way : null};
  }

  // --- The page -----------------------------------------------------------------------------------

  function mount(box) {
    const {attributes, binary, faces} = Explore.loaded("faces").facts;
    const state = {face: START.face, y_new: [], seed: START.seed};
    let now;
    const first = attributes.map(name => name === START.attribute);
    const differs = (y, y_new) => y.map((v, j) => abs(y_new[j] - v) > 1e-6);
    // A face's attributes with some of them turned over or sent to the other side.
    const turned = (y, columns) => y.map((v, j) =>
      !columns[j] ? v : binary[j] ? 1 - v : v > 0 ? -0.8 : 0.8);

    const {row: toggles} = Explore.tabs(box, "Change the description", {});
    const sliders = element("div", {class: "explore-sliders explore-named"});
    const shots = element("div", {class: "explore-shots explore-faces"});
    const foot = element("div", {class: "explore-tabs"});
    const sum = element("p", {class: "explore-sum"}), note = element("p", {class: "explore-note"});
    box.append(sliders, shots, sum, foot, note);
    const speak = Explore.speaker(box);

    const controls = attributes.map((name, column) => {
      const change = v => set({y_new: state.y_new.map((old, j) => (j === column ? v : old))});
      if (binary[column]) {
        const made = Explore.button(toggles, name, () => change(1 - state.y_new[column]));
        return v => made.setAttribute("aria-pressed", String(v > 0.5));
      }
      const text = v => (v ? `${nats(v, 1)} ${ENDS[name][Number(v > 0)]}` : "0");
      return Explore.slider(sliders, name, RANGE, 0, change, text).set;
    });
    const shot = (name, what) => {
      const {cell, text} = Explore.shot(shots, name, what, SIDE);
      return (pixels, said) => {
        const grey = new Float32Array(3 * SIZE);
        pixels.forEach((v, i) => grey.fill(clamp(v, [0, 1]), 3 * i, 3 * i + 3));
        cell.show(grey, `${what}: ${said}`);
        text.textContent = said;
      };
    };
    const show = {
      face: shot("the face", "the given face"),
      truth: shot("true edit", "the same identity, drawn as asked"),
      transport: shot("transport (6.3)", "the face edited by transport"),
      reencode: shot("re-encode (6.4)", "the face edited by re-encoding"),
      generated: shot("new, z ~ p(z|y′)", "a new face with what is asked for")
    };
    Explore.button(foot, "as it was", () => set({y_new: faces[state.face].y}));
    Explore.button(foot, "another face", () => pick((state.face + 1) % faces.length));
    Explore.button(foot, "another new face", () => set({seed: state.seed + 1}));

    // Another face, asked for with other values of the same attributes.
    function pick(face) {
      const columns = differs(faces[state.face].y, state.y_new);
      set({face, y_new: turned(faces[face].y, columns.some(Boolean) ? columns : first)});
    }

    function set(change) {
      Object.assign(state, change);
      const {y, identity} = faces[state.face];
      controls.forEach((control, column) => control(state.y_new[column]));
      now = numbers({y, y_new: state.y_new, identity, seed: state.seed});
      for (const [name, pixels] of Object.entries(now.pictures))
        if (show[name])
          show[name](pixels, name in now.errors ? `error ${nats(now.errors[name], 3)}`
            : name === "truth" ? "right answer" : "someone else");
      write(y);
    }

    function write(y) {
      const asked = attributes.filter((_, j) => differs(y, state.y_new)[j]).map(name => {
        const v = state.y_new[attributes.indexOf(name)];
        return name in ENDS ? `${name} ${nats(v, 1)}` : `${v ? "" : "no "}${name}`;
      });
      sum.textContent = !asked.length
        ? "Nothing else is asked for: both edits give the reconstruction."
        : `Asked for: ${asked.join(", ")}. Re-encoding moves z ${nats(100 * now.along, 0)} % of the ` +
          "way that transport goes.";
      note.textContent = "Error: root mean square of the difference to the true edit, over the pixels; " +
        "black is 0, white is 1. In re-encoding z still has to explain the old face.";
      speak(sum.textContent);
    }

    box.explore = {state, set, get now() { return now; }};  // for the tests
    set({y_new: turned(faces[state.face].y, first)});
  }

  Explore.add("faces", {title: "Faces: change what is known of one", mount, numbers, draw});
})();
