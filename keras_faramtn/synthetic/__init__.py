"""Synthetic faces with CelebA's 40 attributes: labels, images and data sets."""
