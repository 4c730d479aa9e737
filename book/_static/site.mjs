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
  for (const line of all("[data-progress]")) {
    const [bar, text] = line.children;
    bar.value = done.size;
    text.textContent = `${done.size} of ${bar.max} published lessons done`;
    line.hidden = done.size === 0;
  }
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
  const show = ({ currentTarget: term }) => {
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
    for (const type of ["mouseleave", "blur"]) term.addEventListener(type, hide);
  }
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

/** What scrolls sideways has to be reachable by keyboard. */
function focusable(box) {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
}

themeButton(document.getElementById("theme-button"));
for (const button of all("[data-mark]")) button.addEventListener("click", toggleDone);
showProgress();
const terms = all("a.term");
if (terms.length) definitions(terms);
const depths = all("details.depth");
if (depths.length) tabs(depths);
if (navigator.clipboard) all(".cell_input .highlight, article > section div[class*=highlight-] > .highlight").forEach(copyButton);
all("pre, .math-block, .table-box, .cell_output .text_html").forEach(focusable);
