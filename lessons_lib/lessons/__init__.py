"""One room a lesson: `lessonNN/explorer` is its figure, `checks` marks its exercise, `studies` are its runs."""
