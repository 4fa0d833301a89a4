"""A run's result as a document, as tables, as HTML, as raw rows."""
