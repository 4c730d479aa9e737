"""Grading: feedback on the spot in the learner's own notebook, and what marks are made from.

`verdict` holds what the checks share, `lesson05` and its like the checks of one exercise: they run in the learner's
process, protect nobody and give no marks. `spec` says what a marked item is; the marks come from a second process.
"""
