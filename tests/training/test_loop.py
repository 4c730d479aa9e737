"""The training loop: against a loop written by hand, against itself, and against what it must refuse."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math

import pytest
import tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from lessons_lib import losses
from lessons_lib.errors import UserError
from lessons_lib.methods import METHODS
from lessons_lib.training import scoring
from lessons_lib.training.collation import plan_batches, tokenize_rows
from lessons_lib.training.config import TrainConfig, objective_for
from lessons_lib.training.loop import example_metrics, learning_rate_factor, loss_tensors, train

EVERY = (*METHODS, "sft")
SHORT = TrainConfig(batch_size=8, max_steps=8, learning_rate=1e-3, warmup_steps=2)


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch):
    monkeypatch.setattr(scoring, "_memory", {})


def run(method="dpo", config=SHORT, *, model=None, n=24, **options):
    model = model or tiny.model()
    return train(model, tiny.rows_for(method, n), method, config, tokenizer=tiny.tokenizer(), progress=False, **options)


def weights(model) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


# --- against a loop written by hand ---------------------------------------------------------------------------------


def logp(model, prompt, response):
    logits = model(torch.tensor([prompt + response])).logits[0].log_softmax(dim=-1)
    return logits[torch.arange(len(response)) + len(prompt) - 1, torch.tensor(response)].sum()


def by_hand(method: str, model, data, steps: int) -> list[float]:
    """The losses of `steps` full-batch steps: one row at a time, the reference alive, no padding, no accelerate."""
    reference = copy.deepcopy(model)
    columns = {"kto": ("completion",), "sft": ("chosen",)}.get(method, ("chosen", "rejected"))
    rows = tokenize_rows(data, columns, tiny.tokenizer())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.0)
    batches = plan_batches([1] * len(rows), batch_size=len(rows), steps=steps)
    seen = []
    for step, order in enumerate((batch.rows for batch in batches), start=1):

        def scores(of, column, shift=0, order=order):
            responses = [rows.responses[column][i] for i in order]
            responses = responses[shift:] + responses[:shift]
            return torch.stack([logp(of, rows.prompts[i], r) for i, r in zip(order, responses, strict=True)])

        policy = {column: scores(model, column) for column in columns}
        lengths = {column: torch.tensor([len(rows.responses[column][i]) for i in order]) for column in columns}
        ref = {column: scores(reference, column).detach() for column in columns}
        if method == "dpo":
            out = losses.dpo_loss(policy["chosen"], policy["rejected"], ref["chosen"], ref["rejected"]).losses
        elif method == "ipo":
            out = losses.ipo_loss(policy["chosen"], policy["rejected"], ref["chosen"], ref["rejected"]).losses
        elif method == "kto":
            z0 = (scores(model, "completion", 1) - scores(reference, "completion", 1)).mean().clamp(min=0).detach()
            out = losses.kto_loss(policy["completion"], ref["completion"], rows.labels[order], z0).losses
        else:
            chosen = policy["chosen"] / lengths["chosen"]
            if method == "sft":
                out = -chosen
            else:
                rejected = policy["rejected"] / lengths["rejected"]
                out = (
                    losses.simpo_loss(chosen, rejected)
                    if method == "simpo"
                    else losses.orpo_loss(chosen, rejected, -chosen)
                ).losses
        out.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = 1e-3 * (step / 2 if step <= 2 else (steps - step + 1) / (steps - 2))
        optimizer.step()
        optimizer.zero_grad()
        seen.append(out.mean().item())
    return seen


@pytest.mark.parametrize("method", EVERY)
def test_first_losses_equal_a_loop_written_by_hand(method):
    data, start = tiny.rows_for(method, 8), tiny.model().double()
    config = dataclasses.replace(SHORT, max_steps=6)
    model = copy.deepcopy(start)
    ours = train(model, data, method, config, tokenizer=tiny.tokenizer(), progress=False).history["loss"]
    expected = by_hand(method, start, data, steps=6)
    assert ours.tolist() == pytest.approx(expected, abs=1e-6)
    assert abs(expected[-1] - expected[0]) > 1e-4  # the losses moved, so that the steps were compared too
    for a, b in zip(model.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


# --- what it learns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EVERY)
def test_each_method_learns_a_task_with_an_obvious_answer(method):
    config = TrainConfig(batch_size=16, max_steps=40, learning_rate=5e-3)
    history = run(method, config, n=64).history
    start, end = history.iloc[:3].mean(), history.iloc[-3:].mean()
    assert end["loss"] < start["loss"]
    if method == "sft":
        assert end["nll_loss"] < start["nll_loss"] - 0.5 and end["logps/chosen"] > start["logps/chosen"]
        return
    assert end["rewards/margins"] > start["rewards/margins"] + 0.05
    assert end["logps/chosen"] - end["logps/rejected"] > start["logps/chosen"] - start["logps/rejected"] + 1
    if method != "kto":
        assert end["rewards/accuracies"] > 0.95


def test_the_history_speaks_trls_names():
    common = ["step", "epoch", "loss", "rewards/chosen", "logps/chosen", "rewards/rejected", "logps/rejected"]
    tail = ["rewards/margins", "grad_norm", "learning_rate"]
    assert set(run("dpo").history) == {*common, *tail, "rewards/accuracies", "nll_loss"}
    assert set(run("kto").history) == {*common, *tail, "kl"}
    assert set(run("sft").history) == {
        "step",
        "epoch",
        "loss",
        "logps/chosen",
        "nll_loss",
        "grad_norm",
        "learning_rate",
    }
    history = run("dpo").history
    assert history["step"].tolist() == list(range(1, 9)) and history["epoch"].iloc[2] == 1.0
    first = history.iloc[0]
    assert first["loss"] == pytest.approx(math.log(2)) and first["rewards/margins"] == pytest.approx(0, abs=1e-6)


def test_metrics_are_means_over_the_batch():
    model, data = tiny.model().double(), tiny.thumbs(5)
    rows = tokenize_rows(data, ("completion",), tiny.tokenizer())
    expected = scoring.response_logps(copy.deepcopy(model), rows)["completion"]
    first = train(
        model, data, "kto", dataclasses.replace(SHORT, max_steps=1), tokenizer=tiny.tokenizer(), progress=False
    ).history.iloc[0]
    assert first["logps/chosen"] == pytest.approx(expected[rows.labels].mean().item())
    assert first["logps/rejected"] == pytest.approx(expected[~rows.labels].mean().item())
    assert first["rewards/chosen"] == pytest.approx(0) and first["kl"] == pytest.approx(0)


def test_an_anchor_holds_the_chosen_response_up():
    config = TrainConfig(batch_size=16, max_steps=40, learning_rate=5e-3)
    free = run("dpo", config, n=64).history
    held = run("dpo", dataclasses.replace(config, nll_weight=2.0), n=64).history
    assert held["nll_loss"].iloc[-3:].mean() < free["nll_loss"].iloc[-3:].mean() - 0.1
    assert held["loss"].iloc[0] == pytest.approx(math.log(2) + 2 * held["nll_loss"].iloc[0])


def test_averaged_dpo_is_dpo_on_averages():
    margins = {
        average: run("dpo", dataclasses.replace(SHORT, average=average)).history["rewards/margins"].iloc[-1]
        for average in (False, True)
    }
    assert 0 < margins[True] < margins[False] / 2


def test_hyperparameters_reach_the_loss():
    config = dataclasses.replace(SHORT, max_steps=1, hyperparameters={"tau": 0.5})
    assert run("ipo", config).history["loss"].iloc[0] == pytest.approx(1.0)  # (0 − 1/(2·0.5))²
    config = dataclasses.replace(SHORT, max_steps=1, batch_size=24, hyperparameters={"desirable_weight": 3.0})
    assert run("kto", config).history["loss"].iloc[0] == pytest.approx((3 + 1) / 4)


def test_sft_imitates_thumbs_up_and_refuses_thumbs_down():
    ups = [row for row in tiny.thumbs(16) if row["label"]]
    train(tiny.model(), ups, "sft", SHORT, tokenizer=tiny.tokenizer(), progress=False)
    with pytest.raises(UserError, match=r"data\[1\] is labelled False"):
        train(tiny.model(), tiny.thumbs(16), "sft", SHORT, tokenizer=tiny.tokenizer(), progress=False)


# --- what must not change the answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EVERY)
def test_the_same_seed_gives_the_same_weights(method):
    first, second = (run(method).model for _ in range(2))
    assert weights(first) == weights(second)
    other = run(method, dataclasses.replace(SHORT, seed=1)).model
    assert weights(first) != weights(other)


@pytest.mark.parametrize("method", EVERY)
def test_passes_of_a_batch_add_up_to_the_batch(method):
    whole = run(method, model=tiny.model().double())
    parts = run(method, dataclasses.replace(SHORT, rows_per_pass=3), model=tiny.model().double())
    for column in whole.history:
        assert parts.history[column].tolist() == pytest.approx(whole.history[column].tolist(), abs=1e-9), column


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_padding_side_is_irrelevant(side):
    tokenizer = tiny.tokenizer()
    tokenizer.padding_side = side
    model = train(tiny.model(), tiny.pairs(24), "dpo", SHORT, tokenizer=tokenizer, progress=False).model
    assert weights(model) == weights(run("dpo").model)


def test_dropout_stays_off():
    model = tiny.model()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.train()
    assert weights(run(model=model).model) == weights(run().model)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_cached_reference_is_a_live_one(method):
    """An explicit reference model, unlike the policy, gives what a live copy of it gives."""
    reference, policy = tiny.model(seed=7).double(), tiny.model().double()
    config = dataclasses.replace(SHORT, max_steps=1, batch_size=24)
    first = run(method, config, model=copy.deepcopy(policy), reference=reference).history.iloc[0]
    columns = ("completion",) if method == "kto" else ("chosen", "rejected")
    rows = tokenize_rows(tiny.rows_for(method, 24), columns, tiny.tokenizer())
    with torch.no_grad():
        live = {
            column: 0.1
            * (scoring.response_logps(policy, rows)[column] - scoring.response_logps(reference, rows)[column])
            for column in columns
        }
    chosen = live["completion"][rows.labels] if method == "kto" else live["chosen"]
    assert first["rewards/chosen"] == pytest.approx(chosen.mean().item(), abs=1e-9)
    assert abs(first["rewards/chosen"]) > 1e-3


def test_the_reference_is_left_as_it_was():
    reference = tiny.model(seed=7).train()
    before = weights(reference)
    run(model=tiny.model(), reference=reference)
    assert weights(reference) == before and reference.training


def test_a_method_without_a_reference_never_runs_one():
    reference = tiny.model(seed=7)
    reference.register_forward_hook(lambda *_: pytest.fail("the reference ran"))
    run("simpo", reference=reference)


def test_the_reference_runs_once_for_a_whole_study():
    model, calls = tiny.model(), []
    reference = tiny.model(seed=7)
    reference.register_forward_hook(lambda *_: calls.append(1))
    for method in ("dpo", "ipo"):
        run(method, dataclasses.replace(SHORT, rows_per_pass=2), model=copy.deepcopy(model), reference=reference)
    assert len(calls) == 3  # 24 rows, four times 2 a pass


def test_mismatched_pairs_are_mismatched(monkeypatch):
    """Every pass over mismatched pairs has the batch's prompts, and no prompt with its own response."""
    seen = []
    for name in ("response_logps", "logps_and_balance"):
        real = getattr(scoring, name)
        noted = lambda model, rows, real=real, **o: seen.append(rows) or real(model, rows, **o)  # noqa: E731
        monkeypatch.setattr(f"lessons_lib.training.loop.{name}", noted)
    words = [f"{a} {b}" for a in tiny.GOOD for b in tiny.BAD][:17]  # 17 different completions
    data = [
        {"prompt": f"<bos> {tiny.ASK[i % 8]}", "completion": f" {w}", "label": i % 3 > 0} for i, w in enumerate(words)
    ]
    train(tiny.model(), data, "kto", SHORT, tokenizer=tiny.tokenizer(), progress=False)
    mismatched = [rows for rows in seen if "mismatched" in rows.responses]
    matched = [rows for rows in seen if "completion" in rows.responses]
    assert len(mismatched) == len(matched) == 8
    assert sorted(len(rows) for rows in matched) == [8, 8, 8, 8, 9, 9, 9, 9]  # 17 = 8 + 9: no batch of one
    for wrong, right in zip(mismatched, matched, strict=True):
        assert wrong.prompts == right.prompts
        own, other = right.responses["completion"], wrong.responses["mismatched"]
        assert sorted(own) == sorted(other) and all(a != b for a, b in zip(own, other, strict=True))


# --- the schedule --------------------------------------------------------------------------------------------------


def test_schedules_rise_and_fall_as_named():
    config = TrainConfig(warmup_steps=4)
    linear = [learning_rate_factor(step, 12, config) for step in range(1, 13)]
    assert linear == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    constant = dataclasses.replace(config, schedule="constant", warmup_steps=0)
    assert {learning_rate_factor(step, 12, constant) for step in range(1, 13)} == {1.0}
    cosine = dataclasses.replace(config, schedule="cosine", warmup_steps=0)
    assert learning_rate_factor(7, 12, cosine) == pytest.approx(0.5)
    assert learning_rate_factor(1, 12, cosine) == 1.0


def test_the_history_holds_the_rates_that_were_used():
    rates = run("dpo", dataclasses.replace(SHORT, learning_rate=8e-4)).history["learning_rate"]
    assert rates.tolist() == pytest.approx([4e-4, 8e-4, 8e-4, *[8e-4 * k / 6 for k in (5, 4, 3, 2, 1)]])


# --- evaluation, devices, threads ----------------------------------------------------------------------------------


def test_evaluation_joins_the_history():
    calls = []

    def evaluate(model, step):
        calls.append(step)
        assert not model.training
        return {"gold": 10 * step}

    history = run(config=dataclasses.replace(SHORT, evaluate_every=3), evaluate=evaluate).history
    assert calls == [3, 6, 8]
    assert history["gold"].dropna().tolist() == [30.0, 60.0, 80.0]
    assert history.index[history["gold"].notna()].tolist() == [2, 5, 7]


def test_threads_and_denormals_are_restored():
    def flushes():
        return torch.tensor(1e-310, dtype=torch.float64).mul(1.0).item() == 0.0

    inside, model = [], tiny.model()  # made beforehand: a small model that is made asks for one thread as well
    torch.set_num_threads(2)
    try:
        run(model=model, evaluate=lambda model, step: inside.append((torch.get_num_threads(), flushes())) or {})
        with pytest.raises(ZeroDivisionError):
            run(model=model, evaluate=lambda model, step: 1 / 0)
        assert inside == [(1, True)] and (torch.get_num_threads(), flushes()) == (2, False)
    finally:
        torch.set_num_threads(1)


def test_no_bf16_unless_asked():
    dtypes = set()
    model = tiny.model()
    model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda module, args, output: dtypes.add(output.dtype))
    run(model=model)
    assert dtypes == {torch.float32}
    history = run(config=dataclasses.replace(SHORT, bf16=True, max_steps=2), model=model).history
    assert torch.bfloat16 in dtypes
    assert history["loss"].iloc[0] == pytest.approx(math.log(2), abs=1e-3)


def test_another_trainers_precision_does_not_slip_in():
    """accelerate keeps one state a process, and TRL's trainers set bf16 in it unless told otherwise."""
    dtypes = set()
    model = tiny.model()
    model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda module, args, output: dtypes.add(output.dtype))
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
        run(model=model)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert dtypes == {torch.float32}


@pytest.mark.parametrize("method", EVERY)
def test_tensors_follow_the_models_device(method):
    """On the "meta" device, which like a GPU refuses to mix with the CPU: nothing is left behind there."""
    objective = objective_for(method, TrainConfig())
    rows = tokenize_rows(tiny.rows_for(method, 8), objective.columns, tiny.tokenizer()).to("meta")
    logps = {column: torch.zeros(8, device="meta") for column in objective.columns}
    rows = dataclasses.replace(rows, reference=logps).select([0, 1, 2, 3, 4, 5, 6, 7])
    for average in (False, True):
        tensors = loss_tensors(logps, rows, average=average, kl=torch.zeros((), device="meta"))
        output = objective.loss(**{name: tensors[name] for name in objective.inputs})
        metrics = example_metrics(output.losses, output, tensors, logps)
        assert {tensor.device.type for tensor in metrics.values()} == {"meta"}


# --- other architectures, adapters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_folder_with_another_architecture_trains(architecture, method, tmp_path):
    from lessons_lib.models.loading import load, save

    save(tiny.model(architecture), tiny.tokenizer(), tmp_path)
    model, _ = load(tmp_path)  # for Qwen2, transformers puts its own tokenizer class over a home-made one
    config = TrainConfig(batch_size=16, max_steps=30, learning_rate=5e-3)
    result = train(model, tiny.rows_for(method, 64), method, config, tokenizer=tiny.tokenizer(), progress=False)
    assert result.model.config.model_type == architecture
    margins = result.history["rewards/margins"]
    assert margins.iloc[-3:].mean() > margins.iloc[:3].mean() + 0.05


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_adapters_learn_and_leave_the_base_alone(architecture):
    base = tiny.model(architecture)
    before = {name: parameter.clone() for name, parameter in base.named_parameters()}
    config = TrainConfig(batch_size=16, max_steps=40, learning_rate=2e-2, lora_rank=4)
    result = run("dpo", config, model=base, n=64)
    first, last = result.history.iloc[0], result.history.iloc[-1]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)  # the reference is the base
    assert last["rewards/margins"] > 0.05
    rows = tokenize_rows(tiny.pairs(8), ("chosen", "rejected"), tiny.tokenizer())
    with torch.no_grad():
        trained = scoring.response_logps(result.model, rows)["chosen"]
        with result.model.disable_adapter():
            without = scoring.response_logps(result.model, rows)["chosen"]
        original = tiny.model(architecture)
        expected = scoring.response_logps(original, rows)["chosen"]
    assert torch.equal(without, expected) and not torch.allclose(trained, expected)
    named = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): p
        for name, p in result.model.named_parameters()
    }
    assert all(torch.equal(named[name], value) for name, value in before.items())


def test_new_adapters_follow_the_seed_and_nothing_else():
    def first_adapter(global_seed, **settings):
        torch.manual_seed(global_seed)
        model = run(config=dataclasses.replace(SHORT, lora_rank=2, max_steps=1, learning_rate=1e-12, **settings)).model
        return next(p.detach().clone() for name, p in model.named_parameters() if "lora_A" in name)

    torch.testing.assert_close(first_adapter(1), first_adapter(2))
    assert not torch.allclose(first_adapter(1), first_adapter(1, seed=5))


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_diverging_run_stops_with_step_rows_and_cause():
    config = dataclasses.replace(SHORT, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(UserError, match=r"step 2: the loss is not finite; its rows are data\[.*lower learning_rate"):
        run(config=config)


def test_a_broken_model_stops_at_the_first_step():
    model = tiny.model()
    with torch.no_grad():
        model.lm_head.weight[tiny.WORDS.index("good3")] = math.nan
    with pytest.raises(UserError, match="step 1: the loss is not finite.*before any update"):
        run("simpo", model=model)
    with pytest.raises(UserError, match=r"reference: the log-prob of data\[0\]'s chosen response is nan"):
        run("dpo", model=model)


def test_only_the_rows_that_broke_are_named():
    model = tiny.model()
    with torch.no_grad():
        model.transformer.wte.weight[tiny.WORDS.index("ask5")] = math.inf
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    data = [{"prompt": f"<bos> ask{i}", "chosen": " good1", "rejected": " bad1"} for i in range(8)]
    with pytest.raises(UserError, match=r"its rows are data\[5\]\. "):
        train(model, data, "simpo", SHORT, tokenizer=tiny.tokenizer(), progress=False)


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights():
    model = tiny.model()
    before = weights(model)
    model.lm_head.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(UserError, match="step 1: the gradient is not finite"):
        run("simpo", model=model)
    assert weights(model) == before


def test_a_run_that_was_stopped_leaves_nothing_to_the_next_one():
    model = tiny.model()
    hook = model.lm_head.weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(UserError, match="gradient is not finite"):
        run("dpo", model=model)
    hook.remove()
    assert weights(run("dpo", model=model).model) == weights(run("dpo").model)


def test_progress_is_shown_when_asked_for(capsys):
    run()
    assert capsys.readouterr().err == ""
    train(tiny.model(), tiny.pairs(24), "dpo", SHORT, tokenizer=tiny.tokenizer())
    shown = capsys.readouterr().err
    assert "dpo" in shown and "8/8" in shown and "loss=" in shown


def test_coarse_weights_are_refused():
    with pytest.raises(UserError, match=r"expected float32 weights to train, got torch.bfloat16.*model.float\(\)"):
        run(model=tiny.model().bfloat16())


def test_kto_needs_two_rows_a_batch():
    with pytest.raises(UserError, match="batch_size: expected at least 2 rows"):
        run("kto", dataclasses.replace(SHORT, batch_size=1))
    with pytest.raises(UserError, match="data: expected at least 2 rows"):
        run("kto", n=1)


def test_rows_of_the_other_shape_are_refused():
    with pytest.raises(UserError, match="a row of the paired shape"):
        train(tiny.model(), tiny.pairs(8), "kto", SHORT, tokenizer=tiny.tokenizer(), progress=False)
    with pytest.raises(UserError, match="a row of the unpaired shape"):
        train(tiny.model(), tiny.thumbs(8), "dpo", SHORT, tokenizer=tiny.tokenizer(), progress=False)


def test_rows_beyond_the_context_are_refused_or_cut_and_counted():
    with pytest.raises(UserError, match=r"do not fit into 8 with truncation='error'"):
        run(model=tiny.model(max_length=8))
    result = run(config=dataclasses.replace(SHORT, truncation="keep_start"), model=tiny.model(max_length=8))
    assert result.truncated > 0
    with pytest.raises(UserError, match="max_length: expected at most the model's context length 32, got 64"):
        run(config=dataclasses.replace(SHORT, max_length=64))


def mixture(weight):
    """A model with experts, whose configuration weighs its load-balancing loss."""
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = dict(vocab_size=len(tiny.WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=2)
    heads = dict(num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, max_position_embeddings=32)
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**sizes, **heads, router_aux_loss_coef=weight)).eval()


def test_a_mixture_of_experts_learns_to_balance_them_as_in_trl():
    config = TrainConfig(batch_size=8, max_steps=2, warmup_steps=0, rows_per_pass=8)
    trained = {weight: run(config=config, model=mixture(weight)) for weight in (0.0, 1.0)}
    records = {weight: result.records[0] for weight, result in trained.items()}
    assert "aux_loss" not in records[0.0]
    assert records[1.0]["loss"] == pytest.approx(records[0.0]["loss"] + records[1.0]["aux_loss"], rel=1e-4)
    routers = [result.model.model.layers[0].mlp.gate.weight for result in trained.values()]
    assert not torch.equal(*routers)


def test_padding_does_not_count_in_the_balance_of_experts():
    from lessons_lib.training.scoring import logps_and_balance, response_logps

    model, encoder = mixture(1.0), tiny.tokenizer()
    short, long = ({"prompt": "<bos> ask0", "chosen": " good1" * n, "rejected": " bad1" * n} for n in (1, 9))
    columns = ("chosen", "rejected")
    alone, both = (tokenize_rows(rows, columns, encoder) for rows in ([short], [short, long]))
    _, balance = logps_and_balance(model, alone)
    logps, _ = logps_and_balance(model, both)
    plain = response_logps(model, both)
    assert torch.allclose(logps["chosen"], plain["chosen"], atol=1e-5)
    ids = encoder("<bos> ask0 good1 <eos>", return_tensors="pt")["input_ids"]
    other = encoder("<bos> ask0 bad1 <eos>", return_tensors="pt")["input_ids"]
    direct = model(torch.cat([ids, other]), output_router_logits=True).aux_loss
    assert torch.allclose(balance, direct, rtol=1e-5)
