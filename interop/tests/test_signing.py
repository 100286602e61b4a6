"""PyJWT (PyPI) and jose (npm) verify tokens that the server signs for others, by the keys that it publishes."""

import base64
import hashlib
import json
import time
from typing import Any

import httpx2 as httpx
import jwt
import pytest

from harness.node import Program
from harness.server import Server

ISSUER, AUDIENCE = "https://ci.example.org", "https://deploy.example.org"
# What another process has changed, a server over PostgreSQL knows within a second.
CURRENT_WITHIN_S = 5.0


def thumbprint(key: dict[str, Any]) -> str:
    """RFC 7638, made by hand: the required members, in order."""
    members = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[key["kty"]]
    text = json.dumps({name: key[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_tokens_for_others_verify_by_the_published_keys(server: Server, algorithm: str) -> None:
    """By the set of the tenant and by that of the key, across a rotation; no longer once the version is gone."""
    name = f"signed-{algorithm.lower()}"
    secret = server.command("secret", "create", name, "--kind", "signing_key", "--algorithm", algorithm)["id"]
    rules = [
        "--subject",
        "deploy",
        "--issuer",
        ISSUER,
        "--audience",
        AUDIENCE,
        "--claim",
        "ref",
        "--fixed",
        "team=blue",
    ]
    server.command("jwt", "create-policy", name, secret, *rules)
    everywhere = f"{server.issuer}/api/v1/secrets/jwks"
    alone = f"{server.issuer}/api/v1/secrets/{secret}/jwks"

    def sign() -> str:
        token: str = server.command("jwt", "sign", name, "--claim", "ref=main", "--seconds", "300")["token"]
        return token

    def by_pyjwt(token: str, address: str) -> dict[str, Any]:
        key = jwt.PyJWKClient(address, cache_jwk_set=False).get_signing_key_from_jwt(token)
        found: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "aud", "iss", "jti"]},
        )
        return found

    first = sign()
    server.command("secret", "rotate", secret)
    second = sign()
    for address in (everywhere, alone):
        with Program("verify.mjs") as jose:
            jose.ask({"issuer": ISSUER, "jwks_uri": address})
            for token in (first, second):
                claims = by_pyjwt(token, address)
                assert (claims["sub"], claims["ref"], claims["team"]) == ("deploy", "main", "blue")
                assert claims["exp"] - claims["iat"] == 300
                assert jose.ask({"token": token, "audience": AUDIENCE, "typ": "JWT"})["claims"] == claims
            altered = first[:-6] + ("AAAAAA" if first[-6:] != "AAAAAA" else "BBBBBB")
            assert "refused" in jose.ask({"token": altered, "audience": AUDIENCE, "typ": "JWT"})
    keys = httpx.get(alone).raise_for_status().json()["keys"]
    assert [key["kid"] for key in keys] == [thumbprint(key) for key in keys]
    assert all(key.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "k"}) for key in keys)
    server.command("secret", "version", secret, "destroy", "1")
    gone = time.monotonic() + CURRENT_WITHIN_S
    while len(httpx.get(alone).raise_for_status().json()["keys"]) > 1:
        assert time.monotonic() < gone, "a key that was destroyed is still published"
        time.sleep(0.1)
    with pytest.raises(jwt.PyJWKClientError):
        by_pyjwt(first, alone)
    by_pyjwt(second, alone)
