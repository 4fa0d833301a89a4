"""What the agent keeps on disk: the outbox of events, and the journal of launches."""
