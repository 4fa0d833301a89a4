"""What operators look at, brought up on one machine and proven there.

``python -m deploy.observe up`` leaves it standing for a person with a Grafana;
``python -m deploy.observe check`` proves every panel, rule and alert, and ends.
"""
