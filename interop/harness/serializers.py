"""How Schemathesis sends media types that it does not know (it loads this module)."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:  # noqa: ANN401 (whatever it has made up)
    """What it has made up, as it is: hardly ever a line of JSON."""
    return value if isinstance(value, bytes) else str(value).encode()
