"""Turns decisions into commands against the ports. Generators: they yield commands and are sent the
outcomes; an error of a port is thrown into them. Runners own concurrency, deadlines and crashes."""
