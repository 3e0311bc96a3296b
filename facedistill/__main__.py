"""`python -m facedistill`, and the command `facedistill` of an installed package."""

import sys

from facedistill import entry

CRASHED = 70
"""The exit code for all other errors. Python's own code, 1, would mean that two photographs show two people."""


def main() -> int:
    """Run the command that the arguments of this process name, and return its exit code."""
    # The installed command starts here. With `python -m`, the package has called guard already.
    entry.guard()
    try:
        from facedistill.inference import commands

        code = commands.main()
        sys.stdout.flush()
    except Exception:
        sys.excepthook(*sys.exc_info())
        return CRASHED
    return code


if __name__ == "__main__":
    sys.exit(main())
