"""Where the code runs, as far as what it shows, or how fast it is, depends on it."""

import os
from contextlib import contextmanager

STATIC = "LESSONS_STATIC"  # the site's build sets it to 1: no kernel will stand behind what is shown


def is_published() -> bool:
    """True where outputs are made for a page without a kernel: no widget, no widget state, no inline script."""
    return os.environ.get(STATIC, "") not in ("", "0")


@contextmanager
def one_thread():
    """Run PyTorch on one thread and flush denormal numbers to zero; restore both afterwards. Also a decorator.

    Threads that share a small matrix spend their time waiting for each other: on two busy cores a factor of ten.
    """
    import torch

    threads, flushed = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64).mul(1.0).item() == 0.0
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
