"""What all tests share: where the project lies, where Chromium is, and the rule that a skip is no pass."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

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


def pytest_collection_modifyitems(config, items):
    """Leave `real_data` tests out where the original files are not at hand, and say so."""
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
