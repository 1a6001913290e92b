"""Readers: from each data set's files on disk to one table of images and labels."""
