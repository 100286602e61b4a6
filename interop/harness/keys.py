"""A relying party's own key."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm


def new_key(folder: Path) -> tuple[dict[str, Any], Path]:
    """An ES256 key: its private half as a JWK, and a file with the public half as a JWK set."""
    private = ec.generate_private_key(ec.SECP256R1())
    names = {"kid": "rp-1", "alg": "ES256", "use": "sig"}
    public_half = ECAlgorithm.to_jwk(private.public_key(), as_dict=True) | names
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": [public_half]}))
    return ECAlgorithm.to_jwk(private, as_dict=True) | names, path
