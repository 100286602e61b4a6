"""openid-client (npm) pushes and signs requests, names resources, proves keys, connects devices, registers itself,
exchanges tokens, brings assertions; jose hears sign-outs.
"""

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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


def portal_of(admin: Admin, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 (settings are of many kinds)
    """An application of the operator that signs users in."""
    grants = ["authorization_code", "refresh_token"]
    usual = {"redirect_uris": [CALLBACK], "grant_types": grants, "scopes": "openid profile", "first_party": True}
    return admin.client(**(usual | settings))


def audience(server: Server, token: str, *expected: str) -> None:
    """Verifies an access token with jose: it is for these, and for nobody else."""
    with Program("verify.mjs") as verifier:
        verifier.ask({"issuer": server.issuer, "jwks_uri": server.discovery()["jwks_uri"]})
        claims = verifier.ask({"token": token, "audience": list(expected), "typ": "at+jwt"})["claims"]
    told = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert told == list(expected)


def test_requests_are_pushed(server: Server, person: Person, admin: Admin) -> None:
    """RFC 9126: the browser carries a reference, and nothing else of the request."""
    portal = portal_of(admin, require_pushed_authorization_requests=True)
    code = {"do": "code", "client": portal, "redirect_uri": CALLBACK, "scope": "openid profile"}
    with Program("grants.mjs") as program, Visitor((CALLBACK,)) as visitor:
        program.ask({"issuer": server.issuer})
        begun = program.ask(code | {"push": True})["visit"]
        carried = dict(parse_qsl(urlsplit(begun).query))
        assert set(carried) == {"client_id", "request_uri"}
        assert carried["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
        arrived = visitor.sign_in(begun, person).url
        assert program.ask({"arrived": arrived})["claims"]["sub"] == person.id
        # The reference is good once.
        again = visitor.open(begun)
        assert isinstance(again, Page)
        assert again.status == httpx.codes.BAD_REQUEST
        # What is wrong with a request its client learns at once, and what is not pushed leads to no code.
        assert program.ask(code | {"push": True, "scope": "keyreeve:admin"}) == {"refused": "invalid_scope"}
        direct = program.ask(code)["visit"]
        assert program.ask({"arrived": visitor.sign_in(direct, person).url}) == {"refused": "invalid_request"}


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_requests_are_signed(server: Server, person: Person, admin: Admin, alg: str) -> None:
    """RFC 9101, by value: in the browser's address, and pushed; by a client that authenticates with the same key."""
    name = f"{alg} {secrets.token_hex(4)}"
    with Program("grants.mjs") as program, Visitor((CALLBACK,)) as visitor:
        program.ask({"issuer": server.issuer})
        keys = [program.ask({"do": "key", "name": name})["jwk"]]
        settings: dict[str, Any] = {"auth_method": "private_key_jwt", "jwks": keys}
        settings |= {"require_signed_request_object": True, "request_object_signing_alg": alg}
        portal = portal_of(admin, **settings) | {"signs": name}
        code = {"do": "code", "client": portal, "redirect_uri": CALLBACK, "scope": "openid profile"}
        for push in [False, True]:
            begun = program.ask(code | {"sign": name, "push": push})["visit"]
            carried = set(dict(parse_qsl(urlsplit(begun).query)))
            assert carried == {"client_id", "request_uri" if push else "request"}
            arrived = visitor.sign_in(begun, person).url
            assert program.ask({"arrived": arrived})["claims"]["sub"] == person.id
        # Unsigned, or signed by somebody else, it is nothing.
        assert program.ask(code | {"push": True}) == {"refused": "invalid_request"}
        stranger = {"sign": f"{alg} of a stranger"}
        assert program.ask(code | stranger | {"push": True}) == {"refused": "invalid_request_object"}


def test_tokens_are_for_the_resources_that_were_named(server: Server, person: Person, admin: Admin) -> None:
    """RFC 8707: in the authorization request, pushed or not, at the refresh, by devices, by clients for themselves."""
    mark = secrets.token_hex(4)
    api, files = f"https://api-{mark}.example/", f"https://files-{mark}.example/v1?x=1"
    admin.client(grant_types=["client_credentials"], scopes="read", resources=[api, files])
    portal = portal_of(admin)
    with Program("grants.mjs") as program, Visitor((CALLBACK,)) as visitor:
        program.ask({"issuer": server.issuer})
        code = {"do": "code", "client": portal, "redirect_uri": CALLBACK, "scope": "openid profile"}
        for way in [{}, {"push": True}]:
            begun = program.ask(code | way | {"resources": [api, files]})["visit"]
            tokens = program.ask({"arrived": visitor.sign_in(begun, person).url})["tokens"]
            audience(server, tokens["access_token"], api, files)
        refresh = {"do": "refresh", "client": portal, "token": tokens["refresh_token"]}
        unknown = f"https://unknown-{mark}.example/"
        assert program.ask(refresh | {"resources": [unknown]}) == {"refused": "invalid_target"}
        tokens = program.ask(refresh | {"resources": [files]})["tokens"]
        audience(server, tokens["access_token"], files)
        # A token for others opens nothing here.
        userinfo = {"do": "userinfo", "client": portal, "token": tokens["access_token"], "subject": person.id}
        assert program.ask(userinfo)["refused"] == "invalid_token"
        assert program.ask(code | {"push": True, "resources": [unknown]}) == {"refused": "invalid_target"}
        begun = program.ask(code | {"resources": [unknown]})["visit"]
        assert program.ask({"arrived": visitor.sign_in(begun, person).url}) == {"refused": "invalid_target"}
        robot = admin.client(grant_types=["client_credentials"], scopes="read")
        grant = {"do": "grant", "client": robot, "type": "client_credentials", "parameters": {}}
        audience(server, program.ask(grant | {"resources": [api]})["tokens"]["access_token"], api)
        assert program.ask(grant | {"resources": [unknown]}) == {"refused": "invalid_target"}
        television = admin.client(auth_method="none", grant_types=[f"{GRANT}device_code"], scopes="openid")
        codes = program.ask({"do": "device", "client": television, "scope": "openid", "resources": [api]})
        page = visitor.open(codes["verification_uri_complete"])
        assert isinstance(page, Page)
        question = visitor.submit(page, {})
        assert isinstance(question, Page)
        visitor.submit(question, {})
        answer = program.ask({"do": "poll", "client": television})
        audience(server, answer["tokens"]["access_token"], api)


@pytest.mark.parametrize("nonce", [False, True], ids=["no nonce", "nonce"])
def test_tokens_are_bound_to_a_key(server: Server, person: Person, admin: Admin, *, nonce: bool) -> None:
    """RFC 9449: from the request to the refresh, at userinfo, and refused without the key or with another."""
    spa = portal_of(admin, auth_method="none", dpop_bound_access_tokens=True)
    code = {"do": "code", "client": spa, "redirect_uri": CALLBACK, "scope": "openid profile"}
    admin.patch("/tenant/token-policy", {"require_dpop_nonce": nonce})
    try:
        with Program("grants.mjs") as program, Visitor((CALLBACK,)) as visitor:
            program.ask({"issuer": server.issuer})

            def sign_in(**how: object) -> dict[str, Any]:
                begun = program.ask(code | how)["visit"]
                return program.ask({"arrived": visitor.sign_in(begun, person).url})

            # Who is held to a key gets nothing without one; a code that is bound from the start goes to its key alone.
            assert sign_in() == {"refused": "invalid_dpop_proof"}
            for way in [{"bind": True}, {"push": True}]:
                assert sign_in(holder="own", redeemer="thief", **way) == {"refused": "invalid_grant"}
                assert sign_in(holder="own", **way)["claims"]["sub"] == person.id
            if nonce:
                brought = program.ask({"do": "nonces"})["brought"]
                assert httpx.codes.BAD_REQUEST in brought, "one was asked for"
                assert httpx.codes.OK in brought, "and the next came with the tokens"
            signed_in = sign_in(holder="own")
            tokens = signed_in["tokens"]
            assert tokens["token_type"] == "dpop"  # openid-client writes it in lower case
            userinfo = {"do": "userinfo", "client": spa, "token": tokens["access_token"], "subject": person.id}
            assert program.ask(userinfo | {"holder": "own"})["claims"]["sub"] == person.id
            refused = {"refused": "invalid_token", "status": 401}
            assert program.ask(userinfo) == refused | {"scheme": "bearer"}
            assert program.ask(userinfo | {"holder": "thief"}) == refused | {"scheme": "dpop"}
            refresh = {"do": "refresh", "client": spa, "token": tokens["refresh_token"]}
            assert program.ask(refresh) == {"refused": "invalid_dpop_proof"}
            assert program.ask(refresh | {"holder": "thief"}) == {"refused": "invalid_grant"}
            later = program.ask(refresh | {"holder": "own"})["tokens"]
            assert later["token_type"] == "dpop"
            again = userinfo | {"token": later["access_token"], "holder": "own"}
            assert program.ask(again)["claims"]["sub"] == person.id
    finally:
        admin.patch("/tenant/token-policy", {"require_dpop_nonce": False})


@pytest.mark.parametrize("nonce", [False, True], ids=["no nonce", "nonce"])
def test_interfaces_take_tokens_with_proofs(server: Server, admin: Admin, *, nonce: bool) -> None:
    """RFC 9449 section 7: the native API and SCIM."""
    scopes = "keyreeve:users:read keyreeve:groups:read"
    robot = admin.client(grant_types=["client_credentials"], scopes=scopes)
    admin.patch("/tenant/token-policy", {"require_dpop_nonce": nonce})
    try:
        with Program("grants.mjs") as program:
            program.ask({"issuer": server.issuer})
            grant = {"do": "grant", "client": robot, "type": "client_credentials", "parameters": {}, "holder": "own"}
            token = program.ask(grant)["tokens"]["access_token"]
            for url in [f"{server.issuer}/api/v1/groups?limit=5", f"{server.issuer}/scim/v2/default/Users?count=5"]:
                call = {"do": "call", "client": robot, "token": token, "url": url}
                assert program.ask(call | {"holder": "own"})["status"] == httpx.codes.OK
                refused = {"refused": "invalid_token", "status": 401}
                assert program.ask(call) == refused | {"scheme": "bearer"}
                assert program.ask(call | {"holder": "thief"}) == refused | {"scheme": "dpop"}
            brought = program.ask({"do": "nonces"})["brought"]
            assert (httpx.codes.UNAUTHORIZED in brought) == nonce
    finally:
        admin.patch("/tenant/token-policy", {"require_dpop_nonce": False})


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
            answer = device.ask({"do": "poll", "client": client, "holder": "own"})
            assert expected in answer, answer
            if expected == "claims":
                assert answer["claims"]["sub"] == person.id
                assert answer["tokens"]["scope"] == "openid profile"
                refresh = {"do": "refresh", "client": client, "token": answer["tokens"]["refresh_token"]}
                assert device.ask(refresh) == {"refused": "invalid_grant"}, "its tokens are bound to its key"
                assert device.ask(refresh | {"holder": "own"})["tokens"]["token_type"] == "dpop"
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
        bound = program.ask(order | {"parameters": handed | {"audience": "store"}, "holder": "own"})["tokens"]
        assert (bound["issued_token_type"], bound["token_type"]) == (ACCESS_TOKEN, "dpop")
        assert program.ask(order | {"parameters": handed | {"audience": "bank"}}) == {"refused": "invalid_target"}

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
        again = {"parameters": {"assertion": program.ask({"do": "assert", "claims": claims})["assertion"]}}
        assert program.ask(order | again | {"holder": "own"})["tokens"]["token_type"] == "dpop"
        stranger = program.ask({"do": "assert", "claims": claims | {"email": "nobody@example.com"}})["assertion"]
        order |= {"parameters": {"assertion": stranger}}
        assert program.ask(order) == {"refused": "invalid_grant"}
