// Brings explorers and quick checks to life on a published page, and quick checks in JupyterLab.
//
// Each is markup made in Python with its data in a JSON <script> inside. `render({model, el})` is the
// widget contract of anywidget: `model.get(name)` answers from that JSON, `el` is the element. Nothing
// here computes a formula: an explorer's values come packed from Python (lessons_lib/explorers/pack.py).

const SVG = "http://www.w3.org/2000/svg";
const NUMBER_WIDTH = 24; // CSS pixels; bars narrower than that carry no numbers, as in lessons_lib/explorers/figure.py

function make(parent, name, attributes = {}, text = "") {
  const node = parent.appendChild(document.createElementNS(SVG, name));
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  node.textContent = text;
  return node;
}

// ---------------------------------------------------------------- packed values

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

export function unpackRows(buffer, block) {
  const bytes = buffer.slice(block.at, block.at + block.size);
  if (block.as === "text") return JSON.parse(new TextDecoder().decode(bytes)).map((text) => [text]);
  const rows = Array.from({ length: block.rows });
  if (block.as === "f32") return rows.map((_, i) => new Float32Array(bytes, 4 * i * block.n, block.n));
  const low = new Float32Array(bytes, 0, block.rows);
  const span = new Float32Array(bytes, 4 * block.rows, block.rows);
  const codes = new Uint16Array(bytes, 8 * block.rows);
  return rows.map((_, i) => {
    let step = 0, code = 0; // two running sums undo the second differences, modulo 2^16
    return Float64Array.from(codes.subarray(i * block.n, (i + 1) * block.n), (difference) => {
      step = (step + difference) & 65535;
      code = (code + step) & 65535;
      const value = low[i] + (code / 65534) * span[i];
      return code === 65535 ? NaN : block.height ? block.middle + block.height * Math.sinh(value) : value;
    });
  });
}

// ---------------------------------------------------------------- scales and numbers

const NICE = [1, 1.5, 2, 3, 4, 5, 7, 10];

export function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const digits = Math.floor(Math.log10(Math.abs(+value.toPrecision(3))));
  if (digits < -3 || digits > 5) return value.toExponential(1).replace("e", " e");
  const places = Math.max(0, 2 - digits);
  return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }).replace("-", "−");
}

export function ticks(axis, low, high, count) {
  if (axis.log) {
    const powers = [];
    for (let p = Math.ceil(Math.log10(low) - 1e-9); p <= Math.log10(high) + 1e-9; p++) powers.push(10 ** p);
    return powers;
  }
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((nice) => nice * power >= rough * 0.999);
  const values = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) values.push(v);
  return values;
}

export function tickText(value, all) {
  const step = Math.abs(all[1] - all[0]) || 1;
  const places = Math.max(0, ...[step, all[0]].map((v) => (String(+v.toPrecision(6)).split(".")[1] || "").length));
  if (Math.abs(value) < step * 1e-6) return "0";
  return value.toLocaleString("en", { minimumFractionDigits: Math.min(places, 6), maximumFractionDigits: 6 }).replace("-", "−");
}

export function scale(axis, low, high, from, to) {
  const f = axis.log ? Math.log10 : (v) => v;
  const start = f(low), factor = (to - from) / (f(high) - start);
  return (value) => from + (f(value) - start) * factor;
}

// A label broken between words into lines that fit; SVG does not wrap text.
function lines(label, width) {
  return label.split(" ").reduce((done, word) => {
    const longer = done.length ? `${done.at(-1)} ${word}` : word;
    return done.length && longer.length * 6.6 <= width ? [...done.slice(0, -1), longer] : [...done, word];
  }, []);
}

// ---------------------------------------------------------------- one panel

const MARGIN = { left: 54, right: 12, top: 8, bottom: 46 };

class PanelView {
  constructor(spec, figure, valueAt, id) {
    Object.assign(this, { spec, figure, valueAt, id });
    this.plot = figure.querySelector(".lx-plot");
    this.values = [...figure.querySelectorAll(".lx-value")];
    this.curves = !spec.x.bars && spec.marks.some((mark) => mark.kind === "Curve");
    this.cursor = spec.x.start;
    if (this.curves) this.addScrubber();
    this.resize = new ResizeObserver(() => this.frame());
    this.resize.observe(this.plot);
  }

  // A native range input under the x axis reads the curves' values at a moving x; the pointer moves it too.
  addScrubber() {
    const { x } = this.spec, input = document.createElement("input");
    Object.assign(input, { type: "range", className: "lx-scrub", min: 0, max: x.at.length - 1, step: 1, value: x.start });
    input.setAttribute("aria-label", `Read the curves at ${x.label}`);
    input.addEventListener("input", () => this.onread(+input.value));
    this.plot.after(input);
    this.scrubber = input;
    this.at = document.createElement("li");
    this.figure.querySelector(".lx-legend").prepend(this.at);
    this.plot.addEventListener("pointermove", (event) => {
      const left = this.plot.getBoundingClientRect().left;
      const inside = event.clientX - left, places = x.at.map(this.x);
      let nearest = 0;
      places.forEach((place, i) => { if (Math.abs(place - inside) < Math.abs(places[nearest] - inside)) nearest = i; });
      this.onread(nearest);
    });
  }

  read(cursor) {
    this.cursor = cursor;
    this.scrubber.value = cursor;
    this.draw();
  }

  // Everything that stays while sliders move: axes, grid, and one empty element for each mark.
  frame() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const label = lines(this.spec.x.label, width - MARGIN.left), below = MARGIN.bottom + 15 * (label.length - 1);
    const height = Math.max(220, Math.min(320, Math.round(width * 0.69))) + below - MARGIN.bottom;
    this.rows = this.spec.marks.map((mark) => mark.blocks.map(this.valueAt));
    [this.low, this.high] = this.range();
    const svg = document.createElementNS(SVG, "svg");
    const { x, y } = this.spec, right = width - MARGIN.right, bottom = height - below;
    for (const [key, value] of [["width", width], ["height", height], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
    this.x = scale(x, x.low, x.high, MARGIN.left, right);
    this.y = scale(y, this.low, this.high, bottom, MARGIN.top);
    if (x.bars) {
      x.at.forEach((name, i) => make(svg, "text", { x: this.x(i), y: bottom + 17, "text-anchor": "middle" }, name));
    } else {
      const all = ticks(x, x.low, x.high, width < 420 ? 5 : 8);
      for (const v of all) {
        make(svg, "path", { d: `M${this.x(v)} ${MARGIN.top}V${bottom}`, class: "lx-grid" });
        make(svg, "text", { x: this.x(v), y: bottom + 17, "text-anchor": "middle" }, x.log ? short(v) : tickText(v, all));
      }
    }
    const all = ticks(y, this.low, this.high, 5);
    for (const v of all) {
      make(svg, "path", { d: `M${MARGIN.left} ${this.y(v)}H${right}`, class: "lx-grid" });
      make(svg, "text", { x: MARGIN.left - 7, y: this.y(v) + 4, "text-anchor": "end" }, y.log ? short(v) : tickText(v, all));
    }
    make(svg, "path", { d: `M${MARGIN.left} ${MARGIN.top}V${bottom}H${right}`, class: "lx-axis" });
    label.forEach((line, i) =>
      make(svg, "text", { x: (MARGIN.left + right) / 2, y: bottom + 37 + 15 * i, "text-anchor": "middle" }, line));
    make(svg, "text", { transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label);
    const clip = make(make(svg, "clipPath", { id: `${this.id}-clip` }), "rect",
      { x: MARGIN.left, y: MARGIN.top - 2, width: right - MARGIN.left, height: bottom - MARGIN.top + 4 });
    this.patterns(svg);
    const marks = make(svg, "g", { "clip-path": `url(#${this.id}-clip)` });
    this.shapes = this.spec.marks.map((mark) => this.shape(marks, mark));
    this.line = make(svg, "path", { class: "lx-cursor" });
    this.labels = make(svg, "g", { "text-anchor": "middle" });
    Object.assign(this, { width, right, bottom });
    if (this.scrubber) {
      this.scrubber.style.marginLeft = `${this.x(x.at[0]) - 8}px`;
      this.scrubber.style.width = `${this.x(x.at.at(-1)) - this.x(x.at[0]) + 16}px`;
    }
    this.plot.replaceChildren(svg);
    this.draw();
  }

  // Hatches tell bars apart in grey.
  patterns(svg) {
    const strokes = { ipo: "M0 8L8 0", kto: "M2 2h1M6 6h1", orpo: "M0 0L8 8M0 8L8 0", simpo: "M0 4H8", neutral: "M0 0L8 8" };
    for (const style of new Set(this.spec.marks.filter((m) => m.kind === "Bars").map((m) => m.style))) {
      const pattern = make(svg, "pattern", { id: `${this.id}-${style}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" });
      make(pattern, "rect", { width: 8, height: 8, style: `fill:var(--lx-${style})` });
      if (strokes[style]) make(pattern, "path", { d: strokes[style], class: "lx-hatch" });
    }
  }

  shape(parent, mark) {
    const paint = `stroke:var(--lx-${mark.style})`, dash = { "stroke-dasharray": mark.dash.join(" "), style: paint };
    if (mark.kind === "Bars") {
      return this.spec.x.at.map(() => make(parent, "rect", { fill: `url(#${this.id}-${mark.style})`, style: paint, class: "lx-bar" }));
    }
    if (mark.kind === "Band" && this.spec.x.bars) return make(parent, "path", { class: "lx-whisker" });
    if (mark.kind === "Band") return make(parent, "path", { class: "lx-band", style: `fill:var(--lx-${mark.style})` });
    if (mark.kind === "Point") return make(parent, "circle", { r: 5.5, style: `fill:var(--lx-${mark.style})` });
    const line = make(parent, "path", { class: mark.kind === "Curve" ? "lx-curve" : "lx-target", ...dash });
    if (mark.dots || this.spec.x.bars) line.classList.add("lx-dots");
    return line;
  }

  range() {
    const { low, high } = this.spec.y;
    if (low !== null && high !== null) return [low, high];
    const tops = [0], stack = this.spec.x.at.map(() => 0);
    this.spec.marks.forEach((mark, i) => {
      const rows = this.rows[i];
      if (mark.kind === "Bars" && this.spec.stacked) rows[0].forEach((v, k) => (stack[k] += v));
      else if (mark.kind !== "Target") tops.push(...rows.at(-1));
    });
    const top = 1.06 * Math.max(...tops, ...stack), power = 10 ** Math.floor(Math.log10(top));
    return [low ?? 0, high ?? (top > 0 ? power * NICE.find((nice) => top <= nice * power * (1 + 1e-9)) : 1)];
  }

  update() {
    this.rows = this.spec.marks.map((mark) => mark.blocks.map(this.valueAt));
    const [low, high] = this.range();
    if (low !== this.low || high !== this.high) this.frame();
    else this.draw();
  }

  path(values, back = false) {
    const { at, bars } = this.spec.x;
    let path = "", pen = back ? "L" : "M";
    for (let k = 0; k < values.length; k++) {
      const i = back ? values.length - 1 - k : k;
      if (!Number.isFinite(values[i])) { pen = "M"; continue; }
      path += `${pen}${this.x(bars ? i : at[i]).toFixed(1)} ${this.y(values[i]).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }

  draw() {
    const stack = this.spec.x.at.map(() => 0), bars = this.spec.marks.filter((mark) => mark.kind === "Bars");
    this.labels.replaceChildren();
    this.spec.marks.forEach((mark, m) => {
      const rows = this.rows[m], shape = this.shapes[m];
      const known = rows.every((row) => row.some(Number.isFinite)); // recorded data may have nothing here
      if (mark.kind !== "Bars") shape.style.display = known ? "" : "none";
      if (mark.kind === "Bars") this.drawBars(mark, bars, shape, rows[0], stack);
      else if (!known) shape.removeAttribute("d");
      else if (mark.kind === "Curve" && shape.classList.contains("lx-dots")) shape.setAttribute("d", this.dots(mark, rows[0]));
      else if (mark.kind === "Curve") shape.setAttribute("d", this.path(rows[0]));
      else if (mark.kind === "Band" && this.spec.x.bars) shape.setAttribute("d", this.whiskers(...rows));
      else if (mark.kind === "Band") shape.setAttribute("d", `${this.path(rows[1])}${this.path(rows[0], true)}Z`);
      else if (mark.kind === "Target") shape.setAttribute("d", `M${this.x(rows[0][0])} ${MARGIN.top}V${this.bottom}`);
      else if (mark.kind === "Level") shape.setAttribute("d", `M${MARGIN.left} ${this.y(rows[0][0])}H${this.right}`);
      else for (const [k, name] of ["cx", "cy"].entries()) shape.setAttribute(name, (k ? this.y : this.x)(rows[k][0]));
      this.values[m].textContent = this.legend(mark, rows);
    });
    if (!this.curves) return;
    const at = this.spec.x.at[this.cursor];
    this.at.textContent = `at ${short(at)}:`;
    this.line.setAttribute("d", `M${this.x(at)} ${MARGIN.top}V${this.bottom + 12}`);
  }

  dots(mark, values) {
    const line = this.spec.x.bars ? "" : this.path(values);
    return [...values].reduce((path, v, i) => Number.isFinite(v)
      ? `${path}M${this.x(this.spec.x.bars ? i : this.spec.x.at[i]) - 3.5} ${this.y(v)}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0` : path, line);
  }

  whiskers(low, high) {
    return [...low].map((v, i) => `M${this.x(i) - 5} ${this.y(v)}h10m-5 0V${this.y(high[i])}m-5 0h10`).join("");
  }

  drawBars(mark, bars, shape, heights, stack) {
    const { stacked } = this.spec, room = Math.abs(this.x(1) - this.x(0)), order = bars.indexOf(mark);
    const width = stacked ? room * 0.66 : (room * 0.78) / bars.length;
    heights.forEach((height, i) => {
      const left = this.x(i) - (stacked ? width / 2 : (room * 0.78) / 2 - order * width);
      const base = stacked ? stack[i] : 0, top = this.y(Math.max(base, base + height));
      stack[i] += height;
      const box = { x: left + width * 0.03, width: width * 0.94, y: top, height: Math.abs(this.y(base) - this.y(base + height)) };
      for (const key in box) shape[i].setAttribute(key, box[key].toFixed(1));
      if ((stacked && order < bars.length - 1) || width < NUMBER_WIDTH) return;
      const whiskers = this.spec.marks.findIndex((other) => other.kind === "Band"); // numbers stand above them
      const above = whiskers < 0 ? top : Math.min(top, this.y(this.rows[whiskers][1][i]));
      make(this.labels, "text", { x: left + width / 2, y: above - 4 }, short(stacked ? stack[i] : height));
    });
  }

  legend(mark, rows) {
    if (mark.kind === "Curve" && this.curves) return short(rows[0][this.cursor]);
    if (mark.kind === "Band" && this.curves) return `${short(rows[0][this.cursor])} to ${short(rows[1][this.cursor])}`;
    return mark.kind === "Target" || mark.kind === "Level" ? short(rows[0][0]) : "";
  }

  words() {
    const marks = this.spec.marks.map((mark, m) => {
      const heights = mark.kind === "Bars" ? [...this.rows[m][0]].map((v, i) => `${this.spec.x.at[i]} ${short(v)}`).join(", ") : "";
      return `${mark.label} ${heights || this.values[m].textContent}`;
    });
    const where = this.curves ? ` At ${short(this.spec.x.at[this.cursor])}:` : "";
    return `${this.spec.title}. ${this.spec.y.label} over ${this.spec.x.label}.${where} ${marks.join("; ")}`;
  }
}

// ---------------------------------------------------------------- an explorer

class ExplorerView {
  constructor(model, el, buffer) {
    Object.assign(this, { model, el, sliders: model.get("sliders"), cache: new Map(), buffer });
    this.state = this.sliders.map((slider) => slider.start);
    this.inputs = this.sliders.map((slider) => el.querySelector(`#${CSS.escape(`${el.id}-${slider.name}`)}`));
    this.panels = model.get("panels").map((spec, i) => new PanelView(
      spec, el.querySelectorAll(".lx-panel")[i], (block) => this.row(block), `${el.id}-${i}`));
    this.connectControls();
    this.connectReading();
    this.connectConfigs();
    this.fromAddress();
    addEventListener("hashchange", () => this.fromAddress());
    el.querySelector("fieldset").disabled = false;
  }

  row(block) {
    if (!this.cache.has(block.at)) this.cache.set(block.at, unpackRows(this.buffer, block));
    const index = block.by.reduce((sum, slider) => sum * this.sliders[slider].texts.length + this.state[slider], 0);
    return this.cache.get(block.at)[index];
  }

  connectControls() {
    this.inputs.forEach((input, i) => {
      input.addEventListener("input", () => this.set({ [this.sliders[i].name]: +input.value }));
    });
    const presets = this.model.get("presets");
    this.buttons = [...this.el.querySelectorAll(".lx-presets button")];
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.set(presets[i])));
    this.el.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  }

  // Panels over the same x axis share one moving x.
  connectReading() {
    const axis = (panel) => JSON.stringify(panel.spec.x.at);
    for (const panel of this.panels) {
      panel.onread = (cursor) => this.panels.filter((other) => other.curves && axis(other) === axis(panel)).forEach((p) => p.read(cursor));
    }
  }

  connectConfigs() {
    const texts = this.model.get("trl"), says = this.el.querySelector(".lx-trl [role=status]");
    this.el.querySelectorAll(".lx-trl button").forEach((button, i) => {
      button.disabled = false;
      button.addEventListener("click", async () => {
        const filled = this.sliders.reduce((text, s, k) => text.replaceAll(`{${s.name}}`, s.texts[this.state[k]]), texts[i]);
        await navigator.clipboard.writeText(filled).then(() => (says.textContent = "Copied."), () => (says.textContent = filled));
      });
    });
  }

  set(values, remember = true) {
    this.sliders.forEach((slider, i) => {
      if (slider.name in values) this.state[i] = Math.max(0, Math.min(slider.texts.length - 1, values[slider.name]));
      const text = slider.texts[this.state[i]], input = this.inputs[i];
      if (+input.value !== this.state[i]) input.value = this.state[i];
      if (!input.nextElementSibling) return; // a <select> says its own value
      input.setAttribute("aria-valuetext", text);
      input.nextElementSibling.textContent = text;
    });
    for (const panel of this.panels) if (panel.y) panel.update();
    const sentences = this.el.querySelectorAll(".lx-readout p");
    this.model.get("readouts").forEach((pieces, i) => {
      sentences[i].textContent = pieces.map(([text, block]) => text + (block ? this.row(block)[0] : "")).join("");
    });
    this.model.get("presets").forEach((preset, i) => {
      const on = this.sliders.every((s, k) => !(s.name in preset) || preset[s.name] === this.state[k]);
      this.buttons[i].setAttribute("aria-pressed", on);
    });
    clearTimeout(this.later);
    this.later = setTimeout(() => this.settle(remember), 250);
  }

  // What may wait until the slider rests: the picture in words, and the page's address.
  settle(remember) {
    for (const panel of this.panels) if (panel.y) panel.plot.setAttribute("aria-label", panel.words());
    if (!remember) return;
    const others = location.hash.slice(1).split("&").filter((part) => part.includes("=") && !part.startsWith(`${this.el.id}.`));
    const own = this.sliders.map((slider, i) => `${this.el.id}.${slider.name}=${encodeURIComponent(slider.texts[this.state[i]])}`);
    history.replaceState(history.state, "", `#${[...others, ...own].join("&")}`);
  }

  fromAddress() {
    const values = {};
    for (const part of location.hash.slice(1).split("&")) {
      const [key, text = ""] = part.split("=");
      this.sliders.forEach((slider) => {
        const index = key === `${this.el.id}.${slider.name}` ? slider.texts.indexOf(decodeURIComponent(text)) : -1;
        if (index >= 0) values[slider.name] = index;
      });
    }
    this.set(values, false);
  }
}

// ---------------------------------------------------------------- a quick check

const plain = (text) => text.trim().toLowerCase().replace(/[\s]+/g, " ").replace(/[.!]$/, "").replace(/−/g, "-");

export function verdict(question, form) {
  const { kind } = question;
  if (kind === "choice" || kind === "several") return chosen(question, form);
  const text = form.querySelector("input").value;
  if (!text.trim()) return { correct: null, reasons: ["Write an answer first."] };
  if (kind === "number") {
    const value = Number(plain(text).replace(/,(?=\d{3}\b)/g, "").replace(",", "."));
    if (!Number.isFinite(value)) return { correct: null, reasons: ["Write a number, such as 0.5 or 12."] };
    const near = (other, tolerance) => Math.abs(value - other) <= tolerance + 1e-12;
    if (near(question.answer, question.tolerance)) return { correct: true, reasons: [question.reason] };
    const mistake = question.mistakes.find((m) => near(m.answer, question.tolerance));
    return { correct: false, reasons: [mistake ? mistake.reason : question.otherwise] };
  }
  if (question.answers.some((answer) => plain(answer) === plain(text))) return { correct: true, reasons: [question.reason] };
  const mistake = question.mistakes.find((m) => plain(m.answer) === plain(text));
  return { correct: false, reasons: [mistake ? mistake.reason : question.otherwise] };
}

function chosen(question, form) {
  const ticked = [...form.querySelectorAll("input")].map((input) => input.checked);
  if (!ticked.includes(true)) return { correct: null, reasons: ["Choose an answer first."] };
  const wrong = question.choices.filter((choice, i) => ticked[i] && !choice.correct);
  const missed = question.choices.some((choice, i) => !ticked[i] && choice.correct);
  if (wrong.length) return { correct: false, reasons: wrong.map((choice) => choice.reason) };
  if (missed) return { correct: false, reasons: ["What you chose is right, but it is not all."] };
  return { correct: true, reasons: question.choices.filter((choice) => choice.correct).map((choice) => choice.reason) };
}

function startQuiz(model, el) {
  el.querySelectorAll("form").forEach((form, i) => {
    const says = form.querySelector("[role=status]"), question = model.get("questions")[i];
    form.querySelector("fieldset").disabled = false;
    form.addEventListener("keydown", (event) => { // JupyterLab keeps a browser from doing this itself
      if (event.key === "Enter" && event.target.matches("input")) { event.preventDefault(); form.requestSubmit(); }
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { correct, reasons } = verdict(question, form);
      form.dataset.result = correct === null ? "open" : correct ? "right" : "wrong";
      const head = correct === null ? "" : correct ? "Right. " : "Not yet. ";
      says.replaceChildren(Object.assign(document.createElement("strong"), { textContent: head }));
      for (const reason of reasons) says.append(...marked(reason), " ");
      if (correct !== null) el.dispatchEvent(new CustomEvent("lessons:answered", { bubbles: true, detail: { id: question.id, correct } }));
    });
  });
}

// Text with `code` in backticks, as the question bank writes it.
function marked(text) {
  return text.split("`").map((part, i) => (i % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part));
}

// ---------------------------------------------------------------- finding them on the page

export async function render({ model, el }) {
  if (model.get("kind") === "quiz") startQuiz(model, el);
  else new ExplorerView(model, el, await unpack(model.get("data")));
  el.dataset.ready = "true";
}

export default { render };

function hydrate(el) {
  if (el.dataset.ready) return;
  el.dataset.ready = "loading";
  const data = JSON.parse(el.querySelector('script[type="application/json"]').textContent);
  render({ model: { get: (name) => data[name] }, el });
}

export function hydrateAll(root = document) {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target); hydrate(target); }
  }, { rootMargin: "300px" });
  const all = [...root.querySelectorAll(".lx")];
  all.forEach((el) => seen.observe(el));
  root.querySelectorAll(".lq").forEach(hydrate);
  all.find((el) => location.hash.includes(`${el.id}.`))?.scrollIntoView();
}

if (typeof document !== "undefined") hydrateAll();
