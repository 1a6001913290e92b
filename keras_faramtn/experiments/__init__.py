"""Experiments described by recipes: training runs and comparisons of networks."""
