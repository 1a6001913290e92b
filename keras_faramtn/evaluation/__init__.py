"""Evaluation of trained networks: scores, thresholds, comparisons, reports and figures."""
