"""From folders of images and labels to batches."""
