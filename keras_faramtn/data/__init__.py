"""Data sets: from files of images and labels to batches."""
