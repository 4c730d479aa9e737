"""The capstone solved for the practice ticket. Instructors only: the release leaves this folder out.

The paragraphs show what a person could give full points; another choice, well argued, can have them too.
"""

claim_tulu1 = {
    "choice": "ipo",
    "measured": {"flip_rate": 0.173, "ties": 0.337, "thumbs_blind": 0.654},
    "mechanism": "finite_margin",
    "rejected": "dpo",
    "decided_by": "flip_rate",
    "change": "cleaner",
    "leads_to": "dpo",
}

paragraph_tulu1 = """
I would train with IPO. Raters who both take a side disagree so often that about 17.3 % of the labels in my sample
look flipped, above the 15 % from which I call labels noisy. IPO's squared loss is least at a finite margin, so a pair
that is the wrong way round cannot pull without end, while DPO's sigmoid loss rewards every further nat. DPO is the
runner-up and a close one: with label smoothing at the same rate it trusts each label less, and the interval of my
flip rate reaches below the threshold. Another 33.7 % of the verdicts are ties, which both methods leave out. If a
second rating of some hundred items put the rate below 15 %, I would change to DPO.
"""

claim_feedbackqa = {
    "choice": "kto",
    "measured": {"up_share": 0.491, "agreement": 0.722, "unpaired": 0.277},
    "mechanism": "one_label",
    "rejected": "dpo",
    "decided_by": "unpaired",
    "change": "compared",
    "leads_to": "ipo",
}

paragraph_feedbackqa = """
I would train with KTO, because readers rate one passage at a time and KTO takes each rating as it is: a single label,
held against a reference point, with no partner needed. The classes are near balance (49.1 % up), so no weights are
called for. The alternative is DPO on pairs of a passage that most call up with one that most call down. It is better
than it looks, since only 27.7 % of my ratings would go unused, and a majority is a cleaner label than one reader, who
agrees with the next only 72.2 % of the time. But it must wait until a question has both kinds, while ratings come in
every day. If each rating came with a second passage to compare, I would train on pairs.
"""

claim_qlora = {
    "choice": "simpo",
    "measured": {"first_wins": 0.652, "order_same": 0.598, "chosen_longer": 0.792},
    "mechanism": "average_reward",
    "rejected": "dpo",
    "decided_by": "reference",
    "change": "room",
    "leads_to": "dpo",
}

paragraph_qlora = """
I would train with SimPO, and memory decides that: the policy fills the GPUs, and rows arrive while it trains, so that
a reference can neither stand beside it nor be run beforehand. SimPO's reward is the average log-prob a token, which
needs none. First I would clean: the answer shown first wins 65.2 % of the decisive verdicts and only 59.8 % of the
items keep theirs when the order is turned, so I keep the winners of both orders. They are longer in 79.2 % of the
cases, and dividing by the length does not take that taste out of the labels; I would watch the answers' length. DPO
is the runner-up. If verdicts were collected for a day first, its reference could be computed before training.
"""
