"""The command line `triad`: one file for each group of commands."""
