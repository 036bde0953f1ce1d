"""TODO model/tasks/generation."""
