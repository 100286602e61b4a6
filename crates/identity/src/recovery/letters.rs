//! Where links lead, and the letters that bring them.

use super::LinkKind;
use crate::tenants::{DEFAULT_SLUG, Tenant};
use keyreeve_crypto::{OpaqueToken, Secret};
use keyreeve_mail::{Language, Letter, LetterKind, Message};
use std::time::Duration;

/// The parameter of a link that holds its token.
const TOKEN: &str = "token";

/// The name that a tenant has when nobody has given it one.
const UNNAMED: &str = "Default";
/// The name of the product.
const PRODUCT: &str = "Keyreeve";

/// Where links lead. It comes from the configuration alone (ABUSE-CASES AC-20).
#[derive(Debug, Clone)]
pub struct MailLinks {
    /// The public URL, without a slash at its end.
    pub public_url: String,
    /// The path, below a tenant's prefix, where a new password is chosen.
    pub reset_path: &'static str,
    /// The path, below a tenant's prefix, where an address is confirmed.
    pub verify_path: &'static str,
}

/// Whom a letter goes to.
pub(super) struct Addressee<'a> {
    pub(super) address: &'a str,
    /// The name by which the account signs in.
    pub(super) account: &'a str,
    /// The language of the profile, or of the page on which was asked.
    pub(super) language: Option<&'a str>,
}

/// Who writes. The first tenant bears the product's name until it is given one of its own.
fn brand(tenant: &Tenant) -> &str {
    if tenant.slug == DEFAULT_SLUG && tenant.name == UNNAMED { PRODUCT } else { &tenant.name }
}

impl MailLinks {
    fn link(&self, tenant: &Tenant, kind: LinkKind, token: &OpaqueToken) -> Secret {
        let (prefix, slug) = match tenant.slug.as_str() {
            DEFAULT_SLUG => ("", ""),
            slug => ("/t/", slug),
        };
        let path = match kind {
            LinkKind::PasswordReset => self.reset_path,
            LinkKind::EmailVerification => self.verify_path,
        };
        Secret::from(format!("{}{prefix}{slug}{path}?{TOKEN}={}", self.public_url, token.expose()))
    }

    /// The letter that brings `token`.
    pub(super) fn letter(
        &self,
        tenant: &Tenant,
        (kind, lasts): (LinkKind, Duration),
        token: &OpaqueToken,
        to: &Addressee<'_>,
    ) -> Message {
        let link = self.link(tenant, kind, token);
        let letter = Letter {
            kind: match kind {
                LinkKind::PasswordReset => LetterKind::PasswordReset,
                LinkKind::EmailVerification => LetterKind::EmailVerification,
            },
            to: to.address,
            brand: brand(tenant),
            account: to.account,
            link: link.expose(),
            lasts,
            language: to.language.map(Language::of_tag).unwrap_or_default(),
        };
        letter.write()
    }
}
