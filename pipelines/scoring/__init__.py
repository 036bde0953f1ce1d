"""Batch scoring: settings, plan, transforms, pipeline and carry-over of earlier scores."""
