"""The model and real OpenZFS, side by side: the same operations, and all that can be seen compared.

A sequence is a list of operations as plain data (interpreter.py says which). A Hypothesis state
machine draws it while it drives the model (machine.py); the same interpreter then runs it on a
real pool inside a node of the lab (node.py), and answers with what it saw after each operation.
What is seen is written in words that both sides share (looking.py): guids are numbered in the order
in which they first show up, transaction groups are ranked. So two sides agree if and only if the
records are equal. `python -m tests.differential --help`.
"""
