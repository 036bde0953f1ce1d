"""Tables of scores and rejected records: Arrow columns, passthrough values and file formats."""
