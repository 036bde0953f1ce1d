"""Readers of audio files: WAV and its containers."""
