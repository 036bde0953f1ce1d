"""Readers of image files without decoding pixels: sizes, orientation and completeness."""
