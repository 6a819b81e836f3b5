"""Many files: finding, naming, running, reporting; in one process, several, or a cluster."""
