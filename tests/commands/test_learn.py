"""`learn`: one command, and every link of the start page leads on by clicks alone; Control-C ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from browser import browser

from lessons_lib.commands import learn

IN_VIEW = ".jp-NotebookPanel:not(.lm-mod-hidden)"
SOLVED = "return ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected) - 1 / (2 * tau)) ** 2"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def learning(folder, root):
    """The command, started as a newcomer starts it; gives its process, the address it printed and its lines."""
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "lessons_lib", "learn", "--no-browser", "--port", str(free_port())]
    log = folder / "learn.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **own}, stdout=out, stderr=out,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # as in a terminal
        )  # fmt: skip
    try:
        address = None
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            if found := re.search(r"http://\S+", log.read_text()):
                address = found[0]
                break
            time.sleep(0.25)
        yield process, address, log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


@pytest.mark.slow
def test_it_says_where_and_how_to_stop_in_a_few_lines_and_control_c_ends_it(root, tmp_path):
    with learning(tmp_path, root) as (process, address, log):
        assert re.fullmatch(r"http://127.0.0.1:\d+/lab/tree/notebooks/start.ipynb\?token=\w{48}", address)
        api = address.replace("lab/tree/notebooks", "api/contents/exercises").replace("start.ipynb", "")
        for _ in range(100):
            try:
                names = {entry["name"] for entry in json.load(urllib.request.urlopen(api))["content"]}
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        assert "05_implement_ipo.ipynb" in names
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        lines = log.read_text().strip().splitlines()
        assert len(lines) <= 8, lines
        assert "Control-C" in log.read_text() and lines[-1] == "JupyterLab has ended."


@pytest.fixture(scope="module")
def lab(chromium, root, tmp_path_factory):
    """A page of Chromium at the address that `learn` printed."""
    folder = tmp_path_factory.mktemp("learn")
    with learning(folder, root) as (_, address, log), browser(chromium) as running:
        page = running.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address)
        page.locator(f"{IN_VIEW} h1").first.wait_for(timeout=90_000)
        yield page
        assert len(log.read_text().strip().splitlines()) <= 8, log.read_text()  # kernels that started add none


def follow(page, notebook: str, heading: str) -> None:
    """Click the link to a notebook in the one in view, and wait for its heading."""
    page.locator(f"{IN_VIEW} .jp-RenderedMarkdown a[href*='{notebook}']").first.click()
    page.locator(f"{IN_VIEW} h1", has_text=heading).wait_for(timeout=90_000)


@pytest.mark.slow
@pytest.mark.browser
def test_clicks_lead_on_and_back_and_a_page_of_the_book_is_shown_executed(lab, root, tmp_path):
    follow(lab, "01_dpo_patched", "1 · DPO didn't get replaced")
    follow(lab, "exercises/01_from_logits", "Exercise 1 ·")
    follow(lab, "01_dpo_patched", "1 · DPO didn't get replaced")
    (root / "_build/pages/book/one_pair_five_losses.html").unlink(missing_ok=True)  # it is made for who asks
    lab.locator(f"{IN_VIEW} a[href*='one_pair_five_losses']").first.click()
    page = lab.frame_locator(".jp-HTMLViewer iframe")
    page.locator("h1").wait_for(timeout=180_000)
    assert page.locator(".cell_output").count() >= 5
    assert page.locator("math").count() >= 5
    assert "code-cell" not in page.locator("main").inner_text()
    lab.screenshot(path=tmp_path / "page.png")
    lab.locator(".lm-TabBar-tabLabel", has_text="01_dpo_patched").click()
    follow(lab, "start.ipynb", "Compare DPO, IPO, KTO, ORPO and SimPO")


@pytest.mark.slow
@pytest.mark.browser
def test_clicks_lead_to_exercise_5_solved_and_checked(lab, tmp_path):
    follow(lab, "05_ipo_knows", "5 · IPO turns DPO's loss")
    follow(lab, "exercises/05_implement", "Exercise 5 ·")
    lab.locator(f"{IN_VIEW} .jp-CodeCell").first.scroll_into_view_if_needed()
    lab.locator(f"{IN_VIEW} .jp-CodeCell .cm-line", has_text="# your code").first.click()
    lab.keyboard.press("End")
    lab.keyboard.press("Shift+Home")
    lab.keyboard.type(SOLVED)
    lab.keyboard.press("Shift+Enter")
    lab.keyboard.press("Shift+Enter")
    lab.locator(f"{IN_VIEW}", has_text="✓ right on a batch of").wait_for(timeout=120_000)
    lab.screenshot(path=tmp_path / "exercise.png")
    # nothing is saved: the checkout is left as it was


@pytest.mark.parametrize(
    ("platform", "environment", "display"),
    [
        ("darwin", {}, True),
        ("win32", {}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": "", "WAYLAND_DISPLAY": ""}, False),
    ],
)
def test_a_browser_is_opened_where_there_is_a_display(platform, environment, display, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert learn._has_display() is display
