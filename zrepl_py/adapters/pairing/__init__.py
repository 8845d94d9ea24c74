"""Joining two nodes by a one-time code (docs/formats/pairing.md, docs/adr/0017).

`host` waits on the node that shows the code, `guest` is where it is typed; `talk` has the lines,
`proof` the PAKE and the keys, `card` what a node says of itself. Nothing here writes a file.
"""
