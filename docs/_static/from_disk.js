// A browser lets no page read another from a disk. What the search shows of each page it finds is
// taken from texts.js there, which tools/site_pages.py writes.
if (location.protocol === "file:") {
  window.fetch = async address => {
    const root = new URL(document.documentElement.dataset.content_root, location.href).href;
    const page = new URL(address, location.href).href.replace(root, "").replace(/\.html$/, "");
    const main = document.createElement("div");
    main.setAttribute("role", "main");
    main.textContent = window.TEXTS?.[page] ?? "";
    return new Response(main.outerHTML);
  };
}
