"""TODO model/tasks."""
