"""Training: what `compile` and `fit` are given, and recipes that run them."""
