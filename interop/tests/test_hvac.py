"""hvac (PyPI), a client of Vault and OpenBao, reads and writes key/value secrets unchanged."""

from dataclasses import dataclass

import httpx2 as httpx
import hvac
import pytest
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

from harness.server import Server

# hvac reads by itself what it patches, and warns of its own default.
pytestmark = pytest.mark.filterwarnings("ignore:The raise_on_deleted_version:DeprecationWarning")


@dataclass(frozen=True)
class House:
    """A tenant of its own, with an administrator's token."""

    server: Server
    token: str

    @property
    def url(self) -> str:
        """Where hvac is sent: it puts `/v1` behind it."""
        return f"{self.server.url}/t/vaulted/vault"

    def client(self, token: str | None) -> hvac.Client:
        """A client with this token."""
        return hvac.Client(url=self.url, token=token)

    def account(self, name: str) -> tuple[str, str]:
        """A service account; its role and its secret."""
        headers = {"Authorization": f"Bearer {self.token}"}
        base = f"{self.server.url}/t/vaulted/api/v1/service-accounts"
        made = httpx.post(base, json={"name": name}, headers=headers).raise_for_status().json()
        secret = httpx.post(f"{base}/{made['id']}/secrets", json={}, headers=headers).raise_for_status().json()
        return made["id"], secret["secret"]


@pytest.fixture(scope="module")
def house(server: Server) -> House:
    """A tenant as an operator sets it up."""
    server.command("tenant", "create", "vaulted")
    command = ["client", "create", "--tenant", "vaulted", "--name", "Vault", "--scope", "keyreeve:admin"]
    created = server.command(*command, "--grant-type", "client_credentials")
    form = {"grant_type": "client_credentials"}
    credentials = (created["client_id"], created["client_secret"])
    answer = httpx.post(f"{server.url}/t/vaulted/token", auth=credentials, data=form).raise_for_status()
    return House(server, answer.json()["access_token"])


def test_versions_and_check_and_set(house: House) -> None:
    """Each write makes a version; a wrong one is refused."""
    kv = house.client(house.token).secrets.kv.v2
    made = kv.create_or_update_secret(path="db/main", secret={"password": "one"}, cas=0)
    assert made["data"]["version"] == 1
    with pytest.raises(InvalidRequest, match="did not match the current version"):
        kv.create_or_update_secret(path="db/main", secret={"password": "two"}, cas=0)
    kv.create_or_update_secret(path="db/main", secret={"password": "two"}, cas=1)
    read = kv.read_secret_version(path="db/main", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"password": "two"}
    assert read["data"]["metadata"]["version"] == 2
    first = kv.read_secret_version(path="db/main", version=1, raise_on_deleted_version=True)
    assert first["data"]["data"] == {"password": "one"}
    kv.patch(path="db/main", secret={"user": "ada"})
    patched = kv.read_secret_version(path="db/main", raise_on_deleted_version=True)
    assert patched["data"]["data"] == {"password": "two", "user": "ada"}


def test_deleting_undeleting_and_destroying(house: House) -> None:
    """A version that was deleted comes back; one that was destroyed does not."""
    kv = house.client(house.token).secrets.kv.v2
    for number in range(3):
        kv.create_or_update_secret(path="gone", secret={"n": number})
    kv.delete_latest_version_of_secret(path="gone")
    with pytest.raises(InvalidPath):
        kv.read_secret_version(path="gone", raise_on_deleted_version=True)
    deleted = kv.read_secret_version(path="gone", raise_on_deleted_version=False)
    assert deleted["data"]["data"] is None
    assert deleted["data"]["metadata"]["deletion_time"] != ""
    kv.undelete_secret_versions(path="gone", versions=[3])
    assert kv.read_secret_version(path="gone", raise_on_deleted_version=True)["data"]["data"] == {"n": 2}
    kv.delete_secret_versions(path="gone", versions=[1, 2])
    kv.destroy_secret_versions(path="gone", versions=[1])
    kv.undelete_secret_versions(path="gone", versions=[1, 2])
    assert kv.read_secret_version(path="gone", version=2, raise_on_deleted_version=True)["data"]["data"] == {"n": 1}
    versions = kv.read_secret_metadata(path="gone")["data"]["versions"]
    assert versions["1"]["destroyed"] is True
    assert versions["2"]["destroyed"] is False
    kv.delete_metadata_and_all_versions(path="gone")
    with pytest.raises(InvalidPath):
        kv.read_secret_metadata(path="gone")


def test_metadata_and_lists(house: House) -> None:
    """How a secret is kept, and what lies where."""
    kv = house.client(house.token).secrets.kv.v2
    kv.update_metadata(
        path="kept/here",
        max_versions=2,
        cas_required=True,
        delete_version_after="30m",
        custom_metadata={"team": "blue"},
    )
    with pytest.raises(InvalidRequest, match="check-and-set parameter required"):
        kv.create_or_update_secret(path="kept/here", secret={"a": 1})
    for version in range(3):
        kv.create_or_update_secret(path="kept/here", secret={"a": version}, cas=version)
    told = kv.read_secret_metadata(path="kept/here")["data"]
    assert (told["max_versions"], told["oldest_version"], told["current_version"]) == (2, 2, 3)
    assert (told["cas_required"], told["delete_version_after"]) == (True, "30m0s")
    assert told["custom_metadata"] == {"team": "blue"}
    kv.create_or_update_secret(path="kept/below/deep", secret={})
    assert kv.list_secrets(path="kept")["data"]["keys"] == ["below/", "here"]
    with pytest.raises(InvalidPath):
        kv.list_secrets(path="nowhere")
    configuration = kv.read_configuration()
    assert configuration["data"]["max_versions"] == 0


def test_an_approle_has_its_own_and_a_stranger_sees_nothing(house: House) -> None:
    """A service account signs in by AppRole; it sees what is its own, and nobody else sees that."""
    (role, secret), (other_role, other_secret) = house.account("deployer"), house.account("stranger")
    client, stranger = house.client(None), house.client(None)
    assert not client.is_authenticated()
    with pytest.raises(InvalidRequest, match="invalid role or secret ID"):
        client.auth.approle.login(role_id=role, secret_id=other_secret)
    client.auth.approle.login(role_id=role, secret_id=secret)
    stranger.auth.approle.login(role_id=other_role, secret_id=other_secret)
    assert client.is_authenticated()
    assert client.lookup_token()["data"]["entity_id"] == role
    client.secrets.kv.v2.create_or_update_secret(path="mine", secret={"token": "planted"})
    read = client.secrets.kv.v2.read_secret_version(path="mine", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"token": "planted"}
    assert client.secrets.kv.v2.list_secrets(path="")["data"]["keys"] == ["mine"]
    with pytest.raises(InvalidPath):
        stranger.secrets.kv.v2.read_secret_version(path="mine", raise_on_deleted_version=True)
    with pytest.raises(Forbidden):
        stranger.secrets.kv.v2.create_or_update_secret(path="mine", secret={})
    with pytest.raises(InvalidPath):
        stranger.secrets.kv.v2.list_secrets(path="")
    client.auth.token.revoke_self()
    with pytest.raises(Forbidden):
        client.secrets.kv.v2.read_secret_version(path="mine", raise_on_deleted_version=True)


def test_a_wrong_token_opens_nothing(house: House) -> None:
    """Nor does one of another tenant."""
    for token in ["wrong", house.token[:-4] + "AAAA"]:
        with pytest.raises(Forbidden):
            house.client(token).secrets.kv.v2.read_secret_version(path="db/main", raise_on_deleted_version=True)
    elsewhere = hvac.Client(url=f"{house.server.url}/vault", token=house.token)
    with pytest.raises(Forbidden):
        elsewhere.secrets.kv.v2.read_secret_version(path="db/main", raise_on_deleted_version=True)


def test_what_clients_ask_before_they_begin(house: House) -> None:
    """Health, seal and mounts."""
    client = house.client(house.token)
    assert client.sys.is_initialized()
    assert not client.sys.is_sealed()
    assert client.sys.read_health_status(method="GET")["standby"] is False
    assert client.sys.list_mounted_secrets_engines()["data"]["secret/"]["options"] == {"version": "2"}
