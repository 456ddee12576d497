"""The only types that cross a process: frozen, versioned, JSON on the wire.

Nothing here does I/O or knows a broker, a store or a clock. To add a field: give it a
default, so that a reader of version N still understands a message of version N-1.
"""
