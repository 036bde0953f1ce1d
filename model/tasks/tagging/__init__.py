"""TODO model/tasks/tagging."""
