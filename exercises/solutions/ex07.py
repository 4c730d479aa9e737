"""Exercise 7 solved. Instructors only: the release leaves this folder out."""

import math

import torch
import torch.nn.functional as F


def my_log_odds(logp):
    return logp - torch.log(-torch.expm1(logp))


def my_orpo_loss(policy_chosen, policy_rejected, chosen_nll, lam):
    return chosen_nll - lam * F.logsigmoid(my_log_odds(policy_chosen) - my_log_odds(policy_rejected))


def odds_part(average, tokens):
    return -math.log1p(-math.exp(average * tokens))
