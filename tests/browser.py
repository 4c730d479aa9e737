"""For tests and benchmarks in a real browser: a page with explorers, a server for it, and a JupyterLab."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

CLIENT = Path(__file__).resolve().parents[1] / "lessons_lib" / "client"
PAGE = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8"><title>A lesson</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="lessons.css"><script type="module" src="lessons.mjs"></script>
<style>body {{ margin: 0 auto; padding: 12px; max-width: 880px }}
html[data-theme=dark] {{ background: #14181e; color: #ced6dd }}</style><main><h1>A lesson</h1>{body}</main></html>"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path, body: str) -> Iterator[str]:
    """The address of a page that holds `body`, with the client beside it."""
    for name in ("lessons.mjs", "lessons.css"):
        shutil.copy(CLIENT / name, folder)
    (folder / "index.html").write_text(PAGE.format(body=body), encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()


@contextmanager
def browser(chromium: str) -> Iterator:
    """Chromium, headless."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@contextmanager
def jupyterlab(folder: Path, *cells: str) -> Iterator[str]:
    """The address of a notebook with these cells, opened in a JupyterLab of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "lesson.ipynb")
    with lab_server(folder) as address:
        yield f"{address}/lab/tree/lesson.ipynb?reset"


@contextmanager
def lab_server(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab of its own, rooted in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--port={port}", f"--ServerApp.root_dir={folder}", "--no-browser", "--allow-root"]
    options += ["--IdentityProvider.token=", "--LabApp.news_url=", "--LabApp.extension_manager=readonly"]
    # Settings of the machine's user stay out of it, and it leaves nothing behind.
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")}
    environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "LESSONS_STATIC": ""}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log, cwd=folder
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", server, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            return urllib.request.urlopen(address).close()
        except urllib.error.URLError:
            time.sleep(0.25)
    raise TimeoutError(log.read_text())


def run_notebook(page, address: str, cells: int) -> None:
    """Open the notebook and run its cells, as a reader does."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.wait_for_selector("text=Python 3 (ipykernel) | Idle", timeout=90_000)
    page.locator(".jp-Notebook .jp-Cell").first.click(position={"x": 5, "y": 5})
    for _ in range(cells):
        page.keyboard.press("Shift+Enter")


# Time from the key press to the first frame after the change.
MEASURE = """
() => {
  window.times = [];
  const painted = (start) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.times.push(performance.now() - start);
    channel.port2.postMessage(0);
  });
  let start = null;
  addEventListener("keydown", (event) => { start = event.timeStamp; }, true);
  addEventListener("input", () => painted(start));
}
"""


def key_times(page, presses: int, pause: int) -> list[float]:
    """Milliseconds from each arrow key press to its painted picture; the focused slider goes to and fro."""
    page.evaluate(MEASURE)
    for press in range(presses):
        page.keyboard.press("ArrowRight" if press // 5 % 2 == 0 else "ArrowLeft")
        page.wait_for_timeout(pause)
    return page.evaluate("window.times")
