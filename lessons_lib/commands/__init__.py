"""One module a subcommand of ``lessons-lib``: each has `HELP`, `EXAMPLE`, `add_arguments` and `run`.

Where a module that `run` imports is missing, the extra that brings it is named; a command that needs several of an
extra's modules names it as `EXTRA`, so that one install is enough.
"""
