//! Every bound of this door in one place.

/// The longest request body, in bytes; the server's own limit for all doors is higher.
pub(crate) const MAX_BODY_BYTES: usize = 512 * 1024;
/// The most operations of one bulk request.
pub(crate) const MAX_BULK_OPERATIONS: usize = 200;
/// The most operations of one PATCH.
pub(crate) const MAX_PATCH_OPERATIONS: usize = 200;
/// The most resources of one page.
pub(crate) const MAX_PAGE: u16 = 500;
/// How many resources a page has where nobody says.
pub(crate) const DEFAULT_PAGE: u16 = 100;
/// The most values of one multi-valued attribute of a user.
pub(crate) const MAX_VALUES: usize = 100;
/// The longest value of an attribute as it is kept, in bytes: a text, or all sub-attributes of one value together.
pub(crate) const MAX_VALUE_BYTES: usize = 2_048;
/// The most members that one request adds to a group, or removes from it one by one.
pub(crate) const MAX_MEMBERS_CHANGED: usize = 2_000;
/// The most members that one answer shows, of all its groups together.
pub(crate) const MAX_MEMBERS_SHOWN: usize = 50_000;
/// The most resources that are looked at one by one where a filter asks for what no index tells.
pub(crate) const MAX_CANDIDATES: usize = 1_000;
/// The most attributes that a request names to have or not to have.
pub(crate) const MAX_NAMED_ATTRIBUTES: usize = 100;
