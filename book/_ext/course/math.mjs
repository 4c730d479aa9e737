// TeX to SVG. One JSON request a line in, one JSON answer a line out:
//   {"tex": "...", "display": true}  ->  {"html": "..."} or {"error": "..."}
//   {"glyphs": true}                 ->  {"html": "<defs>..."}, the shapes used since the last such request
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const MathJax = await createRequire(import.meta.url)("../../node_modules/mathjax").init({
  loader: { load: ["input/tex-full", "output/svg", "a11y/assistive-mml"] },
  tex: { packages: { "[-]": ["noerrors", "noundefined"] } }, // a mistake is an answer here, not red ink on the page
  svg: { fontCache: "global" },
});
const adaptor = MathJax.startup.adaptor;
const cache = () => MathJax.startup.document.outputJax.fontCache;

// Marks of the structure that neither the picture nor the assistive MathML needs.
const slim = (html) =>
  html
    .replace(/ data-(?:mml-node|mjx-texclass|c)="[^"]*"/g, "")
    .replace(/ xmlns(?::xlink)?="[^"]*"/g, "")
    .replaceAll("xlink:href", "href")
    .replaceAll(' style="position: relative;"', "");

function typeset({ tex, display }) {
  const html = adaptor.outerHTML(MathJax.tex2svg(tex, { display }));
  const error = html.match(/data-mjx-error="([^"]*)"/);
  return error ? { error: error[1] } : { html: slim(html) };
}

function glyphs() {
  const html = slim(adaptor.outerHTML(cache().getCache()));
  cache().clearCache();
  return { html };
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify(request.glyphs ? glyphs() : typeset(request)));
}
