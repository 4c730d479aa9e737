"""Exercise 3 solved. Instructors only: the release leaves this folder out."""

import hashlib
from collections import defaultdict


def to_thumbs(log):
    last = {}
    for row in log:
        if row["thumb"] is not None and row["reply"].strip():
            last[row["user"], row["prompt"], row["reply"]] = row["thumb"] == "up"
    return [{"prompt": prompt, "completion": reply, "label": up} for (_, prompt, reply), up in last.items()]


def to_pairs(thumbs):
    votes = defaultdict(int)
    for row in thumbs:
        votes[row["prompt"], row["completion"]] += 1 if row["label"] else -1
    return [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        for (prompt, chosen), balance in votes.items()
        for (other, rejected), against in votes.items()
        if prompt == other and balance > 0 > against
    ]


def split(rows, test_share):
    sides = {"train": [], "test": []}
    for row in rows:
        name = " ".join(row["prompt"].casefold().split())
        place = int(hashlib.sha256(name.encode()).hexdigest(), 16) / 2**256
        sides["test" if place < test_share else "train"].append(row)
    return sides
