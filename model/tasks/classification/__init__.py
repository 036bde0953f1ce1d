"""TODO model/tasks/classification."""
