// Copies what a reader's browser needs from node_modules to _static/vendor, which the site serves.
import { cpSync, mkdirSync, rmSync } from "node:fs";

const target = new URL("_static/vendor/pyodide/", import.meta.url);
const files = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide-lock.json", "python_stdlib.zip"];

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const file of files) cpSync(new URL(`node_modules/pyodide/${file}`, import.meta.url), new URL(file, target));
