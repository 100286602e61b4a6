"""PyJWT (PyPI) and jose (npm) verify our tokens across a rotation of the signing keys, in every algorithm."""

import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import jwt
import pytest

from harness.node import Program
from harness.server import Client, Person, Server
from harness.visitor import Visitor


def sign_in(server: Server, client: Client, person: Person) -> dict[str, Any]:
    """A token response, fetched without any library."""
    metadata = server.discovery()
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "client_id": client.client_id,
        "response_type": "code",
        "redirect_uri": client.redirect_uri,
        "scope": client.scope,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    with Visitor((client.redirect_uri,)) as visitor:
        arrival = visitor.sign_in(f"{metadata['authorization_endpoint']}?{urlencode(query)}", person)
    form = {
        "grant_type": "authorization_code",
        "code": arrival.parameters["code"],
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    answer = httpx.post(metadata["token_endpoint"], data=form, auth=(client.client_id, client.secret or ""))
    token: dict[str, Any] = answer.raise_for_status().json()
    return token


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_tokens_outlive_a_rotation(server: Server, person: Person, algorithm: str) -> None:
    """Old tokens go on verifying, new ones bear a new key that verifiers already hold, altered ones are refused."""
    algorithms = ["--id-token-alg", algorithm, "--access-token-alg", algorithm]
    client = server.new_client("client_secret_basic", "--first-party", *algorithms)
    metadata = server.discovery()
    assert algorithm in metadata["id_token_signing_alg_values_supported"]
    pyjwt_keys = jwt.PyJWKClient(metadata["jwks_uri"])

    def by_pyjwt(token: str, audience: str) -> tuple[dict[str, Any], dict[str, Any]]:
        key = pyjwt_keys.get_signing_key_from_jwt(token)
        found = jwt.decode_complete(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=server.issuer,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
        return found["header"], found["payload"]

    with Program("verify.mjs") as jose:
        jose.ask({"issuer": server.issuer, "jwks_uri": metadata["jwks_uri"]})

        def verify(response: dict[str, Any]) -> str:
            """Both tokens by both libraries; answers the key."""
            kids = set()
            for name, audience, typ in (
                ("access_token", server.issuer, "at+jwt"),
                ("id_token", client.client_id, "JWT"),
            ):
                header, claims = by_pyjwt(response[name], audience)
                heard = jose.ask({"token": response[name], "audience": audience, "typ": typ})
                assert heard == {"header": header, "claims": claims}
                assert header["alg"] == algorithm
                assert header["typ"] == typ
                assert claims["sub"] == person.id
                kids.add(header["kid"])
            (kid,) = kids
            assert isinstance(kid, str)
            return kid

        before = sign_in(server, client, person)
        old_kid = verify(before)
        published_before = {key["kid"] for key in httpx.get(metadata["jwks_uri"]).json()["keys"]}

        server.command("key", "rotate", "--alg", algorithm)

        after = sign_in(server, client, person)
        new_kid = verify(after)
        assert new_kid != old_kid
        assert new_kid in published_before, "verifiers must hold the new key before it signs"
        assert verify(before) == old_kid
        published = httpx.get(metadata["jwks_uri"]).json()["keys"]
        assert {old_kid, new_kid} < {key["kid"] for key in published}
        assert all("d" not in key for key in published)

        # The same signature over other words.
        head, _, signature = after["access_token"].split(".")
        forged = f"{head}.{before['access_token'].split('.')[1]}.{signature}"
        refused = jose.ask({"token": forged, "audience": server.issuer, "typ": "at+jwt"})
        assert refused == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
        with pytest.raises(jwt.InvalidSignatureError):
            by_pyjwt(forged, server.issuer)
