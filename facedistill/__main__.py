"""`python -m facedistill`: what was trained, on photographs."""

import sys

from facedistill.inference.commands import main

sys.exit(main())
