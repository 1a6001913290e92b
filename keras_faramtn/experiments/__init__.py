"""Experiments written down as recipes: training runs and comparisons of networks."""
