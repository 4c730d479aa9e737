"""Exercise 10 solved. Instructors only: the release leaves this folder out."""

import itertools


def up_share(ratings, up_from):
    return sum(rating >= up_from for rating in ratings) / len(ratings)


def kto_weights(ups, downs):
    return max(1.0, downs / ups), max(1.0, ups / downs)


def plan(replies):
    ratings = [rating for of_reply in replies for rating in of_reply]
    up_from = min((1, 2, 3), key=lambda level: abs(up_share(ratings, level) - 0.5))
    share = up_share(ratings, up_from)
    desirable, undesirable = kto_weights(share, 1 - share)
    pairs = [pair for of_reply in replies for pair in itertools.combinations(of_reply, 2)]
    return {
        "up_from": up_from,
        "desirable_weight": desirable,
        "undesirable_weight": undesirable,
        "up_share": share,
        "agreement": sum((one >= up_from) == (other >= up_from) for one, other in pairs) / len(pairs),
        "ratio": desirable * share / (undesirable * (1 - share)),
    }
