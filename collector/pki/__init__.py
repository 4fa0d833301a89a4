"""The collector's own certificate authority: who gets a certificate, and for how long."""
