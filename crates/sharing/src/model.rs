//! Types of resources and their permissions: a tenant's model, of which there is one snapshot in memory.
//!
//! What a permission means is decided by the type of the resource that is asked about, and by names: a grant of `READ` on
//! a folder that goes down to a file is a `READ` of the file, if files have such a permission. Grants themselves bear the
//! key of the permission that was granted, so that a permission which was removed and declared anew under the same name
//! does not bring its former grants back.

mod permissions;
mod snapshot;
mod types;

pub use permissions::{NewPermission, Permission, PermissionPatch, Permissions};
pub use types::{NewType, ResourceType, TypePatch, Types};

pub(crate) use snapshot::{Model, TypeEntry, load};

use crate::Error;

/// The change-feed topic of models; the key is the tenant's identifier.
pub(crate) const TOPIC: &str = "sharing_model";

/// The permission that ownership gives: it implies every other, goes down the tree, and is never granted.
pub const OWNER: &str = "OWNER";

/// The most types that a tenant has.
pub const MAX_TYPES: usize = 500;
/// The most permissions that a type has of its own, and the most that all types have in common.
pub const MAX_PERMISSIONS: usize = 64;
/// The longest identifier of a type, a permission or a resource, in bytes.
pub const MAX_ID_BYTES: usize = 255;
/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 1_024;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 8_192;

/// Checks an identifier: some text without control characters, taken as it is, that can be a part of a URL's path.
pub(crate) fn check_id(field: &'static str, id: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Err(Error::invalid(field, "is empty"));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(Error::invalid(field, format!("is longer than {MAX_ID_BYTES} bytes")));
    }
    if matches!(id, "." | "..") {
        // Whoever resolves a URL takes such a part of its path, however it is written, for a step within the path.
        return Err(Error::invalid(field, "is `.` or `..`, which no URL can name"));
    }
    if id.trim() != id {
        return Err(Error::invalid(field, "begins or ends with white space"));
    }
    match id.chars().find(|c| c.is_control()) {
        Some(c) => Err(Error::invalid(field, format!("contains the character U+{:04X}", u32::from(c)))),
        None => Ok(()),
    }
}

/// Whether a text can be an identifier at all; what cannot names nothing.
pub(crate) fn can_be_id(id: &str) -> bool {
    check_id("id", id).is_ok()
}

/// Checks a text that people read.
pub(crate) fn check_text(field: &'static str, text: &str, max_bytes: usize) -> Result<(), Error> {
    if text.len() > max_bytes {
        return Err(Error::invalid(field, format!("is longer than {max_bytes} bytes")));
    }
    if text.contains('\0') {
        return Err(Error::invalid(field, "contains the character U+0000"));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "is empty"));
    }
    check_text("name", name, MAX_NAME_BYTES)
}

pub(crate) fn check_description(description: Option<&str>) -> Result<(), Error> {
    description.map_or(Ok(()), |text| check_text("description", text, MAX_DESCRIPTION_BYTES))
}
