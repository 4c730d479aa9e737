"""One module a subcommand of ``lessons-lib``: each has `HELP`, `EXAMPLE`, `add_arguments` and `run`."""
