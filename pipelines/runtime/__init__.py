"""Runtime of a process: environment, logging, failures, final summary and checks of flags."""
