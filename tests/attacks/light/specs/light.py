"""A small exercise for the corpus of attacks: four items, no torch, short limits."""

import random

from lessons_lib.grading.spec import Exercise, Item, Limits


def _numbers(rng: random.Random) -> list[dict]:
    return [{"x": round(rng.uniform(-100, -1), 4)}, {"x": round(rng.uniform(-100, -1), 4)}]


def _lists(rng: random.Random) -> list[dict]:
    return [{"values": [round(rng.uniform(-9, 9), 3) for _ in range(size)]} for size in (3, 5)]


def _words(rng: random.Random) -> list[dict]:
    return [{"words": rng.sample(["beta", "tau", "gamma", "kl", "lam", "margin"], 4)} for _ in range(2)]


EXERCISE = Exercise(
    lesson=99,
    notebook="light.ipynb",
    items=(
        Item("distance", 2, _numbers, lambda x: abs(x)),
        Item("total", 2, _lists, lambda values: sum(values)),
        Item("lengths", 2, _words, lambda words: {word: len(word) for word in words}),
        Item("answer", 2, expected=lambda: 0.6931471805599453),
    ),
    limits=Limits(cell_seconds=5, call_seconds=5, total_seconds=60, memory_mb=700, answer_bytes=200_000, file_mb=8),
)
