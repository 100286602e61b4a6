"""The servers that all tests share: one for each engine, with a person who may sign in."""

from collections.abc import Iterator

import pytest

from harness.mailbox import Mailbox
from harness.postgres import Cluster
from harness.server import Person, Server


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A throwaway PostgreSQL."""
    running = Cluster()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """Where the servers send their mail."""
    running = Mailbox()
    yield running
    running.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, mailbox: Mailbox) -> Iterator[Server]:
    """The server under test."""
    database_url = None
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("cluster")
        database_url = cluster.new_database()
    running = Server(database_url, mailbox.url)
    running.start()
    yield running
    running.stop()
    assert " ERROR " not in running.log(), running.log()
    running.remove()


@pytest.fixture(scope="session")
def person(server: Server) -> Person:
    """Somebody with an account there."""
    return server.new_person()
