"""What is used of containerd's API: its messages cut down to the fields that are set or read.

Names and numbers are those of github.com/containerd/containerd/api (1.6, and unchanged up to
2.x); what is left out is not sent, and skipped where it is received. ``generate.sh`` writes
the stubs.
"""
