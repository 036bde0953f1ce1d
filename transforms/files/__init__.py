"""Safe reading of untrusted files: regular files, bounded inflation, checked lengths."""
