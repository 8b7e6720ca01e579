// What is wrong on the slide that is shown, all its steps taken: a list of sentences.
(() => {
  const slide = Reveal.getCurrentSlide(), faults = [];
  const edge = slide.getBoundingClientRect(), zoom = edge.width / 1280;
  const say = (what, element) => faults.push(`${what}: <${element.tagName.toLowerCase()}> ` +
    (element.alt || element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 50));
  const hidden = element => !element.getClientRects().length ||
    element.closest("mjx-assistive-mml, aside.notes, .explore-said, [hidden]") ||
    getComputedStyle(element).visibility === "hidden";

  // Nothing leaves the slide, and nothing leaves the box that holds it.
  const parts = "h1, h2, p, li, table, th, td, pre, .line, figure, img, mjx-container, canvas, input, button";
  const inner = {left: edge.left + 20 * zoom, right: edge.right - 20 * zoom, bottom: edge.bottom - 28 * zoom};
  for (const element of slide.querySelectorAll(parts)) {
    if (hidden(element)) continue;
    const box = element.getBoundingClientRect();
    if (box.top < edge.top || box.left < inner.left || box.right > inner.right || box.bottom > inner.bottom)
      say("beyond the slide", element);
    if (element.matches("pre, .line, table, li, p, td") && element.scrollWidth > element.clientWidth + 1 &&
        element.clientWidth && !element.querySelector("mjx-container"))
      say("wider than its box", element);
    if (element.matches("mjx-container")) {
      const up = element.closest("h1, h2, td, th, li, p, .math.block").getBoundingClientRect();
      const drawn = element.querySelector("svg").getBoundingClientRect();
      if (drawn.left < up.left - 2 || drawn.right > up.right + 2) say("wider than its place", element);
    }
  }

  // What stands beside each other does not overlap.
  const apart = ".body > *, .step > *, .column > *, .columns > *, section > h2, section > .body, tr > *, .vote > li";
  const boxes = [...slide.querySelectorAll(apart)].filter(e => !hidden(e));
  for (const [i, a] of boxes.entries())
    for (const b of boxes.slice(i + 1)) {
      if (a.contains(b) || b.contains(a)) continue;
      const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
      const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (across > 2 && down > 2) say(`overlaps <${b.tagName.toLowerCase()}>`, a);
    }

  // Letters: 24 px and more; captions, the slide's number and an explorable's 18; in a figure 16.
  const walk = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  const light = text => text.match(/[\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let up = element; up; up = up.parentElement) {
      const found = getComputedStyle(up).backgroundColor;
      if (!/, 0\)|transparent/.test(found)) return found;
    }
    return "rgb(255, 255, 255)";
  };
  for (let node; (node = walk.nextNode());) {
    const parent = node.parentElement;
    if (!node.data.trim() || hidden(parent) || parent.closest("mjx-container")) continue;
    const style = getComputedStyle(parent), explore = parent.closest(".explore");
    const size = parseFloat(style.fontSize) * (explore ? parseFloat(getComputedStyle(explore).zoom) : 1);
    if (size < (parent.closest(".caption, .explore") ? 18 : 24) - 0.01) say(`${size.toFixed(1)} px`, parent);
    const a = light(style.color), b = light(ground(parent));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (size >= 24 ? 3 : 4.5)) say(`contrast ${ratio.toFixed(1)}`, parent);
  }
  for (const set of slide.querySelectorAll("mjx-container"))
    if (parseFloat(getComputedStyle(set).fontSize) < 24) say("equation under 24 px", set);
  for (const image of slide.querySelectorAll("img")) {
    if (!image.alt.trim()) say("no text alternative", image);
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight) / zoom;
    const letters = 14 / 72 * 110 * scale;  // the smallest of cvae_tf.look, at its dots per inch
    if (letters < 16) say(`letters of ${letters.toFixed(1)} px in a figure`, image);
  }
  slide.querySelectorAll("[data-mjx-error], mjx-merror").forEach(each => say("misset", each));
  return faults;
})()
