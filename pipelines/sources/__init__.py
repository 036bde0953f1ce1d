"""Sources: records files in JSON Lines, CSV, Parquet and TFRecord, read as raw records."""
