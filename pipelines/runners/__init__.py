"""Runners: Beam options, workers, results, and the programs that each runner needs."""
