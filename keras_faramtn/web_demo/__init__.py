"""A page that runs an exported network in the visitor's own browser."""
