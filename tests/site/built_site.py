"""The built site as a fixture of all tests. One build a run, and it starts as soon as a run knows that a test needs it.

It works beside the other tests, which come first (see tests/conftest.py), so that nobody waits for it for long. Of
several worker processes none builds: the process that started them does.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "LESSONS_SITE_BUILD"  # the environment tells worker processes where the build leaves its log and its end
PATIENCE = 3600  # seconds; a build takes 7 minutes of a processor, and on a busy machine a multiple
BUILD = 'make site >"$0/log" 2>&1; echo $? >"$0/code"; mv "$0/code" "$0/done"'


def needs_site(item: pytest.Item) -> bool:
    return "site" in getattr(item, "fixturenames", ())


class Plugin:
    """Starts the one build of a run, in the process that collects or that started those which do."""

    def __init__(self, config):
        self.process, self.starts_it = None, not hasattr(config, "workerinput")
        if self.starts_it:
            os.environ[FOLDER] = str(Path(tempfile.gettempdir(), f"lessons-site-{uuid.uuid4().hex}"))
        self.folder = Path(os.environ[FOLDER])

    def pytest_collection_finish(self, session):
        if not session.config.option.collectonly and any(map(needs_site, session.items)):
            self.folder.mkdir(exist_ok=True)
            (self.folder / "wanted").touch()
        self._start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self):
        self._start()

    def _start(self) -> None:
        if self.starts_it and self.process is None and (self.folder / "wanted").exists():
            self.process = subprocess.Popen(["sh", "-c", BUILD, self.folder], cwd=ROOT, start_new_session=True)

    def pytest_unconfigure(self):
        if self.process and self.process.poll() is None:  # the run was stopped, and nobody waits for it
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()
        if self.starts_it:
            shutil.rmtree(self.folder, ignore_errors=True)  # most runs need no site, and have no such folder


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the site, built from what lies in the working tree, every lesson executed."""
    folder, deadline = Path(os.environ[FOLDER]), time.monotonic() + PATIENCE
    while not (folder / "done").exists():
        assert time.monotonic() < deadline, "make site has not come to an end"
        time.sleep(0.5)
    assert (folder / "done").read_text().strip() == "0", f"make site failed:\n{(folder / 'log').read_text()[-6000:]}"
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def site_address(site) -> str:
    """The site's address on this machine, with a slash at its end."""
    server = serve(site)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """A server of `folder` on a free port, in a thread of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
