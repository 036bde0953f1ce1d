"""Publishing: committed units, sealed runs, the pointer of a date, rollback, gc and export."""
