"""Trackers of trainings: event files of TensorBoard, and runs of MLflow."""
