"""Free ports of this machine."""

import secrets
import socket

# Below the range from which Linux gives ports to outgoing connections: a server that is stopped and started again must
# find its port free.
PORTS = range(20_000, 30_000)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among {PORTS}")
