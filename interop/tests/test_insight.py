"""Programs written for Xpress Insight, with requests (PyPI): how one that holds REST API credentials works."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from harness.server import Person, Server

AUTH = "/insightservices/rest/v1/auth"
TIMEOUT_S = 30
LATER_JSON = "application/vnd.com.fico.xpress.insight.v2+json"
LATER_PLAIN = "text/vnd.com.fico.xpress.insight.v2+plain"


@pytest.fixture
def user(insight: Server) -> Person:
    """Somebody new there."""
    return insight.new_person()


def signed_in(server: Server, person: Person) -> requests.Session:
    """A session of the application's pages."""
    session = requests.Session()
    session.headers["X-Requested-With"] = "XMLHttpRequest"
    credentials = {"username": person.username, "password": person.password}
    answer = session.post(f"{server.url}/insightservices/login", json=credentials, timeout=TIMEOUT_S)
    answer.raise_for_status()
    assert answer.json()["objectType"] == "USER_PROFILE"
    return session


class Program:
    """A program that has a pair, and asks for a token when it has none."""

    def __init__(self, server: Server, pair: dict[str, Any]) -> None:
        self._url = f"{server.url}{AUTH}"
        self._pair = {"clientId": pair["clientId"], "secret": pair["secret"]}
        self._session = requests.Session()

    def token(self, max_age: int = 900) -> requests.Response:
        """Asks for a token, and uses it from now on."""
        wanted = {**self._pair, "maxAge": max_age}
        answer = self._session.post(f"{self._url}/token", json=wanted, timeout=TIMEOUT_S)
        if answer.ok:
            self._session.headers["Authorization"] = f"Bearer {answer.json()}"
        return answer

    def call(self, method: str, path: str) -> requests.Response:
        """Calls an operation."""
        return self._session.request(method, f"{self._url}{path}", timeout=TIMEOUT_S)


def test_a_pair_from_its_making_to_its_end(insight: Server, user: Person) -> None:
    """Everything that the interface has, in the order in which a user and a program meet it."""
    pages = signed_in(insight, user)
    credentials = f"{insight.url}{AUTH}/currentuser/credentials"
    assert pages.get(credentials, timeout=TIMEOUT_S).status_code == requests.codes.not_found

    pair = pages.post(credentials, timeout=TIMEOUT_S).json()
    assert pair["credentialsId"] == 1
    info = pages.get(credentials, timeout=TIMEOUT_S).json()
    assert info == {"createdDate": pair["createdDate"], "credentialsId": 1}

    program = Program(insight, pair)
    token = program.token()
    assert token.headers["Content-Type"] == "application/json"
    said = program.call("GET", "/user").json()
    assert (said["uid"], said["mail"]) == (user.id, user.email)
    left = datetime.fromisoformat(said["access_token_expiration_time"]) - datetime.now(UTC)
    assert 0 < left.total_seconds() <= 900
    assert program.call("GET", "/currentuser").json()["id"] == user.id
    for method in ("POST", "DELETE"):
        assert program.call(method, "/currentuser/credentials").status_code == requests.codes.forbidden

    again = pages.post(credentials, timeout=TIMEOUT_S).json()
    assert again["credentialsId"] == 2
    assert program.call("GET", "/user").status_code == requests.codes.unauthorized
    assert program.token().status_code == requests.codes.unauthorized

    program = Program(insight, again)
    assert program.token(60).ok
    assert program.token(0).status_code == requests.codes.unprocessable_entity
    assert pages.delete(credentials, timeout=TIMEOUT_S).status_code == requests.codes.no_content
    refused = program.call("GET", "/user")
    assert refused.status_code == requests.codes.unauthorized
    assert refused.json()["error"]["code"] == "FICO-Platform-Http-401"


def test_as_a_client_of_later_releases_asks(insight: Server, user: Person) -> None:
    """Other paths, and media types of their own."""
    pages = signed_in(insight, user)
    pair = pages.post(f"{insight.url}{AUTH}/currentuser/credentials", timeout=TIMEOUT_S).json()
    answer = requests.post(
        f"{insight.url}/api/authentication/token",
        json={"clientId": pair["clientId"], "secret": pair["secret"], "maxAge": 900},
        headers={"Content-Type": LATER_JSON, "Accept": f"{LATER_PLAIN}, {LATER_JSON}"},
        timeout=TIMEOUT_S,
    )
    answer.raise_for_status()
    assert answer.headers["Content-Type"] == LATER_PLAIN
    shown = {"Authorization": f"Bearer {answer.text}", "Accept": LATER_JSON}
    profile = requests.get(f"{insight.url}/api/authentication/current-user", headers=shown, timeout=TIMEOUT_S)
    assert (profile.headers["Content-Type"], profile.json()["id"]) == (LATER_JSON, user.id)
