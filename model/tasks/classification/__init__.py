"""Classification tasks, of one class or a set of classes: head, losses and metrics."""
