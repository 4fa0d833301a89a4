"""Ways to run an instance: one module each, one line each in ``registry``."""
