"""openid-client (npm) signs a person in, keeps the grant alive, and ends it."""

from pathlib import Path
from typing import Any

import pytest

from harness.keys import new_key
from harness.node import Program
from harness.server import Person, Server
from harness.visitor import Arrival, Visitor


@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"])
def test_a_whole_life(server: Server, person: Person, auth_method: str, tmp_path: Path) -> None:
    """Discovery, code and PKCE, tokens, userinfo, refresh, introspection, revocation, logout."""
    flags: list[str] = []
    extra: dict[str, Any] = {}
    if auth_method == "private_key_jwt":
        private_jwk, jwks_file = new_key(tmp_path)
        flags, extra = ["--jwks-file", str(jwks_file)], {"private_jwk": private_jwk}
    client = server.new_client(auth_method, *flags)

    homes = (client.redirect_uri, client.post_logout_redirect_uri)
    with Program("relying_party.mjs") as relying_party, Visitor(homes) as visitor:
        asked = relying_party.ask({"issuer": server.issuer} | vars(client) | extra)
        arrival = visitor.sign_in(asked["visit"], person)
        assert arrival.parameters["iss"] == server.issuer
        assert visitor.pages == ["sign-in", "consent"]

        asked_again = relying_party.ask({"arrived": arrival.url})
        farewell = visitor.sign_out(asked_again["visit"])
        assert isinstance(farewell, Arrival)
        learned = relying_party.ask({"arrived": farewell.url})

        # The session is over: the same request now meets the sign-in page.
        page = visitor.open(asked["visit"])
        assert not isinstance(page, Arrival)
        assert "username" in page.form().purposes

    assert learned["farewell_state_matches"]
    assert learned["claims"]["sub"] == person.id
    assert learned["claims"]["aud"] in (client.client_id, [client.client_id])
    assert learned["userinfo"]["email"] == person.email
    assert learned["userinfo"]["email_verified"] is True
    assert learned["userinfo"]["name"] == "Ada Lovelace"
    assert learned["rotated"]
    after = learned["after_revocation"]
    assert after["refresh"] == "invalid_grant"
    assert after["userinfo"] == "invalid_token"
    if auth_method == "none":
        assert learned["introspection"] == {"refused": "invalid_client"}
    else:
        assert learned["introspection"]["active"] is True
        assert learned["introspection"]["sub"] == person.id
        assert learned["introspection"]["client_id"] == client.client_id
        assert after["introspection"] == {"active": False}
