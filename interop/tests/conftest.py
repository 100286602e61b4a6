"""The servers that all tests share: one for each engine, with a person who may sign in."""

from collections.abc import Iterator
from contextlib import contextmanager

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
def engine(request: pytest.FixtureRequest) -> str:
    """What the servers keep their data in."""
    name: str = request.param
    return name


@contextmanager
def serving(
    engine: str, request: pytest.FixtureRequest, mailbox: Mailbox, more: dict[str, str] | None = None
) -> Iterator[Server]:
    """A server, with these further settings, which must have logged no error when it ends."""
    database_url = None
    if engine == "postgres":
        cluster: Cluster = request.getfixturevalue("cluster")
        database_url = cluster.new_database()
    running = Server(database_url, mailbox.url, more)
    running.start()
    yield running
    running.stop()
    assert " ERROR " not in running.log(), running.log()
    running.remove()


@pytest.fixture(scope="session")
def server(engine: str, request: pytest.FixtureRequest, mailbox: Mailbox) -> Iterator[Server]:
    """The server under test."""
    with serving(engine, request, mailbox) as running:
        yield running


@pytest.fixture
def doomed_server(engine: str, request: pytest.FixtureRequest, mailbox: Mailbox) -> Iterator[Server]:
    """One of the test's own, of which nothing need be left whole."""
    with serving(engine, request, mailbox) as running:
        yield running


@pytest.fixture(scope="session")
def insight(engine: str, request: pytest.FixtureRequest, mailbox: Mailbox) -> Iterator[Server]:
    """One that speaks the interface of Xpress Insight."""
    with serving(engine, request, mailbox, {"KEYREEVE_COMPAT_INSIGHT_ENABLED": "1"}) as running:
        yield running


@pytest.fixture(scope="session")
def person(server: Server) -> Person:
    """Somebody with an account there."""
    return server.new_person()
