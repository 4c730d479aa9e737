"""Exercise 2 solved. Instructors only: the release leaves this folder out."""


def first_pass_accuracy(log):
    rows = zip(log["step"], log["epoch"], log["rewards/accuracies"])
    kept = [accuracy for step, epoch, accuracy in rows if step > 1 and epoch <= 1]
    return sum(kept) / len(kept)


def learned_by_heart(log):
    passes = max(log["epoch"])
    last = [a for epoch, a in zip(log["epoch"], log["rewards/accuracies"]) if epoch > passes - 1]
    return sum(last) / len(last) - first_pass_accuracy(log)


def noise_alarms(logs):
    return [first_pass_accuracy(log) < 0.61 for log in logs]
