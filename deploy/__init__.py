"""What puts Tonnage on a machine: set-up, workload images, the private engine."""
