"""`python -m facedistill`, and the command `facedistill` of an installed package."""

import sys

from facedistill import entry

CRASHED = 70
"""Exit code for what has no other code: 1, Python's own, would say that two photographs show two people."""


def main() -> int:
    """Run the command that the arguments of this process name; its exit code."""
    # An installed command starts here, and not by `python -m`, which the package guards.
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
