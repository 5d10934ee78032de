"""Where the GPU is: hosts, trust, following a run folder. No screen."""
