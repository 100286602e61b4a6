"""openid-client (npm) connects devices, registers itself, exchanges tokens, brings assertions; jose hears sign-outs."""

import secrets
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from harness.admin import Admin
from harness.node import Program
from harness.server import Person, Server
from harness.visitor import Arrival, Page, Visitor

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
GRANT = "urn:ietf:params:oauth:grant-type:"
CALLBACK = "https://rp.example/callback"


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    """The operator."""
    with Admin(server) as operator:
        yield operator


def test_a_device_is_connected(server: Server, person: Person, admin: Admin) -> None:
    """RFC 8628: openid-client shows a code and asks; a person types it and allows, or does not."""
    grants = [f"{GRANT}device_code", "refresh_token"]
    client = admin.client(auth_method="none", grant_types=grants, scopes="openid profile offline_access")
    with Program("grants.mjs") as device, Visitor(()) as visitor:
        device.ask({"issuer": server.issuer})
        for button, expected in [(0, "claims"), (1, "refused")]:
            codes = device.ask({"do": "device", "client": client, "scope": "openid profile"})
            page = visitor.open(codes["verification_uri_complete"])
            assert isinstance(page, Page)
            if "username" in page.form().purposes:
                page = visitor.submit(page, {"username": person.username, "password": person.password})
            assert isinstance(page, Page)
            assert page.form().values["user_code"] == codes["user_code"]
            question = visitor.submit(page, {})
            assert isinstance(question, Page)
            assert codes["user_code"] in question.html.get_text()
            visitor.submit(question, {}, button=button)
            answer = device.ask({"do": "poll", "client": client})
            assert expected in answer, answer
            if expected == "claims":
                assert answer["claims"]["sub"] == person.id
                assert answer["tokens"]["scope"] == "openid profile"
            else:
                assert answer["refused"] == "access_denied"


def test_a_client_registers_itself(server: Server, person: Person, admin: Admin) -> None:
    """RFC 7591 and 7592: with an initial access token, within the policy, and then it signs a user in."""
    policy = {"initial_token": True, "redirect_hosts": ["rp.example"]}
    admin.patch("/tenant/token-policy", {"registration": policy})
    issued = admin.create("/initial-access-tokens", {"name": "the test", "uses": 1})
    # openid-client sends its secret in the body, unless it is told otherwise.
    method = {"token_endpoint_auth_method": "client_secret_post"}
    metadata = method | {"client_name": "Reading room", "redirect_uris": [CALLBACK], "scope": "openid profile"}
    with Program("grants.mjs") as client, Visitor((CALLBACK,)) as visitor:
        client.ask({"issuer": server.issuer})
        away = metadata | {"redirect_uris": ["https://evil.example/callback"]}
        register = {"do": "register", "token": issued["token"]}
        assert client.ask(register | {"metadata": away}) == {"refused": "invalid_redirect_uri"}
        about = client.ask(register | {"metadata": metadata})["about"]
        assert about["client_name"] == "Reading room"
        code = {"do": "code", "client": about, "redirect_uri": CALLBACK, "scope": "openid profile"}
        asked = client.ask(code)
        arrival = visitor.sign_in(asked["visit"], person)
        assert visitor.pages == ["sign-in", "consent"]
        assert client.ask({"arrived": arrival.url})["claims"]["sub"] == person.id
    with httpx.Client(headers={"Authorization": f"Bearer {about['registration_access_token']}"}) as own:
        uri = about["registration_client_uri"]
        assert own.get(uri).json()["client_name"] == "Reading room"
        assert own.delete(uri).status_code == httpx.codes.NO_CONTENT
        assert own.get(uri).status_code == httpx.codes.UNAUTHORIZED


def test_tokens_are_exchanged_and_sign_outs_are_heard(server: Server, person: Person, admin: Admin) -> None:
    """RFC 8693 by genericGrantRequest; OpenID Connect Back-Channel Logout 1.0 with jose."""
    name = f"service-{secrets.token_hex(4)}"
    with Program("grants.mjs") as program, Visitor((CALLBACK,)) as visitor:
        program.ask({"issuer": server.issuer})
        ear = program.ask({"do": "about"})["ear"]
        portal = admin.client(
            redirect_uris=[CALLBACK],
            grant_types=["authorization_code", "refresh_token"],
            scopes="openid profile read write",
            audiences=[name],
            first_party=True,
            backchannel_logout_uri=ear,
        )
        exchange = {"audiences": ["store"]}
        service = admin.client(client_id=name, grant_types=[f"{GRANT}token-exchange"], exchange=exchange)
        code = {"do": "code", "client": portal, "redirect_uri": CALLBACK, "scope": "openid profile read write"}
        asked = program.ask(code)
        tokens = program.ask({"arrived": visitor.sign_in(asked["visit"], person).url})

        handed = {"subject_token": tokens["tokens"]["access_token"], "subject_token_type": ACCESS_TOKEN}
        order = {"do": "grant", "client": service, "type": f"{GRANT}token-exchange"}
        answer = program.ask(order | {"parameters": handed | {"scope": "read"}})["tokens"]
        assert (answer["issued_token_type"], answer["scope"]) == (ACCESS_TOKEN, "read")
        with Program("verify.mjs") as verifier:
            verifier.ask({"issuer": server.issuer, "jwks_uri": server.discovery()["jwks_uri"]})
            question = {"token": answer["access_token"], "audience": "store", "typ": "at+jwt"}
            claims = verifier.ask(question)["claims"]
        assert (claims["sub"], claims["act"], claims["client_id"]) == (person.id, {"sub": name}, name)
        beyond = program.ask(order | {"parameters": handed | {"scope": "read admin"}})
        assert beyond == {"refused": "invalid_scope"}

        farewell = visitor.sign_out(f"{server.issuer}/end-session?id_token_hint={tokens['tokens']['id_token']}")
        assert not isinstance(farewell, Arrival)
        notice = program.ask({"do": "notice", "client": portal})["claims"]
        assert (notice["sub"], notice["sid"]) == (person.id, tokens["claims"]["sid"])
        assert notice["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
        assert "nonce" not in notice
        after = program.ask(order | {"parameters": handed})
        assert after == {"refused": "invalid_request"}
    log = admin.get(f"/clients/{portal['id']}/logout-deliveries")["items"]
    assert [line["state"] for line in log] == ["delivered"]


def test_another_issuer_vouches_for_a_user(server: Server, person: Person, admin: Admin) -> None:
    """RFC 7523 by genericGrantRequest, with an assertion that jose signed."""
    bridge = admin.client(grant_types=[f"{GRANT}jwt-bearer"], scopes="read write")
    with Program("grants.mjs") as program:
        program.ask({"issuer": server.issuer})
        issuer = f"https://idp-{secrets.token_hex(4)}.example"
        settings = {
            "jwks": [program.ask({"do": "about"})["jwk"]],
            "clients": [bridge["client_id"]],
            "scopes": "read",
            "subject": {"claim": "email", "field": "email"},
        }
        admin.create("/trusted-issuers", {"issuer": issuer, "settings": settings})
        claims = {"iss": issuer, "sub": "x", "aud": server.issuer, "email": person.email}
        assertion = program.ask({"do": "assert", "claims": claims})["assertion"]
        order = {"do": "grant", "client": bridge, "type": f"{GRANT}jwt-bearer", "parameters": {"assertion": assertion}}
        answer = program.ask(order)["tokens"]
        assert (answer["scope"], answer.get("refresh_token")) == ("read", None)
        assert program.ask(order) == {"refused": "invalid_grant"}, "it is good once"
        stranger = program.ask({"do": "assert", "claims": claims | {"email": "nobody@example.com"}})["assertion"]
        order |= {"parameters": {"assertion": stranger}}
        assert program.ask(order) == {"refused": "invalid_grant"}
