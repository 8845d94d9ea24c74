"""The simulator: the production core, engine and daemon logic on model nodes, from one seed.

docs/design/simulation.md explains it. `python -m tests.simulation --help` runs it.
"""
