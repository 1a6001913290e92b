"""From a trained network to files that run elsewhere, each proven equal to it."""
