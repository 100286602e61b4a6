//! Exports: everything of a tenant as lines that an import reads.
//!
//! All of it is of one snapshot of the database, read in pages and handed on in pieces, so that the memory needed does not
//! grow with the tenant. What lines name stands before them: clients, roles, groups, users, members, holders.

use crate::record::{
    ClientRecord, GroupRecord, MembershipRecord, Moment, PartyName, Record, RoleHolderRecord, RoleRecord,
    SecretRecord, TotpRecord, UserRecord, Word, set,
};
use crate::{Error, Right, Transfer};
use keyreeve_audit::{Event, Outcome};
use keyreeve_base::{ClientId, GroupId, RoleId, TenantId};
use keyreeve_crypto::base64url;
use keyreeve_identity::bulk::{HashedUser, NamedMember, NamedParty};
use keyreeve_identity::second_factor::ImportedTotp;
use keyreeve_identity::{Cause, Group, Party, Role, Sealer};
use keyreeve_store::{Outlet, Tx};
use keyreeve_tokens::Client;
use keyreeve_tokens::clients::SecretRow;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How many rows are read at a time.
const PAGE: i64 = 500;
/// How many bytes are handed on at a time.
const PIECE: usize = 64 * 1024;
/// How many pieces may wait for the reader.
const WAITING: usize = 8;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OAuth clients.
    Client,
    /// Roles.
    Role,
    /// Groups.
    Group,
    /// Users.
    User,
    /// Members of groups.
    Membership,
    /// Who has which role.
    RoleHolder,
}

impl Kind {
    /// All of them, in the order of an export.
    pub const ALL: [Self; 6] =
        [Self::Client, Self::Role, Self::Group, Self::User, Self::Membership, Self::RoleHolder];

    /// Its word in `type`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Role => "role",
            Self::Group => "group",
            Self::User => "user",
            Self::Membership => "membership",
            Self::RoleHolder => "role_holder",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.text() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|kind| kind.text()).collect();
            Error::invalid("types", format!("are some of {}", words.join(", ")))
        })
    }
}

/// What is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct What {
    /// Records of these kinds.
    pub kinds: BTreeSet<Kind>,
    /// With the hashes of passwords, the second factors, and the digests of clients' secrets.
    pub with_hashes: bool,
}

impl Default for What {
    fn default() -> Self {
        Self { kinds: Kind::ALL.into(), with_hashes: false }
    }
}

/// An export that is being read.
pub struct Export {
    pieces: Receiver<Vec<u8>>,
    scan: Option<JoinHandle<Result<u64, Error>>>,
    records: u64,
}

impl Export {
    /// The next piece: whole lines. None at the end.
    ///
    /// # Errors
    /// Those of the store; what was read by then is not whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Some(piece));
        }
        if let Some(scan) = self.scan.take() {
            self.records = scan.await.map_err(|error| Error::Internal(error.to_string()))??;
        }
        Ok(None)
    }

    /// How many records it was; known at the end.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }
}

impl Transfer {
    /// Exports a tenant. That somebody did is in the audit log before the first line is out.
    ///
    /// # Errors
    /// [`Error::Denied`]; those of the store.
    pub async fn export(
        &self,
        tenant: TenantId,
        what: What,
        right: Right<'_>,
        cause: &Cause,
    ) -> Result<Export, Error> {
        if !right.covers(tenant) {
            self.refuse(tenant, "directory.export", cause).await?;
            return Err(Error::Denied);
        }
        self.0.identity.tenants().get(tenant).await?;
        self.record_export(tenant, &what, cause).await?;
        let sealer = match what.with_hashes {
            true => Some(self.0.identity.tenants().sealer(tenant).await?),
            false => None,
        };
        let (outlet, pieces) = Outlet::new(WAITING);
        let (room, store) = (self.clone(), self.0.store.clone());
        let scan = tokio::spawn(async move {
            let read = async move |tx: &mut Tx<'_>| {
                outlet.open()?;
                let mut writer = Writer {
                    outlet: &outlet,
                    sealer: sealer.as_deref(),
                    piece: Vec::with_capacity(PIECE),
                    records: 0,
                };
                room.write_all(tx, tenant, &what, &mut writer).await?;
                writer.hand_on(tx).await?;
                Ok::<_, Error>(writer.records)
            };
            store.scan(read).await
        });
        Ok(Export { pieces, scan: Some(scan), records: 0 })
    }

    async fn record_export(&self, tenant: TenantId, what: &What, cause: &Cause) -> Result<(), Error> {
        let (world, cause) = (self.0.world.clone(), cause.clone());
        let detail = json!({"types": what.kinds, "with_hashes": what.with_hashes});
        self.0
            .store
            .write(async move |tx: &mut Tx<'_>| {
                let event = Event {
                    tenant,
                    actor: cause.actor,
                    action: "directory.export",
                    target: Some(("tenant", tenant.to_string())),
                    outcome: Outcome::Success,
                    reason: None,
                    origin: &cause.origin,
                    detail: detail.clone(),
                };
                keyreeve_audit::record(tx, &world, &event).await?;
                Ok(())
            })
            .await
    }

    async fn write_all(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        what: &What,
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut clients = HashMap::new();
        let mut after = Uuid::nil();
        loop {
            let page = self.0.tokens.clients().page(tx, tenant, (after, PAGE), what.with_hashes).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.id.uuid();
            for (client, secrets) in page {
                clients.insert(client.id, client.client_id.clone());
                if what.kinds.contains(&Kind::Client) {
                    writer.put(tx, client_record(client, &secrets)).await?;
                }
            }
        }
        self.write_roles(tx, tenant, (what, &clients), writer).await?;
        self.write_groups(tx, tenant, what, writer).await?;
        self.write_users(tx, tenant, what, writer).await?;
        self.write_members(tx, tenant, what, writer).await?;
        self.write_holders(tx, tenant, (what, &clients), writer).await
    }

    async fn write_users(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        what: &What,
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        while what.kinds.contains(&Kind::User) {
            let page = self.0.identity.bulk().user_page(tx, tenant, (after, PAGE), writer.sealer).await?;
            let Some(last) = page.last() else { break };
            after = last.user.id.uuid();
            for user in page {
                writer.put(tx, user_record(user)).await?;
            }
        }
        Ok(())
    }

    async fn write_groups(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        what: &What,
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        while what.kinds.contains(&Kind::Group) {
            let page = self.0.identity.bulk().group_page(tx, tenant, (after, PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = last.id.uuid();
            for group in page {
                writer.put(tx, group_record(group)).await?;
            }
        }
        Ok(())
    }

    async fn write_roles(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (what, clients): (&What, &HashMap<ClientId, String>),
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        while what.kinds.contains(&Kind::Role) {
            let page = self.0.identity.bulk().role_page(tx, tenant, (after, PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = last.id.uuid();
            // The reserved role is everywhere; only who has it is to be told.
            for role in page.into_iter().filter(|role| !role.is_reserved()) {
                let application = role.application.and_then(|id| clients.get(&id)).cloned();
                writer.put(tx, role_record(role, application)).await?;
            }
        }
        Ok(())
    }

    async fn write_members(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        what: &What,
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let bulk = self.0.identity.bulk();
        let mut after = Uuid::nil();
        while what.kinds.contains(&Kind::Membership) {
            let groups = bulk.group_page(tx, tenant, (after, PAGE)).await?;
            let Some(last) = groups.last() else { break };
            after = last.id.uuid();
            for group in groups {
                self.write_members_of(tx, (tenant, group.id), &group.name, writer).await?;
            }
        }
        Ok(())
    }

    async fn write_members_of(
        &self,
        tx: &mut Tx<'_>,
        of: (TenantId, GroupId),
        group: &str,
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let bulk = self.0.identity.bulk();
        for nested in [true, false] {
            let mut after = Uuid::nil();
            loop {
                let page = match nested {
                    true => bulk.nest_page(tx, of, (after, PAGE)).await?,
                    false => bulk.member_page(tx, of, (after, PAGE)).await?,
                };
                let Some(last) = page.last() else { break };
                after = last.member.party.uuid();
                for member in page {
                    writer.put(tx, member_record(group, member)).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_holders(
        &self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        (what, clients): (&What, &HashMap<ClientId, String>),
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        while what.kinds.contains(&Kind::RoleHolder) {
            let roles = self.0.identity.bulk().role_page(tx, tenant, (after, PAGE)).await?;
            let Some(last) = roles.last() else { break };
            after = last.id.uuid();
            for role in roles {
                let application = role.application.and_then(|id| clients.get(&id)).cloned();
                self.write_holders_of(tx, (tenant, role.id), (&role.name, application), writer).await?;
            }
        }
        Ok(())
    }

    async fn write_holders_of(
        &self,
        tx: &mut Tx<'_>,
        of: (TenantId, RoleId),
        (role, application): (&str, Option<String>),
        writer: &mut Writer<'_>,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        loop {
            let page = self.0.identity.bulk().holder_page(tx, of, (after, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.holder.party.uuid();
            for holding in page {
                let record = RoleHolderRecord {
                    kind_word: Word,
                    role: Some(role.to_owned()),
                    application: application.clone(),
                    role_id: None,
                    holder: party_name(holding.holder),
                    given_at: Some(Moment(holding.given_at)),
                };
                writer.put(tx, Record::RoleHolder(record)).await?;
            }
        }
    }
}

/// Lines on their way out.
struct Writer<'o> {
    outlet: &'o Outlet<Vec<u8>>,
    /// What opens second factors, where they are to be told.
    sealer: Option<&'o Sealer>,
    piece: Vec<u8>,
    records: u64,
}

impl Writer<'_> {
    #[allow(clippy::needless_pass_by_value, reason = "a record is made to be written")]
    async fn put(&mut self, tx: &Tx<'_>, record: Record) -> Result<(), Error> {
        record.write(&mut self.piece).map_err(|error| Error::Internal(error.to_string()))?;
        self.records = self.records.saturating_add(1);
        if self.piece.len() >= PIECE { self.hand_on(tx).await } else { Ok(()) }
    }

    async fn hand_on(&mut self, tx: &Tx<'_>) -> Result<(), Error> {
        if !self.piece.is_empty() {
            let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
            self.outlet.put(tx, piece).await?;
        }
        Ok(())
    }
}

fn user_record(HashedUser { user, hash, totp }: HashedUser) -> Record {
    let profile = user.profile;
    Record::User(Box::new(UserRecord {
        kind_word: Word,
        id: Some(user.id),
        username: set(profile.username),
        email: set(profile.email),
        email_verified: Some(profile.email_verified),
        given_name: set(profile.given_name),
        family_name: set(profile.family_name),
        display_name: set(profile.display_name),
        phone_number: set(profile.phone_number),
        locale: set(profile.locale),
        zoneinfo: set(profile.zoneinfo),
        attributes: Some(profile.attributes),
        enabled: Some(user.enabled),
        locked: Some(user.locked),
        must_change_password: Some(user.must_change_password),
        password_hash: hash,
        totp: totp.iter().map(totp_record).collect(),
        created_at: Some(Moment(user.created_at)),
        updated_at: Some(Moment(user.updated_at)),
    }))
}

fn totp_record(device: &ImportedTotp) -> TotpRecord {
    let alphabet = base32::Alphabet::Rfc4648 { padding: false };
    TotpRecord {
        secret: base32::encode(alphabet, device.secret.expose()),
        algorithm: device.parameters.algorithm.text().to_owned(),
        digits: device.parameters.digits,
        period: device.parameters.period_s.into(),
        label: Some(device.name.clone()),
    }
}

fn group_record(group: Group) -> Record {
    Record::Group(GroupRecord {
        kind_word: Word,
        id: Some(group.id),
        name: Some(group.name),
        description: set(group.description),
        attributes: Some(group.attributes),
        created_at: Some(Moment(group.created_at)),
        updated_at: Some(Moment(group.updated_at)),
    })
}

fn role_record(role: Role, application: Option<String>) -> Record {
    Record::Role(RoleRecord {
        kind_word: Word,
        id: Some(role.id),
        name: Some(role.name),
        application,
        description: set(role.description),
        created_at: Some(Moment(role.created_at)),
        updated_at: Some(Moment(role.updated_at)),
    })
}

fn member_record(group: &str, member: NamedMember) -> Record {
    Record::Membership(MembershipRecord {
        kind_word: Word,
        group: Some(group.to_owned()),
        group_id: None,
        member: party_name(member.member),
        kind: member.kind,
        added_at: Some(Moment(member.added_at)),
    })
}

fn party_name(NamedParty { party, name }: NamedParty) -> PartyName {
    match party {
        Party::User(_) => PartyName::User(name),
        Party::Group(_) => PartyName::Group(name),
        Party::Service(_) => PartyName::ServiceAccount(name),
    }
}

fn client_record(client: Client, secrets: &[SecretRow]) -> Record {
    let secret = |row: &SecretRow| SecretRecord {
        digest: base64url::encode(row.digest.as_bytes()),
        expires_at: row.expires_at.map(Moment),
    };
    Record::Client(Box::new(ClientRecord {
        kind_word: Word,
        client_id: client.client_id,
        settings: client.settings,
        secret: None,
        secrets: secrets.iter().map(secret).collect(),
    }))
}
