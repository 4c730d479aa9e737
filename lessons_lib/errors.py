"""The one exception that means "the input or the machine is at fault, and here is what to do".

The command line prints its message and exits with code 2; everything else is a bug and shows a traceback.
"""


class UserError(ValueError):
    """Bad input, a missing file, no network: the message says what was expected, what came, what to do."""
