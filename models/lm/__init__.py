"""The entropy model: a small transformer that foresees codes, and its form in integers."""
