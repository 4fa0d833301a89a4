"""The collector: it knows the hosts, drives runs over them, and keeps every raw sample."""
