"""`python -m facedistill`: what was trained, on photographs."""

import io
import sys
import traceback

CRASHED = 70
"""Exit code of what no other one is for: 1, Python's own, would say that two photographs show two people."""

for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
        # A terminal may lack the letters of a file's name.
        stream.reconfigure(errors="backslashreplace")
try:
    from facedistill.inference.commands import main

    code = main()
    sys.stdout.flush()
except Exception:
    traceback.print_exc()
    code = CRASHED
sys.exit(code)
