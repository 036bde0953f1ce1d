"""Readers of audio files: WAV samples, and lengths and streams in other containers."""
