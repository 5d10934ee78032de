"""The part of nemo.utils that a transcription uses."""

import logging as _logging

logging = _logging.getLogger("nemo")
