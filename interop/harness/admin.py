"""The operator, at the native API."""

from types import TracebackType
from typing import Any, Self

import httpx2 as httpx

from harness.server import Server


class Admin:
    """The operator, at the native API."""

    def __init__(self, server: Server) -> None:
        client = server.first_start["client"]
        asked = {"grant_type": "client_credentials"}
        answer = httpx.post(f"{server.issuer}/token", data=asked, auth=(client["client_id"], client["client_secret"]))
        token = answer.raise_for_status().json()["access_token"]
        self._http = httpx.Client(base_url=f"{server.issuer}/api/v1", headers={"Authorization": f"Bearer {token}"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def create(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Makes something, and answers what was made."""
        answer = self._http.post(path, json=document)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def patch(self, path: str, document: dict[str, Any]) -> None:
        """Changes something."""
        answer = self._http.patch(path, json=document)
        assert answer.is_success, answer.text

    def get(self, path: str) -> dict[str, Any]:
        """Reads something."""
        found: dict[str, Any] = self._http.get(path).raise_for_status().json()
        return found

    def client(self, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 (settings are of many kinds)
        """Registers a client; answers what openid-client has to know of it."""
        made = self.create("/clients", {"name": "Library card"} | settings)
        known = {"client_id": made["client_id"], "id": made["id"]}
        return known | ({"secret": made["client_secret"]} if made.get("client_secret") else {})
