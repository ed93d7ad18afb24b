"""Simple policies that a trained one must beat, fitted on the same training part."""
