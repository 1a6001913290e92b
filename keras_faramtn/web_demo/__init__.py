"""A web page that runs an exported network in the visitor's browser."""
