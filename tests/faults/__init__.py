"""What happens when plugs are pulled: shown at length by ``make faults``, briefly by tests."""
