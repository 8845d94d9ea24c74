"""HostPort on the machine: adapters/hosting/machine.py puts the parts together."""
