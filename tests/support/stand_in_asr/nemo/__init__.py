"""Stands in for NeMo: it is not NeMo and hears nothing. Its models are lists of what to say."""

__version__ = "none: a stand-in"
