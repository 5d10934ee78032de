"""From a split to a running fine-tuning run: what is sent, where it runs, how it is started and ended."""
