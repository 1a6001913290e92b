"""Draws faces from labels; `picture.paint` is the way in, and says what each attribute is."""
