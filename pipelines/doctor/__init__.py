"""`triad doctor`: what would make a run fail is said before anything is submitted."""
