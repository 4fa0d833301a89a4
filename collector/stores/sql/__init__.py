"""What every SQL store shares: questions, rare writes, and rows."""
