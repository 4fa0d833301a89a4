"""A whole history from one store into another; a module an engine."""
