"""Fusion: joins the embeddings of the modalities, some of them missing, to a joint embedding."""
