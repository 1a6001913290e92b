"""Draws faces from labels; `image.paint` is the way in, and says what each attribute is."""
