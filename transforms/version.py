"""Version of the distribution; no other file states it."""

VERSION = "0.1.0"
