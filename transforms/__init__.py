"""What happens to a record: pure functions, and thin PTransforms over them."""
