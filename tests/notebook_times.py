"""A pytest plugin (`-p tests.notebook_times`) that prints what each notebook took, in a table."""

import os
from collections import defaultdict

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the kernels: notebooks run side by side

TARGET = 240  # seconds for all of them together, on two idle cores


def pytest_terminal_summary(terminalreporter):
    seconds = defaultdict(float)
    for report in (r for reports in terminalreporter.stats.values() for r in reports if hasattr(r, "duration")):
        seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("seconds a notebook")
    for path, taken in sorted(seconds.items()):
        terminalreporter.write_line(f"{taken:7.1f}  {path}")
    terminalreporter.write_line(f"{sum(seconds.values()):7.1f}  all (target {TARGET} together)")
