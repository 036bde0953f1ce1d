"""Shim for Beam's `--setup_file`; all metadata is in pyproject.toml."""

from setuptools import setup

setup()
