"""The published method, pure: rules from files and figures to verdicts. No screen, no network."""
