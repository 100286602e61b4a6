"""PyJWT (PyPI) and jose (npm) verify our tokens across a restart and a rotation of the keys, in every algorithm."""

import time
from typing import Any

import httpx2 as httpx
import jwt
import pytest

from harness.node import Program
from harness.server import Client, Person, Server
from harness.visitor import sign_in


def published(server: Server) -> set[str]:
    """The identifiers of the keys that everybody may fetch."""
    keys = httpx.get(server.discovery()["jwks_uri"]).raise_for_status().json()["keys"]
    assert all("d" not in key for key in keys)
    return {key["kid"] for key in keys}


def upcoming(server: Server, algorithm: str) -> str:
    """The key that will sign next, which the server makes by itself soon after its start."""
    for _ in range(100):
        keys = server.command("key", "list")
        if found := [key["kid"] for key in keys if (key["alg"], key["state"]) == (algorithm, "next")]:
            kid: str = found[0]
            return kid
        time.sleep(0.1)
    raise AssertionError(f"no key of {algorithm} to sign next: {keys}")


class Verifiers:
    """PyJWT and jose, each with the keys that it has once fetched."""

    def __init__(self, server: Server, algorithm: str, jose: Program) -> None:
        self.issuer, self.algorithm, self._jose = server.issuer, algorithm, jose
        jwks_uri = server.discovery()["jwks_uri"]
        self._keys = jwt.PyJWKClient(jwks_uri)
        jose.ask({"issuer": server.issuer, "jwks_uri": jwks_uri})

    def by_pyjwt(self, token: str, audience: str) -> dict[str, Any]:
        """Header and claims, or PyJWT's exception."""
        found = jwt.decode_complete(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=[self.algorithm],
            audience=audience,
            issuer=self.issuer,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
        return {"header": found["header"], "claims": found["payload"]}

    def by_jose(self, token: str, audience: str, typ: str) -> dict[str, Any]:
        """The same, or jose's word for what is wrong."""
        return self._jose.ask({"token": token, "audience": audience, "typ": typ})

    def verify(self, response: dict[str, Any], client: Client, person: Person) -> str:
        """Both tokens by both libraries; answers the key."""
        kids = []
        for name, audience, typ in (("access_token", self.issuer, "at+jwt"), ("id_token", client.client_id, "JWT")):
            found = self.by_pyjwt(response[name], audience)
            assert self.by_jose(response[name], audience, typ) == found
            assert found["header"]["alg"] == self.algorithm
            assert found["header"]["typ"] == typ
            assert found["claims"]["sub"] == person.id
            kids.append(found["header"]["kid"])
        assert kids[0] == kids[1]
        return str(kids[0])


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_tokens_outlive_a_restart_and_a_rotation(server: Server, person: Person, algorithm: str) -> None:
    """Old tokens go on verifying, new ones bear a key that verifiers already hold, altered ones are refused."""
    assert algorithm in server.discovery()["id_token_signing_alg_values_supported"]
    algorithms = ["--id-token-alg", algorithm, "--access-token-alg", algorithm]
    client = server.new_client("client_secret_basic", "--first-party", *algorithms)
    before = sign_in(server, client, person)
    server.stop()
    server.start()
    new_kid = upcoming(server, algorithm)
    assert new_kid in published(server)

    with Program("verify.mjs") as jose:
        verifiers = Verifiers(server, algorithm, jose)
        old_kid = verifiers.verify(before, client, person)
        assert old_kid != new_kid

        server.command("key", "rotate", "--alg", algorithm)
        after = sign_in(server, client, person)
        assert verifiers.verify(after, client, person) == new_kid
        assert verifiers.verify(before, client, person) == old_kid
        assert {old_kid, new_kid} < published(server)

        # The same signature over other words.
        head, _, signature = after["access_token"].split(".")
        forged = f"{head}.{before['access_token'].split('.')[1]}.{signature}"
        refused = verifiers.by_jose(forged, server.issuer, "at+jwt")
        assert refused == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
        with pytest.raises(jwt.InvalidSignatureError):
            verifiers.by_pyjwt(forged, server.issuer)

        # An ID token is not an access token.
        confused = verifiers.by_jose(after["id_token"], client.client_id, "at+jwt")
        assert confused == {"refused": "ERR_JWT_CLAIM_VALIDATION_FAILED"}
        bearer = {"Authorization": f"Bearer {after['id_token']}"}
        assert httpx.get(server.discovery()["userinfo_endpoint"], headers=bearer).status_code == 401
