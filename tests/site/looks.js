// What a machine can see of a page's look. Each check answers with the elements that fail it; `looks.findings()`
// gathers them as {check, selector, text}. Sizes are CSS pixels. Loaded by looks.py.

globalThis.looks = (() => {
  const SLACK = 2; // what rounding, antialiasing and an italic's overhang may take
  const CORE = 0.2; // of a line's height at its top and its bottom is air: letters stand between
  const CONTROL = 120; // the narrowest slider, menu or field that a thumb can work with
  const EDITOR = 0.95; // of its column
  const FULL = 0.9; // of its form: a menu that wide has all the room there is
  const SQUEEZED = { letters: 40, a_line: 10 }; // a longer text with fewer letters a line than this stands in a chimney
  const ENDLESS = 1600; // about 200 letters of code
  const PHONE = 480; // the widest screen that is held in one hand
  const UNITS = "%|‰|[kKMGT]?i?B|ms|µs|s|min|h|nats?|px|k|M|thousand|million|billion";
  const NUMBER = new RegExp(
    `(?:[±≈~≤≥<>+−]\\s?|(?<![\\w.,)])-)?(?<![\\w.,])\\d+(?:[.,]\\d+)*(?:e[-−+]?\\d+)?(?:\\s?(?:${UNITS})(?!\\w))?`, "g");

  // ------------------------------------------------------------ what is to be seen, and where

  const all = (root, selector) => [...root.querySelectorAll(selector)].filter(isVisible);
  const isVisible = (el) => el.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const box = (rect) => ({ left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom });
  const meet = (a, b) => ({
    left: Math.max(a.left, b.left), right: Math.min(a.right, b.right),
    top: Math.max(a.top, b.top), bottom: Math.min(a.bottom, b.bottom),
  });
  const isEmpty = (a, least = 0) => a.right - a.left <= least || a.bottom - a.top <= least;
  const overlap = (a, b) => !isEmpty(meet(a, b), SLACK);
  const core = (rect) => {
    const air = CORE * (rect.bottom - rect.top);
    return { left: rect.left, right: rect.right, top: rect.top + air, bottom: rect.bottom - air };
  };

  // The ancestors of an element that hide what lies outside them: `scrolls` says whether one can get there.
  const clips = new Map();
  function clipsOf(el) {
    if (!el || el === document.body) return [];
    if (!clips.has(el)) {
      const style = getComputedStyle(el), above = clipsOf(el.parentElement);
      const hides = style.overflowX !== "visible" && style.display !== "inline" && style.display !== "contents";
      const scrolls = [style.overflowX, style.overflowY].some((way) => way === "auto" || way === "scroll");
      clips.set(el, hides ? [{ el, scrolls, box: box(el.getBoundingClientRect()) }, ...above] : above);
    }
    return clips.get(el);
  }
  // Text for a screen reader alone lies in a box of a pixel.
  const isForEars = (el) => clipsOf(el).some((clip) => isEmpty(clip.box, SLACK));

  // One entry a line of each text node, and one a formula, which is a picture.
  let known = null;
  function lines(root) {
    if (known) return known;
    const found = [], range = document.createRange();
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode, el = node.parentElement;
      if (!node.data.trim() || !isVisible(el) || el.closest("select, textarea, script, style, noscript")) continue;
      if (isForEars(el)) continue;
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) if (!isEmpty(rect, SLACK)) found.push(line(node, el, rect));
    }
    for (const svg of all(root, "mjx-container > svg")) found.push(line(svg, svg.parentElement, svg.getBoundingClientRect()));
    return (known = found);
  }
  function line(node, el, rect) {
    const whole = core(rect);
    return { node, el, whole, seen: clipsOf(el).reduce((seen, clip) => meet(seen, clip.box), whole), chart: el.closest("svg") };
  }

  // Texts that run on from one inline element into the next, with the place of each letter.
  const isInline = (el) => getComputedStyle(el).display.startsWith("inline");
  function runs(root) {
    const blocks = new Map();
    for (const { node, el } of lines(root)) {
      if (node.nodeType !== Node.TEXT_NODE || el.closest("pre, svg, mjx-container, .context")) continue;
      let block = el;
      while (isInline(block) && block !== root) block = block.parentElement;
      if (!blocks.has(block)) blocks.set(block, new Set());
      blocks.get(block).add(node);
    }
    return [...blocks].map(([el, nodes]) => ({ el, nodes: [...nodes], text: [...nodes].map((node) => node.data).join("") }));
  }
  function part({ nodes }, from, to) {
    const range = document.createRange();
    let at = 0;
    for (const node of nodes) {
      const end = at + node.length;
      if (from >= at && from < end) range.setStart(node, from - at);
      if (to > at && to <= end) { range.setEnd(node, to - at); break; }
      at = end;
    }
    return range;
  }
  function lineCount(range) {
    const levels = [];
    for (const rect of range.getClientRects()) {
      const { top, bottom } = core(rect);
      if (rect.width > 0 && !levels.some((level) => Math.min(bottom, level.bottom) > Math.max(top, level.top))) levels.push({ top, bottom });
    }
    return levels.length;
  }

  // A formula and a letter of it, or two pieces of one line.
  const isOneText = (one, other) => (one.node === other.node
    ? Math.abs(one.whole.top - other.whole.top) < SLACK : one.node.contains(other.node) || other.node.contains(one.node));

  // Pairs of lines that cover each other, from the top of the page to its bottom.
  function collisions(root, among) {
    const order = lines(root).filter((one) => !isEmpty(one.seen) && among(one)).sort((a, b) => a.seen.top - b.seen.top), found = [];
    order.forEach((one, i) => {
      for (let k = i + 1; k < order.length && order[k].seen.top < one.seen.bottom; k++) {
        const other = order[k];
        if (!isOneText(one, other) && overlap(one.seen, other.seen)) found.push([one, other]);
      }
    });
    return found;
  }
  const says = ({ node, el }) => (node.data ?? el.getAttribute("aria-label") ?? "formula").trim().slice(0, 40);
  const pair = ([one, other]) => ({ el: one.el, text: `${says(one)} | ${says(other)}` });

  // ------------------------------------------------------------ the checks

  const checks = {
    "text over text": (root) => collisions(root, () => true).filter(([a, b]) => !a.chart || a.chart !== b.chart).map(pair),

    "chart labels collide": (root) => collisions(root, ({ chart }) => chart).filter(([a, b]) => a.chart === b.chart).map(pair),

    // Behind the edge of what does not scroll, or left of the page, where nobody gets to.
    "text cut": (root) => lines(root).filter(({ el, whole }) => {
      const first = clipsOf(el).findIndex((clip) => clip.scrolls), hard = clipsOf(el).slice(0, first < 0 ? undefined : first);
      const isOut = ({ left, right, top, bottom }) =>
        whole.left < left - SLACK || whole.right > right + SLACK || whole.top < top - SLACK || whole.bottom > bottom + SLACK;
      return hard.some((clip) => isOut(clip.box)) || (first < 0 && whole.left + scrollX < -SLACK);
    }).map((one) => ({ el: one.el, text: says(one) })),

    "text out of its box": (root) => lines(root).filter(({ el, whole }) => {
      let frame = el;
      while (frame !== document.body && !hasFrame(frame) && !isScroller(frame)) frame = frame.parentElement;
      if (frame === document.body || isScroller(frame) || el.closest("svg")) return false;
      const edge = frame.getBoundingClientRect();
      return whole.left < edge.left - SLACK || whole.right > edge.right + SLACK || whole.top < edge.top - SLACK || whole.bottom > edge.bottom + SLACK;
    }).map((one) => ({ el: one.el, text: says(one) })),

    "menu cuts its choice": (root) => all(root, "select").filter((select) => {
      const style = getComputedStyle(select), pen = document.createElement("canvas").getContext("2d");
      pen.font = style.font;
      const arrow = 20, room = select.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
      const isWidest = select.offsetWidth >= FULL * select.closest("form, section, body").clientWidth; // as on a phone
      return !isWidest && pen.measureText(select.selectedOptions[0]?.label ?? "").width > room + SLACK;
    }).map((el) => ({ el, text: el.selectedOptions[0].label })),

    "narrow control": (root) => all(root, "input:not([type=radio], [type=checkbox], [type=submit], [type=button]), select, textarea")
      .filter((control) => control.offsetWidth < CONTROL).map((el) => ({ el, text: `${el.offsetWidth} px` })),

    "narrow editor": (root) => all(root, "textarea.python-editor").filter((editor) => {
      return editor.offsetWidth < EDITOR * editor.closest("section, article, main, body").clientWidth;
    }).map((el) => ({ el, text: `${el.offsetWidth} px` })),

    "broken number": (root) => runs(root).flatMap((run) => [...run.text.matchAll(NUMBER)]
      .filter(({ 0: text, index }) => text.length > 1 && lineCount(part(run, index, index + text.length)) > 1)
      .map(({ 0: text }) => ({ el: run.el, text }))),

    "squeezed text": (root) => runs(root).filter((run) => {
      const text = run.text.replace(/\s+/g, " ").trim();
      return !run.el.querySelector("br") && text.length > SQUEEZED.letters && text.length / lineCount(part(run, 0, run.text.length)) < SQUEEZED.a_line;
    }).map(({ el, text }) => ({ el, text: text.trim().slice(0, 40) })),

    "wide table without its first column": (root) => all(root, "table").filter((table) => {
      const scroller = clipsOf(table).find((clip) => clip.scrolls)?.el;
      if (!scroller || scroller.scrollWidth <= scroller.clientWidth + SLACK) return false;
      return [...table.rows].some((row) => row.cells.length > 2 && getComputedStyle(row.cells[0]).position !== "sticky");
    }).map((el) => ({ el, text: el.rows[0].innerText.trim().slice(0, 40) })),

    "endless line": (root) => all(root, "pre").filter((pre) => pre.scrollWidth > ENDLESS)
      .map((el) => ({ el, text: el.textContent.trim().slice(0, 40) })),

    // On a phone: a slider and the picture that it moves, unless the picture stays while the page moves.
    "controls out of sight of their picture": (root) => all(root, ".lx").filter((explorer) => {
      const panel = explorer.querySelector(".lx-panel"), plot = panel?.querySelector(".lx-plot").getBoundingClientRect();
      if (!panel || innerWidth > PHONE || getComputedStyle(panel).position === "sticky") return false;
      return all(explorer, ".lx-slider").some((slider) => {
        const { top, bottom } = slider.getBoundingClientRect();
        return Math.max(bottom, plot.bottom) - Math.min(top, plot.top) > innerHeight;
      });
    }).map((el) => ({ el, text: el.querySelector(".lx-title").textContent })),

    "contents hide the page's own line": (root) => all(root, ".contents [aria-current]").filter((el) => {
      const { top, bottom } = el.getBoundingClientRect(), edge = el.closest(".contents").getBoundingClientRect();
      return bottom <= edge.top || top >= edge.bottom;
    }).map((el) => ({ el, text: el.textContent })),

    "page scrolls sideways": () => (document.documentElement.scrollWidth > innerWidth ? [{ el: document.body, text: `${document.documentElement.scrollWidth} px` }] : []),
  };

  const isClear = (colour) => colour === "transparent" || /, 0\)$/.test(colour);
  function hasFrame(el) {
    const style = getComputedStyle(el);
    if (style.display.startsWith("inline") && style.display === "inline") return false; // its box follows its text
    return !isClear(style.backgroundColor) || ["Left", "Right", "Top", "Bottom"].some((side) =>
      parseFloat(style[`border${side}Width`]) > 0 && style[`border${side}Style`] !== "none" && !isClear(style[`border${side}Color`]));
  }
  function isScroller(el) {
    const style = getComputedStyle(el);
    return [style.overflowX, style.overflowY].some((way) => way === "auto" || way === "scroll");
  }

  function selector(el) {
    const steps = [];
    for (let at = el; at && at !== document.body && steps.length < 4; at = at.parentElement) {
      const names = [...at.classList].slice(0, 2).map((name) => `.${name}`).join("");
      steps.unshift(at.id ? `#${at.id}` : at.localName + names);
      if (at.id) break;
    }
    return steps.join(" > ");
  }

  function findings(root = document.body, note = "") {
    clips.clear();
    known = null;
    const found = Object.entries(checks).flatMap(([check, run]) =>
      run(root).map(({ el, text }) => ({ check, selector: selector(el) + note, text: text.replace(/\s+/g, " ") })));
    return [...new Map(found.map((one) => [`${one.check} ${one.selector} ${one.text}`, one])).values()];
  }

  // ------------------------------------------------------------ bringing to life what waits for a reader

  const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

  async function wake() {
    for (const explorer of document.querySelectorAll('.lx:has(> script[type="application/json"])')) {
      explorer.scrollIntoView({ behavior: "instant" });
      while (explorer.dataset.ready !== "true") await frame();
    }
    scrollTo({ top: 0, behavior: "instant" });
    await frame();
  }

  // What moves an explorer: its sliders and menus, and its questions whose answers are tapped.
  function controls(explorer) {
    const slid = [...explorer.querySelectorAll(".lx-slider :is(input, select)")].map((control) => ({
      start: control.value,
      last: control.options ? control.options.length - 1 : control.max,
      set: (value) => { control.value = value; control.dispatchEvent(new Event("input", { bubbles: true })); },
    }));
    const tapped = [...explorer.querySelectorAll(".lx-choice")].map((question) => {
      const answers = [...question.querySelectorAll("input[type=radio]")];
      return { start: answers.findIndex((answer) => answer.checked), last: answers.length - 1, set: (i) => answers[i].click() };
    });
    return [...slid, ...tapped];
  }

  // An explorer with every control at one end: numbers are longest and curves steepest there.
  function ends() {
    return [...document.querySelectorAll(".lx[data-ready=true]")].flatMap((explorer) => {
      const moved = controls(explorer);
      const at = (end, note) => { for (const control of moved) control.set(end(control)); return findings(explorer, note); };
      const found = [...at(() => 0, " (controls at their left end)"), ...at(({ last }) => last, " (controls at their right end)")];
      for (const { set, start } of moved) set(start);
      return found;
    });
  }

  // Each editor, as a click opens it; the worker that would load Python is left out.
  function editors() {
    globalThis.Worker = class { postMessage() {} terminate() {} };
    for (const listing of document.querySelectorAll(".python-cell, .tag_try-it")) listing.querySelector(".python-cell-bar button")?.click();
    return [...document.querySelectorAll(".python-cell, .tag_try-it")].flatMap((listing) => findings(listing));
  }

  return { findings, wake, ends, editors, names: Object.keys(checks) };
})();
