"""The agent: one per host, it launches real instances and measures them."""
