"""`python -m facedistill`: what was trained, on photographs."""

import sys

CRASHED = 70
"""Exit code of what no other one is for: 1, Python's own, would say that two photographs show two people."""

try:
    from facedistill.inference.commands import main

    code = main()
    sys.stdout.flush()
except Exception:
    sys.excepthook(*sys.exc_info())
    code = CRASHED
sys.exit(code)
