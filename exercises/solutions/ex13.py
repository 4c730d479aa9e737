"""Exercise 13 solved. Instructors only: the release leaves this folder out."""

import math

from lessons_lib import metrics


def paired_interval(ours, theirs, checkpoints):
    by_checkpoint = {}
    for a, b, checkpoint in zip(ours, theirs, checkpoints):
        by_checkpoint.setdefault(checkpoint, []).append(a - b)
    gaps = [sum(values) / len(values) for values in by_checkpoint.values()]
    n, mean = len(gaps), sum(gaps) / len(gaps)
    sd = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / (n - 1))
    half_width = metrics.t_quantile(n - 1) * sd / math.sqrt(n)
    return [mean, mean - half_width, mean + half_width]


def seeds_for(effect, sd):
    seeds = 2
    while metrics.paired_power(effect, sd, seeds) < 0.8:
        seeds += 1
    return seeds


def cheapest_plan(effect, noise, reply_sd, run_cost, prompt_cost):
    best = None
    for prompts in (32, 64, 128, 256, 512, 1024, 2048):
        sd = math.sqrt(noise**2 + 2 * reply_sd**2 / prompts)
        seeds = seeds_for(effect, sd)
        cost = seeds * (2 * run_cost + 2 * prompts * prompt_cost)
        if best is None or cost < best[0]:
            best = (cost, seeds, prompts)
    return [best[1], best[2]]


def verdict_of(ours, theirs, checkpoints, delta):
    mean, low, high = paired_interval(ours, theirs, checkpoints)
    if -delta < low and high < delta:
        return "equivalent"
    if low > 0:
        return "ahead"
    return "behind" if high < 0 else "cannot tell"
