"""Records: frozen values that cross pipeline steps, their digests and text offsets."""
