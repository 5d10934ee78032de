"""What a run says about itself: console, event files, exit record. No screen, no network."""
