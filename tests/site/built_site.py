"""The built site as a fixture: `make site` runs once for all worker processes, and its folder is served."""

from __future__ import annotations

import fcntl
import functools
import http.server
import subprocess
import threading
from pathlib import Path

import pytest


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """A server of `folder` on a free port, in a thread of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _once(run: Path, build) -> None:
    """Call `build` in the first process that comes; the others wait for it."""
    with open(run / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run / "site.done"
        if not done.exists():
            build()
            done.touch()


@pytest.fixture(scope="session")
def site(root, tmp_path_factory) -> Path:
    """The folder of the site, built from what lies in the working tree."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if base.name.startswith("popen-") else base  # xdist gives each worker a folder in the run's

    def build():
        result = subprocess.run(["make", "site"], cwd=root, capture_output=True, text=True)
        assert result.returncode == 0, f"make site failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"

    _once(run, build)
    return root / "_build" / "html"


@pytest.fixture(scope="session")
def site_address(site) -> str:
    """The site's address on this machine, with a slash at its end."""
    server = serve(site)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
