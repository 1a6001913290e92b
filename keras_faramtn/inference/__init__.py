"""Prediction with trained models, exported files and servers."""
