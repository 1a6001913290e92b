"""Where in an image the evidence for an attribute lies, and what a network attends to."""
