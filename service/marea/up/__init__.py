"""Servers that Marea starts itself: a broker and an object store on one machine.

`servers.py` is what they have in common, one file each knows how its server is configured,
`tools.py` finds or installs the programs. Used by `marea up` and by the tests; in a cluster
the chart does this. To add one more server: a subclass of `ServerProcess` in its own file,
and a `find_` function in `tools.py`.
"""
