"""The workload images ``tonnage/idle:1`` and ``tonnage/http:1``: one root file system
for containers and VMs, built offline, with the same digest on every host."""
