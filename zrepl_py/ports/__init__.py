"""What the engine needs of the world, as Protocols. The contract is in the docstrings, nasty parts
included; zrepl_py/testing/kits holds the functions that check an implementation against it."""
