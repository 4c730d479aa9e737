"""What a visit to lesson 5 costs: bytes, the time until text can be read, and until a slider answers, on a phone.

Reads the site that `make site` built. Its server compresses as a static host does.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from table import Row, print_rows

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from browser import browser, key_times  # noqa: E402

SITE = ROOT / "_build" / "html"
LESSON = "notebooks/phase_2_match_each_algorithm/05_ipo_knows_when_to_stop.html"
MEGABIT = 1_000_000 / 8
PHONE_NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1.6 * MEGABIT,
    "uploadThroughput": 0.75 * MEGABIT,
}
PHONE_CPU = 4  # times slower than this machine

# Scrolls to the first explorer as soon as it is there, moves its first slider until a curve follows, and
# notes when that picture is painted.
MOVE_FIRST_SLIDER = """
addEventListener("DOMContentLoaded", () => {
  const explorer = document.querySelector(".lx"), slider = explorer.querySelector("input[type=range]");
  const picture = () => explorer.querySelector(".lx-plot").innerHTML;
  explorer.scrollIntoView();
  const timer = setInterval(() => {
    if (explorer.dataset.ready !== "true") return;
    const before = picture();
    slider.value = Number(slider.value) + 1;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (picture() === before) return;
      clearInterval(timer);
      window.moved = performance.now();
    }));
  }, 20);
});
"""


class _Compressing(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        data = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def _served():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Compressing, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def run() -> list[Row]:
    """Bytes and times of a first visit to lesson 5, and of the start page on the same phone."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or not (SITE / LESSON).exists():
        return [Row("site: first visit to lesson 5", "not measured", note="needs Chromium and `make site`")]
    with _served() as address, browser(chromium) as running:
        return [_weight(running, address + LESSON), _key(running, address + LESSON)] + [
            row
            for name, page in (("lesson 5", LESSON), ("start page", "index.html"))
            for row in _phone(running, name, address + page)
        ]


def _weight(running, url: str) -> Row:
    page = running.new_page(viewport={"width": 1300, "height": 900})
    network, sizes = page.context.new_cdp_session(page), []
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url)
    page.wait_for_load_state("networkidle")
    total = sum(sizes) / 1000
    return Row(
        "site: first visit to lesson 5", f"{total:.0f} KB", "≤ 700 KB", total <= 700, f"{len(sizes)} requests, gzipped"
    )


def _key(running, url: str) -> Row:
    page = running.new_page(viewport={"width": 1300, "height": 900})
    page.goto(url)
    page.locator("#ipo-stops").scroll_into_view_if_needed()
    page.wait_for_selector("#ipo-stops[data-ready=true]")
    page.focus("#ipo-stops-tau")
    median, late = np.percentile(key_times(page, 120, 60), [50, 95])
    what = "site: key press to painted in lesson 5, median / p95"
    return Row(what, f"{median:.1f} / {late:.1f} ms", "p95 ≤ 16 ms", bool(late <= 16))


def _phone(running, name: str, url: str, visits: int = 5) -> list[Row]:
    texts, moves = zip(*(_visit(running, url) for _ in range(visits)), strict=True)
    note = f"median of {visits}; 1.6 Mbit/s, 150 ms, CPU {PHONE_CPU} times slower"
    return [
        Row(
            f"site: {name}, text readable on a phone",
            f"{np.median(texts):.2f} s",
            "≤ 1.5 s",
            bool(np.median(texts) <= 1.5),
            note,
        ),
        Row(
            f"site: {name}, first explorer moving",
            f"{np.median(moves):.2f} s",
            "≤ 2.5 s",
            bool(np.median(moves) <= 2.5),
            note,
        ),
    ]


def _visit(running, url: str) -> tuple[float, float]:
    """Seconds until the first text is painted, and until the first slider moves a curve; nothing cached."""
    with running.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True) as context:
        page = context.new_page()
        throttle = context.new_cdp_session(page)
        throttle.send("Network.enable")
        throttle.send("Network.emulateNetworkConditions", PHONE_NETWORK)
        throttle.send("Emulation.setCPUThrottlingRate", {"rate": PHONE_CPU})
        page.add_init_script(MOVE_FIRST_SLIDER)
        page.goto(url)
        page.wait_for_function("window.moved", timeout=60_000)
        text = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return text / 1000, page.evaluate("window.moved") / 1000


if __name__ == "__main__":
    print_rows(run(), "site")
