"""Exercise 12 solved. Instructors only: the release leaves this folder out."""


def known(values):
    return [value for value in values if value is not None and value == value]


def end(values):
    values = known(values)
    third = len(values) // 3
    return sum(values[-third:]) / third


def change(values):
    values = known(values)
    third = len(values) // 3
    return (sum(values[-third:]) - sum(values[:third])) / third if third else 0.0


def name_fault(log):
    written = [*log["loss"], *log.get("grad_norm", [])]
    if any(value is not None and value != value for value in written):
        return "not_finite"
    if "rewards/accuracies" in log:
        accuracy = end(log["rewards/accuracies"])
        if accuracy < 0.56:
            return "coin_flip"
        if accuracy > 0.98 and end(log["loss"]) < 0.05 * log["loss"][0] and end(log["rewards/margins"]) > 3:
            return "by_heart"
    if end(log.get("kl", [0, 0, 0])) > 10:
        return "kl_away"
    chosen = known(log["logps/chosen"])
    start = sum(chosen[:2]) / 2  # not the first third: much of the fall comes early
    if start - end(chosen) > 0.6 * abs(start):
        return "displaced"
    return "healthy"


def name_faults(logs):
    return [name_fault(log) for log in logs]
