"""Where the code runs, as far as what it shows, or how fast it is, depends on it."""

import os
from contextlib import contextmanager, nullcontext

STATIC = "LESSONS_STATIC"  # the site's build sets it to 1: no kernel will stand behind what is shown
SMALL_MODEL = 2_000_000  # parameters; below it, the threads of one process wait for each other longer than they work


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


def one_thread_if_small(model):
    """`one_thread` for a small model on a CPU, and nothing for another."""
    return one_thread() if _is_small(model) else nullcontext()


def suit_threads(model):
    """Give PyTorch one thread where `model` is small, and back what that took away where it is not; the model.

    For models that were loaded or made here, since a notebook's own loop may train them.
    """
    import torch

    global _taken_away
    threads = torch.get_num_threads()
    if _is_small(model) and threads > 1:
        _taken_away = threads
        torch.set_num_threads(1)
    elif not _is_small(model) and _taken_away and threads == 1:
        torch.set_num_threads(_taken_away)
        _taken_away = None
    return model


_taken_away: int | None = None  # threads that PyTorch had before a small model came


def _is_small(model) -> bool:
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and sum(parameter.numel() for parameter in model.parameters()) <= SMALL_MODEL
