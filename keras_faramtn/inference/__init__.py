"""Prediction with trained models, exported files and model servers."""
