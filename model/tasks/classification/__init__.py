"""Classification tasks: head, losses and metrics, for one class or several."""
