"""Flink: runner, session cluster, REST client, expansion service and worker pool."""
