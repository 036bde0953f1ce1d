"""Messages in JSON, tf.Example or Avro, parsed into raw records."""
