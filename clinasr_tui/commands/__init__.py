"""Headless commands: every screen has a twin here. None of them imports textual (the demo excepted)."""
