// "Edit & run" under each Python listing that a reader may change. Nothing is loaded before the first run:
// then a worker (python-worker.mjs) fetches Pyodide once for all the page's cells.

const LISTINGS = ".python-cell, .cell.tag_try-it";
const START = "Starting Python: about 6 MB, once…";

/** One Python for the page. A run that is stopped ends the worker; the next run starts a new one. */
const python = {
  worker: null,
  run(code, { onText, onEnd }) {
    this.worker ??= new Worker(new URL("python-worker.mjs", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => (data.text === undefined ? onEnd(data) : onText(data.text));
    this.worker.onerror = () => { this.stop(); onEnd({ error: "Python could not be loaded. Are you online?" }); };
    this.worker.postMessage(code);
  },
  stop() {
    this.worker?.terminate();
    this.worker = null;
  },
};

let running = null; // the cell whose code runs

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

class PythonCell {
  constructor(listing, number) {
    this.published = listing.querySelectorAll(".highlight, .cell_output"); // what the editor takes the place of
    this.source = listing.querySelector("pre").textContent.trimEnd();
    const button = (text, className, onClick) => {
      const one = make("button", { type: "button", className, textContent: text, onclick: onClick });
      return this.bar.appendChild(one);
    };
    this.bar = make("div", { className: "python-cell-bar" });
    this.open = button("Edit & run", "button quiet", () => this.edit());
    this.go = button("Run", "button", () => this.run());
    this.end = button("Stop", "button quiet", () => this.stop());
    this.reset = button("Reset", "button quiet", () => { this.editor.value = this.source; this.editor.focus(); });
    this.status = this.bar.appendChild(make("span", { className: "hint" }));
    this.status.setAttribute("role", "status");
    this.editor = make("textarea", { className: "python-editor", value: this.source, spellcheck: false, autocapitalize: "off", hidden: true });
    this.editor.rows = this.source.split("\n").length + 1;
    this.editor.setAttribute("aria-label", `Python code ${number}. Control and Enter runs it.`);
    this.editor.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.run();
    });
    this.output = make("pre", { className: "python-cell-output", hidden: true });
    this.output.setAttribute("role", "status");
    this.output.setAttribute("aria-label", `Output of Python code ${number}`);
    this.output.tabIndex = 0;
    this.show("closed");
    listing.append(this.editor, this.bar, this.output);
  }

  show(state) {
    const closed = state === "closed";
    this.open.hidden = !closed;
    this.go.hidden = this.reset.hidden = closed;
    this.end.hidden = state !== "running";
    this.go.disabled = state === "running";
    this.editor.hidden = closed;
    for (const part of this.published) part.hidden = !closed;
  }

  edit() {
    this.show("open");
    this.editor.focus();
    this.editor.setSelectionRange(0, 0); // a browser would show the end of the code, on a phone of its lines too
    this.editor.scrollLeft = 0;
    this.run();
  }

  run() {
    if (running === this) return;
    running?.stop();
    running = this;
    this.show("running");
    this.output.hidden = true;
    this.output.textContent = "";
    this.output.classList.remove("is-error");
    this.status.textContent = python.worker ? "Running…" : START;
    python.run(this.editor.value, {
      onText: (text) => this.write(text),
      onEnd: ({ error, milliseconds }) => this.finish(error ? "Error" : `Ran in ${Math.round(milliseconds)} ms`, error),
    });
  }

  stop() {
    python.stop();
    this.finish("Stopped");
  }

  finish(message, error) {
    running = null;
    this.show("open");
    this.status.textContent = message;
    this.output.classList.toggle("is-error", Boolean(error));
    if (error) this.write(error);
  }

  write(text) {
    this.output.hidden = false;
    this.output.append(text);
  }
}

document.querySelectorAll(LISTINGS).forEach((listing, index) => new PythonCell(listing, index + 1));
