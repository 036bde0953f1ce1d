"""TODO transforms/media/image_files."""
