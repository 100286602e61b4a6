//! One line, looked at as far as that can be done without the database.

use crate::Transfer;
use crate::record::{
    ClientRecord, GroupRecord, MembershipRecord, Moment, PartyName, Record, RoleHolderRecord, RoleRecord,
    SecretRecord, TotpRecord, UserRecord,
};
use keyreeve_base::{GroupId, RoleId, Timestamp};
use keyreeve_crypto::{Secret, TokenDigest, base64url};
use keyreeve_identity::bulk::{
    CheckedUser, GroupRef, GroupRow, HolderRow, How, MemberRow, PartyRef, Problem, RoleRef, RoleRow, SeenKey,
    UserRow,
};
use keyreeve_identity::second_factor::{ImportedTotp, TotpAlgorithm, TotpParameters};
use keyreeve_identity::{GroupPatch, Party, ProfilePatch};
use keyreeve_tokens::clients::{ClientRow, SecretRow, adopt_secret};

/// A line that can be applied.
#[allow(clippy::large_enum_variant, reason = "nearly all lines are users")]
pub(super) enum Item {
    User(CheckedUser),
    Group(GroupRow),
    Member(MemberRow),
    /// A role, and the `client_id` of the client that it is of.
    Role(RoleRow, Option<String>),
    /// The same of a role in somebody's hands.
    Holder(HolderRow, Option<String>),
    Client(ClientRow),
}

impl Item {
    /// Looks at a record.
    pub(super) fn check(
        room: &Transfer,
        how: &How,
        record: Record,
        drop_totp: bool,
    ) -> Result<Self, Vec<Problem>> {
        match record {
            Record::User(mut record) => {
                if drop_totp {
                    record.totp.clear();
                }
                let row = user(*record).map_err(|problem| vec![problem])?;
                room.0.identity.bulk().check_user(how, row).map(Self::User)
            }
            Record::Group(record) => Ok(Self::Group(group(record))),
            Record::Membership(record) => member(record).map(Self::Member).map_err(|problem| vec![problem]),
            Record::Role(record) => {
                let (row, application) = role(record);
                Ok(Self::Role(row, application))
            }
            Record::RoleHolder(record) => holder(record)
                .map(|(row, application)| Self::Holder(row, application))
                .map_err(|problem| vec![problem]),
            Record::Client(record) => {
                let row = client(*record).map_err(|problem| vec![problem])?;
                room.0.tokens.clients().check_row(&row).map_err(|problem| vec![problem])?;
                Ok(Self::Client(row))
            }
        }
    }

    /// What the line looks for.
    pub(super) fn seen_keys(&self) -> Vec<SeenKey> {
        match self {
            Self::User(row) => row.seen_keys().collect(),
            Self::Group(row) => row.seen_keys().collect(),
            Self::Member(row) => row.seen_keys().collect(),
            Self::Role(row, of) => row.seen_keys().chain(of.as_deref().map(client_key)).collect(),
            Self::Holder(row, of) => row.seen_keys().chain(of.as_deref().map(client_key)).collect(),
            Self::Client(row) => vec![client_key(&row.client_id)],
        }
    }
}

/// The key of a client in a trial.
pub(super) fn client_key(client_id: &str) -> SeenKey {
    SeenKey::new("client", client_id)
}

fn at(moment: Option<Moment>) -> Option<Timestamp> {
    moment.map(|Moment(at)| at)
}

fn user(record: UserRecord) -> Result<UserRow, Problem> {
    let totp = record.totp.into_iter().enumerate().map(totp).collect::<Result<_, _>>()?;
    Ok(UserRow {
        id: record.id,
        profile: ProfilePatch {
            username: record.username,
            email: record.email,
            email_verified: record.email_verified,
            given_name: record.given_name,
            family_name: record.family_name,
            display_name: record.display_name,
            phone_number: record.phone_number,
            locale: record.locale,
            zoneinfo: record.zoneinfo,
            attributes: record.attributes,
        },
        password_hash: record.password_hash,
        enabled: record.enabled,
        locked: record.locked,
        must_change_password: record.must_change_password,
        totp,
        created_at: at(record.created_at),
        updated_at: at(record.updated_at),
    })
}

/// A second factor. A secret that an authenticator app shows may be in groups and in small letters.
fn totp((place, record): (usize, TotpRecord)) -> Result<ImportedTotp, Problem> {
    let wrong = |field: &str, detail: &str| Problem::new(&format!("totp/{place}/{field}"), detail);
    let text: String = record.secret.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    let alphabet = base32::Alphabet::Rfc4648 { padding: false };
    let secret = base32::decode(alphabet, &text.to_ascii_uppercase());
    let algorithms = [TotpAlgorithm::Sha1, TotpAlgorithm::Sha256, TotpAlgorithm::Sha512];
    let algorithm = algorithms.into_iter().find(|algorithm| algorithm.text() == record.algorithm);
    Ok(ImportedTotp {
        name: record.label.unwrap_or_else(|| "Authenticator app".to_owned()),
        secret: secret.ok_or_else(|| wrong("secret", "is no base32"))?.into(),
        parameters: TotpParameters {
            algorithm: algorithm.ok_or_else(|| wrong("algorithm", "is none of SHA1, SHA256 and SHA512"))?,
            digits: record.digits,
            period_s: record.period.try_into().map_err(|_| wrong("period", "is longer than 300 seconds"))?,
        },
    })
}

fn group(record: GroupRecord) -> GroupRow {
    GroupRow {
        id: record.id,
        patch: GroupPatch {
            name: record.name,
            description: record.description,
            attributes: record.attributes,
        },
        created_at: at(record.created_at),
        updated_at: at(record.updated_at),
    }
}

fn member(record: MembershipRecord) -> Result<MemberRow, Problem> {
    Ok(MemberRow {
        group: group_ref(record.group, record.group_id)?,
        member: party(record.member),
        kind: record.kind,
        added_at: at(record.added_at),
    })
}

fn group_ref(name: Option<String>, id: Option<GroupId>) -> Result<GroupRef, Problem> {
    match (name, id) {
        (Some(name), None) => Ok(GroupRef::Name(name)),
        (None, Some(id)) => Ok(GroupRef::Id(id)),
        _ => Err(Problem::new("group", "or group_id is needed, and not both")),
    }
}

fn party(name: PartyName) -> PartyRef {
    match name {
        PartyName::User(name) => PartyRef::User(name),
        PartyName::UserId(id) => PartyRef::Id(Party::User(id)),
        PartyName::Group(name) => PartyRef::Group(name),
        PartyName::GroupId(id) => PartyRef::Id(Party::Group(id)),
        PartyName::ServiceAccount(name) => PartyRef::Service(name),
        PartyName::ServiceAccountId(id) => PartyRef::Id(Party::Service(id)),
    }
}

fn role(record: RoleRecord) -> (RoleRow, Option<String>) {
    let row = RoleRow {
        id: record.id,
        application: None,
        name: record.name,
        description: record.description,
        created_at: at(record.created_at),
        updated_at: at(record.updated_at),
    };
    (row, record.application)
}

fn holder(record: RoleHolderRecord) -> Result<(HolderRow, Option<String>), Problem> {
    let role = match (record.role, record.role_id) {
        (Some(name), None) => RoleRef::Name { application: None, name },
        (None, Some(id)) => role_by_id(id, record.application.as_ref())?,
        _ => return Err(Problem::new("role", "or role_id is needed, and not both")),
    };
    let row = HolderRow { role, holder: party(record.holder), given_at: at(record.given_at) };
    Ok((row, record.application))
}

fn role_by_id(id: RoleId, application: Option<&String>) -> Result<RoleRef, Problem> {
    match application {
        None => Ok(RoleRef::Id(id)),
        Some(_) => Err(Problem::new("application", "is for a role by name")),
    }
}

fn client(record: ClientRecord) -> Result<ClientRow, Problem> {
    let mut secrets = Vec::with_capacity(record.secrets.len());
    for (place, SecretRecord { digest, expires_at }) in record.secrets.iter().enumerate() {
        let bytes =
            base64url::decode(digest).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        let wrong = || Problem::new(&format!("secrets/{place}/digest"), "is no base64url of 32 bytes");
        let digest = TokenDigest::from_bytes(bytes.ok_or_else(wrong)?);
        secrets.push(SecretRow { digest, expires_at: at(*expires_at) });
    }
    if let Some(secret) = record.secret {
        let digest =
            adopt_secret(&Secret::from(secret)).map_err(|problem| Problem::new("secret", problem))?;
        secrets.push(SecretRow { digest, expires_at: None });
    }
    Ok(ClientRow { client_id: record.client_id, settings: record.settings, secrets })
}
