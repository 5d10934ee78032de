"""clinasr-tui: the terminal cockpit for fine-tuning clinical speech recognition."""

__version__ = "0.1.0"
