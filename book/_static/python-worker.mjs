// Runs a reader's code in Pyodide. In: the code. Out: {text} for each print, then {milliseconds} or {error}.
import { loadPyodide } from "./vendor/pyodide/pyodide.mjs";

// `textbook` is lessons_lib's own module; a notebook's `from lessons_lib import textbook` works as well.
const SET_UP = `
import sys, traceback, types
from pyodide.code import eval_code
sys.path.insert(0, "/course")
import textbook
sys.modules["lessons_lib"] = types.ModuleType("lessons_lib")
sys.modules["lessons_lib"].textbook = sys.modules["lessons_lib.textbook"] = textbook

def run_cell(code):
    """Run code; the text of an error shows the reader's own lines only."""
    try:
        value = eval_code(code, {"__name__": "__main__"}, filename="your code")
    except BaseException as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in ("your code", "/course/textbook.py")]
        where = "".join(f"line {f.lineno} of {f.filename.removeprefix('/course/')}\\n" for f in own)
        return where + "".join(traceback.format_exception_only(error)).rstrip()
    if value is not None:
        print(repr(value))
`;

const ready = start();

async function start() {
  const file = (path) => new URL(path, import.meta.url);
  const [pyodide, textbook] = await Promise.all([
    loadPyodide({ indexURL: file("./vendor/pyodide/").href }),
    fetch(file("./textbook.py")).then((answer) => answer.text()),
  ]);
  pyodide.setStdout({ batched: (line) => postMessage({ text: `${line}\n` }) });
  pyodide.setStderr({ batched: (line) => postMessage({ text: `${line}\n` }) });
  pyodide.FS.mkdir("/course");
  pyodide.FS.writeFile("/course/textbook.py", textbook);
  pyodide.runPython(SET_UP);
  return pyodide.globals.get("run_cell");
}

self.onmessage = async ({ data: code }) => {
  try {
    const runCell = await ready;
    const began = performance.now();
    const error = runCell(code);
    postMessage(error ? { error } : { milliseconds: performance.now() - began });
  } catch (error) {
    postMessage({ error: `Python could not be loaded: ${error.message}` });
  }
};
