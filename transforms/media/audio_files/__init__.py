"""TODO transforms/media/audio_files."""
