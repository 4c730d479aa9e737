// Every page: the theme button, progress kept in this browser, definitions on hover, copy buttons.
// A page reads the same without any of it.

const root = document.documentElement;
const all = (selector) => [...document.querySelectorAll(selector)];

/** localStorage, or nothing to remember where the browser forbids it. */
const memory = {
  get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* private mode */ } },
};

function themeButton(button) {
  const show = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  button.hidden = false;
  show();
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    memory.set("theme", root.dataset.theme);
    show();
  });
}

const DONE = "course-done"; // the numbers of the lessons marked as done, as JSON
const readDone = () => new Set(JSON.parse(memory.get(DONE) ?? "[]"));

function showProgress() {
  const done = readDone();
  for (const row of all("[data-lesson-row]")) row.classList.toggle("is-done", done.has(row.dataset.lessonRow));
  for (const mark of all("[data-done]")) mark.hidden = !done.has(mark.dataset.done);
  for (const button of all("[data-mark]")) {
    const isDone = done.has(button.dataset.mark);
    button.hidden = false;
    button.setAttribute("aria-pressed", String(isDone));
    button.textContent = isDone ? "✓ Done" : "Mark as done";
  }
  continueAt(done);
  for (const line of all("[data-progress]")) {
    const [bar, text] = line.children;
    bar.value = done.size;
    text.textContent = `${done.size} of ${bar.max} published lessons done`;
    line.hidden = done.size === 0;
  }
}

/** Who returns to the start page goes on with the first lesson that is not done yet. */
function continueAt(done) {
  const start = document.querySelector(".page-start .actions a");
  const next = all(".contents [data-lesson-row]").find((row) => !done.has(row.dataset.lessonRow) && row.querySelector("a"));
  if (!start || !next) return;
  start.dataset.first ??= JSON.stringify([start.textContent, start.href]);
  const [text, href] = JSON.parse(start.dataset.first);
  start.textContent = done.size ? `Continue: lesson ${next.dataset.lessonRow}` : text;
  start.href = done.size ? next.querySelector("a").href : href;
}

function toggleDone({ currentTarget: { dataset } }) {
  const done = readDone();
  if (!done.delete(dataset.mark)) done.add(dataset.mark);
  memory.set(DONE, JSON.stringify([...done]));
  showProgress();
}

function definitions(terms) {
  const tip = Object.assign(document.createElement("div"), { id: "tip", className: "tip", popover: "manual", role: "tooltip" });
  document.body.append(tip);
  const hide = () => tip.matches(":popover-open") && tip.hidePopover();
  const touch = matchMedia("(hover: none)"); // a tap must not leave the lesson: the definition comes as a sheet
  const sheet = (event) => {
    if (!touch.matches) return;
    event.preventDefault();
    event.stopPropagation();
    tip.classList.add("sheet");
    const link = Object.assign(document.createElement("a"), { href: event.currentTarget.href, textContent: "In the glossary" });
    tip.replaceChildren(event.currentTarget.dataset.tip, link);
    tip.showPopover();
  };
  const show = ({ currentTarget: term }) => {
    if (touch.matches) return;
    tip.textContent = term.dataset.tip;
    tip.showPopover();
    const at = term.getBoundingClientRect();
    const left = Math.min(at.left, root.clientWidth - tip.offsetWidth - 16);
    const below = at.bottom + tip.offsetHeight + 8 < root.clientHeight;
    tip.style.left = `${Math.max(16, left) + scrollX}px`;
    tip.style.top = `${(below ? at.bottom + 6 : at.top - tip.offsetHeight - 6) + scrollY}px`;
  };
  for (const term of terms) {
    term.setAttribute("aria-describedby", "tip");
    for (const type of ["mouseenter", "focus"]) term.addEventListener(type, show);
    for (const type of ["mouseleave", "blur"]) term.addEventListener(type, () => touch.matches || hide());
    term.addEventListener("click", sheet);
  }
  addEventListener("click", (event) => tip.contains(event.target) || hide());
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

/** Neighbouring `<details class="depth">` become tabs: arrow keys move between them, one is open. */
function tabs(group) {
  const list = Object.assign(document.createElement("div"), { className: "depth-tabs" });
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Reading depth");
  const buttons = group.map((details, index) => {
    const panel = Object.assign(document.createElement("div"), { className: "depth-panel", id: `depth-${index}` });
    const summary = details.querySelector("summary");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: summary.textContent });
    button.setAttribute("role", "tab");
    button.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", summary.textContent);
    summary.remove();
    panel.append(...details.childNodes);
    details.replaceWith(panel);
    list.append(button);
    return { button, panel };
  });
  const open = (index) => buttons.forEach(({ button, panel }, other) => {
    button.setAttribute("aria-selected", String(other === index));
    button.tabIndex = other === index ? 0 : -1;
    panel.hidden = other !== index;
  });
  list.addEventListener("click", ({ target }) => target.getAttribute("role") === "tab" && open(buttons.findIndex(({ button }) => button === target)));
  list.addEventListener("keydown", ({ key, target }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = (buttons.findIndex(({ button }) => button === target) + step + buttons.length) % buttons.length;
    open(next);
    buttons[next].button.focus();
  });
  buttons[0].panel.before(list);
  open(0);
}

function copyButton(block) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent.trimEnd());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}

/** The contents show where one is: on a wide screen at once, in the drawer when it opens. */
function showCurrent(contents) {
  const current = contents.querySelector("[aria-current]");
  const centre = () => { contents.scrollTop = current.offsetTop - contents.clientHeight / 2; };
  if (!current) return;
  centre();
  contents.addEventListener("toggle", centre);
}

/** "On this page" marks the section that is being read: the last one whose heading has passed the upper third. */
function followSections(links) {
  const parts = links.map((link) => [link, document.getElementById(decodeURIComponent(link.hash.slice(1)))]).filter(([, part]) => part);
  const mark = () => {
    const passed = parts.filter(([, part]) => part.getBoundingClientRect().top < innerHeight / 3);
    for (const [link] of parts) link.removeAttribute("aria-current");
    passed.at(-1)?.[0].setAttribute("aria-current", "location");
  };
  const seen = new IntersectionObserver(mark, { rootMargin: "0px 0px -66% 0px" });
  parts.forEach(([, part]) => seen.observe(part));
}

/** Quick checks are kept in this browser: what was answered stands there after a reload. */
const answerKey = (id) => `answer ${location.pathname} ${id}`;

function keepAnswer({ detail: { id, answer } }) {
  memory.set(answerKey(id), JSON.stringify(answer));
}

function bringBackAnswers({ target: quiz }) {
  for (const form of quiz.querySelectorAll("form")) {
    const answer = JSON.parse(memory.get(answerKey(form.dataset.question)) ?? "null");
    if (!answer) continue;
    form.querySelectorAll("input").forEach((input, i) => { input[input.type === "text" ? "value" : "checked"] = answer[i]; });
    form.requestSubmit();
  }
}

/** What scrolls sideways has to be reachable by keyboard. All are measured before one is changed: one layout, not many. */
function focusable(boxes) {
  for (const box of boxes.filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)) box.tabIndex = 0;
}

themeButton(document.getElementById("theme-button"));
for (const button of all("[data-mark]")) button.addEventListener("click", toggleDone);
showProgress();
const terms = all("a.term");
if (terms.length) definitions(terms);
showCurrent(document.getElementById("contents"));
followSections(all(".on-this-page a[href^='#']"));
addEventListener("lessons:answered", keepAnswer);
addEventListener("lessons:ready", bringBackAnswers);
const depths = all("details.depth");
if (depths.length) tabs(depths);
if (navigator.clipboard) all(".cell_input .highlight, article > section div[class*=highlight-] > .highlight").forEach(copyButton);
focusable(all("pre, .math-block, .table-box, .cell_output .text_html"));
