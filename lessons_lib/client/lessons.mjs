// Brings explorers and quick checks to life, on a published page and in JupyterLab.
//
// Each is markup made in Python. On a page its data stands in a JSON <script> inside; in JupyterLab an explorer's
// comes through anywidget, whose contract the default export keeps. Nothing here computes a formula: an explorer's
// values come packed from Python (lessons_lib/explorers/pack.py).

const SVG = "http://www.w3.org/2000/svg";
const LETTER = 7; // CSS pixels of a digit, on the safe side
const LINE = 15; // of a line of a label

function make(parent, name, attributes = {}, text = "") {
  const node = parent.appendChild(document.createElementNS(SVG, name));
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  node.textContent = text;
  return node;
}

// ---------------------------------------------------------------- packed values

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

// ---------------------------------------------------------------- numbers and axes
// The rules of lessons_lib/explorers/scales.py; a test holds the two to the same strings.

const NICE = [1, 1.5, 2, 3, 4, 5, 7, 10], STEPS = [1, 2, 2.5, 5, 10], THOUSANDS = 10000;

const signed = (value, places) => {
  const [whole, rest] = Math.abs(value).toFixed(places).split(".");
  const text = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? `.${rest}` : "");
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
};
const isWhole = (value, step) => Math.abs(value - Math.round(value)) < 1e-6 * step;
const plainly = (value) => signed(value, [0, 1, 2, 3, 4, 5].find((p) => isWhole(value * 10 ** p, 1)) ?? 6);
const powerBelow = (value) => Number(`1e${Math.floor(Math.log10(value) + 1e-12)}`);

export function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === Math.round(value) && Math.abs(value) < 1e6) return signed(value, 0);
  const exponent = Number(Math.abs(value).toExponential(2).split("e")[1]);
  if (exponent >= -3 && exponent <= 5) return signed(value, Math.max(0, 2 - exponent));
  const [mantissa, power] = Math.abs(value).toExponential(1).split("e");
  return `${value < 0 ? "−" : ""}${mantissa.replace(".0", "")}e${Number(power)}`;
}

export function roundUp(value) {
  if (value <= 0) return 1;
  const power = powerBelow(value);
  return power * NICE.find((nice) => value <= nice * power * (1 + 1e-9));
}

export function ticks(low, high, count, log = false) {
  if (log) return logTicks(low, high);
  const rough = (high - low) / count, power = powerBelow(rough);
  const step = power * STEPS.find((nice) => nice * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function logTicks(low, high) {
  const inside = [], powers = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
    for (const step of [1, 2, 5]) {
      const value = Number(`${step}e${p}`);
      if (value < low * 0.999 || value > high * 1.001) continue;
      inside.push(value);
      if (step === 1) powers.push(value);
    }
  }
  return powers.length > 2 ? powers : inside;
}

export function tickTexts(values) {
  if (Math.max(...values.map(Math.abs)) >= THOUSANDS) return values.map((v) => (v ? `${plainly(v / 1000)}k` : "0"));
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : Math.abs(values[0]) || 1;
  const places = [0, 1, 2, 3, 4, 5].find((p) => [step, values[0]].every((v) => isWhole(v * 10 ** p, step * 10 ** p))) ?? 6;
  return values.map((v) => (Math.abs(v) < step * 1e-6 ? "0" : signed(v, places)));
}

export const logTickTexts = (values) => values.map((v) => (v >= 1e-3 && v < 1e6 ? plainly(v) : short(v)));

export function scale(axis, low, high, from, to) {
  const f = axis.log ? Math.log10 : (v) => v;
  const start = f(low), factor = (to - from) / (f(high) - start);
  return (value) => from + (f(value) - start) * factor;
}

// A label broken between words into lines that fit; SVG does not wrap text.
function lines(label, width) {
  return label.split(" ").filter(Boolean).reduce((done, word) => {
    const longer = done.length ? `${done.at(-1)} ${word}` : word;
    return done.length && longer.length * 6.6 <= width ? [...done.slice(0, -1), longer] : [...done, word];
  }, []);
}

// ---------------------------------------------------------------- one panel

const MARGIN = { left: 54, right: 14, top: 8, bottom: 16 };

class PanelView {
  constructor(spec, figure, valueAt, id) {
    Object.assign(this, { spec, figure, valueAt, id });
    this.plot = figure.querySelector(".lx-plot");
    this.values = [...figure.querySelectorAll(".lx-value")];
    this.curves = !spec.x.bars && spec.marks.some((mark) => mark.kind === "Curve");
    this.cursor = spec.x.start;
    this.resize = new ResizeObserver(() => this.frame());
    this.resize.observe(this.plot);
  }

  // The curves' values are read at a moving x: wherever the pointer is, or the explorer's scrubber.
  startReading(onread) {
    this.at = document.createElement("li");
    this.figure.querySelector(".lx-legend").prepend(this.at);
    this.plot.addEventListener("pointermove", (event) => {
      if (!this.x) return;
      const inside = event.clientX - this.plot.getBoundingClientRect().left, places = this.spec.x.at.map(this.x);
      let nearest = 0;
      places.forEach((place, i) => { if (Math.abs(place - inside) < Math.abs(places[nearest] - inside)) nearest = i; });
      onread(nearest);
    });
  }

  // A native range input under the x axis: what the pointer does, for keys and thumbs.
  addScrubber(onread) {
    const { x } = this.spec, input = document.createElement("input");
    Object.assign(input, { type: "range", className: "lx-scrub", min: 0, max: x.at.length - 1, step: 1, value: x.start });
    input.setAttribute("aria-label", `Read the curves at ${x.label}`);
    input.setAttribute("data-lm-suppress-shortcuts", "true");
    input.addEventListener("input", () => onread(+input.value));
    this.plot.after(input);
    this.scrubber = input;
  }

  read(cursor) {
    this.cursor = cursor;
    if (this.scrubber) this.scrubber.value = cursor;
    if (this.y) this.draw();
  }

  // Everything that stays while sliders move: axes, grid, and one empty element for each mark.
  frame() {
    const width = this.plot.clientWidth;
    if (!width) return;
    const { x, y } = this.spec, right = width - MARGIN.right;
    const names = x.bars ? x.at.map((name) => lines(name, (right - MARGIN.left) / x.at.length)) : [[""]];
    const label = lines(x.label, width - MARGIN.left), above = lines(y.label, width - 10);
    const named = Math.max(...names.map((name) => name.length)), below = MARGIN.bottom + LINE * (named + label.length);
    const top = MARGIN.top + LINE * above.length;
    const height = Math.max(160, Math.min(270, Math.round(width * 0.56))) + below + top - MARGIN.top, bottom = height - below;
    this.rows = this.spec.marks.map((mark) => mark.blocks.map(this.valueAt));
    [this.low, this.high] = this.range();
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of [["width", width], ["height", height], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
    this.x = scale(x, x.low, x.high, MARGIN.left, right);
    this.y = scale(y, this.low, this.high, bottom, top);
    const middle = { "text-anchor": "middle" };
    if (x.bars) {
      names.forEach((name, i) => name.forEach((line, k) =>
        make(svg, "text", { x: this.x(i), y: bottom + 17 + LINE * k, ...middle }, line)));
    } else {
      const all = ticks(x.low, x.high, width < 420 ? 5 : 8, x.log), texts = (x.log ? logTickTexts : tickTexts)(all);
      all.forEach((v, i) => {
        const half = (texts[i].length * LETTER) / 2; // the last number keeps inside the picture
        make(svg, "path", { d: `M${this.x(v)} ${top}V${bottom}`, class: "lx-grid" });
        make(svg, "text", { x: Math.min(this.x(v), width - half), y: bottom + 17, ...middle }, texts[i]);
      });
    }
    const all = ticks(this.low, this.high, 5, y.log), texts = (y.log ? logTickTexts : tickTexts)(all);
    all.forEach((v, i) => {
      make(svg, "path", { d: `M${MARGIN.left} ${this.y(v)}H${right}`, class: "lx-grid" });
      make(svg, "text", { x: MARGIN.left - 7, y: this.y(v) + 4, "text-anchor": "end" }, texts[i]);
    });
    make(svg, "path", { d: `M${MARGIN.left} ${top}V${bottom}H${right}`, class: "lx-axis" });
    label.forEach((line, i) =>
      make(svg, "text", { x: (MARGIN.left + right) / 2, y: bottom + 22 + LINE * (named + i), ...middle }, line));
    above.forEach((line, i) => make(svg, "text", { x: 6, y: 12 + LINE * i }, line));
    const clip = make(make(svg, "clipPath", { id: `${this.id}-clip` }), "rect",
      { x: MARGIN.left, y: top - 2, width: right - MARGIN.left, height: bottom - top + 4 });
    this.patterns(svg);
    const marks = make(svg, "g", { "clip-path": `url(#${this.id}-clip)` });
    this.shapes = this.spec.marks.map((mark) => this.shape(marks, mark));
    this.line = make(svg, "path", { class: "lx-cursor" });
    this.labels = make(svg, "g", middle);
    Object.assign(this, { width, right, bottom, top });
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
    if (mark.kind !== "Curve") return make(parent, "path", { class: "lx-target", ...dash });
    const curve = make(parent, "g");
    curve.line = make(curve, "path", { class: "lx-curve", ...dash });
    if (mark.dots || this.spec.x.bars) curve.dots = make(curve, "path", { class: "lx-curve lx-dots", style: paint });
    return curve;
  }

  range() {
    const { low, high } = this.spec.y;
    if (low !== null && high !== null) return [low, high];
    const shown = [], stack = this.spec.x.at.map(() => 0);
    this.spec.marks.forEach((mark, i) => {
      const rows = this.rows[i];
      if (mark.kind === "Bars" && this.spec.stacked) rows[0].forEach((v, k) => (stack[k] += v));
      else if (mark.kind !== "Target") shown.push(...rows[0], ...rows.at(-1));
    });
    const known = [...shown, ...stack].filter(Number.isFinite), least = Math.min(0, ...known);
    return [low ?? (least < 0 ? -roundUp(-1.06 * least) : 0), high ?? roundUp(1.06 * Math.max(0, ...known))];
  }

  update() {
    this.rows = this.spec.marks.map((mark) => mark.blocks.map(this.valueAt));
    const [low, high] = this.range();
    if (low !== this.low || high !== this.high) this.frame();
    else this.draw();
  }

  // One stroke for each stretch of finite values, and a ring or an area for each where that is asked for.
  path(values) {
    const { at } = this.spec.x;
    let path = "", pen = "M";
    values.forEach((v, i) => {
      if (Number.isFinite(v)) path += `${pen}${this.x(at[i]).toFixed(1)} ${this.y(v).toFixed(1)}`;
      pen = Number.isFinite(v) ? "L" : "M";
    });
    return path;
  }

  area(low, high) {
    const { at } = this.spec.x, known = (i) => Number.isFinite(low[i]) && Number.isFinite(high[i]);
    const corner = (row, i) => `${this.x(at[i]).toFixed(1)} ${this.y(row[i]).toFixed(1)}`;
    let path = "";
    for (let start = 0; start < at.length; start++) {
      let end = start;
      while (end < at.length && known(end)) end++;
      if (end === start) continue;
      const run = Array.from({ length: end - start }, (_, k) => start + k);
      path += `M${[...run.map((i) => corner(high, i)), ...run.reverse().map((i) => corner(low, i))].join("L")}Z`;
      start = end;
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
      else if (mark.kind === "Curve") this.drawCurve(shape, rows[0]);
      else if (mark.kind === "Band" && this.spec.x.bars) shape.setAttribute("d", this.whiskers(...rows));
      else if (mark.kind === "Band") shape.setAttribute("d", this.area(...rows));
      else if (mark.kind === "Target") shape.setAttribute("d", `M${this.x(rows[0][0])} ${this.top}V${this.bottom}`);
      else if (mark.kind === "Level") shape.setAttribute("d", `M${MARGIN.left} ${this.y(rows[0][0])}H${this.right}`);
      else for (const [k, name] of ["cx", "cy"].entries()) shape.setAttribute(name, (k ? this.y : this.x)(rows[k][0]));
      this.values[m].textContent = this.legend(mark, rows);
      this.values[m].parentElement.hidden = !known && !["Curve", "Band", "Bars"].includes(mark.kind);
    });
    if (!this.curves) return;
    const at = this.spec.x.at[this.cursor];
    this.at.textContent = `at ${short(at)}:`;
    this.line.setAttribute("d", `M${this.x(at)} ${this.top}V${this.bottom}`);
  }

  drawCurve({ line, dots }, values) {
    const { bars, at } = this.spec.x;
    if (!bars) line.setAttribute("d", this.path(values));
    dots?.setAttribute("d", [...values].map((v, i) => Number.isFinite(v)
      ? `M${this.x(bars ? i : at[i]) - 3.5} ${this.y(v)}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0` : "").join(""));
  }

  whiskers(low, high) {
    return [...low].map((v, i) => `M${this.x(i) - 5} ${this.y(v)}h10m-5 0V${this.y(high[i])}m-5 0h10`).join("");
  }

  drawBars(mark, bars, shape, heights, stack) {
    const { stacked } = this.spec, room = Math.abs(this.x(1) - this.x(0)), order = bars.indexOf(mark);
    const width = stacked ? room * 0.66 : (room * 0.78) / bars.length;
    const sums = heights.map((height, i) => (stacked ? stack[i] + height : height)), texts = [...sums].map((v) => short(v));
    const fit = LETTER * Math.max(...texts.map((text) => text.length)) <= (stacked ? room : width);
    heights.forEach((height, i) => {
      const left = this.x(i) - (stacked ? width / 2 : (room * 0.78) / 2 - order * width);
      const base = stacked ? stack[i] : 0, top = this.y(Math.max(base, base + height));
      stack[i] += height;
      const box = { x: left + width * 0.03, width: width * 0.94, y: top, height: Math.abs(this.y(base) - this.y(base + height)) };
      for (const key in box) shape[i].setAttribute(key, box[key].toFixed(1));
      if ((stacked && order < bars.length - 1) || !fit) return;
      const whiskers = this.spec.marks.findIndex((other) => other.kind === "Band"); // numbers stand above them
      const above = whiskers < 0 ? top : Math.min(top, this.y(this.rows[whiskers][1][i]));
      make(this.labels, "text", { x: left + width / 2, y: above - 4 }, texts[i]);
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

// `link` is what lies outside: where the sliders stand at first, and who is told when they rest.
class ExplorerView {
  constructor(parts, el, buffer, link) {
    Object.assign(this, { parts, el, link, sliders: parts.sliders, cache: new Map(), buffer });
    this.state = this.sliders.map((slider) => slider.start);
    this.inputs = this.sliders.map((slider) => el.querySelector(`[name="${slider.name}"]`));
    this.panels = parts.panels.map((spec, i) => new PanelView(
      spec, el.querySelectorAll(".lx-panel")[i], (block) => this.row(block), `${el.id}-${i}`));
    this.connectControls();
    this.connectReading();
    this.connectConfigs();
    this.connectCopy();
    this.texts = [...el.querySelectorAll("[data-says]")];
    el.querySelector("fieldset").disabled = false;
    this.set(link.start(this), false);
  }

  row(block) {
    if (!this.cache.has(block.at)) this.cache.set(block.at, unpackRows(this.buffer, block));
    const index = block.by.reduce((sum, slider) => sum * this.sliders[slider].texts.length + this.state[slider], 0);
    return this.cache.get(block.at)[index];
  }

  connectControls() {
    this.inputs.forEach((input, i) => { // of a fieldset, one of the buttons in it
      input.addEventListener("input", ({ target }) => this.set({ [this.sliders[i].name]: +target.value }));
    });
    const { presets } = this.parts;
    this.buttons = [...this.el.querySelectorAll(".lx-presets button")];
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.set(presets[i])));
    this.el.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  }

  // One moving x an explorer: panels over another axis follow in proportion.
  connectReading() {
    const curved = this.panels.filter((panel) => panel.curves), last = (panel) => panel.spec.x.at.length - 1;
    const read = (panel) => (cursor) =>
      curved.forEach((other) => other.read(Math.round((cursor * last(other)) / last(panel))));
    curved.forEach((panel) => panel.startReading(read(panel)));
    curved[0]?.addScrubber(read(curved[0]));
  }

  connectConfigs() {
    const texts = this.parts.trl, says = this.el.querySelector(".lx-trl [role=status]");
    this.el.querySelectorAll(".lx-trl button").forEach((button, i) => {
      button.disabled = false;
      button.addEventListener("click", async () => {
        const filled = this.sliders.reduce((text, s, k) => text.replaceAll(`{${s.name}}`, s.texts[this.state[k]]), texts[i]);
        try { // there is no clipboard on plain http
          await navigator.clipboard.writeText(filled);
          says.textContent = "Copied.";
        } catch { says.textContent = filled; }
      });
    });
  }

  connectCopy() {
    const button = this.el.querySelector(".lx-config button");
    if (!button) return;
    button.disabled = false;
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(button.previousElementSibling.textContent); } catch { return; } // it stands there
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 3000);
    });
  }

  set(values, remember = true) {
    this.sliders.forEach((slider, i) => {
      if (slider.name in values) this.state[i] = Math.max(0, Math.min(slider.texts.length - 1, values[slider.name]));
      const text = slider.texts[this.state[i]], input = this.inputs[i];
      if (input.elements) return void (input.elements[this.state[i]].checked = true);
      if (+input.value !== this.state[i]) input.value = this.state[i];
      if (!input.nextElementSibling) return; // a <select> says its own value
      input.setAttribute("aria-valuetext", text);
      input.nextElementSibling.textContent = text;
    });
    for (const panel of this.panels) if (panel.y) panel.update();
    const sentences = this.el.querySelectorAll(".lx-readout p");
    this.parts.readouts.forEach((pieces, i) => {
      sentences[i].textContent = pieces.map(([text, block]) => text + (block ? this.row(block)[0] : "")).join("");
    });
    this.parts.texts.forEach((block, i) => {
      const text = this.row(block)[0], node = this.texts[i];
      if (node.textContent === text) return; // a status is read out when it changes
      node.textContent = text;
      if ("word" in node.parentElement.dataset) node.parentElement.dataset.word = text;
    });
    this.parts.presets.forEach((preset, i) => {
      const on = this.sliders.every((s, k) => !(s.name in preset) || preset[s.name] === this.state[k]);
      this.buttons[i].setAttribute("aria-pressed", on);
    });
    if (remember) this.link.moved?.(this);
    clearTimeout(this.later);
    this.later = setTimeout(() => this.settle(remember), 250);
  }

  // What may wait until the slider rests: the picture in words, and whoever remembers.
  settle(remember) {
    for (const panel of this.panels) if (panel.y) panel.plot.setAttribute("aria-label", panel.words());
    if (remember) this.link.rests(this);
  }
}

// A page keeps the sliders in its address.
const address = {
  start(view) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy link", className: "lx-link" });
    button.addEventListener("click", async () => {
      address.rests(view);
      try { await navigator.clipboard.writeText(location.href); button.textContent = "Link copied"; } catch { button.textContent = location.href; }
      setTimeout(() => { button.textContent = "Copy link"; }, 3000);
    });
    (view.el.querySelector(".lx-actions") ?? view.el.querySelector("fieldset")).append(button);
    addEventListener("hashchange", () => view.set(address.read(view), false));
    return address.read(view);
  },
  read({ el, sliders }) {
    const values = {};
    for (const part of location.hash.slice(1).split("&")) {
      const [key, text = ""] = part.split("=");
      sliders.forEach((slider) => {
        const index = key === `${el.id}.${slider.name}` ? slider.texts.indexOf(decodeURIComponent(text)) : -1;
        if (index >= 0) values[slider.name] = index;
      });
    }
    return values;
  },
  rests({ el, sliders, state }) {
    const others = location.hash.slice(1).split("&").filter((part) => part.includes("=") && !part.startsWith(`${el.id}.`));
    const own = sliders.map((slider, i) => `${el.id}.${slider.name}=${encodeURIComponent(slider.texts[state[i]])}`);
    history.replaceState(history.state, "", `#${[...others, ...own].join("&")}`);
  },
};

// JupyterLab keeps them in the widget's model: other views of it follow at once, Python hears at rest.
const kept = (model) => {
  const read = ({ sliders }) => Object.fromEntries(model.get("indices").map((index, i) => [sliders[i].name, index]));
  return {
    start(view) {
      model.on("change:indices", () => {
        if (model.get("indices").some((index, i) => index !== view.state[i])) view.set(read(view), false);
      });
      return read(view);
    },
    moved: (view) => model.set("indices", [...view.state]),
    rests: () => model.save_changes(),
  };
};

// ---------------------------------------------------------------- a quick check

const plain = (text) => text.trim().toLowerCase().replace(/[\s]+/g, " ").replace(/[.!]$/, "").replace(/−/g, "-");

export function verdict(question, form) {
  const { kind } = question;
  if (kind === "choice" || kind === "several") return chosen(question, form);
  const text = form.querySelector("input").value;
  if (!text.trim()) return { correct: null, reasons: ["Write an answer first."] };
  if (kind === "number") {
    const bare = plain(text).replace(/(?<=\d)\s*[a-z%][a-z %/]*$/, ""); // "2 nats" and "66 %" are numbers with a unit
    const value = Number(bare.replace(/,(?=\d{3}\b)/g, "").replace(",", "."));
    if (!Number.isFinite(value)) return { correct: null, reasons: ["Write a number, such as 0.5 or 12."] };
    const near = (other, tolerance) => Math.abs(value - other) <= tolerance + 1e-12;
    if (question.unit === "%" && near(question.answer / 100, question.tolerance / 100)) {
      return { correct: null, reasons: [`The answer is asked in per cent: ${value} is ${short(100 * value)} %.`] };
    }
    if (question.unit?.endsWith("0 to 1") && near(100 * question.answer, 100 * question.tolerance)) {
      return { correct: null, reasons: [`The answer is asked from 0 to 1: ${short(value)} % is ${value / 100}.`] };
    }
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

function startQuiz(questions, el) {
  el.querySelectorAll("form").forEach((form, i) => {
    const says = form.querySelector("[role=status]"), question = questions[i];
    form.querySelector("fieldset").disabled = false;
    form.dataset.question = question.id;
    form.addEventListener("input", () => { // a verdict on another answer would mislead
      delete form.dataset.result;
      says.replaceChildren();
    });
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
      if (correct === null) return;
      const answer = [...form.querySelectorAll("input")].map((input) => (input.type === "text" ? input.value : input.checked));
      el.dispatchEvent(new CustomEvent("lessons:answered", { bubbles: true, detail: { id: question.id, correct, answer } }));
    });
  });
  el.dispatchEvent(new CustomEvent("lessons:ready", { bubbles: true }));
}

// Text with `code` in backticks, as the question bank writes it.
function marked(text) {
  return text.split("`").map((part, i) => (i % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part));
}

// ---------------------------------------------------------------- where they come from

const gunzip = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

let views = 0; // two views of one widget need ids of their own

async function render({ model, el }) {
  el.innerHTML = model.get("markup");
  const section = el.querySelector(".lx"), own = `-v${++views}`;
  for (const name of ["id", "for", "aria-labelledby"]) {
    for (const node of el.querySelectorAll(`[${name}]`)) node.setAttribute(name, node.getAttribute(name) + own);
  }
  for (const node of el.querySelectorAll("input, select, button")) node.setAttribute("data-lm-suppress-shortcuts", "true");
  new ExplorerView(model.get("spec"), section, await gunzip(model.get("data")), kept(model));
  section.dataset.ready = "true";
}

export default { render };

async function hydrate(el) {
  if (el.dataset.ready) return;
  el.dataset.ready = "loading";
  const parts = JSON.parse(el.querySelector('script[type="application/json"]').textContent);
  if (parts.kind === "quiz") startQuiz(parts.questions, el);
  else new ExplorerView(parts, el, await gunzip(Uint8Array.from(atob(parts.data), (letter) => letter.charCodeAt(0))), address);
  el.dataset.ready = "true";
}

// A widget's section carries no script, so that a notebook's quick checks do not touch it.
export function hydrateAll(root = document) {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target); hydrate(target); }
  }, { rootMargin: "300px" });
  const all = [...root.querySelectorAll('.lx:has(> script[type="application/json"])')];
  all.forEach((el) => seen.observe(el));
  root.querySelectorAll(".lq").forEach(hydrate);
  all.find((el) => location.hash.includes(`${el.id}.`))?.scrollIntoView();
}

if (typeof document !== "undefined") hydrateAll();
