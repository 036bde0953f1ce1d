"""Kafka: client, topics, source, sink, replay, and a development broker."""
