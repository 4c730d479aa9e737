"""Exercise 1: each check accepts the solution and rejects every typical mistake for its own reason."""

import math
import random
import runpy

import pytest
import torch

from lessons_lib.grading import compare, wire
from lessons_lib.lab import world
from lessons_lib.lessons.lesson01 import batches, checks
from lessons_lib.lessons.lesson01.checks import (
    check_batch_loss,
    check_labels,
    check_logps,
    check_optimal_policy,
    check_reward_gap,
    check_steps,
)
from lessons_lib.models.bigram import Bigram


@pytest.fixture(scope="module")
def solution(root):
    return runpy.run_path(str(root / "exercises" / "solutions" / "ex01.py"))


@pytest.fixture(scope="module")
def items(root):
    spec = runpy.run_path(str(root / "exercises" / "specs" / "ex01.py"))["EXERCISE"]
    return {item.name: item for item in spec.items}


def test_the_solution_passes(solution):
    assert check_labels(solution["my_labels"])
    assert check_logps(solution["my_logps"])
    assert check_batch_loss(solution["my_loss"])
    assert check_steps(solution["my_steps"])
    assert check_optimal_policy(tilted)
    assert check_reward_gap(gap)


# ---------------------------------------------------------------- what learners get wrong, as they would write it


def labels_by(rule):
    def labels(input_ids, attention_mask, prompt_lengths):
        counted = rule(input_ids, attention_mask, prompt_lengths[:, None])
        return torch.where(counted, input_ids, -100)

    return labels


def logps(logits, labels, *, shift=True, mean=False, mask=True):
    scores, targets = (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)
    picked = scores.log_softmax(-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
    kept = picked * (targets != -100) if mask else picked
    return kept.sum(1) / (targets != -100).sum(1) if mean else kept.sum(1)


def loss(policy_logits, reference_logits, labels, beta, *, detach=True, swap=False, score=logps):
    reference = score(reference_logits, labels)
    ratios = score(policy_logits, labels) - (reference.detach() if detach else reference)
    chosen, rejected = ratios.chunk(2)
    h = rejected - chosen if swap else chosen - rejected
    return -torch.nn.functional.logsigmoid(beta * h).mean()


def steps(policy, reference, given, beta, learning_rate, *, clear=True, own=False, score=loss, anew=False, sgd=False):
    kind = torch.optim.SGD if sgd else torch.optim.AdamW
    optimizer, losses = kind(policy.parameters(), lr=learning_rate), []
    for batch in given:
        labels = checks.labels_of(**batch)
        frozen = policy if own else reference
        value = score(batches.logits_of(policy, batch), batches.logits_of(frozen, batch), labels, beta)
        if clear:
            optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        if anew:
            optimizer = kind(policy.parameters(), lr=learning_rate)
    return losses


def with_(function, **changed):
    return lambda *case, **named: function(*case, **named, **changed)


TENSORS = [
    ("my_labels", check_labels, labels_by(lambda ids, mask, n: mask == 1), "prompt counted"),
    ("my_labels", check_labels, labels_by(lambda ids, mask, n: mask.cumsum(1) > n), "pad counted"),
    ("my_labels", check_labels, labels_by(lambda ids, mask, n: (mask.cumsum(1) > n) & (ids != ids[mask == 0][0])),
     "masked by the pad's id"),
    ("my_labels", check_labels, labels_by(lambda ids, mask, n: (mask == 1) & (torch.arange(ids.shape[1]) >= n)),
     "columns counted from the left edge"),
    ("my_labels", check_labels, labels_by(lambda ids, mask, n: (mask == 1) & (mask.cumsum(1) >= n)), "last token"),
    ("my_labels", check_labels, lambda input_ids, **_: input_ids.clone(), "prompt and pad counted"),
    ("my_logps", check_logps, with_(logps, shift=False), "unshifted labels"),
    ("my_logps", check_logps, lambda x, y: logps(x[:, :-1], y[:, :-1], shift=False), "unshifted labels"),
    ("my_logps", check_logps, with_(logps, mean=True), "mean for sum"),
    ("my_logps", check_logps, with_(logps, mask=False), "prompt and pad counted"),
    ("my_logps", check_logps, lambda logits, labels: -logps(logits, labels), "a loss for a log-prob"),
    ("my_logps", check_logps, lambda logits, labels: logps(logits, labels).detach(), "no gradient"),
    ("my_logps", check_logps, lambda logits, labels: logps(logits, labels).sum(), "summed over the batch too"),
    ("my_loss", check_batch_loss, with_(loss, swap=True), "roles swapped"),
    ("my_loss", check_batch_loss, with_(loss, detach=False), "gradient through the reference"),
    ("my_loss", check_batch_loss, with_(loss, score=with_(logps, mean=True)), "mean for sum"),
    ("my_loss", check_batch_loss, with_(loss, score=with_(logps, shift=False)), "unshifted labels"),
    ("my_loss", check_batch_loss, lambda p, r, labels, beta: loss(p, r, labels, 1.0), "β left out"),
    ("my_loss", check_batch_loss, lambda p, r, labels, beta: loss(p, r, labels, beta).item(), "expected a tensor"),
    ("my_steps", check_steps, with_(steps, clear=False), "gradients never cleared"),
    ("my_steps", check_steps, with_(steps, own=True), "its own reference"),
    ("my_steps", check_steps, with_(steps, anew=True), "a new optimizer"),
    ("my_steps", check_steps, with_(steps, sgd=True), "SGD"),
    ("my_steps", check_steps, with_(steps, score=with_(loss, swap=True)), "roles swapped"),
    ("my_steps", check_steps, lambda *case: [0.69] * 4, "expected losses"),
    ("my_steps", check_steps, lambda *case: 1 / 0, "raised ZeroDivisionError"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "check", "answer", "reason"), TENSORS, ids=[f"{row[0]}: {row[3]}" for row in TENSORS])
def test_each_mistake_is_named_and_costs_points(items, name, check, answer, reason):
    """By the check, on its own batches, and by the grader, on hidden ones: some are right on one side of padding."""
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
    if not reason.startswith("raised"):
        assert min(shares(items[name], answer)) == 0


def test_the_solution_earns_all_hidden_points(items, solution):
    for name, item in items.items():
        assert set(shares(item, solution[name])) == {1}, name


def shares(item, answer):
    """What an answer earns on hidden cases of one learner; its arguments may have any names."""
    order = list(item.cases(random.Random(5))[0])

    def named(**case):
        return answer(**case) if item.name == "my_labels" else answer(*(case[argument] for argument in order))

    cases = item.cases(random.Random(5))
    came = [wire.call(named, case, item.gradient) for case in cases]
    return [compare.share(item, c, compare.expected(item, c), a)[0] for c, a in zip(cases, came, strict=True)]


def test_gradients_to_the_reference_in_the_loop_are_named():
    verdict = check_steps(with_(steps, score=with_(loss, detach=False)))
    assert not verdict and "gradient through the reference" in verdict.message


@pytest.mark.parametrize(
    "check", [check_labels, check_logps, check_batch_loss, check_steps, check_optimal_policy, check_reward_gap]
)
def test_an_empty_stub_is_told_so(check):
    verdict = check(lambda *case, **named: None)
    assert not verdict and ("nothing yet" in verdict.message or "NoneType" in verdict.message)


# ---------------------------------------------------------------- batches


def test_padding_on_either_side_gives_the_same_log_probs():
    from lessons_lib.lab import checkpoints

    model, _ = checkpoints.load("sft-0")
    pool = checkpoints.pool("sft-0")
    prompts, replies = [world.encode(text) for text in pool.prompts[:4]], [list(r) for r in pool.replies[:64:16]]
    found = []
    for side in ("left", "right"):
        batch = batches.padded(prompts, replies, side=side, pad_id=world.EOS_ID)
        found.append(logps(batches.logits_of(model, batch), checks.labels_of(**batch)))
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


def test_lab_batches_hold_the_chosen_replies_first():
    first, second = batches.lab_batches("sft-0", 2, pairs=3)
    assert first["input_ids"].shape[0] == 6
    assert (first["attention_mask"][:, -1] == 1).all() and (second["attention_mask"][:, 0] == 1).all()
    asked = [ids[mask == 1][:n].tolist() for ids, mask, n in zip(*first.values(), strict=True)]
    assert asked[:3] == asked[3:]


def test_a_bigram_answers_with_its_table():
    table = torch.arange(9.0).reshape(3, 3)
    assert torch.equal(Bigram(table)(torch.tensor([[2, 0]])).logits[0], table[[2, 0]])


# ---------------------------------------------------------------- the derivation


def tilted(r, q, b):
    weights = [y * math.exp(x / b) for x, y in zip(r, q, strict=True)]
    return [w / sum(weights) for w in weights]


def gap(p, q, b, i, j):
    return b * (math.log(p[i] / q[i]) - math.log(p[j] / q[j]))


MISTAKES = [
    (check_optimal_policy, lambda r, q, b: [y * math.exp(x / b) for x, y in zip(r, q, strict=True)], "not normalized"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, 1 / b), "β multiplied"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, 1), "β left out"),
    (check_optimal_policy, lambda r, q, b: tilted(r, [1, 1, 1], b), "reference ignored"),
    (check_optimal_policy, lambda r, q, b: q, "the reference itself"),
    (check_optimal_policy, lambda r, q, b: [float(x == max(r)) for x in r], "the best answer alone"),
    (check_optimal_policy, lambda r, q, b: [0.2, 0.3, 0.5], "expected"),
    (check_optimal_policy, lambda r, q, b: [math.nan] * 3, "expected"),
    (check_optimal_policy, lambda r, q, b: tilted(r, q, b)[:2], "got 2"),
    (check_optimal_policy, lambda r, q, b: [tilted(r, q, b)], "list of probabilities"),
    (check_optimal_policy, lambda r, q, b: True, "got bool"),
    (check_optimal_policy, lambda r, q, b: None, "NoneType"),
    (check_optimal_policy, lambda r, q, b: 1 / 0, "raised ZeroDivisionError"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, b, j, i), "i and j swapped"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, 1, i, j), "β left out"),
    (check_reward_gap, lambda p, q, b, i, j: gap(p, q, 1 / b, i, j), "divided by β"),
    (check_reward_gap, lambda p, q, b, i, j: b * math.log(p[i] / p[j]), "reference ignored"),
    (check_reward_gap, lambda p, q, b, i, j: b * math.log(p[i] / q[i]), "one reward"),
    (check_reward_gap, lambda p, q, b, i, j: b * (p[i] / q[i] - p[j] / q[j]), "no logarithm"),
    (check_reward_gap, lambda p, q, b, i, j: 1.0, "expected"),
    (check_reward_gap, lambda p, q, b, i, j: "1", "got str"),
    (check_reward_gap, lambda p, q, b, i, j: p[9], "raised IndexError"),
]


@pytest.mark.parametrize(("check", "answer", "reason"), MISTAKES)
def test_each_mistake_on_paper_is_named(check, answer, reason):
    verdict = check(answer)
    assert not verdict
    assert reason in verdict.message
    assert "with (" in verdict.message  # the input that was used
