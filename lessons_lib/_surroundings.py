"""Where the code runs, as far as what it shows depends on it."""

import os

STATIC = "LESSONS_STATIC"  # the site's build sets it to 1: no kernel will stand behind what is shown


def is_published() -> bool:
    """True where outputs are made for a page without a kernel: no widget, no widget state, no inline script."""
    return os.environ.get(STATIC, "") not in ("", "0")
