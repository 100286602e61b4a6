"""scim2-cli (PyPI) tests the provisioning door whole; scim2-client drives what the tester does not cover."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import (
    BulkOperation,
    BulkRequest,
    Error,
    PatchOp,
    PatchOperation,
    SCIMException,
    SearchRequest,
)

from harness.server import Server

TESTER_S = 300
# The models are made at run time of what the server describes, so no type is known beforehand.
Client = Any
Resource = Any
PATCH: Any = PatchOp
OPERATION: Any = PatchOperation
SEARCH: Any = SearchRequest
BULK: Any = BulkRequest
BULK_OPERATION: Any = BulkOperation
SCOPES = ["--scope", "keyreeve:users:write", "--scope", "keyreeve:groups:write"]


@dataclass(frozen=True)
class Provisioning:
    """A tenant of its own, and a token that opens its users and groups."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What shows the token."""
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def provisioning(server: Server) -> Provisioning:
    """Provisioning as an operator sets it up."""
    server.command("tenant", "create", "provisioned")
    command = ["client", "create", "--tenant", "provisioned", "--name", "SCIM", *SCOPES]
    created = server.command(*command, "--grant-type", "client_credentials")
    credentials = (created["client_id"], created["client_secret"])
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(f"{server.url}/t/provisioned/token", auth=credentials, data=form).raise_for_status()
    return Provisioning(f"{server.url}/scim/v2/provisioned", answer.json()["access_token"])


@pytest.fixture
def scim(provisioning: Provisioning) -> Iterator[Client]:
    """A client that has asked the server what it can do, and holds every answer against that."""
    with httpx.Client(base_url=provisioning.url, headers=provisioning.headers) as http:
        client = SyncSCIMClient(http)
        client.discover()
        yield client


def test_the_tester_finds_nothing(provisioning: Provisioning) -> None:
    """`scim2 test`: discovery, creation, reading, replacement, removal, PATCH of every attribute, projections."""
    program = Path(sys.executable).with_name("scim2")
    header = "; ".join(f"{name}: {value}" for name, value in provisioning.headers.items())
    done = subprocess.run(
        [program, "--url", provisioning.url, "test", "--verbose"],
        env=os.environ | {"SCIM_CLI_HEADERS": header},
        capture_output=True,
        text=True,
        timeout=TESTER_S,
        check=False,
    )
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith(("ERROR", "CRITICAL", "SKIPPED", "DEVIATION"))]
    assert done.returncode == 0, done.stdout + done.stderr
    assert not failed
    assert sum(line.startswith("SUCCESS") for line in lines) > 100


def made(scim: Client, name: str) -> Resource:
    """A user, as the server shows them."""
    user = scim.get_resource_model("User").model_validate(
        {"userName": name, "emails": [{"value": f"{name}@example.org", "type": "work"}]}
    )
    return scim.create(user)


def test_values_are_patched_by_filter(scim: Client) -> None:
    """Value paths, the enterprise extension, and several operations at once."""
    user = made(scim, "patched")
    model = type(user)
    operations = [
        OPERATION(op="replace", path='emails[type eq "work"].value', value="new@example.org"),
        OPERATION(op="add", path="emails", value=[{"value": "home@example.org", "type": "home"}]),
        OPERATION(op="add", path="name", value={"givenName": "Ada"}),
    ]
    after = scim.modify(user, PATCH[model](operations=operations))
    assert [email.value for email in after.emails] == ["new@example.org", "home@example.org"]
    assert after.name.given_name == "Ada"
    operations = [OPERATION(op="remove", path='emails[type eq "home"]')]
    after = scim.modify(after, PATCH[model](operations=operations))
    assert len(after.emails) == 1
    # The client sends the version that it has: an old one is refused.
    with pytest.raises(SCIMException, match="version"):
        scim.modify(user, PATCH[model](operations=operations))


def test_lists_are_filtered_sorted_and_paged(scim: Client) -> None:
    """Filters, orders, and both kinds of pages."""
    model = type(made(scim, "page-c"))
    for name in ("page-a", "page-b"):
        made(scim, name)
    search = SEARCH(filter='userName sw "page-"', sort_by="userName", count=2)
    first = scim.query(model, query_parameters=search)
    assert [user.user_name for user in first.resources] == ["page-a", "page-b"]
    assert first.total_results == 3
    rest = scim.query(model, query_parameters=search.model_copy(update={"start_index": 3}))
    assert [user.user_name for user in rest.resources] == ["page-c"]
    found = scim.search(model, SEARCH(filter='emails[type eq "work" and value eq "page-b@example.org"]'))
    assert [user.user_name for user in found.resources] == ["page-b"]
    cursor: str | None = ""
    names: list[str] = []
    while cursor is not None:
        page = scim.search(model, SEARCH(filter='userName sw "page-"', count=1, cursor=cursor))
        names += [user.user_name for user in page.resources]
        cursor = page.next_cursor
    assert sorted(names) == ["page-a", "page-b", "page-c"]


def test_many_operations_go_at_once(scim: Client) -> None:
    """A bulk request whose group refers to a user that it makes."""
    user, group = scim.get_resource_model("User"), scim.get_resource_model("Group")
    member = {"value": "bulkId:u", "type": "User"}
    request = BULK[user | group](
        operations=[
            BULK_OPERATION[group](
                method="POST",
                path="/Groups",
                bulk_id="g",
                data=group.model_validate({"displayName": "Guides", "members": [member]}),
            ),
            BULK_OPERATION[user](
                method="POST", path="/Users", bulk_id="u", data=user.model_validate({"userName": "guide"})
            ),
        ]
    )
    answered = scim.bulk(request)
    assert [operation.status for operation in answered.operations] == [201, 201]
    guides = scim.query(group, answered.operations[0].location.rsplit("/", 1)[-1])
    assert [member.value for member in guides.members] == [answered.operations[1].location.rsplit("/", 1)[-1]]


def test_errors_are_errors_of_scim(provisioning: Provisioning, scim: Client) -> None:
    """Uniqueness, a missing resource, and a request without a token."""
    user = made(scim, "twice")
    refused = scim.create(type(user).model_validate({"userName": "TWICE"}), raise_scim_errors=False)
    assert isinstance(refused, Error)
    assert (refused.status, refused.scim_type) == (409, "uniqueness")
    scim.delete(user)
    gone = scim.query(type(user), user.id, raise_scim_errors=False)
    assert isinstance(gone, Error)
    assert gone.status == 404
    assert httpx.get(f"{provisioning.url}/Users").status_code == 401
