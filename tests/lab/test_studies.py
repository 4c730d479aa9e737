"""Studies: a recorded run can be made again, and the file says how it was made."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lessons_lib.commands.lab import studies as every_study
from lessons_lib.lab import evaluation, studies
from lessons_lib.lessons.lesson05.studies import NEAR_DETERMINISTIC as STUDY
from lessons_lib.training import loop
from lessons_lib.training.config import objective_for


def test_the_recorded_file_is_whole_and_says_how_it_was_made():
    runs = studies.recorded(STUDY)
    wanted = {(arm, seed) for arm in STUDY.arms for seed in STUDY.seeds}
    assert set(runs[["arm", "seed"]].itertuples(index=False, name=None)) == wanted
    assert runs.groupby(["arm", "seed"])["step"].apply(list).map(tuple).nunique() == 1  # the same steps in every run
    assert runs[["gold", "margin", "malformed", "kl"]].notna().all().all()
    assert {"command", "date", "machine", "python", "torch"} <= set(runs.attrs["provenance"])


def test_by_checkpoint_averages_the_seeds_that_share_one():
    runs = pd.DataFrame(
        {
            "arm": "a",
            "checkpoint": ["sft-2", "sft-10", "sft-2"] * 2,  # in the place of their first seeds, not by the alphabet
            "seed": [0, 1, 2] * 2,
            "step": [0, 0, 0, 5, 5, 5],
            "gold": [1.0, 5.0, 3.0, 2.0, None, 4.0],
        }
    )
    np.testing.assert_array_equal(studies.by_checkpoint(runs, "gold")["a"], [[2.0, 3.0], [5.0, np.nan]])


def test_seeds_begin_at_the_checkpoints_in_turn():
    assert [STUDY.checkpoint(seed) for seed in (0, 1, 3)] == ["sft-0", "sft-1", "sft-0"]
    for study in every_study().values():
        runs = studies.recorded(study)
        assert [study.checkpoint(seed) for seed in runs["seed"]] == runs["checkpoint"].tolist()


def test_the_settings_name_every_arm_with_its_rate():
    first, *lines = studies.settings(STUDY).splitlines()
    assert first.split() == ["arm", "strength", "learning", "rate", "length"]
    assert [line.split()[0] for line in lines] == list(STUDY.arms)
    assert "tau = 0.5" in lines[-1] and "3e-4" in lines[-1] and "300 steps of 16 rows" in lines[-1]


def test_a_transcript_shows_one_request_as_training_goes_on():
    from lessons_lib.lab import world
    from lessons_lib.lessons.lesson01.studies import ONE_DPO_RUN

    runs = studies.recorded(ONE_DPO_RUN)
    asked, *lines = studies.transcript(runs, "dpo", request=1, steps=(0, 60)).splitlines()
    assert asked in world.prompts("test")[1]
    assert [line.split("  ")[0].strip() for line in lines] == ["before training", "after 60 steps"]
    for line in lines:  # the number before a reply is its gold reward
        gold, text = line[15:].split(maxsplit=1)
        assert world.gold([world.prompts("test")[1]], [f"{text} <eos>"]).total[0] == pytest.approx(float(gold))


@pytest.mark.slow
def test_a_recorded_run_can_be_made_again():
    """Within tolerances: another machine rounds differently, and a few hundred steps amplify that."""
    again = studies.run(STUDY, "ipo_0.5", seed=0, evaluate_every=100, progress=False)
    recorded = studies.recorded(STUDY).query("arm == 'ipo_0.5' and seed == 0").set_index("step")
    again = again.set_index("step").loc[[0, 100, 200, 300]]
    assert again.loc[0, "gold"] == pytest.approx(recorded.loc[0, "gold"], abs=0.02)
    assert again["gold"].to_numpy() == pytest.approx(recorded.loc[again.index, "gold"].to_numpy(), abs=0.15)
    assert again["margin"].to_numpy() == pytest.approx(recorded.loc[again.index, "margin"].to_numpy(), abs=0.15)


@pytest.mark.parametrize("study", every_study().values(), ids=lambda study: study.name)
def test_every_study_can_be_run_and_is_recorded_at_its_setting(study):
    for arm in study.arms.values():
        for one in filter(None, (arm, arm.first)):
            objective_for(one.method, dataclasses.replace(study.config, **one.settings))
    shares = studies.recorded(study)["malformed"].dropna() * study.samples
    assert (shares - shares.round()).abs().max() < 0.01  # of so many replies, and no other number of them


def test_means_are_taken_over_the_steps_since_the_measurement_before(monkeypatch):
    history = pd.DataFrame({"step": [1, 2, 3, 4], "loss": [1.0, 2.0, 3.0, 5.0], "gold": [None, 0.5, None, 0.7]})
    history["rewards/margins"] = 0.3
    monkeypatch.setattr(loop, "train", lambda *_, **__: SimpleNamespace(history=history))
    monkeypatch.setattr(
        evaluation, "Evaluator", lambda *_, **__: SimpleNamespace(row=lambda model, step: {"gold": 0.1})
    )
    found = studies.run(STUDY, "dpo_0.5", seed=0, progress=False).set_index("step")
    assert found["mean_loss"].loc[1:].tolist() == [1.5, 1.5, 4.0, 4.0]
    assert found["margin"].tolist() == pytest.approx([0.0, *[0.3 / 0.5] * 4])  # nats, without β
