"""Robustness: figures of a model under noise of growing strength on one modality."""
