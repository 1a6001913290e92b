"""Readers: each reads the files of one kind of data set into a table of images and labels."""
