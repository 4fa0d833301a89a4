"""What already runs on the host beside the agent's own instances: read, never touched.

=========== ==============================================================
seen        one instance as it was found
starts      durations of container starts, from the engine's events; pure
containers  containers by the Docker engine, and its event stream
machines    virtual machines by their VMM processes
scales      their memory, a bounded number of processes a round
picture     what the latest rounds found, as metrics
watching    when it is looked, and when not
=========== ==============================================================
"""
