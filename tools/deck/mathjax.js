// Before MathJax: how it is to set equations, and the colours of what a bound is made of (deck.css).
window.MathJax = {
  tex: {
    inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]], tags: "none",
    macros: Object.fromEntries(["prior", "q", "posterior", "kl", "bound"]
      .map(name => [name, [`\\class{${name}}{#1}`, 1]]))
  },
  svg: {fontCache: "global"},
  options: {enableMenu: false}
};
