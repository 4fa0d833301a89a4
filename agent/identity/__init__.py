"""Who this agent is to others: how it gets its certificate, keeps it, and renews it."""
