//! What stores elsewhere are reached with: a token, or an AppRole's secret. A credential comes in and never goes out; it is
//! sealed together with the address of the one server that it is for.

use crate::access::record_of;
use crate::model::{check_name, check_path};
use crate::policies::require_tenant;
use crate::records::{FoundRecords, Record, RecordField, RecordSearch, page_of};
use crate::{Error, Secrets, ServiceAuthId, schema};
use keyreeve_base::{TenantId, Timestamp};
use keyreeve_crypto::Secret as SecretText;
use keyreeve_identity::{Authority, Cause};
use keyreeve_store::{Row, Tx, params};
use serde_json::json;
use uuid::Uuid;

/// The most service authentications of a tenant.
pub const MAX_AUTHENTICATIONS: u32 = 200;
/// The longest credential, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 4_096;
/// The longest identifier of a role, in bytes.
const MAX_ROLE_BYTES: usize = 256;
/// The longest mount, in bytes.
const MAX_MOUNT_BYTES: usize = 128;

/// How one signs in to a store elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// The credential is a token.
    Token,
    /// The credential is the `secret_id` of an AppRole.
    AppRole {
        /// Where the method is mounted: `approle`, if nobody changed it.
        mount: String,
        /// The role.
        role_id: String,
    },
}

impl Method {
    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AppRole { .. } => "approle",
        }
    }

    pub(crate) const fn parts(&self) -> (Option<&String>, Option<&String>) {
        match self {
            Self::Token => (None, None),
            Self::AppRole { mount, role_id } => (Some(mount), Some(role_id)),
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Token => Ok(()),
            Self::AppRole { mount, role_id } => {
                check_mount(mount)?;
                let graphic = role_id.bytes().all(|byte| byte.is_ascii_graphic());
                if graphic && (1..=MAX_ROLE_BYTES).contains(&role_id.len()) {
                    Ok(())
                } else {
                    let problem = format!("is not 1 to {MAX_ROLE_BYTES} visible ASCII characters");
                    Err(Error::invalid("role_id", problem))
                }
            }
        }
    }
}

/// A mount of another server: a path, whose parts are none of those that would lead elsewhere.
pub(crate) fn check_mount(mount: &str) -> Result<(), Error> {
    if mount.len() <= MAX_MOUNT_BYTES && check_path(mount).is_ok() {
        return Ok(());
    }
    let problem = "is not a path of at most 128 bytes without empty parts, `.`, `..` and control characters";
    Err(Error::invalid("mount", problem))
}

/// What a store elsewhere is reached with, without the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAuthentication {
    pub(crate) key: i64,
    /// Its identifier.
    pub id: ServiceAuthId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// The server that the credential is for; it is sent to no other.
    pub url: String,
    /// How one signs in.
    pub method: Method,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes, those of the credential with them.
    pub version: i64,
}

impl ServiceAuthentication {
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, keyreeve_store::Error> {
        let method = match (row.get::<String>(3)?.as_str(), row.get(5)?, row.get(6)?) {
            ("token", _, _) => Method::Token,
            ("approle", Some(mount), Some(role_id)) => Method::AppRole { mount, role_id },
            _ => return Err(keyreeve_store::Error::corrupt("a service authentication cannot be read")),
        };
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            name: row.get(2)?,
            url: row.get(4)?,
            method,
            created_at: row.get(7)?,
            updated_at: row.get(8)?,
            version: row.get(9)?,
        })
    }
}

impl Record for ServiceAuthentication {
    fn place(&self) -> (i64, &str) {
        (self.key, &self.name)
    }

    fn text(&self, field: RecordField) -> Option<String> {
        match field {
            RecordField::Id => Some(self.id.to_string()),
            RecordField::Name => Some(self.name.clone()),
            RecordField::Url => Some(self.url.clone()),
            RecordField::Method => Some(self.method.as_str().to_owned()),
            RecordField::Mount => self.method.parts().0.cloned(),
            RecordField::RoleId => self.method.parts().1.cloned(),
            RecordField::CreatedAt => Some(self.created_at.to_string()),
            RecordField::UpdatedAt => Some(self.updated_at.to_string()),
            RecordField::Namespace | RecordField::Authentication => None,
        }
    }
}

/// A service authentication to make.
#[derive(Debug)]
pub struct NewAuthentication {
    /// Its name.
    pub name: String,
    /// The server that the credential is for, without `/v1`.
    pub url: String,
    /// How one signs in.
    pub method: Method,
    /// The token, or the AppRole's `secret_id`.
    pub credential: SecretText,
}

/// What changes of a service authentication. The server that its credential is for is not among it: that takes another one.
#[derive(Debug, Default)]
pub struct AuthenticationPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another mount of the AppRole method.
    pub mount: Option<String>,
    /// Another role.
    pub role_id: Option<String>,
    /// Another credential.
    pub credential: Option<SecretText>,
}

/// What a credential is sealed together with.
pub(crate) fn bound_to<'a>(id: &'a Uuid, url: &'a str) -> [&'a [u8]; 3] {
    [b"service authentication", id.as_bytes(), url.as_bytes()]
}

/// The name as a row has it, if nobody else's.
pub(crate) fn named<T>(done: Result<T, keyreeve_store::Error>) -> Result<T, Error> {
    match done {
        Err(keyreeve_store::Error::Conflict { .. }) => Err(Error::Taken("name")),
        done => Ok(done?),
    }
}

fn check_credential(credential: &SecretText) -> Result<(), Error> {
    let text = credential.expose();
    if (1..=MAX_CREDENTIAL_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let problem = format!("is not 1 to {MAX_CREDENTIAL_BYTES} visible ASCII characters");
    Err(Error::invalid("credential", problem))
}

impl Secrets {
    /// Keeps what a store elsewhere is reached with; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Invalid`]; [`Error::Taken`] for the name; [`Error::Repeated`].
    pub async fn create_authentication(
        &self,
        authority: &Authority,
        new: NewAuthentication,
        cause: &Cause,
    ) -> Result<ServiceAuthentication, Error> {
        require_tenant(authority)?;
        check_name(&new.name)?;
        new.method.check()?;
        check_credential(&new.credential)?;
        let (tenant, url) = (authority.tenant(), self.server_url(&new.url)?);
        let id = ServiceAuthId::generate(self.world());
        let sealed = self.seal_credential(tenant, (id, &url), &new.credential).await?;
        let (secrets, cause) = (self.clone(), cause.clone());
        let (name, method) = (new.name, new.method);
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                cause.claim(tx, secrets.world(), ("service_authentication", id.uuid())).await?;
                let count: i64 = tx.scalar(&schema::COUNT_AUTHENTICATIONS, &params![tenant]).await?;
                if count >= i64::from(MAX_AUTHENTICATIONS) {
                    let problem = format!("would be more than the {MAX_AUTHENTICATIONS} that a tenant has");
                    return Err(Error::invalid("name", problem));
                }
                let (word, (mount, role_id), now) = (method.as_str(), method.parts(), secrets.world().now());
                let row = params![tenant, id, name, word, url, mount, role_id, sealed, now];
                named(tx.execute(&schema::INSERT_AUTHENTICATION, &row).await)?;
                let target = ("service_authentication", id.to_string());
                let detail = json!({"name": name, "method": word, "url": url});
                let action = "service_authentication.create";
                record_of(tx, &secrets, (tenant, action), target, (&cause, detail)).await
            })
            .await?;
        self.authentication(authority, id).await
    }

    async fn seal_credential(
        &self,
        tenant: TenantId,
        (id, url): (ServiceAuthId, &str),
        credential: &SecretText,
    ) -> Result<Vec<u8>, Error> {
        let sealer = self.identity().tenants().sealer(tenant).await?;
        Ok(sealer.seal(&bound_to(&id.uuid(), url), credential.expose().as_bytes())?)
    }

    /// One service authentication, without its credential; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`].
    pub async fn authentication(
        &self,
        authority: &Authority,
        id: ServiceAuthId,
    ) -> Result<ServiceAuthentication, Error> {
        require_tenant(authority)?;
        let tenant = authority.tenant();
        let read = async move |tx: &mut Tx<'_>| {
            tx.query_opt(&schema::AUTHENTICATION, &params![tenant, id], ServiceAuthentication::from_row).await
        };
        let found: Option<ServiceAuthentication> = self.store().read(read).await?;
        found.ok_or(Error::NotFound("service authentication"))
    }

    /// A page of the tenant's service authentications; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub async fn authentications(
        &self,
        authority: &Authority,
        search: &RecordSearch,
    ) -> Result<FoundRecords<ServiceAuthentication>, Error> {
        require_tenant(authority)?;
        let (tenant, most) = (authority.tenant(), i64::from(MAX_AUTHENTICATIONS));
        let read = async move |tx: &mut Tx<'_>| {
            let all = params![tenant, most];
            tx.query(&schema::AUTHENTICATIONS, &all, ServiceAuthentication::from_row).await
        };
        Ok(page_of(self.store().read(read).await?, search))
    }

    /// Changes a service authentication; with `version`, only if it still is at that. Takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`], [`Error::Invalid`], [`Error::Taken`].
    pub async fn update_authentication(
        &self,
        authority: &Authority,
        (id, version): (ServiceAuthId, Option<i64>),
        patch: AuthenticationPatch,
        cause: &Cause,
    ) -> Result<ServiceAuthentication, Error> {
        let tenant = authority.tenant();
        let was = self.authentication(authority, id).await?;
        let mut touched = Vec::new();
        if let Some(name) = &patch.name {
            check_name(name)?;
            touched.push("name");
        }
        let sealed = match &patch.credential {
            None => None,
            Some(credential) => {
                check_credential(credential)?;
                touched.push("credential");
                Some(self.seal_credential(tenant, (id, &was.url), credential).await?)
            }
        };
        if (patch.mount.is_some() || patch.role_id.is_some()) && was.method == Method::Token {
            return Err(Error::invalid("role_id", "and a mount are for the method approle"));
        }
        touched.extend(patch.mount.as_ref().map(|_| "mount"));
        touched.extend(patch.role_id.as_ref().map(|_| "role_id"));
        let (secrets, cause) = (self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let was = hold(tx, tenant, id).await?;
                if version.is_some_and(|version| version != was.version) {
                    return Err(Error::VersionConflict);
                }
                let name = patch.name.as_ref().unwrap_or(&was.name);
                let method = match &was.method {
                    Method::Token => Method::Token,
                    Method::AppRole { mount, role_id } => Method::AppRole {
                        mount: patch.mount.as_ref().unwrap_or(mount).clone(),
                        role_id: patch.role_id.as_ref().unwrap_or(role_id).clone(),
                    },
                };
                method.check()?;
                let ((mount, role_id), now) = (method.parts(), secrets.world().now());
                let row = params![was.key, name, mount, role_id, sealed, now];
                named(tx.execute(&schema::UPDATE_AUTHENTICATION, &row).await)?;
                let target = ("service_authentication", id.to_string());
                let (action, detail) = ("service_authentication.update", json!({"fields": touched}));
                record_of(tx, &secrets, (tenant, action), target, (&cause, detail)).await
            })
            .await?;
        self.authentication(authority, id).await
    }

    /// Removes a service authentication; takes authority over the tenant.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotFound`], [`Error::VersionConflict`]; [`Error::InUse`] where a store is reached with it.
    pub async fn delete_authentication(
        &self,
        authority: &Authority,
        (id, version): (ServiceAuthId, Option<i64>),
        cause: &Cause,
    ) -> Result<(), Error> {
        require_tenant(authority)?;
        let (tenant, secrets, cause) = (authority.tenant(), self.clone(), cause.clone());
        self.store()
            .write(async move |tx: &mut Tx<'_>| {
                let was = hold(tx, tenant, id).await?;
                if version.is_some_and(|version| version != was.version) {
                    return Err(Error::VersionConflict);
                }
                let used =
                    tx.query_opt(&schema::STORE_BY, &params![was.key], |row| row.get::<i64>(0)).await?;
                if used.is_some() {
                    return Err(Error::InUse("secret stores that are reached with it"));
                }
                tx.execute(&schema::DELETE_AUTHENTICATION, &params![was.key]).await?;
                let target = ("service_authentication", id.to_string());
                let (action, detail) = ("service_authentication.delete", json!({"name": was.name}));
                record_of(tx, &secrets, (tenant, action), target, (&cause, detail)).await
            })
            .await
    }
}

/// Keeps others from changing it until the transaction ends.
pub(crate) async fn hold(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: ServiceAuthId,
) -> Result<ServiceAuthentication, Error> {
    let held = params![tenant, id];
    let found = tx.query_opt(&schema::HOLD_AUTHENTICATION, &held, ServiceAuthentication::from_row).await?;
    found.ok_or(Error::NotFound("service authentication"))
}
