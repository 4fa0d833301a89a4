"""Version 1 of the wire contract: generated stubs, see ``protos/generate.sh``."""
