"""Exercise 5 solved. Instructors only: the release leaves this folder out."""


def my_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    h = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return (h - 1 / (2 * tau)) ** 2


def tau_for_margin(margin):
    return 1 / (2 * margin)


def averaged_tau(tau, length):
    return tau * length
