"""Export of a trained network to other formats, each file compared with the trained model."""
