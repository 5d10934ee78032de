"""The follower's end of the line: frames out, signs of life in. It runs on the host.

Its source goes to the host before the follower's: standard library, Python 3.6.
"""

import os
import select
import signal


class Client:
    """Who listens: there as long as standard input is open and something comes from it now and then."""

    def __init__(self) -> None:
        self.heard = True

    def hold_to(self, lease: float) -> None:
        """From now on end when nothing has come for that many seconds, even inside a blocked write.

        A host may go on for many minutes with a connection whose other end is gone.
        """
        signal.signal(signal.SIGALRM, self.check)
        signal.setitimer(signal.ITIMER_REAL, lease, lease)

    def check(self, *_: object) -> None:
        """End if nothing has come since the last check."""
        if self.ended(0) or not self.heard:
            raise SystemExit(0)
        self.heard = False

    def ended(self, seconds: float) -> bool:
        """Wait at most `seconds`; True if the client has closed our standard input."""
        ready, _, _ = select.select([0], [], [], seconds)
        if ready and not os.read(0, 4096):
            return True
        self.heard = self.heard or bool(ready)
        return False


def write(data: bytes) -> None:
    """Write all of `data` to standard output; ends the follower if nobody reads it any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError:
        raise SystemExit(0) from None
