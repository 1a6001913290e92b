"""Scoring of very many images on a Ray cluster, or on all cores of one computer."""
