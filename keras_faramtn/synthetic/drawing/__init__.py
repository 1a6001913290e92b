"""Draws faces from labels. The entry point is `portrait.paint`."""
