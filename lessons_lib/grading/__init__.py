"""Feedback on exercises. `checks` answers on the spot, in the learner's own notebook; it gives no marks."""

from lessons_lib.grading.checks import (
    Verdict,
    check_averaged_tau,
    check_ipo_loss,
    check_tau_for_margin,
)

__all__ = ["Verdict", "check_averaged_tau", "check_ipo_loss", "check_tau_for_margin"]
