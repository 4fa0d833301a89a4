"""Statistics on arrays: pure functions, numpy and scipy only."""
