"""Reports: one HTML page about a model, or about a comparison of networks."""
