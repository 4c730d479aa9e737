"""Grading: feedback on the spot in the learner's own notebook, and what marks are made from.

On the spot: `verdict` holds what the checks of the lessons share; they run in the learner's process, protect nobody
and give no marks.

Marks: `roster` and `collect` find each learner's file, `submissions` reads it, `marking` asks a `sandbox`ed `child`
and compares, `batch` does so for a class and writes a `gradebook`, `pages` and a `report`; `preflight` refuses to start
where a mark would be wrong. `spec` says what a marked item is.
"""
