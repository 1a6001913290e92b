"""Readers: from the files of each kind of data set to a table of images and labels."""
