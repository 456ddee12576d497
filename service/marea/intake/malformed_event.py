"""The one error of this package."""

from __future__ import annotations

from marea.errors import MareaError


class MalformedEvent(MareaError):
    """A notification, or one record of it, that cannot be read; the sentence says why.

    A sender must not be told by a 4xx: stores retry one undecodable event for ever and send
    nothing behind it. The gateway writes it down and answers 2xx.
    """

    code = "event-malformed"
