"""``learn``: open JupyterLab at the start notebook, with the whole checkout in its file browser."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from pathlib import Path

from lessons_lib import COMMAND
from lessons_lib._installed import need, of_checkout

HELP = "open the lessons in JupyterLab, or print its address where there is no display"
EXAMPLE = f"{COMMAND} learn --port 8890"
START = "notebooks/start.ipynb"
CLIENT = Path(__file__).parents[1] / "client"


def add_arguments(parser) -> None:
    parser.add_argument("--port", type=int, default=8888, help="first port to try (8888)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")


def run(arguments) -> None:
    need("learn", "jupyterlab")
    root = of_checkout(START).parents[1]
    from jupyterlab.labapp import LabApp

    os.chdir(root)
    # what JupyterLab is told: it shows the book's pages, and does not ask whether to fetch news
    paths = [str(CLIENT), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(paths)
    shows = not arguments.no_browser and _has_display()
    token = secrets.token_hex(24)
    server = LabApp.initialize_server(argv=_options(root, arguments.port, shows, token))
    signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))  # at once, its kernels with it
    print(f"The lessons are open at\n\n    {server.local_url.partition('?')[0]}?token={token}\n")
    if not shows:
        print("Open that address in a browser on this machine.")
    print("Control-C here ends JupyterLab; what you saved stays.", flush=True)
    server.start()
    print("JupyterLab has ended.")


def _options(root: Path, port: int, shows: bool, token: str) -> list[str]:
    import zmq

    options = {
        "ServerApp.root_dir": root,
        "ServerApp.port": port,
        "ServerApp.open_browser": shows,
        "ServerApp.log_level": "ERROR",
        "ServerApp.log_format": "%(message)s",
        "LabApp.log_level": "ERROR",
        "ServerApp.allow_root": True,
        "KernelManager.transport_encryption": "auto" if zmq.has("curve") else "disabled",
        # nbgrader's view for instructors, where nbgrader is installed: it warns that no course is set up
        "ServerApp.jpserver_extensions": {"nbgrader.server_extensions.formgrader": False},
        "IdentityProvider.token": token,  # one that Jupyter makes itself would be printed by it, too
        "LabApp.default_url": f"/lab/tree/{START}",
        "LabApp.news_url": "",  # lessons need no network
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
