"""The studies that lessons stand on, a module a lesson: each has `STUDIES`, a tuple that `lab.studies` gathers."""
