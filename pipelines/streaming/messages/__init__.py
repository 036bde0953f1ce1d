"""Parsing of messages in JSON, tf.Example or Avro into raw records."""
