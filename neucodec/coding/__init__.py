"""From audio to .ncf and back: the one room that knows formats and models."""
