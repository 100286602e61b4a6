//! Values on their way into and out of the database: one type for both engines.

use crate::Error;
use keyreeve_base::id::{AuditId, DeliveryId, WebhookId};
use keyreeve_base::{
    CanonicalName, ClientId, GrantId, GroupId, KeyId, MailId, RoleId, ServiceAccountId, SessionId, TenantId,
    Timestamp, TotpId, UserId,
};
use uuid::Uuid;

/// One value as either engine holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A whole number; also a moment, in microseconds.
    Int(i64),
    /// A truth value. SQLite has none and answers `Int` instead.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
    /// A UUID. SQLite has none and answers a `Blob` of 16 bytes instead.
    Uuid(Uuid),
}

/// A parameter of a statement.
pub type Param<'a> = Value<'a>;

impl Value<'_> {
    /// The word for this kind of value in error messages, which never show the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "an integer",
            Self::Bool(_) => "a boolean",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
            Self::Uuid(_) => "a UUID",
        }
    }
}

/// What can be a parameter. A room implements it for its own types (an enum that is stored as its word) in one line.
pub trait ToParam {
    /// The value as the database takes it.
    fn to_param(&self) -> Param<'_>;
}

/// What a column can be read as. A room implements it for its own types on top of the ones here.
pub trait FromColumn: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// A sentence that says what was expected, without the value.
    fn from_column(value: Value<'_>) -> Result<Self, Error>;
}

pub(crate) fn mismatch(expected: &str, found: &Value<'_>) -> Error {
    Error::corrupt(format!("expected {expected}, found {}", found.kind()))
}

impl<T: ToParam + ?Sized> ToParam for &T {
    fn to_param(&self) -> Param<'_> {
        (**self).to_param()
    }
}

impl<T: ToParam> ToParam for Option<T> {
    fn to_param(&self) -> Param<'_> {
        self.as_ref().map_or(Value::Null, ToParam::to_param)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Null => Ok(None),
            value => T::from_column(value).map(Some),
        }
    }
}

macro_rules! to_param {
    ($($type:ty: |$it:ident| $value:expr;)*) => {$(
        impl ToParam for $type {
            fn to_param(&self) -> Param<'_> { let $it = self; $value }
        }
    )*};
}

to_param! {
    i64: |it| Value::Int(*it);
    i32: |it| Value::Int(i64::from(*it));
    i16: |it| Value::Int(i64::from(*it));
    u32: |it| Value::Int(i64::from(*it));
    u16: |it| Value::Int(i64::from(*it));
    u8: |it| Value::Int(i64::from(*it));
    bool: |it| Value::Bool(*it);
    str: |it| Value::Text(it);
    String: |it| Value::Text(it);
    Box<str>: |it| Value::Text(it);
    std::sync::Arc<str>: |it| Value::Text(it);
    std::borrow::Cow<'_, str>: |it| Value::Text(it);
    CanonicalName: |it| Value::Text(it.as_str());
    [u8]: |it| Value::Blob(it);
    Vec<u8>: |it| Value::Blob(it);
    Uuid: |it| Value::Uuid(*it);
    Timestamp: |it| Value::Int(it.micros());
    Value<'_>: |it| *it;
}

impl<const N: usize> ToParam for [u8; N] {
    fn to_param(&self) -> Param<'_> {
        Value::Blob(self)
    }
}

impl FromColumn for i64 {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Int(number) => Ok(number),
            Value::Bool(truth) => Ok(i64::from(truth)),
            other => Err(mismatch("an integer", &other)),
        }
    }
}

macro_rules! narrow {
    ($($type:ty)*) => {$(
        impl FromColumn for $type {
            fn from_column(value: Value<'_>) -> Result<Self, Error> {
                <$type>::try_from(i64::from_column(value)?)
                    .map_err(|cause| Error::internal_from(concat!("a number does not fit ", stringify!($type)), cause))
            }
        }
    )*};
}
narrow!(i32 i16 u64 u32 u16 u8 usize);

impl FromColumn for bool {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Bool(truth) => Ok(truth),
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            other => Err(mismatch("a boolean", &other)),
        }
    }
}

impl FromColumn for String {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Text(text) => Ok(text.to_owned()),
            other => Err(mismatch("text", &other)),
        }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Blob(bytes) => Ok(bytes.to_vec()),
            other => Err(mismatch("bytes", &other)),
        }
    }
}

impl<const N: usize> FromColumn for [u8; N] {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Blob(bytes) => Self::try_from(bytes)
                .map_err(|cause| Error::internal_from(format!("expected {N} bytes"), cause)),
            other => Err(mismatch("bytes", &other)),
        }
    }
}

impl FromColumn for Uuid {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        match value {
            Value::Uuid(uuid) => Ok(uuid),
            Value::Blob(bytes) => Self::from_slice(bytes)
                .map_err(|cause| Error::internal_from("expected the 16 bytes of a UUID", cause)),
            other => Err(mismatch("a UUID", &other)),
        }
    }
}

impl FromColumn for Timestamp {
    fn from_column(value: Value<'_>) -> Result<Self, Error> {
        i64::from_column(value).map(Self::from_micros)
    }
}

/// Lets typed identifiers be parameters and columns: `id_columns!(ResourceId GrantId)`. Those of `keyreeve_base` are;
/// a crate that declares its own calls this beside the declaration.
#[macro_export]
macro_rules! id_columns {
    ($($type:ty)*) => {$(
        impl $crate::ToParam for $type {
            fn to_param(&self) -> $crate::Param<'_> {
                $crate::Value::Uuid(keyreeve_base::id::Id::uuid(*self))
            }
        }
        impl $crate::FromColumn for $type {
            fn from_column(value: $crate::Value<'_>) -> Result<Self, $crate::Error> {
                $crate::FromColumn::from_column(value).map(<Self as keyreeve_base::id::Id>::from_uuid)
            }
        }
    )*};
}
id_columns!(
    TenantId UserId GroupId RoleId ServiceAccountId SessionId TotpId ClientId GrantId KeyId MailId AuditId WebhookId
    DeliveryId
);

/// The parameters of one statement: `params![tenant, &name, None::<i64>, now]`, to be borrowed at once
/// (`&params![…]`), since the values may live only as long as the call.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$($crate::ToParam::to_param(&$value)),*]
    };
}

/// One row of an answer.
pub struct Row<'a>(pub(crate) RowKind<'a>);

pub(crate) enum RowKind<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The column at `index`, counted from zero, read as a `T`.
    ///
    /// # Errors
    /// [`Error::Internal`] when there is no such column or it does not read as a `T`.
    pub fn get<T: FromColumn>(&self, index: usize) -> Result<T, Error> {
        let value = match self.0 {
            RowKind::Sqlite(row) => crate::sqlite::column(row, index)?,
            RowKind::Postgres(row) => crate::postgres::column(row, index)?,
        };
        T::from_column(value).map_err(|error| match error {
            Error::Internal { reason, cause } => {
                Error::Internal { reason: format!("column {index}: {reason}"), cause }
            }
            other => other,
        })
    }
}
