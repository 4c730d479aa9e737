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
