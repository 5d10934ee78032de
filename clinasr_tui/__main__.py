"""`python -m clinasr_tui` is the same door as `clinasr-tui`."""

import sys

from clinasr_tui.cli import main

sys.exit(main())
