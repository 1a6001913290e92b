"""Keras callbacks: dynamic weighting, checkpoints and progress."""
