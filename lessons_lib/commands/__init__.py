"""One module a subcommand of ``python -m lessons_lib``: each has `HELP`, `EXAMPLE`, `add_arguments` and `run`."""
