"""Many files: find them, name outputs, run the jobs in processes or on a cluster, report."""
