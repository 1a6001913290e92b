"""From folders of pictures and labels to batches."""
