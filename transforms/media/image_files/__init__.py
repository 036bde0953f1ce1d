"""Readers of image file headers: sizes, orientation and completeness."""
