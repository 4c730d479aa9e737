"""The capstone solved for the practice ticket. Instructors only: the release leaves this folder out.

The paragraphs and the memo show what a person could give full points; other choices, well argued, can have them too.
"""

measured_tulu1 = {"flip_rate": 0.204, "ties": 0.343, "thumbs_blind": 0.676, "decided": 312}

measured_feedbackqa = {"up_share": 0.494, "agreement": 0.715, "unpaired": 0.265, "pairs": 226}

measured_qlora = {"first_wins": 0.658, "order_same": 0.589, "chosen_longer": 0.786, "order_consistent": 612}

paragraph_tulu1 = """
I would train with IPO, and I would not be surprised to see KTO beside it. Raters who both take a side disagree so
often that 20.4 % of the labels in my sample look flipped, and 34.3 % of the verdicts are ties, which leave 312
decided comparisons. With one pass over so few pairs no loss has time to memorise a wrong label, so I do not choose
IPO for its noise; I choose it because its squared loss stops at a finite margin, which keeps the step small where
these pairs say little. KTO is the runner-up: it would read each response's own label against a reference point, and
the rows carry such votes, but in 67.6 % of the decisive verdicts both responses have the same vote. When I read ten
rows, two pairs differed in their last sentence only, and I would have called them equal. If the flip rate were
measured below a tenth, I would look at DPO first.
"""

paragraph_feedbackqa = """
I would train with KTO, because readers rate one passage at a time and KTO takes each rating as it is: a single label
held against a reference point, with no partner needed. The classes are near balance (49.4 % up), so no weights are
called for. The alternative is ORPO on pairs of a passage that most call up with one that most call down, and it is
better than it looks: only 26.5 % of my ratings would go unpaired, and a majority is a cleaner label than one reader,
who agrees with the next 71.5 % of the time. But a pair must wait for a passage of the opposite kind, while ratings
come in every day. Among the ten rows that I read, some passages answered another question than the one asked and were
rated up by one reader. If raters agreed far more often, I would change to ORPO on the pairs.
"""

paragraph_qlora = """
I would train with ORPO, and memory decides that a reference is out: the policy fills the GPUs, and rows arrive while
it trains. First I would clean, since the answer shown first wins 65.8 % of the decisive verdicts and only 58.9 % of
the items keep their verdict when the order is turned; that leaves 612 items with one winner in both orders. ORPO adds
an odds-ratio term to the likelihood of the chosen answer in one stage, so the model goes on imitating good answers
while it learns to prefer. SimPO is the runner-up: it needs no reference either, and its average reward a token would
be the natural answer to a taste for length, if dividing by the length took that taste out of the labels. It does not:
the winner is longer in 78.6 % of the items, whichever loss reads them. In the rows I read, the longer answer often
had one more list item and no more content.
"""

plans = {
    "tulu1_human_eval": {
        "choice": "ipo",
        "runner_up": "kto",
        "beats": {"dpo": 0.7, "kto": 0.5, "orpo": 0.75, "simpo": 0.85},
        "effect": 0.2,
        "sd": 0.3,
        "visible": 0.3,
        "turn": {"figure": "flip_rate", "is": "below", "value": 0.1, "to": "dpo"},
    },
    "feedbackqa_cdc": {
        "choice": "kto",
        "runner_up": "orpo",
        "beats": {"dpo": 0.7, "ipo": 0.65, "orpo": 0.5, "simpo": 0.9},
        "effect": 0.2,
        "sd": 0.25,
        "visible": 0.25,
        "turn": {"figure": "agreement", "is": "above", "value": 0.85, "to": "orpo"},
    },
    "qlora_gpt4_vicuna": {
        "choice": "orpo",
        "runner_up": "simpo",
        "beats": {"simpo": 0.85},
        "effect": 0.2,
        "sd": 0.4,
        "visible": 0.4,
        "turn": {"figure": "chosen_longer", "is": "below", "value": 0.6, "to": "simpo"},
    },
    "signed": "2026-11-29T08:00:00+00:00",
}

trial = {
    "plans": plans,
    "released": {
        "seal": "0cf7febcb88a495e",
        "released": "2026-11-29T09:00:00+00:00",
        "receipt": "54eb5123a9b368f353374a2299c2e1ef",
        "differences": {
            "tulu1_human_eval": [-0.1527, 0.4934, -0.2972, -0.0074, 2.0576, 0.2614, -0.1781, 0.0406, 0.0993],
            "feedbackqa_cdc": [0.1668, -0.1119, -0.0775, 0.0709, -0.0117, 0.1846, -0.0406, 0.2291, -0.1526],
            "qlora_gpt4_vicuna": [0.9365, 0.5662, 0.5842, 1.4945, 2.4441, 2.4956, 2.103, 1.1519, 1.924],
        },
    },
    "live": {
        "tulu1_human_eval": {"ipo": 1.8875, "kto": 2.1059},
        "feedbackqa_cdc": {"kto": 1.9984, "orpo": 2.2746},
        "qlora_gpt4_vicuna": {"orpo": 1.1662, "simpo": 0.7641},
    },
    "readings": {
        "tulu1_human_eval": {"mean": 0.21, "low": -0.285, "high": 0.705, "verdict": "cannot tell"},
        "feedbackqa_cdc": {"mean": -0.002, "low": -0.119, "high": 0.115, "verdict": "equivalent"},
        "qlora_gpt4_vicuna": {"mean": 1.41, "low": 0.841, "high": 1.98, "verdict": "ahead"},
    },
}

memo = """
What was found
On the stand-in for people's comparisons IPO ended 0.21 gold points above KTO on average, with an interval from -0.29
to 0.71. On the readers' ratings KTO and ORPO differ by 0.00, from -0.12 to 0.11. On the judge's verdicts ORPO ended
1.41 above SimPO, from 0.84 to 1.98, because SimPO broke down on some seeds.

Whether it could be told
People's comparisons: cannot tell, since one seed on which KTO collapsed makes the interval wide; with a spread of 0.3
ten seeds show 0.3 at best, and I had said that 0.2 would matter. Ratings: equivalent, because the whole interval lies
inside 0.2 either way. Verdicts: ahead. All of it holds for small models of the lab, and annotators matched to
counts. Whether it holds for 7 B and English, these runs cannot say.

Cost
IPO and KTO both need a reference, which LoRA gives for nothing; KTO has two weights more to tune. ORPO needs no
reference and one stage, so on the ratings I would now take ORPO if pairs were at hand, and KTO while they are not.

What I got wrong
I had said 0.7 for IPO over DPO, and it came in nine of ten seeds. I had said 0.85 for ORPO over SimPO and should have
said more: I underrated how far a taste for length carries a loss that only divides by it. And I planned with a spread
of 0.3 where KTO's was more than twice that, so my trial was too small before it began. Next time I would ask the
recorded runs for the spread of the very two methods that I compare.
"""
