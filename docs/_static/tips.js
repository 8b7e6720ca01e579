// An equation's number shows the equation while the pointer or the keyboard is on it.
addEventListener("DOMContentLoaded", () => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let waiting = 0, current = null;

  const hide = () => {
    clearTimeout(waiting);
    tip.hidden = true;
    current?.removeAttribute("aria-describedby");
    current = null;
  };
  const show = async link => {
    const tag = decodeURIComponent(link.hash).replace("#eq-", "").replace("-", ".");
    const tex = window.EQUATIONS?.[tag];
    if (!tex || !window.MathJax?.tex2svgPromise) return;
    await MathJax.startup.promise;
    const typeset = await MathJax.tex2svgPromise(tex, {display: true});
    if (current !== link) return;
    tip.replaceChildren(typeset);
    tip.hidden = false;
    tip.style.fontSize = "1rem";
    const room = Math.min(innerWidth - 32, 760), wide = typeset.querySelector("svg");
    const needs = wide.getBoundingClientRect().width + 32;
    if (needs > room) tip.style.fontSize = `${Math.max(0.6, room / needs)}rem`;
    const at = link.getBoundingClientRect(), box = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, innerWidth - box.width - 8));
    const above = at.top > box.height + 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${above ? at.top - box.height - 6 : at.bottom + 6}px`;
    link.setAttribute("aria-describedby", "tip");
  };
  const ask = (link, delay) => {
    hide();
    current = link;
    waiting = setTimeout(() => show(link), delay);
  };
  for (const link of document.querySelectorAll("a.eq")) {
    link.addEventListener("pointerenter", event => event.pointerType === "mouse" && ask(link, 120));
    link.addEventListener("pointerleave", hide);
    link.addEventListener("focus", () => ask(link, 0));
    link.addEventListener("blur", hide);
  }
  addEventListener("keydown", event => event.key === "Escape" && hide());
  addEventListener("scroll", hide, {passive: true});
});

// Each line of code becomes a span that knows its indentation; course.css lets it hang.
addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(":is(.highlight-ipython3, .highlight-python, .highlight-bash) pre"))
    code.innerHTML = code.innerHTML.split("\n").map(line => {
      const [indent] = line.replace(/<[^>]*>/g, "").match(/^ */);
      return line && `<span class="line" style="--in: ${indent.length}">${line}</span>`;
    }).join("\n");
});

// An equation that is wider than its column is set smaller, down to three quarters, before it scrolls.
addEventListener("DOMContentLoaded", async () => {
  if (!window.MathJax?.startup) return;
  await MathJax.startup.promise;
  const fit = () => {
    for (const block of document.querySelectorAll("div.math")) {
      block.style.fontSize = "";
      for (let size = 1, i = 0; i < 9 && size > 0.75 && block.clientWidth; i++) {
        const needs = Math.max(block.scrollWidth, block.firstElementChild?.scrollWidth ?? 0);
        if (needs <= block.clientWidth) break;
        size = Math.max(0.75, size * 0.99 * block.clientWidth / needs);
        block.style.fontSize = `${100 * size}%`;  // the number keeps its distance: once is not enough
      }
    }
    for (const inline of document.querySelectorAll("mjx-container:not([display])")) {
      const room = inline.closest("p, li, dd, summary, figcaption")?.clientWidth;
      const wide = inline.firstElementChild?.getBoundingClientRect().width;
      inline.classList.toggle("wide", Boolean(room && wide > room));
    }
  };
  fit();
  addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true);  // a fold that opens
});
