"""Log-probs of responses: against a slow loop and transformers' own loss, padding on either side, dtypes, errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from lessons_lib import logps as library
from lessons_lib.logps import IGNORE_INDEX, in_tiles, response_token_logps, sequence_logps, target_logps

X = IGNORE_INDEX
PAD = 3  # also a real token of the vocabulary
VOCABULARY = 7


def random_logits(rows, length, *, dtype=torch.float64, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(rows, length, VOCABULARY, generator=generator, dtype=torch.float64)).to(dtype)


def slow_logps(logits, labels, average=False):
    """Position by position, in Python floats."""
    rows = []
    for row_logits, row_labels in zip(logits.tolist(), labels.tolist(), strict=True):
        values = []
        for t in range(1, len(row_labels)):
            if row_labels[t] != X:
                before = row_logits[t - 1]  # the logits at t − 1 predict the token at t
                top = max(before)
                values.append(before[row_labels[t]] - top - math.log(sum(math.exp(x - top) for x in before)))
        rows.append(sum(values) / len(values) if average else sum(values))
    return torch.tensor(rows, dtype=torch.float64)


# ---------------------------------------------------------------- landmarks and their mistakes

UNIFORM = torch.zeros(1, 5, 4)  # over 4 tokens: log(1/4) = −1.3863 each
TWO_TOKENS = torch.tensor([[X, X, 2, 1, X]])
# One certain token (logits 60 against 0) and one of even odds, so that the two positions differ.
UNEVEN = torch.tensor([[[0.0, 0.0], [60.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
BOTH = torch.tensor([[X, X, 0, 0]])
FIRST_WRONG = torch.tensor([[X, X, 1, 0]])


def misses(function):
    """Which of the landmarks a `sequence_logps` misses."""
    landmarks = [
        # what                                 call                                           expected
        ("two of four uniform tokens", function(UNIFORM, TWO_TOKENS), 2 * math.log(1 / 4)),
        ("their average", function(UNIFORM, TWO_TOKENS, average=True), math.log(1 / 4)),
        ("a certain token and an even one", function(UNEVEN, BOTH), math.log(1 / 2)),
        ("their average", function(UNEVEN, BOTH, average=True), math.log(1 / 2) / 2),
        ("the certain one missed", function(UNEVEN, FIRST_WRONG), math.log(1 / 2) - 60),
    ]
    return [what for what, got, expected in landmarks if got.tolist() != pytest.approx([expected], rel=1e-6)]


def without_shift(logits, labels, *, average=False):
    mask = labels != X
    values = logits.log_softmax(-1).gather(2, labels.clamp(min=0)[..., None])[..., 0] * mask
    return values.sum(1) / mask.sum(1) if average else values.sum(1)


def shifted_the_other_way(logits, labels, *, average=False):
    mask = (labels != X)[:, :-1]
    values = logits[:, 1:].log_softmax(-1).gather(2, labels[:, :-1].clamp(min=0)[..., None])[..., 0] * mask
    return values.sum(1) / mask.sum(1) if average else values.sum(1)


MISTAKES = {
    "averaged where summed": lambda logits, labels, *, average=False: sequence_logps(logits, labels, average=True),
    "summed where averaged": lambda logits, labels, *, average=False: sequence_logps(logits, labels),
    "divided by the padded length": lambda logits, labels, *, average=False: (
        sequence_logps(logits, labels) / (labels.shape[1] if average else 1)
    ),
    "probabilities for log-probs": lambda logits, labels, *, average=False: sequence_logps(
        logits, labels, average=average
    ).exp(),
    "not shifted": without_shift,
    "shifted the other way": shifted_the_other_way,
    "ignored tokens count as id 0": lambda logits, labels, *, average=False: sequence_logps(
        logits, labels.clamp(min=0), average=average
    ),
}


def test_landmarks():
    assert misses(sequence_logps) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_misses_a_landmark(name):
    assert misses(MISTAKES[name])


# ---------------------------------------------------------------- oracles


@pytest.mark.parametrize("average", [False, True], ids=["sum", "average"])
@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_agrees_with_a_slow_loop(average, seed, data):
    rows, length = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 9))
    token = st.one_of(st.just(X), st.integers(0, VOCABULARY - 1))
    labels = torch.tensor(
        data.draw(st.lists(st.lists(token, min_size=length, max_size=length), min_size=rows, max_size=rows))
    )
    labels[:, -1] = data.draw(st.integers(0, VOCABULARY - 1))  # no row is empty
    logits = random_logits(rows, length, seed=seed)
    torch.testing.assert_close(
        sequence_logps(logits, labels, average=average), slow_logps(logits, labels, average), rtol=1e-12, atol=1e-12
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
        )
    ).eval()


IDS = torch.tensor([[1, 4, 2, 5, 6], [2, 2, 3, 3, 1]])
LABELS = torch.tensor([[X, X, 2, 5, 6], [X, 2, 3, 3, X]])


@pytest.mark.parametrize("row", [0, 1])
def test_average_is_the_loss_of_transformers(model, row):
    """`model(labels=…)` shifts the labels by one and averages over response tokens; so do we."""
    with torch.no_grad():
        out = model(IDS[row : row + 1], labels=LABELS[row : row + 1])
    assert sequence_logps(out.logits, LABELS[row : row + 1], average=True).item() == pytest.approx(
        -out.loss.item(), rel=1e-5
    )


def test_gradient_is_that_of_transformers(model):
    ours = torch.autograd.grad(
        -sequence_logps(model(IDS[:1]).logits, LABELS[:1], average=True).sum(), model.lm_head.weight
    )[0]
    theirs = torch.autograd.grad(model(IDS[:1], labels=LABELS[:1]).loss, model.lm_head.weight)[0]
    torch.testing.assert_close(ours, theirs)


# ---------------------------------------------------------------- padding


def pad(prompts, responses, side):
    """Ids, attention mask and labels of ragged rows; labels come from lengths, not from `id == pad`."""
    length = max(len(p) + len(r) for p, r in zip(prompts, responses, strict=True))
    ids, mask, labels = [], [], []
    for prompt, response in zip(prompts, responses, strict=True):
        extra = length - len(prompt) - len(response)
        row = [prompt + response, [1] * (length - extra), [X] * len(prompt) + response]
        for out, values, fill in zip((ids, mask, labels), row, (PAD, 0, X), strict=True):
            out.append([fill] * extra + values if side == "left" else values + [fill] * extra)
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


def padded_logps(model, prompts, responses, side, **kwargs):
    ids, mask, labels = pad(prompts, responses, side)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, position_ids=positions).logits
    return sequence_logps(logits, labels, **kwargs)


# A pad id inside prompts and responses, one-token prompts and one-token responses.
PROMPTS = [[1, 2, 4], [5], [PAD], [6, PAD, 1, 2]]
RESPONSES = [[5, PAD, 6], [2, 1], [PAD, PAD, 4, PAD], [PAD]]


@pytest.mark.parametrize("average", [False, True], ids=["sum", "average"])
def test_padding_on_either_side_is_no_padding(model, average):
    alone = torch.cat(
        [
            padded_logps(model, [prompt], [response], "right", average=average)
            for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
        ]
    )
    for side in ("left", "right"):
        together = padded_logps(model, PROMPTS, RESPONSES, side, average=average)
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_a_pad_id_that_is_a_real_token_counts(model):
    """The last response is the pad token alone: a mask by `id == pad` would call it empty."""
    ids, _, labels = pad(PROMPTS, RESPONSES, "right")
    assert response_token_logps(torch.zeros(*ids.shape, VOCABULARY), labels)[1].sum(1).tolist() == [3, 2, 4, 1]
    by_id = labels.masked_fill(ids == PAD, X)
    with pytest.raises(ValueError, match=r"rows \[3\]"):
        sequence_logps(torch.zeros(*ids.shape, VOCABULARY), by_id)


def test_one_token_prompt_and_response():
    logits = random_logits(1, 2)
    expected = logits[0, 0].log_softmax(0)[4]
    for average in (False, True):
        assert sequence_logps(logits, torch.tensor([[X, 4]]), average=average).item() == pytest.approx(expected.item())


def test_another_ignore_index():
    logits, labels = random_logits(1, 4), torch.tensor([[X, X, 2, 5]])
    other = labels.masked_fill(labels == X, -1)
    assert sequence_logps(logits, other, ignore_index=-1) == sequence_logps(logits, labels)


# ---------------------------------------------------------------- dtypes and poison


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_accumulates_in_float32(dtype):
    """A thousand tokens of bf16 logits: summed in bf16 the result would be off by several nats."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1001, 32, generator=generator).to(dtype)
    labels = torch.randint(32, (1, 1001), generator=generator)
    labels[0, 0] = X
    got = sequence_logps(logits, labels)
    exact = sequence_logps(logits.double(), labels)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(exact.item(), rel=1e-6)
    if dtype == torch.bfloat16:
        rounded = logits[:, :-1].log_softmax(-1).gather(2, labels[:, 1:, None]).sum()
        assert abs(rounded.item() - exact.item()) > 1


def test_float64_stays_float64():
    assert sequence_logps(random_logits(2, 3), torch.tensor([[X, 1, 2], [X, X, 0]])).dtype == torch.float64


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("average", [False, True], ids=["sum", "average"])
def test_poison_at_pad_and_prompt_positions_touches_neither_value_nor_gradient(poison, average):
    labels = torch.tensor([[X, X, 2, 5, X, X], [X, X, X, X, 1, 0]])  # right- and left-padded
    clean = random_logits(2, 6)
    is_read = torch.zeros(2, 6, dtype=torch.bool)
    is_read[:, :-1] = labels[:, 1:] != X
    dirty = clean.masked_fill(~is_read[..., None], poison).requires_grad_()
    clean.requires_grad_()
    for logits in (clean, dirty):
        sequence_logps(logits, labels, average=average).sum().backward()
    assert torch.equal(sequence_logps(dirty, labels, average=average), sequence_logps(clean, labels, average=average))
    assert torch.equal(dirty.grad, clean.grad)
    assert torch.isfinite(dirty.grad).all() and (dirty.grad[~is_read] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_do_not_overflow(dtype):
    logits = torch.tensor([[[1e4, 1e4 - 1, -1e4], [0.0, 0.0, 0.0]]], dtype=dtype, requires_grad=True)
    logps = sequence_logps(logits, torch.tensor([[X, 1]]))
    # As good as the logits: the spacing of float32 numbers near 1e4 is 1e-3.
    assert logps.item() == pytest.approx(-1 - math.log1p(math.exp(-1)), abs=2e4 * torch.finfo(dtype).eps)
    assert torch.isfinite(torch.autograd.grad(logps.sum(), logits)[0]).all()


def test_a_forbidden_token_elsewhere_is_harmless():
    """−inf logits, as masked generation leaves them, at tokens that were not chosen."""
    logits = torch.zeros(1, 2, 4)
    logits[0, 0, 3] = -math.inf
    assert sequence_logps(logits, torch.tensor([[X, 1]])).item() == pytest.approx(math.log(1 / 3))


# ---------------------------------------------------------------- errors, and the parts


@pytest.mark.parametrize(
    "labels",
    [
        [[X, 1, 2], [X, X, X]],  # no response at all
        [[X, 1, 2], [4, X, X]],  # its only token has no logits before it
    ],
)
def test_an_empty_response_raises(labels):
    with pytest.raises(ValueError, match=r"at least one response token.*rows \[1\] have none; drop"):
        sequence_logps(random_logits(2, 3), torch.tensor(labels))


@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (2,), (2, 3, 1)])
def test_shapes_that_do_not_fit_raise(shape):
    with pytest.raises(
        ValueError, match=r"logits \(batch, length, vocabulary\) and labels \(batch, length\), got \(2, 3, 7\)"
    ):
        sequence_logps(random_logits(2, 3), torch.zeros(shape, dtype=torch.long))


def test_logits_without_a_batch_raise():
    with pytest.raises(ValueError, match=r"got \(3, 7\) and \(3,\)"):
        sequence_logps(random_logits(1, 3)[0], torch.zeros(3, dtype=torch.long))


def test_token_logps_are_zero_outside_the_response():
    labels = torch.tensor([[X, X, 2, 5, X]])
    logits = random_logits(1, 5)
    token_logps, is_response = response_token_logps(logits, labels)
    assert is_response.tolist() == [[False, True, True, False]]
    assert token_logps[~is_response].tolist() == [0.0, 0.0]
    torch.testing.assert_close(token_logps.sum(1), sequence_logps(logits, labels))


@pytest.mark.parametrize("tile", [1, 3 * VOCABULARY, 2**25])
def test_a_table_in_pieces_is_the_table(tile, monkeypatch):
    """Values and gradients, in pieces of one token, of three, and whole; against a softmax of the whole."""
    monkeypatch.setattr(library, "TILE", tile)
    logits = torch.randn(10, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets, (pieces, whole) = torch.arange(10) % VOCABULARY, (logits.clone().requires_grad_() for _ in range(2))
    found = in_tiles(target_logps, pieces, targets, vocabulary=VOCABULARY)
    expected = torch.log_softmax(whole, dim=1)[torch.arange(10), targets]
    torch.testing.assert_close(found, expected)
    weights = torch.arange(10.0, dtype=torch.float64)
    (found @ weights).backward(), (expected @ weights).backward()
    torch.testing.assert_close(pieces.grad, whole.grad)


def test_every_public_function_is_in_this_file():
    public = {name for name, value in vars(library).items() if callable(value) and value.__module__ == library.__name__}
    assert public == {"sequence_logps", "response_token_logps", "target_logps", "in_tiles", "padded_batch"}


def test_padded_batch_labels_the_response_alone():
    input_ids, labels = library.padded_batch([[1, 3], [1]], [[4, 2], [0, 5, 6, 2]])
    x = library.IGNORE_INDEX
    assert input_ids.tolist() == [[1, 3, 4, 2, 0], [1, 0, 5, 6, 2]]
    assert labels.tolist() == [[x, x, 4, 2, x], [x, 0, 5, 6, 2]]
