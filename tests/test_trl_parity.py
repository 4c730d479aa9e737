"""The installed TRL in the same process: where its losses are ours, and each place where it differs on purpose.

The trainers are real and so is their loss code. Most tests hand that code chosen log-probs in place of a
model's, so that both sides see the same numbers; the tests of `a_real_batch` run a small model through both.
A difference that a newer TRL gives up makes its test fail: then the table in lessons_lib.methods is old too.
"""

import math
import warnings
from functools import partial

import pytest
import torch
import trl
from accelerate import Accelerator
from datasets import Dataset
from torch.nn.functional import logsigmoid
from trl.trainer.utils import FusedCausalLMOutput

from lessons_lib.logps import sequence_logps
from lessons_lib.losses import dpo_loss, ipo_loss, kto_loss, kto_reference_point, orpo_loss, simpo_loss
from lessons_lib.models.making import new_model, word_level_tokenizer
from lessons_lib.training.variants import robust_dpo_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # trl.experimental announces itself
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

WORDS = ["<pad>", "<bos>", "<eos>", *"abcdefgh"]
PAIRS = [
    {"prompt": "a b", "chosen": " c d e", "rejected": " f"},
    {"prompt": "c", "chosen": " d", "rejected": " g h a b"},
]
ROWS = [{"prompt": "a b", "completion": f" {word} d", "label": word in "ace"} for word in "abcde"]
BATCH = 2


def small_model(seed):
    """Weights wide enough that probabilities are far from uniform."""
    model = new_model("gpt2", vocab_size=len(WORDS), layers=1, width=16, heads=2, max_length=32, seed=seed, eos_id=2)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(15)
    return model


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A TRL trainer of a class, on CPU in float32, for a small model."""
    tokenizer = word_level_tokenizer(WORDS, bos="<bos>", eos="<eos>", pad="<pad>")

    def build(trainer, config, rows, *references, **settings):
        common = dict(output_dir=str(tmp_path_factory.mktemp("trl")), report_to=[], use_cpu=True, bf16=False)
        arguments = config(**(common | {"per_device_train_batch_size": BATCH} | settings))
        made = trainer(
            small_model(0),
            *references,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        made.model.eval()
        return made

    return build


@pytest.fixture(scope="module")
def dpo_trainer(make):
    return make(trl.DPOTrainer, trl.DPOConfig, PAIRS, small_model(1))


@pytest.fixture(scope="module")
def kto_trainer(make):
    return make(trl.KTOTrainer, trl.KTOConfig, ROWS, small_model(1))


@pytest.fixture(scope="module")
def orpo_trainer(make):
    return make(ORPOTrainer, ORPOConfig, PAIRS)


@pytest.fixture(scope="module")
def simpo_trainer(make):
    return make(CPOTrainer, CPOConfig, PAIRS, loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0)


# ---------------------------------------------------------------- TRL's loss code on given numbers


def per_token(logps, lengths):
    """Token log-probs that sum to `logps`, all of it on the first of `lengths` response tokens, and their mask.

    One prompt token comes first, as in TRL's batches: the mask is one wider than the log-probs.
    """
    longest = max(lengths)
    mask = torch.tensor([[0] + [1] * n + [0] * (longest - n) for n in lengths])
    rest = torch.zeros(len(lengths), longest - 1, dtype=logps.dtype)
    return torch.cat([logps[:, None], rest], dim=1), mask


class GivenLogps:
    """Stands where TRL calls its model: answers with log-probs by the id that the batch is filled with."""

    def __init__(self, by_id):
        self.by_id = by_id

    def __call__(self, *, input_ids, **_):
        logps = self.by_id[int(input_ids[0, 0])]
        zeros = torch.zeros_like(logps)
        return FusedCausalLMOutput(log_probs=logps, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())


def set_knobs(monkeypatch, trainer, knobs):
    for name, value in ({"precompute_ref_logps": True} | knobs).items():
        assert hasattr(trainer, name), name
        monkeypatch.setattr(trainer, name, value)


def trl_dpo(monkeypatch, trainer, logps, lengths=None, **knobs):
    """TRL's loss, averaged over the batch, of (chosen, rejected, reference chosen, reference rejected)."""
    set_knobs(monkeypatch, trainer, knobs)
    chosen, rejected, reference_chosen, reference_rejected = logps
    lengths = lengths or [1] * 2 * len(chosen)
    tokens, mask = per_token(torch.cat([chosen, rejected]), lengths)
    batch = {
        "input_ids": torch.zeros_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": reference_chosen,
        "ref_rejected_logps": reference_rejected,
    }
    return trainer._compute_loss(GivenLogps({0: tokens}), batch, return_outputs=False)


def trl_kto(monkeypatch, trainer, logps, labels, **knobs):
    """TRL's loss and reference point of (policy, reference, policy mismatched, reference mismatched)."""
    set_knobs(monkeypatch, trainer, knobs)
    policy, reference, policy_kl, reference_kl = logps
    tokens, mask = per_token(policy, [1] * len(policy))
    kl_tokens, _ = per_token(policy_kl, [1] * len(policy))
    batch = {"label": labels, "ref_logps": reference, "ref_KL_logps": reference_kl}
    for prefix, fill in (("", 0), ("KL_", 1)):
        batch[f"{prefix}input_ids"] = torch.full_like(mask, fill)
        batch[f"{prefix}attention_mask"] = torch.ones_like(mask)
        batch[f"{prefix}completion_mask"] = mask
    loss = trainer._compute_loss(GivenLogps({0: tokens, 1: kl_tokens}), batch, return_outputs=False)
    return loss, trainer._metrics["eval"]["kl"][-1]


def random_logps(columns, rows=6, seed=0, low=-60.0, high=0.0):
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(columns, rows, generator=generator, dtype=torch.float64) * (high - low) + low
    return [column.clone().requires_grad_() for column in draws]


def assert_same_loss_and_slopes(ours, theirs, tensors, rel=1e-12):
    assert theirs.item() == pytest.approx(ours.item(), rel=rel)
    for mine, other in zip(torch.autograd.grad(ours, tensors), torch.autograd.grad(theirs, tensors), strict=True):
        torch.testing.assert_close(other, mine, rtol=max(rel, 1e-12), atol=1e-14)


# ---------------------------------------------------------------- where TRL agrees


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5])
def test_dpo_agrees(monkeypatch, dpo_trainer, beta):
    logps = random_logps(4)
    theirs = trl_dpo(monkeypatch, dpo_trainer, logps, beta=beta, loss_types=["sigmoid"])
    assert_same_loss_and_slopes(dpo_loss(*logps, beta=beta).losses.mean(), theirs, logps[:2])


@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_ipo_agrees_on_averaged_log_probs(monkeypatch, dpo_trainer, tau):
    """TRL divides each log-ratio by its length; so do we, when called with averaged arguments."""
    logps, lengths = random_logps(4, rows=3), [3, 1, 7, 2, 5, 4]
    theirs = trl_dpo(monkeypatch, dpo_trainer, logps, lengths, beta=tau, loss_types=["ipo"])
    chosen_lengths, rejected_lengths = torch.tensor(lengths).chunk(2)
    averaged = [x / n for x, n in zip(logps, [chosen_lengths, rejected_lengths] * 2, strict=True)]
    assert_same_loss_and_slopes(ipo_loss(*averaged, tau=tau).losses.mean(), theirs, logps[:2])


@pytest.mark.parametrize("labels", [[1, 0, 1, 1, 0, 0], [1] * 6, [0] * 6], ids=["mixed", "all up", "all down"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kto_agrees(monkeypatch, kto_trainer, labels, seed):
    logps, labels = random_logps(4, seed=seed), torch.tensor(labels).bool()
    knobs = dict(beta=0.1, desirable_weight=1.3, undesirable_weight=0.7)
    theirs, their_kl = trl_kto(monkeypatch, kto_trainer, logps, labels, **knobs)
    kl = kto_reference_point(*logps[2:])
    assert their_kl == pytest.approx(kl.item(), rel=1e-12)
    assert_same_loss_and_slopes(kto_loss(*logps[:2], labels, kl, **knobs).losses.mean(), theirs, logps[:1], rel=1e-9)


def test_kto_agrees_on_a_negative_mean(monkeypatch, kto_trainer):
    lower, higher = torch.full((4,), -9.0), torch.full((4,), -5.0)
    labels = torch.tensor([True, False, True, False])
    theirs, their_kl = trl_kto(monkeypatch, kto_trainer, [lower, higher, lower, higher], labels, beta=0.1)
    assert their_kl == kto_reference_point(lower, higher).item() == 0.0
    assert theirs.item() == pytest.approx(kto_loss(lower, higher, labels, 0.0, beta=0.1).losses.mean().item())


@pytest.mark.parametrize("lam", [0.1, 0.5, 1.0])
def test_orpo_odds_ratio_agrees(monkeypatch, orpo_trainer, lam):
    """TRL returns λ log σ, to be subtracted from the NLL, and computes in float32 whatever comes in."""
    monkeypatch.setattr(orpo_trainer, "beta", lam)
    chosen, rejected = random_logps(2, rows=20, low=-6.0, high=-0.01)
    theirs = -orpo_trainer.odds_ratio_loss(chosen, rejected)[0]
    ours = orpo_loss(chosen, rejected, torch.zeros_like(chosen), lam=lam)
    torch.testing.assert_close(theirs, ours.losses.float(), rtol=1e-4, atol=1e-6)
    rewards = orpo_trainer.odds_ratio_loss(chosen, rejected)[1:3]
    for their_reward, our_reward in zip(rewards, ours[1:], strict=True):
        torch.testing.assert_close(their_reward, our_reward.float())


@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 1.0), (2.5, 0.3), (10.0, 3.0)])
def test_simpo_agrees_with_gamma_itself(monkeypatch, simpo_trainer, beta, gamma):
    """TRL's simpo_gamma is γ: it divides by β and multiplies again. The authors' code takes γ/β."""
    monkeypatch.setattr(simpo_trainer, "beta", beta)
    monkeypatch.setattr(simpo_trainer, "simpo_gamma", gamma)
    tensors = random_logps(2, rows=20, low=-6.0)
    theirs, *their_rewards = simpo_trainer.cpo_loss(*tensors)
    ours = simpo_loss(*tensors, beta=beta, gamma=gamma)
    assert_same_loss_and_slopes(ours.losses.mean(), theirs.mean(), tensors)
    for their_reward, our_reward in zip(their_rewards, ours[1:], strict=True):
        torch.testing.assert_close(their_reward, our_reward)
    ratio = simpo_loss(*tensors, beta=beta, gamma=gamma / beta).losses
    assert (ratio - theirs).abs().max() > 0.1


# ---------------------------------------------------------------- the same model and batch through both


def a_real_batch(trainer):
    return next(iter(trainer.get_train_dataloader()))


def our_logps(model, ids, attention_mask, labels, **kwargs):
    return sequence_logps(model(ids, attention_mask=attention_mask).logits, labels, **kwargs)


def completion_logps(model, batch, prefix=""):
    ids, mask = batch[f"{prefix}input_ids"], batch[f"{prefix}attention_mask"]
    return our_logps(model, ids, mask, ids.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100))


def side_logps(model, batch, side, **kwargs):
    keys = (f"{side}_input_ids", f"{side}_attention_mask", f"{side}_labels")
    return our_logps(model, *(batch[key] for key in keys), **kwargs)


def assert_same_step(model, ours, theirs):
    """Loss and the gradient of every weight."""
    assert theirs.item() == pytest.approx(ours.item(), rel=1e-5)
    weights = list(model.parameters())
    for mine, other in zip(torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights), strict=True):
        torch.testing.assert_close(other, mine, rtol=1e-3, atol=1e-5)


def test_a_real_dpo_batch(dpo_trainer):
    batch, model = a_real_batch(dpo_trainer), dpo_trainer.model
    policy = completion_logps(model, batch).chunk(2)
    with torch.no_grad():
        reference = completion_logps(dpo_trainer.ref_model, batch).chunk(2)
    assert_same_step(model, dpo_loss(*policy, *reference).losses.mean(), dpo_trainer.compute_loss(model, batch))


def test_a_real_kto_batch(kto_trainer):
    batch, model, reference = a_real_batch(kto_trainer), kto_trainer.model, kto_trainer.ref_model
    with torch.no_grad():
        kl = kto_reference_point(*(completion_logps(m, batch, "KL_") for m in (model, reference)))
        reference_logps = completion_logps(reference, batch)
    ours = kto_loss(completion_logps(model, batch), reference_logps, batch["label"].bool(), kl).losses.mean()
    assert_same_step(model, ours, kto_trainer.compute_loss(model, batch))


def test_a_real_simpo_batch(simpo_trainer):
    batch, model = a_real_batch(simpo_trainer), simpo_trainer.model
    chosen, rejected = (side_logps(model, batch, side, average=True) for side in ("chosen", "rejected"))
    assert_same_step(model, simpo_loss(chosen, rejected).losses.mean(), simpo_trainer.compute_loss(model, batch))


def test_a_real_orpo_batch_agrees_once_its_nll_is_ours(orpo_trainer):
    """The odds-ratio part alone: the two NLLs differ, see `test_orpo_nll_covers_the_prompt_in_trl`."""
    batch, model = a_real_batch(orpo_trainer), orpo_trainer.model
    chosen, rejected = (side_logps(model, batch, side, average=True) for side in ("chosen", "rejected"))
    their_nll = orpo_trainer.concatenated_forward(model, batch)[4]
    ours = orpo_loss(chosen, rejected, torch.zeros_like(chosen)).losses.mean()
    assert_same_step(model, ours, orpo_trainer.compute_loss(model, batch) - their_nll)


# ---------------------------------------------------------------- where TRL differs on purpose, each by name


def test_ipo_sums_here_and_averages_in_trl(monkeypatch, dpo_trainer):
    """One token that gained 0.5 nats against a thousand that lost 1: the paper's 12.25, TRL's 20.24."""
    logps = [torch.tensor([x], dtype=torch.float64) for x in (0.5, -1.0, 0.0, 0.0)]
    theirs = trl_dpo(monkeypatch, dpo_trainer, logps, [1, 1000], beta=0.1, loss_types=["ipo"])
    assert ipo_loss(*logps, tau=0.1).losses.item() == pytest.approx(12.25)
    assert theirs.item() == pytest.approx(20.241, abs=1e-3)


def test_label_smoothing_is_ignored_by_trls_sigmoid_loss(monkeypatch, dpo_trainer):
    logps = random_logps(4)
    smoothed = trl_dpo(monkeypatch, dpo_trainer, logps, beta=0.1, loss_types=["sigmoid"], label_smoothing=0.3)
    assert smoothed.item() == pytest.approx(dpo_loss(*logps, beta=0.1).losses.mean().item(), rel=1e-12)
    assert smoothed.item() != pytest.approx(
        dpo_loss(*logps, beta=0.1, label_smoothing=0.3).losses.mean().item(), rel=0.1
    )


def test_robust_in_trl_is_another_loss_and_unbounded_below(monkeypatch, dpo_trainer):
    """((1−ε)ℓ(z) − εℓ(−z)) / (1−2ε) falls for ever with z; the conservative (1−ε)ℓ(z) + εℓ(−z) never goes below 0."""
    logps = [torch.tensor([x], dtype=torch.float64) for x in (1000.0, 0.0, 0.0, 0.0)]
    z, e = torch.tensor(100.0, dtype=torch.float64), 0.2
    theirs = trl_dpo(monkeypatch, dpo_trainer, logps, beta=0.1, loss_types=["robust"], label_smoothing=e)
    robust = (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)
    assert theirs.item() == pytest.approx(robust.item()) and theirs < -30
    assert dpo_loss(*logps, beta=0.1, label_smoothing=e).losses.item() == pytest.approx(20.0)
    assert robust_dpo_loss(*logps, beta=0.1, flip_rate=e).losses.item() == pytest.approx(theirs.item())


def test_kto_keeps_its_digits_here_and_rounds_to_zero_in_trl(monkeypatch, kto_trainer):
    """z = 20 in float32: 1 − sigmoid(20) is exactly 0, sigmoid(−20) is e⁻²⁰; its gradient is lost with it."""
    policy, reference = torch.tensor([-1.0, -1.0]), torch.tensor([-201.0, -201.0])
    up = torch.tensor([True, True])
    theirs, _ = trl_kto(monkeypatch, kto_trainer, [policy, reference, reference, reference], up, beta=0.1)
    assert theirs.item() == 0.0
    assert kto_loss(policy, reference, up, 0.0, beta=0.1).losses.tolist() == pytest.approx([math.exp(-20)] * 2)


def test_kto_nan_shows_here_and_is_averaged_away_in_trl(monkeypatch, kto_trainer):
    policy, reference = torch.tensor([-1.0, math.nan]), torch.tensor([-1.0, -1.0])
    up = torch.tensor([True, True])
    theirs, _ = trl_kto(monkeypatch, kto_trainer, [policy, reference, reference, reference], up, beta=0.1)
    assert theirs.item() == 0.5
    assert math.isnan(kto_loss(policy, reference, up, 0.0, beta=0.1).losses.mean().item())


def test_kto_mismatched_pairs_are_fixed_in_trl(kto_trainer):
    """Each prompt gets the response before it, within fixed blocks of one batch, in the order of the file."""
    table = kto_trainer.train_dataset
    responses, mismatched = table["completion_ids"], table["KL_completion_ids"]
    for start in range(0, len(ROWS), BATCH):
        block = list(responses[start : start + BATCH])
        assert list(mismatched[start : start + BATCH]) == block[-1:] + block[:-1]
    assert kto_trainer.args.train_sampling_strategy == "sequential"


def test_kto_last_row_of_an_odd_file_is_its_own_mismatch_in_trl(kto_trainer):
    """Five rows in blocks of two: for the fifth, z₀ is estimated on the matched pair."""
    last = kto_trainer.train_dataset[len(ROWS) - 1]
    assert last["KL_completion_ids"] == last["completion_ids"]


def test_kto_refuses_a_batch_of_one_in_trl(make):
    with pytest.raises(ValueError, match=r"batch size must be > 1"):
        make(trl.KTOTrainer, trl.KTOConfig, ROWS, small_model(1), per_device_train_batch_size=1)
    Accelerator(cpu=True)  # the configuration had cleared the state that all trainers share


def test_orpo_near_certainty_is_nan_in_trl(orpo_trainer):
    """Averaged log-probs closer to 0 than about 3e-8 in float32: P rounds to 1 in the branch that is not taken.

    Processors differ in the last bit of `exp`, so the edge itself is not asked for.
    """
    near = torch.tensor([-1e-8, -1.5e-8, 0.0], requires_grad=True)
    other, nll = torch.full((3,), -1.0), torch.zeros(3)
    theirs = torch.autograd.grad(orpo_trainer.odds_ratio_loss(near, other)[0].sum(), near)[0]
    ours = torch.autograd.grad(orpo_loss(near, other, nll).losses.sum(), near)[0]
    assert torch.isnan(theirs).all()
    assert torch.isfinite(ours).all()
    safe = torch.tensor([-1.2e-7], requires_grad=True)  # and so it is no accident of the sum
    assert torch.isfinite(torch.autograd.grad(orpo_trainer.odds_ratio_loss(safe, other[:1])[0].sum(), safe)[0]).all()


def test_orpo_certain_rejected_response_is_infinite_in_trl(orpo_trainer):
    certain, other = torch.tensor([0.0]), torch.tensor([-1.0])
    assert orpo_trainer.odds_ratio_loss(other, certain)[0].item() == -math.inf
    assert torch.isfinite(orpo_loss(other, certain, torch.zeros(1)).losses).all()


def test_orpo_nll_covers_the_prompt_in_trl(orpo_trainer):
    """TRL: the mean over all tokens of the batch, prompts too. Here: the response's tokens, per example."""
    batch, model = a_real_batch(orpo_trainer), orpo_trainer.model
    theirs = orpo_trainer.concatenated_forward(model, batch)[4].item()
    ids, mask = batch["chosen_input_ids"], batch["chosen_attention_mask"]
    everything = ids.masked_fill(mask == 0, -100)
    tokens = (mask.sum(1) - 1).sum()
    assert theirs == pytest.approx(-our_logps(model, ids, mask, everything).sum().item() / tokens.item(), rel=1e-5)
    response_only = -side_logps(model, batch, "chosen", average=True).mean().item()
    assert abs(theirs - response_only) > 0.05


def test_simpo_adds_an_nll_unless_cpo_alpha_is_zero_in_trl(monkeypatch, simpo_trainer):
    batch, model = a_real_batch(simpo_trainer), simpo_trainer.model
    plain = simpo_trainer.compute_loss(model, batch).item()
    monkeypatch.setattr(simpo_trainer, "cpo_alpha", CPOConfig.cpo_alpha)
    mixed = simpo_trainer.compute_loss(model, batch).item()
    labels = batch["chosen_labels"]
    logps = side_logps(model, batch, "chosen").sum() / (labels[:, 1:] != -100).sum()
    assert mixed - plain == pytest.approx(-logps.item(), rel=1e-4)


@pytest.mark.parametrize("trainer", [ORPOTrainer, CPOTrainer])
def test_bf16_logits_are_summed_in_bf16_by_trls_orpo_and_cpo(trainer):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 501, 32, generator=generator).bfloat16()
    labels = torch.randint(32, (1, 501), generator=generator)
    exact = sequence_logps(logits.double(), labels).item()
    theirs, ours = trainer.get_batch_logps(logits, labels), sequence_logps(logits, labels)
    assert (theirs.dtype, ours.dtype) == (torch.bfloat16, torch.float32)
    assert abs(theirs.item() - exact) > 0.5 > 1e-3 > abs(ours.item() - exact)


def test_bf16_models_are_scored_in_float32_by_trls_dpo_as_here(make):
    """No difference any more: TRL's fused head, which DPO and KTO use, answers in float32."""
    trainer = make(trl.DPOTrainer, trl.DPOConfig, PAIRS, small_model(1))
    trainer.model.bfloat16()
    batch = a_real_batch(trainer)
    ids = batch["input_ids"]
    out = trainer.model(ids, attention_mask=batch["attention_mask"], labels=ids, fused_lm_head=True)
    assert out.log_probs.dtype == torch.float32


@pytest.mark.parametrize("trainer", [ORPOTrainer, CPOTrainer])
def test_nan_at_a_pad_position_poisons_the_row_in_trls_orpo_and_cpo(trainer):
    """They mask by multiplication, and NaN · 0 is NaN."""
    logits = torch.zeros(1, 4, 5)
    logits[0, 2:] = math.nan  # predicts the pad at position 3; the response is at 1 and 2
    labels = torch.tensor([[-100, 2, 1, -100]])
    assert math.isnan(trainer.get_batch_logps(logits, labels).item())
    assert sequence_logps(logits, labels).item() == pytest.approx(2 * math.log(1 / 5))


@pytest.mark.parametrize("trainer", [ORPOTrainer, CPOTrainer])
def test_an_empty_response_raises_here_and_is_zero_or_nan_in_trl(trainer):
    logits, labels = torch.zeros(1, 3, 5), torch.full((1, 3), -100)
    assert trainer.get_batch_logps(logits, labels).item() == 0.0
    assert math.isnan(trainer.get_batch_logps(logits, labels, average_log_prob=True).item())
    with pytest.raises(ValueError, match="at least one response token"):
        sequence_logps(logits, labels)


def test_column_against_row_raises_here_and_broadcasts_in_trl(simpo_trainer):
    row, column = torch.tensor([-1.0, -2.0]), torch.tensor([[-1.0], [-2.0]])
    assert simpo_trainer.cpo_loss(row, column)[0].shape == (2, 2)
    with pytest.raises(ValueError, match=r"\(2,\), got \(2, 1\)"):
        simpo_loss(row, column)


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_cpos_label_smoothing_is_the_conservative_one(monkeypatch, simpo_trainer, epsilon):
    """Unlike DPOTrainer's `sigmoid`, CPOTrainer does smooth, in the form that our DPO has."""
    monkeypatch.setattr(simpo_trainer, "label_smoothing", epsilon)
    chosen, rejected = random_logps(2, low=-6.0)
    shifted = chosen - simpo_trainer.simpo_gamma / simpo_trainer.beta
    zeros = torch.zeros_like(chosen)
    ours = partial(dpo_loss, beta=simpo_trainer.beta, label_smoothing=epsilon)
    torch.testing.assert_close(
        simpo_trainer.cpo_loss(chosen, rejected)[0], ours(shifted, rejected, zeros, zeros).losses
    )
