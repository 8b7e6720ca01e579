// Last of all: once the equations stand, the slides begin.
(async () => {
  "use strict";
  await MathJax.startup.promise;
  await document.fonts.ready;
  // Rows of a derivation that come with a step carry its number as a class.
  for (const row of document.querySelectorAll(".fragment[class*='at-']"))
    row.dataset.fragmentIndex = row.getAttribute("class").match(/at-(\d+)/)[1];

  // An explorable keeps the keys that it has used; once the mouse lets go, the deck has them again.
  for (const box of document.querySelectorAll(".explore")) {
    box.addEventListener("keydown", event => event.defaultPrevented && event.stopPropagation());
    box.addEventListener("pointerup", () => document.activeElement.blur());
  }
  await Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true,
    slideNumber: "c/t", controls: false, progress: true, transition: "none",
    defaultTiming: 0, pdfMaxPagesPerSlide: 1, plugins: [RevealNotes]
  });
  document.documentElement.dataset.ready = "yes";
})();
