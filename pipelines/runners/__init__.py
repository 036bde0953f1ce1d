"""Beam runners: options, workers, results, and the programs that each runner needs."""
