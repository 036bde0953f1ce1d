"""Fusion: embeddings of the modalities, some of them missing, into a joint one."""
