"""The benchmark's page: its cells run, and what its sentences claim in words holds in the recorded runs."""

import ast
import re
from pathlib import Path

import pytest

from lessons_lib import benchmark
from lessons_lib.benchmark import claims, design, mechanisms, statistics
from lessons_lib.metrics import Interval

PAGE = Path(__file__).parents[2] / "book" / "benchmark.md"
CELL = re.compile(r"```\{code-cell\} python3\n(?::tags:[^\n]*\n)?(.*?)```", re.DOTALL)


def shown(text: str) -> list[str]:
    """What the page's cells show, in order: the text of tables and sentences, the alt text of pictures."""
    names, outputs = {}, []
    for cell in CELL.findall(text):
        *body, last = ast.parse(cell).body
        if not isinstance(last, ast.Expr):
            body, last = [*body, last], None
        exec(compile(ast.Module(body, []), PAGE.name, "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), PAGE.name, "eval"), names)
            outputs.append(getattr(value, "data", None) or value._repr_mimebundle_()["text/plain"])
    return outputs


@pytest.fixture(scope="module")
def outputs():
    return shown(PAGE.read_text(encoding="utf-8"))


def test_every_cell_shows_something_and_no_number_is_missing(outputs):
    assert len(outputs) >= 12 and all(outputs)
    assert not [output for output in outputs if "nan" in output.split() or "inf" in output]


def test_the_page_begins_with_what_was_found_and_its_picture(outputs):
    verdicts = benchmark.verdicts(benchmark.results())
    level = verdicts["winner"].isna().sum()
    assert f"On {level} of {len(verdicts)} kinds of data no method is ahead of the other four" in outputs[0]
    assert all(f"\n{design.REGIMES[regime].label}: DPO " in outputs[1] for regime in verdicts["regime"])


def test_tables_are_folded():
    """What stands open is prose and pictures; every table is one click away."""
    folded = re.findall(
        r'<details class="fold"><summary>[^<]+</summary>\n\n(.*?)\n\n</details>', PAGE.read_text("utf-8"), re.S
    )
    shown_as_tables = [cell for cell in CELL.findall(PAGE.read_text("utf-8")) if re.search(r"^table\(", cell, re.M)]
    assert len(shown_as_tables) >= 12
    assert all(any(cell in part for part in folded) for cell in shown_as_tables)


def test_power_is_shown_pair_by_pair_and_what_misses_the_aim_is_named(outputs):
    power = benchmark.power(benchmark.results()).set_index("regime")
    (table,) = [output for output in outputs if output.startswith("| regime | smallest visible")]
    for regime, row in power.iterrows():
        assert (
            f"| {design.REGIMES[regime].label} | {row['least']:.2f} | {row['median']:.2f} | {row['most']:.2f} |"
            in table
        )
    cover = benchmark.coverage(benchmark.results()).set_index("regime")
    (said,) = [output for output in outputs if output.startswith("A nominal 5 %")]
    above = cover[cover["recorded"] > 0.06].index
    assert all(f"{design.REGIMES[regime].label} ({cover.loc[regime, 'recorded']:.1%})" in said for regime in above)
    assert f"up to {cover['worst'].max():.0%}" in said


def test_in_most_regimes_nobody_is_ahead_of_all():
    """The page's conclusion."""
    assert benchmark.verdicts(benchmark.results())["winner"].isna().mean() > 0.5


def test_each_verdict_is_shown_under_its_own_word(outputs):
    (table,) = [output for output in outputs if output.startswith("| regime | leader by the mean")]
    lines = {
        line.split(" | ")[0].removeprefix("| "): line.removesuffix(" |").split(" | ") for line in table.splitlines()
    }
    for row in benchmark.verdicts(benchmark.results()).itertuples():
        _, leader, _, behind, equivalent, untold, over_all = lines[design.REGIMES[row.regime].label]
        assert leader.strip("*") == design.ARMS[row.leader].label and leader.startswith("**") == bool(row.winner)
        for shown_as, arms in ((behind, row.behind), (equivalent, row.equivalent), (untold, row.untold)):
            assert shown_as == (", ".join(design.ARMS[arm].label for arm in arms) or "none")
        assert over_all == ("yes" if row.over_all else "no")


def test_what_is_ahead_and_too_small_to_count_is_equivalent_and_the_pages_say_so():
    """An interval can lie right of 0 and in the band: the words go in the code's order."""
    assert statistics.word(Interval(0.08, 0.02, 0.15, 12), 0.25) == "equivalent"
    assert "**equivalent** if its whole interval lies in the band; else **ahead**" in PAGE.read_text("utf-8")
    interview = (PAGE.parent / "interview.md").read_text("utf-8")
    assert "zero and differences that would matter, you cannot tell" in interview
    assert "if all of it is too small to matter, they are equivalent" in interview


def test_no_sentence_of_the_page_calls_what_cannot_be_told_a_tie():
    assert not re.search(r"\bti(e|es|ed)\b", PAGE.read_text("utf-8"))


def test_dpo_peaks_and_falls_and_the_step_decides_when():
    scale = benchmark.scale().query("arm == 'dpo'")
    golds = scale.groupby(["learning_rate", "pairs"])["gold"].mean()
    rates = sorted(scale["learning_rate"].unique())
    peaks = [golds[rate].idxmax() for rate in rates]
    assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) == len(peaks)
    for rate in rates:
        assert golds[rate].iloc[-1] < golds[rate].max() - 0.5
        assert golds[rate].idxmax() * 5 < golds[rate].index[-1] * 1.01 or rate == min(rates)


def test_the_setting_moved_gold_as_much_as_the_method_did():
    """The page's judgement: the settings of the search's first round, against the five methods at their best there."""
    more = []
    for regime, rows in benchmark.tuned().groupby("regime"):
        first = rows[(rows["seed"] == design.tuning_seeds(regime)[0]) & rows["arm"].isin(design.FIVE)]
        best = first.groupby(["arm", "strength", "learning_rate"])["gold"].max().groupby("arm")
        by_setting, by_method = best.max() - best.min(), best.max().max() - best.max().min()
        more.append(by_setting.median() > by_method)
    assert sum(more) >= 12


def test_claims_are_judged_by_their_words():
    assert claims._verdict(["ahead", "ahead"]) == "reproduced"
    assert claims._verdict(["ahead", "cannot tell"]) == claims._verdict(["ahead", "behind"]) == "half"
    assert claims._verdict(["cannot tell", "behind"]) == "opposite"
    assert claims._verdict(["equivalent"]) == "equivalent"
    assert claims._verdict(["equivalent", "cannot tell"]) == "cannot tell" and claims._verdict([]) == "not judged"


def test_every_claim_is_judged_and_what_was_not_run_says_so():
    judged = claims.judge(benchmark.results())
    assert judged["says"].tolist() == [claim.says for claim in claims.CLAIMS]
    nowhere = tuple(claim for claim in claims.CLAIMS if not any(c.case for c in claim.contrasts))
    nothing = claims.judge(benchmark.results().query("regime == 'nowhere'"), nowhere)
    assert nothing["verdict"].tolist() == ["not judged"] * len(nowhere)


def test_nothing_is_said_of_an_arm_that_did_not_move():
    runs = benchmark.results()
    still = runs.assign(kl=runs["kl"].where(runs["arm"] != "ipo", 0.01))
    (claim,) = (claim for claim in claims.CLAIMS if claim.says.startswith("IPO is the safer"))
    (row,) = claims.judge(still, (claim,)).itertuples()
    assert row.verdict == "not judged" and len(row.unjudged) == len(claim.contrasts) and not row.numbers
    assert {why for _, why in row.unjudged} == {mechanisms.NOT_MOVED}


def test_the_length_of_broken_text_decides_no_claim(outputs):
    """SimPO's arm of the case on length writes broken text in more than half of its replies."""
    broken = mechanisms.runs_of("length").groupby("arm")["malformed"].mean()
    assert broken["simpo"] > mechanisms.BROKEN > broken["dpo"]
    (claim,) = (claim for claim in claims.CLAIMS if claim.says.startswith("SimPO's average"))
    (row,) = claims.judge(benchmark.results(), (claim,)).itertuples()
    assert row.verdict == "not judged" and {why for _, why in row.unjudged} == {mechanisms.ONE_BROKE}
    (table,) = [output for output in outputs if output.startswith("| claim | source")]
    assert mechanisms.ONE_BROKE in next(line for line in table.splitlines() if claim.says in line)


def test_each_single_comparison_names_its_settings_and_the_same_runs_measure_nothing(outputs):
    (table,) = [output for output in outputs if output.startswith("| question | regime")]
    for case in mechanisms.CASES.values():
        for variation in case.variations.values():
            assert any(f"{variation.settings['learning_rate']:g}" in line for line in table.splitlines()
                       if variation.label in line)  # fmt: skip
    assert table.count(mechanisms.ALL_ZERO) == len(mechanisms.CASES["kto_zero"].regimes)
    assert "a quarter of the step size, 16 times the steps" in table


def test_every_claim_names_cells_of_the_design_and_a_source_of_the_bibliography():
    cells = set(design.cells(tuple(design.REGIMES), tuple(design.ARMS)))
    sources = (PAGE.parent / "references.bib").read_text(encoding="utf-8")
    for claim in claims.CLAIMS:
        assert f"{{{claim.source}," in sources
        for contrast in claim.contrasts:
            own = {(r, a) for r in mechanisms.CASES[contrast.case].regimes
                   for a in mechanisms.CASES[contrast.case].variations} if contrast.case else cells  # fmt: skip
            assert {contrast.more, contrast.less} <= own


def test_in_either_other_model_part_of_the_order_turns_round():
    changes = benchmark.order_changes(benchmark.transfer())
    assert changes.groupby("size")["changed"].sum().min() >= 1
    assert changes["changed"].mean() < 0.5  # and most of it does not
