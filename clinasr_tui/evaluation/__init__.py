"""A re-evaluation: from a model and a cycle to the next cycle, by NeMo where it is."""
