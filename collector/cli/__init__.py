"""The ``tonnage`` command. Modules import late: ``tonnage --help`` must be quick."""
