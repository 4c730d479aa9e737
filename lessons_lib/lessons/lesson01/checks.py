"""Checks of exercise 1: from logits to a step of DPO, and two steps of its derivation on worlds of three answers.

The right answers stand here as plainly as a learner would write them. Each typical mistake is the same code with one
thing wrong, so that a check can name it; the hidden cases of the grader are other batches and tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from lessons_lib import bandit
from lessons_lib.grading.verdict import NOT_WRITTEN, Mistake, Verdict, check_numbers
from lessons_lib.lessons.lesson01.batches import Batch, logits_of, padded
from lessons_lib.logps import IGNORE_INDEX, sequence_logps
from lessons_lib.models.bigram import Bigram

# ---------------------------------------------------------------- the right answers


def labels_of(input_ids, attention_mask, prompt_lengths) -> torch.Tensor:
    """(rows, length) the ids of response tokens, −100 on prompt and padding, whichever side the padding is on."""
    place = attention_mask.cumsum(dim=1)  # of each real token in its row, from 1
    is_response = (attention_mask == 1) & (place > prompt_lengths.unsqueeze(1))
    return torch.where(is_response, input_ids, IGNORE_INDEX)


def pair_logps(logits, labels) -> torch.Tensor:
    """(rows,) log-prob of each response, summed over its tokens."""
    return sequence_logps(logits, labels)


def batch_loss(policy_logits, reference_logits, labels, beta) -> torch.Tensor:
    """DPO's loss, averaged over the pairs: the rows' first half is chosen, the second half rejected."""
    return _loss_by(policy_logits, reference_logits, labels, beta)


def steps(policy, reference, batches: Sequence[Batch], beta: float, learning_rate: float) -> list[float]:
    """One AdamW step a batch; the loss before each."""
    return _steps_by(policy, reference, batches, beta, learning_rate)


def _loss_by(
    policy_logits, reference_logits, labels, beta, *, logps=sequence_logps, split=torch.chunk, freeze=True, sign=1
) -> torch.Tensor:
    """`batch_loss`, with the parts that learners get wrong as arguments."""
    policy, reference = logps(policy_logits, labels), logps(reference_logits, labels)
    logratios = policy - (reference.detach() if freeze else reference)
    chosen, rejected = split(logratios, 2)
    return -F.logsigmoid(sign * beta * (chosen - rejected)).mean()


def _steps_by(
    policy,
    reference,
    batches,
    beta,
    learning_rate,
    *,
    make=torch.optim.AdamW,
    clear=True,
    anew=False,
    update=True,
    sign=1,
    frozen=True,
    loss=batch_loss,
) -> list[float]:
    """`steps`, with the parts that learners get wrong as arguments."""
    trained = [*policy.parameters()] + ([] if frozen else [*reference.parameters()])
    optimizer, losses = make(trained, lr=learning_rate), []
    for batch in batches:
        labels = labels_of(**batch)
        value = loss(logits_of(policy, batch), logits_of(reference, batch), labels, beta)
        losses.append(value.item())
        if clear:
            optimizer.zero_grad()
        (sign * value).backward()
        if update:
            optimizer.step()
        if anew:
            optimizer = make(trained, lr=learning_rate)
    return losses


# ---------------------------------------------------------------- batches that are small enough to read

_PROMPTS = [[5, 7], [6, 5, 7]] * 2
_RESPONSES = [[4, 8, 0], [9, 0], [3, 0], [8, 4, 3, 0]]  # 0 ends a response, and fills rows up too
_VOCABULARY = 10
_BATCHES = {side: padded(_PROMPTS, _RESPONSES, side=side, pad_id=0) for side in ("right", "left")}
_TABLES = torch.randn(2, _VOCABULARY, _VOCABULARY, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _logits(table: torch.Tensor, batch: Batch) -> torch.Tensor:
    return Bigram(table)(batch["input_ids"]).logits.detach().requires_grad_()


# ---------------------------------------------------------------- labels


def check_labels(function: Callable) -> Verdict:
    """Check ``function(input_ids, attention_mask, prompt_lengths)``: ids on response tokens, −100 elsewhere."""
    cases = list(_BATCHES.values())
    try:
        came = [function(**_copied(batch)) for batch in cases]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {_shown(cases[0])}\nyour function raised {type(error).__name__}: {error}")
    if all(value is None for value in came):
        return Verdict(False, f"with {_shown(cases[0])}\n{NOT_WRITTEN}")
    for (side, batch), value in zip(_BATCHES.items(), came, strict=True):
        right = labels_of(**batch)
        if not isinstance(value, torch.Tensor) or value.shape != right.shape:
            kind = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            return Verdict(False, f"with {_shown(batch)}\nexpected a tensor of shape {tuple(right.shape)}, got {kind}")
        if not torch.equal(value.to(right), right):
            cause = _named(_LABEL_MISTAKES, came, [tuple(case.values()) for case in cases])
            return Verdict(
                False,
                f"padded on the {side}, with {_shown(batch)}\nexpected {right.tolist()}\ngot {value.tolist()}{cause}",
            )
    return Verdict(True, f"right with padding on either side: {labels_of(**_BATCHES['left']).tolist()}")


def _labels_where(is_response: Callable) -> Callable:
    """Labels from a rule (ids, mask, prompt lengths as a column, place of each column) -> which tokens count."""

    def labels(input_ids, attention_mask, prompt_lengths):
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        counted = is_response(input_ids, attention_mask == 1, prompt_lengths.unsqueeze(1), places)
        return torch.where(counted, input_ids, IGNORE_INDEX)

    return labels


def _place(real):
    """Of each real token in its row, from 1."""
    return real.cumsum(dim=1)


_LABEL_MISTAKES = (
    Mistake("prompt counted", _labels_where(lambda ids, real, n, at: real),
            "the model is not trained to ask: tokens of the prompt get −100 too"),
    Mistake("pad counted", _labels_where(lambda ids, real, n, at: _place(real) > n),
            "what fills a row up is not part of the reply: keep attention_mask == 1"),
    Mistake("prompt and pad counted", lambda ids, mask, n: ids.clone(), "only the response's tokens keep their ids"),
    Mistake("masked by the pad's id", _labels_where(lambda ids, real, n, at: (ids != 0) & (_place(real) > n)),
            "the end token has the same id as the padding, and the model must learn to end: use the attention mask"),
    Mistake("columns counted from the left edge", _labels_where(lambda ids, real, n, at: real & (at >= n)),
            "with padding on the left the prompt starts later: count real tokens, attention_mask.cumsum(dim=1)"),
    Mistake("the prompt's last token counted", _labels_where(lambda ids, real, n, at: real & (_place(real) >= n)),
            "the first response token is real token number prompt_length + 1"),
    Mistake("the response's first token lost", _labels_where(lambda ids, real, n, at: real & (_place(real) > n + 1)),
            "the first response token is real token number prompt_length + 1"),
    Mistake("shifted already", lambda ids, mask, n: F.pad(labels_of(ids, mask, n)[:, 1:], (0, 1), value=IGNORE_INDEX),
            "labels stand where their tokens stand, as in transformers; the shift comes with the logits"),
    Mistake("the response masked, the prompt kept",
            _labels_where(lambda ids, real, n, at: real & (_place(real) <= n)), "the other way round"),
)  # fmt: skip


# ---------------------------------------------------------------- log-probs


def check_logps(function: Callable) -> Verdict:
    """Check ``function(logits, labels)``: one summed log-prob a row, with its gradient."""
    cases = [(_logits(_TABLES[0], batch), labels_of(**batch)) for batch in _BATCHES.values()]
    return _check_values(function, pair_logps, _LOGPS_MISTAKES, cases, "logits (4, 7, 10) and the labels of 2 pairs",
                         "one log-prob a row", gradients=("logits",))  # fmt: skip


def _logps_by(shift: int = 1, *, score=lambda x: x.log_softmax(dim=-1), reduce=lambda x, counted: x.sum(dim=1),
              masked: bool = True) -> Callable:  # fmt: skip
    """Log-probs with one thing changed: the shift, what is looked up, what counts, or how tokens are put together."""

    def logps(logits, labels):
        length = logits.shape[1]
        scores, targets = logits, labels
        if shift > 0:
            scores, targets = logits[:, : length - 1], labels[:, 1:]
        if shift < 0:
            scores, targets = logits[:, 1:], labels[:, : length - 1]
        counted = targets != IGNORE_INDEX
        picked = score(scores).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        return reduce(torch.where(counted, picked, 0.0) if masked else picked, counted)

    return logps


_LOGPS_MISTAKES = (
    Mistake("unshifted labels", _logps_by(0),
            "the logits at a position predict the *next* token: score labels[:, 1:] with logits[:, :-1]"),
    Mistake("unshifted labels", lambda logits, labels: _logps_by(0)(logits[:, :-1], labels[:, :-1]),
            "both were cut at the same end: logits[:, :-1] predict labels[:, 1:]"),
    Mistake("shifted the wrong way", _logps_by(-1), "logits[:, :-1] predict labels[:, 1:]"),
    Mistake("prompt and pad counted", _logps_by(masked=False),
            "where the label is −100 nothing may be added; clamping it to 0 scores token 0 there"),
    Mistake("mean for sum", _logps_by(reduce=lambda x, counted: x.sum(dim=1) / counted.sum(dim=1)),
            "DPO takes the sum over the response's tokens; ORPO and SimPO take the average"),
    Mistake("averaged over the whole row", _logps_by(reduce=lambda x, counted: x.mean(dim=1)),
            "sum over the response's tokens"),
    Mistake("summed over the batch too", _logps_by(reduce=lambda x, counted: x.sum()), "one number a row: sum(dim=1)"),
    Mistake("the raw logits", _logps_by(score=lambda x: x), "a log-prob is log_softmax of the logits"),
    Mistake("probabilities", _logps_by(score=lambda x: x.softmax(dim=-1)), "probabilities multiply, their logs add"),
    Mistake("softmax over positions", _logps_by(score=lambda x: x.log_softmax(dim=1)),
            "the softmax runs over the vocabulary, the last dimension"),
    Mistake("a loss for a log-prob", _logps_by(reduce=lambda x, counted: -x.sum(dim=1)),
            "cross-entropy is minus the log-prob"),
)  # fmt: skip


# ---------------------------------------------------------------- the loss


def check_batch_loss(function: Callable) -> Verdict:
    """Check ``function(policy_logits, reference_logits, labels, beta)``: one number, no gradient to the reference."""
    cases = [
        (_logits(_TABLES[0], batch), _logits(_TABLES[1], batch), labels_of(**batch), beta)
        for batch, beta in zip(_BATCHES.values(), (0.1, 0.3), strict=True)
    ]
    return _check_values(
        function, batch_loss, _LOSS_MISTAKES, cases, "logits of policy and reference, the labels of 2 pairs, β = 0.1",
        "one number, the mean over the pairs", gradients=("policy_logits", "reference_logits"),
    )  # fmt: skip


def _loss_with(**changed) -> Callable:
    return lambda *case: _loss_by(*case, **changed)


def _every_second(rows, _parts):
    return rows[0::2], rows[1::2]


_LOSS_MISTAKES = (
    Mistake("roles swapped", _loss_with(sign=-1),
            "h is the chosen reply's log-ratio minus the rejected one's, and a log-ratio is policy minus reference"),
    Mistake("mean for sum", _loss_with(logps=_logps_by(reduce=lambda x, counted: x.sum(dim=1) / counted.sum(dim=1))),
            "the log-probs of DPO are sums over tokens; the mean is taken over the pairs"),
    Mistake("unshifted labels", _loss_with(logps=_logps_by(0)), "my_logps must pass its own check first"),
    Mistake("summed over the pairs", lambda *case: _loss_by(*case) * (len(case[0]) // 2),
            "average over the pairs, so that the step does not grow with the batch"),
    Mistake("β left out", lambda p, r, labels, beta: _loss_by(p, r, labels, 1.0), "the loss is −log σ(βh)"),
    Mistake("β outside", lambda p, r, labels, beta: beta * _loss_by(p, r, labels, 1.0),
            "β multiplies h inside the sigmoid"),
    Mistake("reference ignored", lambda p, r, labels, beta: _loss_by(p, 0 * p, labels, beta),
            "subtract the reference's log-probs"),
    Mistake("neighbours paired", _loss_with(split=_every_second),
            "the first half of the rows is chosen, the second half rejected: logratios.chunk(2)"),
    Mistake("sign flipped", lambda *case: -_loss_by(*case), "a loss falls as the margin grows: −log σ"),
    Mistake("no logarithm", lambda p, r, labels, beta: torch.sigmoid(-beta * _margins(p, r, labels)).mean(),
            "the loss is −log σ(βh)"),
)  # fmt: skip


def _margins(policy_logits, reference_logits, labels):
    chosen, rejected = (sequence_logps(policy_logits, labels) - sequence_logps(reference_logits, labels)).chunk(2)
    return chosen - rejected


# ---------------------------------------------------------------- steps


def check_steps(function: Callable) -> Verdict:
    """Check ``function(policy, reference, batches, beta, learning_rate)``: the losses before each of four steps."""
    batches = [*_BATCHES.values()] * 2
    shown = "with a model of 10 words, four batches of 2 pairs, beta=0.5, learning_rate=0.05"
    expected = steps(*_models(), batches, 0.5, 0.05)
    policy, reference = _models()
    try:
        came = function(policy, reference, [_copied(batch) for batch in batches], 0.5, 0.05)
        came = came.tolist() if isinstance(came, torch.Tensor) else came
        if came is not None:
            came = [float(value) for value in came]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"{shown}\nyour function raised {type(error).__name__}, or gave no numbers: {error}")
    if came is None:
        return Verdict(False, f"{shown}\n{NOT_WRITTEN}")
    if not _close(came, expected):
        named = (m for m in _STEP_MISTAKES if _close(came, m.answer(*_models(), batches, 0.5, 0.05)))
        likely = next(named, None)
        cause = f"\nlikely cause: {likely.name}: {likely.hint}" if likely else ""
        return Verdict(False, f"{shown}\nexpected losses {_four(expected)}\ngot {_four(came)}{cause}")
    if any(parameter.grad is not None for parameter in reference.parameters()):
        hint = "the reference's weights got gradients, time and memory for nothing: with torch.no_grad(), or detach"
        return Verdict(False, f"{shown}\nthe losses are right\nlikely cause: gradient through the reference: {hint}")
    return Verdict(True, f"right: the loss falls from {came[0]:.4f} to {came[-1]:.4f}, and the reference is untouched")


def _models() -> tuple[Bigram, Bigram]:
    """A policy that has moved away from its reference, so that a step on the wrong one shows in the first loss."""
    return Bigram(_TABLES[0] + 0.3 * _TABLES[1]), Bigram(_TABLES[0])


def _steps_with(**changed) -> Callable:
    return lambda *case: _steps_by(*case, **changed)


_STEP_MISTAKES = (
    Mistake("gradients never cleared", _steps_with(clear=False),
            "backward adds to what is there: optimizer.zero_grad() in every step"),
    Mistake("no update", _steps_with(update=False), "backward only fills .grad; optimizer.step() moves the weights"),
    Mistake("a new optimizer in every step", _steps_with(anew=True),
            "AdamW's averages live in it: make it once, before the loop"),
    Mistake("uphill", _steps_with(sign=-1), "backward on the loss itself, not on minus the loss"),
    Mistake("SGD", _steps_with(make=torch.optim.SGD), "AdamW was asked for"),
    Mistake("the policy is its own reference",
            lambda policy, reference, batches, *rest: [math.log(2)] * len(batches),
            "both log-probs came from one model, so h is 0 for ever: the reference's come from `reference`"),
    Mistake("the reference trained too", _steps_with(frozen=False, loss=_loss_with(freeze=False)),
            "gradient through the reference: give the optimizer policy.parameters() alone, and detach the rest"),
    Mistake("roles swapped", _steps_with(loss=_loss_with(sign=-1)), "my_loss must pass its own check first"),
    Mistake("the loss after the step", lambda *case: steps(*case)[1:] + [steps(*case)[-1]],
            "keep the loss that you called backward on"),
)  # fmt: skip


# ---------------------------------------------------------------- shared by the checks of tensors


def _check_values(
    function: Callable, right: Callable, mistakes: Sequence[Mistake], cases: Sequence[tuple], shown: str, asked: str,
    *, gradients: tuple[str, ...],
) -> Verdict:  # fmt: skip
    """Judge a function of tensors by its kind of answer, its values and its gradients, on every case.

    `gradients` names the first arguments; the right gradient of each is that of the right answer, or none at all.
    """
    try:
        came = [function(*case) for case in cases]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {shown}\nyour function raised {type(error).__name__}: {error}")
    if all(value is None for value in came):
        return Verdict(False, f"with {shown}\n{NOT_WRITTEN}")
    for case, value in zip(cases, came, strict=True):
        wanted = right(*case).detach()
        if not isinstance(value, torch.Tensor):
            return Verdict(False, f"with {shown}\nexpected a tensor, {asked}; got {type(value).__name__}")
        if value.shape != wanted.shape and (value.numel() != 1 or wanted.numel() != 1):
            cause = _named(mistakes, came, cases) or f"; expected {asked}"
            return Verdict(False, f"with {shown}\nshape {tuple(value.shape)} for {tuple(wanted.shape)}{cause}")
        if not torch.allclose(value.detach().to(wanted), wanted, rtol=1e-6, atol=1e-9):
            cause = _named(mistakes, came, cases)
            return Verdict(
                False,
                f"with {shown}\nexpected {_four(wanted.tolist())}\ngot {_four(value.detach().tolist())}{cause}",
            )
    wrong = _wrong_gradient(right, cases[0], came[0], gradients)
    if wrong:
        return Verdict(False, f"with {shown}\nthe values are right\nlikely cause: {wrong}")
    return Verdict(True, f"right, with padding on either side: {_four(right(*cases[0]).tolist())}")


def _wrong_gradient(right: Callable, case: tuple, came: torch.Tensor, names: tuple[str, ...]) -> str:
    inputs = case[: len(names)]
    if not came.requires_grad:
        return "no gradient: stay in torch and leave out .item(), .detach() and float()"
    wanted = torch.autograd.grad(right(*case).sum(), inputs, allow_unused=True)
    found = torch.autograd.grad(came.sum(), inputs, allow_unused=True)
    for name, want, have in zip(names, wanted, found, strict=True):
        if want is None and have is not None and have.abs().max() > 1e-12:
            return f"gradient through the reference: {name} gets one; detach it, or compute it under torch.no_grad()"
        if want is not None and (have is None or not torch.allclose(have, want, rtol=1e-6, atol=1e-9)):
            return f"gradient with respect to {name}: a .detach() too many, or one in the wrong place"
    return ""


def _named(mistakes: Sequence[Mistake], came: Sequence[torch.Tensor], cases: Sequence[tuple]) -> str:
    """The first mistake that gives the same values on every case, as a line; empty where none does."""
    for mistake in mistakes:
        if all(_same(value, mistake.answer(*case)) for value, case in zip(came, cases, strict=True)):
            return f"\nlikely cause: {mistake.name}: {mistake.hint}"
    return ""


def _same(one, other: torch.Tensor) -> bool:
    return (
        isinstance(one, torch.Tensor)
        and one.shape == other.shape
        and torch.allclose(one.detach().double(), other.detach().double(), rtol=1e-6, atol=1e-9)
    )


def _copied(batch: Batch) -> Batch:
    return {name: tensor.clone() for name, tensor in batch.items()}


def _shown(batch: Batch) -> str:
    return ", ".join(f"{name}={tensor.tolist()}" for name, tensor in batch.items())


# ---------------------------------------------------------------- the derivation

REFERENCE = [0.5, 0.3, 0.2]
POLICY = [0.2, 0.3, 0.5]
REWARDS = [1.0, 0.0, -0.5]
_WORLDS = ((REWARDS, REFERENCE, 0.5), ([0.2, 1.5, 0.4], [0.25, 0.35, 0.4], 0.8))


def check_optimal_policy(function: Callable) -> Verdict:
    """Check ``function(rewards, reference, beta)``: the list π_ref · exp(r/β), normalized."""

    def right(rewards, reference, beta):
        return bandit.tilted_policy(rewards, beta, reference)

    mistakes = (
        Mistake("not normalized", lambda r, q, b: [p * math.exp(x / b) for p, x in zip(q, r, strict=True)],
                "divide by the sum over all answers; that sum is Z, the partition function"),
        Mistake("β multiplied", lambda r, q, b: bandit.tilted_policy(r, 1 / b, q),
                "the exponent is r/β: a small β lets the reward pull hard"),
        Mistake("β left out", lambda r, q, b: bandit.tilted_policy(r, 1, q), "the exponent is r/β"),
        Mistake("reference ignored", lambda r, q, b: bandit.softmax([x / b for x in r]),
                "multiply each weight by the reference's probability"),
        Mistake("the reference itself", lambda r, q, b: list(q), "that is the start; tilt it by exp(r/β)"),
        Mistake("the best answer alone", lambda r, q, b: [float(x == max(r)) for x in r],
                "that is the optimum without the pull; with β > 0 every answer keeps some probability"),
    )  # fmt: skip
    return _check_distributions(function, right, mistakes)


def check_reward_gap(function: Callable) -> Verdict:
    """Check ``function(policy, reference, beta, i, j)``: r_i − r_j, read off a policy that is the optimum for r."""

    def gap(p, q, b, i, j):
        return b * (math.log(p[i] / q[i]) - math.log(p[j] / q[j]))

    mistakes = (
        Mistake("i and j swapped", lambda p, q, b, i, j: -gap(p, q, b, i, j), "asked for r_i − r_j"),
        Mistake("β left out", lambda p, q, b, i, j: gap(p, q, 1, i, j), "solve π = π_ref·exp(r/β)/Z for r"),
        Mistake("divided by β", lambda p, q, b, i, j: gap(p, q, 1 / b, i, j), "r/β is the log-ratio: r is β times it"),
        Mistake("reference ignored", lambda p, q, b, i, j: b * math.log(p[i] / p[j]),
                "the reward is β times a log-*ratio*: divide by the reference's probability"),
        Mistake("one reward", lambda p, q, b, i, j: b * math.log(p[i] / q[i]),
                "this still hides β·log Z; only in a difference of two answers does Z cancel"),
        Mistake("no logarithm", lambda p, q, b, i, j: b * (p[i] / q[i] - p[j] / q[j]), "take the log of each ratio"),
    )  # fmt: skip
    return check_numbers(function, gap, mistakes, [(POLICY, REFERENCE, 0.5, 0, 2), (REFERENCE, POLICY, 2.0, 1, 2)])


def _check_distributions(function: Callable, right: Callable, mistakes: tuple[Mistake, ...]) -> Verdict:
    """Judge a function that answers with one probability for each answer, on `_WORLDS`."""
    try:
        came = [function(*world) for world in _WORLDS]
    except Exception as error:  # whatever the learner's code raises is an answer to explain
        return Verdict(False, f"with {_WORLDS[0]}\nyour function raised {type(error).__name__}: {error}")
    for world, value in zip(_WORLDS, came, strict=True):
        given, wanted = f"with {world}\nexpected ", len(world[0])
        if not isinstance(value, (list, tuple)) or not all(type(p) is float for p in value):
            return Verdict(False, f"{given}a list of probabilities, got {type(value).__name__}: {value!r}")
        if len(value) != wanted:
            return Verdict(False, f"{given}{wanted} probabilities, one an answer, got {len(value)}")
    for world, value in zip(_WORLDS, came, strict=True):
        if not _close(value, right(*world)):
            likely = next((m for m in mistakes if all(map(_close, came, (m.answer(*w) for w in _WORLDS)))), None)
            cause = f"\nlikely cause: {likely.name}: {likely.hint}" if likely else ""
            return Verdict(False, f"with {world}\nexpected {_four(right(*world))}\ngot {_four(value)}{cause}")
    return Verdict(True, "right: " + ", ".join(f"{world} → {_four(right(*world))}" for world in _WORLDS))


def _close(values: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether two lists hold the same numbers, up to rounding; this way round, NaN is wrong."""
    return len(values) == len(expected) and all(abs(p - q) <= 1e-6 for p, q in zip(values, expected, strict=True))


def _four(value):
    """Numbers to four digits, as text."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_four, value)) + "]"
    return f"{value:.4g}"
