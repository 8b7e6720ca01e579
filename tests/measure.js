// What is cut or overflows on the page: a list of sentences. All that folds is opened first.
(async () => {
  document.querySelectorAll("details").forEach(each => each.open = true);
  document.querySelectorAll("main img[loading=lazy]").forEach(each => each.loading = "eager");
  await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
  await new Promise(requestAnimationFrame);
  const faults = [], seen = new Set();
  const say = (what, element) => {
    const text = (element.alt || element.textContent || "").trim().replace(/\s+/g, " ");
    const inside = element.closest("[id]")?.id || "";
    const line = `${what}: <${element.tagName.toLowerCase()} ${element.className?.baseVal ??
      element.className}> in #${inside}: ${text.slice(0, 50)}`;
    if (!seen.has(line)) faults.push(line);
    seen.add(line);
  };
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth + 1) say(`page is ${root.scrollWidth} px wide`, document.body);

  const colour = text => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return {r, g, b, a};
  };

  // The box of what is seen against the nearest ancestor that cuts or scrolls.
  const check = (box, element, from = element.parentElement) => {
    if (box.width < 1 || box.height < 1) return;
    for (let up = from; up && up !== root; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (style.position === "fixed") return;
      if (style.clipPath !== "none" || style.clip !== "auto") return;  // hidden for the eye
      const edge = up.getBoundingClientRect();
      const left = edge.left + up.clientLeft, right = left + up.clientWidth;
      if (/hidden|clip/.test(style.overflowX) && up.clientWidth)
        if (box.left < left - 2 || box.right > right + 2) return say("cut", element);
      if (/hidden|clip/.test(style.overflowY) && up.clientHeight && style.overflowX !== "visible") {
        const top = edge.top + up.clientTop;
        if (box.top < top - 3 || box.bottom > top + up.clientHeight + 4)
          return say("cut above or below", element);
      }
      if (/auto|scroll/.test(style.overflowX) && up.clientWidth) {
        if (box.left + up.scrollLeft < left - 2) return say("lost on the left", element);
        if (up.scrollWidth > up.clientWidth + 1 && !/gradient/.test(style.backgroundImage) &&
            !up.matches(".bd-sidebar-primary, .bd-sidebar-secondary, .bd-sidebar-primary *"))
          return say("scrolls without a hint", up);
        const opaque = [...up.querySelectorAll("td, tbody th")].find(cell =>
          [cell, cell.parentElement].some(e => colour(getComputedStyle(e).backgroundColor).a > 0.9));
        if (up.scrollWidth > up.clientWidth + 1 && opaque) say("covers the hint", opaque);
        return;  // what scrolls is a box of its own, seen when its turn comes
      }
    }
    if (box.left < -1 || box.right > innerWidth + 1) say("beyond the window", element);
  };
  const hidden = element => !element.getClientRects().length ||
    element.closest("mjx-assistive-mml, .visually-hidden, dialog, .sr-only, [hidden], .explore-said") ||
    getComputedStyle(element).visibility === "hidden";
  const area = document.querySelector(".bd-main") || document.body;
  for (const element of area.querySelectorAll("img, canvas, svg, pre, table, button, input, select")) {
    if (hidden(element) || element.closest("svg svg, .bd-header-article")) continue;
    check(element.getBoundingClientRect(), element);
  }
  const walk = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (!node.data.trim() || hidden(node.parentElement) || node.parentElement.closest("svg")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    check(range.getBoundingClientRect(), node.parentElement, node.parentElement);
  }
  for (const image of area.querySelectorAll("img")) {
    if (!hidden(image) && !image.alt.trim()) say("no alternative text", image);
    if (!hidden(image) && !image.naturalWidth) say("not loaded", image);
    const dense = image.naturalWidth / image.getBoundingClientRect().width;
    if (!/svg($|\+)/.test(image.src.split("?")[0]) && !hidden(image) && dense < 1.9)
      say(`${dense.toFixed(1)} times as dense`, image);
  }

  // Text against the ground it stands on: contrast 4.5, or 3 where it is large (WCAG AA).
  const light = ({r, g, b}) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let up = element; up; up = up.parentElement) {
      const found = colour(getComputedStyle(up).backgroundColor);
      if (found.a > 0.9) return found;
    }
    return colour(matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18,18,18)" : "rgb(255,255,255)");
  };
  const read = document.createTreeWalker(document.querySelector("article, main") || area, NodeFilter.SHOW_TEXT);
  for (let node; (node = read.nextNode());) {
    const parent = node.parentElement;
    if (!node.data.trim() || hidden(parent) || parent.closest("svg, a.headerlink")) continue;
    const style = getComputedStyle(parent), a = light(colour(style.color)), b = light(ground(parent));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 ||
      (parseFloat(style.fontSize) >= 18.5 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) say(`contrast ${ratio.toFixed(1)}`, parent);
  }
  document.querySelectorAll("[data-mjx-error], mjx-merror").forEach(e => say("misset", e));
  return faults;
})()
