"""Publishing: commit of units, sealing of runs, the pointer of a date, rollback, gc and export."""
