"""Authlib (PyPI) signs a person in, keeps the grant alive, and ends it."""

import secrets
from typing import Any

import pytest
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet, KeySetSerialization
from joserfc.jws import JWSRegistry

from harness.server import Client, Person, Server
from harness.visitor import Arrival, Visitor


def id_token_claims(
    token: dict[str, Any], client: Client, nonce: str, metadata: dict[str, Any], keys: KeySetSerialization
) -> CodeIDToken:
    """The claims of the ID token, once Authlib and its JOSE library have found nothing wrong with them."""
    registry = JWSRegistry(algorithms=metadata["id_token_signing_alg_values_supported"])
    decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys), registry=registry)
    options = {"iss": {"essential": True, "value": metadata["issuer"]}}
    expected = {"nonce": nonce, "client_id": client.client_id, "access_token": token["access_token"]}
    claims = CodeIDToken(decoded.claims, decoded.header, options, expected)
    claims.validate()
    return claims


# RFC 9864 gives EdDSA over Curve25519 the narrower name Ed25519; relying parties in the field know the wider one.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_whole_life(server: Server, person: Person, auth_method: str) -> None:
    """Discovery, code and PKCE, tokens, userinfo, refresh, introspection, revocation, logout."""
    client = server.new_client(auth_method)
    metadata = server.discovery()
    nonce, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(48)
    homes = (client.redirect_uri, client.post_logout_redirect_uri)

    relying_party = OAuth2Client(
        client.client_id,
        client.secret,
        scope=client.scope,
        redirect_uri=client.redirect_uri,
        token_endpoint_auth_method=auth_method,
        revocation_endpoint_auth_method=auth_method,
        code_challenge_method="S256",
    )
    with relying_party, Visitor(homes) as visitor:
        url, state = relying_party.create_authorization_url(
            metadata["authorization_endpoint"],
            nonce=nonce,
            code_verifier=verifier,
            prompt="consent",  # what OpenID Connect Core 11 asks of whoever wants offline_access
        )
        arrival = visitor.sign_in(url, person)
        assert arrival.parameters["state"] == state
        assert arrival.parameters["iss"] == server.issuer

        endpoint = metadata["token_endpoint"]
        token = relying_party.fetch_token(
            endpoint, authorization_response=arrival.url, code_verifier=verifier, state=state
        )
        keys = relying_party.request("GET", metadata["jwks_uri"], withhold_token=True).json()
        claims = id_token_claims(token, client, nonce, metadata, keys)
        assert claims["sub"] == person.id

        userinfo = relying_party.get(metadata["userinfo_endpoint"]).raise_for_status().json()
        assert userinfo["sub"] == person.id
        assert userinfo["email"] == person.email

        first_refresh_token = token["refresh_token"]
        token = relying_party.refresh_token(endpoint, refresh_token=first_refresh_token)
        assert token["refresh_token"] != first_refresh_token

        def introspect() -> dict[str, Any]:
            answer = relying_party.introspect_token(
                metadata["introspection_endpoint"], token=token["access_token"], token_type_hint="access_token"
            )
            found: dict[str, Any] = answer.json()
            return found

        found = introspect()
        if auth_method == "none":
            assert found["error"] == "invalid_client"
        else:
            assert found["active"] is True
            assert found["username"] == person.username

        revoked = relying_party.revoke_token(
            metadata["revocation_endpoint"], token=token["refresh_token"], token_type_hint="refresh_token"
        )
        assert revoked.status_code == 200
        with pytest.raises(OAuthError, match="invalid_grant"):
            relying_party.refresh_token(endpoint, refresh_token=token["refresh_token"])
        assert relying_party.get(metadata["userinfo_endpoint"]).status_code == 401
        if auth_method != "none":
            assert introspect() == {"active": False}

        farewell = visitor.sign_out(
            add_params_to_uri(
                metadata["end_session_endpoint"],
                {
                    "id_token_hint": token.get("id_token", ""),
                    "client_id": client.client_id,
                    "post_logout_redirect_uri": client.post_logout_redirect_uri,
                    "state": state,
                },
            )
        )
        assert isinstance(farewell, Arrival)
        assert farewell.parameters == {"state": state}

        silent = visitor.open(url.replace("prompt=consent", "prompt=none"))
        assert isinstance(silent, Arrival)
        assert silent.parameters["error"] == "login_required"


def test_a_person_may_say_no(server: Server, person: Person) -> None:
    """A refused consent reaches the application as access_denied, with its state."""
    client = server.new_client("client_secret_basic")
    relying_party = OAuth2Client(
        client.client_id,
        client.secret,
        scope=client.scope,
        redirect_uri=client.redirect_uri,
        code_challenge_method="S256",
    )
    with relying_party, Visitor((client.redirect_uri,)) as visitor:
        url, state = relying_party.create_authorization_url(
            server.discovery()["authorization_endpoint"], code_verifier=secrets.token_urlsafe(48)
        )
        answer = visitor.sign_in(url, person, allow=False).parameters
        assert answer["error"] == "access_denied"
        assert answer["state"] == state
        assert "code" not in answer
