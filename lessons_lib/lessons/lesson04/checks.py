"""Checks of exercise 4: what stays, what the loss needs, the peak; and the peak against a measured step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from lessons_lib.grading.verdict import Mistake, Verdict, check_numbers
from lessons_lib.memory.architecture import read_architecture
from lessons_lib.memory.estimate import Setting, estimate

CLOSE = 0.1  # of the measured peak


def check_bytes_per_weight(function: Callable) -> Verdict:
    """Check ``function(weight, states, reference)``: bytes a weight while all weights are trained.

    The weight, its gradient of the same size, the optimizer's states of the same size each, the frozen copy.
    """
    mistakes = (
        Mistake("gradient forgotten", lambda w, s, r: w + s * w + r, "backward() makes one gradient a weight"),
        Mistake("states forgotten", lambda w, s, r: 2 * w + r, "the optimizer keeps `states` numbers for each weight"),
        Mistake("one state", lambda w, s, r: 3 * w + r, "AdamW keeps two states, SGD none: use `states`"),
        Mistake("states of one byte", lambda w, s, r: 2 * w + s + r, "each state is as large as a trained weight"),
        Mistake("reference trained", lambda w, s, r: w * (2 + s) + r * (2 + s), "the frozen copy has no gradient"),
        Mistake("reference forgotten", lambda w, s, r: w * (2 + s), "add the frozen copy, `reference` bytes a weight"),
        Mistake("inference", lambda w, s, r: w, "this is what it takes to answer; training adds gradient and states"),
    )
    cases = [(4, 2, 4), (4, 2, 0), (2, 2, 2), (4, 0, 4)]
    return check_numbers(function, lambda w, s, r: w * (2 + s) + r, mistakes, cases)


def check_logits_bytes(function: Callable) -> Verdict:
    """Check ``function(pairs, response_length, vocabulary)``: four float32 tensors, for both replies."""
    mistakes = (
        Mistake("one copy", lambda p, n, v: 4 * 2 * p * n * v, "four tensors of this size are alive: the logits and "
                "three steps of their gradient"),
        Mistake("chosen alone", lambda p, n, v: 4 * 4 * p * n * v, "a pair has two responses"),
        Mistake("numbers, not bytes", lambda p, n, v: 4 * 2 * p * n * v / 4, "a float32 takes four bytes"),
        Mistake("bfloat16", lambda p, n, v: 2 * 4 * 2 * p * n * v, "the loss computes in float32: four bytes"),
        Mistake("vocabulary forgotten", lambda p, n, v: 4 * 4 * 2 * p * n, "each token has a logit for every word"),
        Mistake("in GB", lambda p, n, v: 4 * 4 * 2 * p * n * v / 1e9, "return bytes"),
    )  # fmt: skip
    cases = [(4, 96, 2048), (1, 1024, 128_256), (8, 20, 110)]
    return check_numbers(function, lambda p, n, v: 4 * 4 * 2 * p * n * v, mistakes, cases)


def peak(parameters, activations, logits, reference):
    """The larger of two moments, in bytes: at the loss there are no gradients yet, at the update no activations."""
    stays = parameters * (4 + 8 + (4 if reference else 0))
    return stays + max(activations + logits, 4 * parameters)


def check_predicted_peak(function: Callable) -> Verdict:
    """Check ``function(parameters, activations, logits, reference)``: the peak of a float32 step with AdamW."""

    def wrong(states=8, both=False, loss=True, update=True, copy=4):
        def answer(n, a, g, r):
            stays = n * (4 + states) + (copy * n if r else 0)
            moments = [a + g] * loss + [4 * n] * update
            return stays + (sum(moments) if both else max(moments))

        return answer

    mistakes = (
        Mistake("everything at once", wrong(both=True), "when gradients are complete, the activations are gone"),
        Mistake("the loss alone", wrong(update=False), "with few tokens the update is the worst moment: gradients"),
        Mistake("the update alone", wrong(loss=False), "with many tokens the loss is the worst moment: activations"),
        Mistake("reference ignored", wrong(copy=0), "a live reference adds 4 bytes a weight at every moment"),
        Mistake("reference trained", wrong(copy=16), "the frozen copy has no gradient and no states"),
        Mistake("one state", wrong(states=4), "AdamW keeps two float32 states a weight: 8 bytes"),
        Mistake("no states", wrong(states=0), "from the second step on AdamW's states are there"),
    )
    cases = [(1_000_000, 30e6, 20e6, True), (5_000_000, 1e6, 2e6, True), (5_000_000, 1e6, 2e6, False)]
    return check_numbers(function, peak, mistakes, cases)


def check_against_measurement(function: Callable) -> Verdict:
    """Run one real step in a process of its own, and hold the same three arguments' prediction to its peak."""
    from lessons_lib.memory import probe

    setting = {"batch_size": 4, "length": 96, "prompt_length": 32, "precision": "float32", "method": "dpo"}
    config = probe.readings()[0].config
    model = read_architecture(config)
    at_loss = estimate(Setting(model, **setting)).moments["loss"]
    try:
        predicted = function(model.parameters, at_loss.activations_bytes, at_loss.logits_bytes, True)
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"your function raised {type(error).__name__}: {error}")
    if isinstance(predicted, bool) or not isinstance(predicted, (int, float)):
        return Verdict(False, f"expected a number of bytes, got {type(predicted).__name__}; return the number")
    measured = _measured(tuple(config.items()), tuple(setting.items()))
    error = predicted / measured - 1
    told = f"predicted {predicted / 1e6:.4g} MB, measured {measured / 1e6:.4g} MB: {error:+.1%}"
    if abs(error) <= CLOSE:
        return Verdict(True, told)
    return Verdict(False, f"{told}\nexpected at most {CLOSE:.0%} apart; make the check above pass first")


@cache
def _measured(config: tuple, setting: tuple) -> int:
    from lessons_lib.memory import probe

    return probe.measure(dict(config), dict(setting)).peak_bytes
