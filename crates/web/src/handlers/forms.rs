//! Whether a form post comes from a form that this server gave to this browser for this purpose (ABUSE-CASES AC-60).
//!
//! The token is sealed under the tenant's data key, so that it holds on every node of a cluster and in this tenant only;
//! it is bound to the form's purpose, to the browser's cookie, and to the session that the form was made for. A form
//! that was shown to one user thus cannot act for the next one at the same browser.

use super::stop::Stop;
use super::visit::Visit;
use keyreeve_base::Timestamp;
use keyreeve_http::csrf;
use keyreeve_identity::Admitted;
use std::time::Duration;

/// How long a form may stand open.
const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 512;

/// What a form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    SignIn,
    Code,
    ForcedPassword,
    TwoStep,
    Consent,
    SignOut,
    Password,
    EndSession,
    EndOthers,
    Forgot,
    Reset,
    Verify,
    SendVerification,
    DeviceCode,
    Device,
}

impl Purpose {
    const fn text(self) -> &'static str {
        match self {
            Self::SignIn => "sign in",
            Self::Code => "show a code",
            Self::ForcedPassword => "choose a password",
            Self::TwoStep => "change the second factor",
            Self::Consent => "consent",
            Self::SignOut => "sign out",
            Self::Password => "change the password",
            Self::EndSession => "end a session",
            Self::EndOthers => "end other sessions",
            Self::Forgot => "forgot the password",
            Self::Reset => "choose a password by a link",
            Self::Verify => "confirm an address",
            Self::SendVerification => "send a link",
            Self::DeviceCode => "find a device",
            Self::Device => "decide on a device",
        }
    }

    /// Whether the form acts for whoever is signed in. The others do the signing in, and stand in a browser whose session
    /// may end or change meanwhile.
    const fn is_of_session(self) -> bool {
        match self {
            Self::SignIn | Self::Code | Self::ForcedPassword => false,
            Self::Forgot | Self::Reset | Self::Verify => false,
            Self::TwoStep
            | Self::SendVerification
            | Self::Consent
            | Self::SignOut
            | Self::Password
            | Self::EndSession
            | Self::EndOthers
            | Self::DeviceCode
            | Self::Device => true,
        }
    }
}

impl Visit {
    /// What a token of this purpose is bound to, beside the tenant.
    fn bound_to(&self, purpose: Purpose) -> [Vec<u8>; 4] {
        let session = self.session.as_ref().and_then(Admitted::session).filter(|_| purpose.is_of_session());
        [
            b"web/form".to_vec(),
            purpose.text().into(),
            self.browser_mark().into(),
            session.map(|id| id.to_string().into_bytes()).unwrap_or_default(),
        ]
    }

    /// The token for a form.
    pub(crate) async fn form_token(&self, purpose: Purpose) -> Result<String, Stop> {
        let parts = self.bound_to(purpose);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let now = self.state.world().now().micros().to_be_bytes();
        Ok(self.state.identity().tenants().seal_text(self.tenant.id, &parts, &now).await?)
    }

    /// Refuses what a page of another site sends. It costs nothing, so it comes first.
    pub(crate) fn check_origin(&self) -> Result<(), Stop> {
        Ok(csrf::same_origin(&self.headers, self.state.public_url())?)
    }

    /// Whether the token is one of this form.
    pub(crate) async fn is_own_form(&self, purpose: Purpose, token: Option<&str>) -> Result<bool, Stop> {
        // A browser without our cookie was given no form.
        let Some(token) = token.filter(|token| token.len() <= MAX_TOKEN_BYTES && self.is_known_browser())
        else {
            return Ok(false);
        };
        let parts = self.bound_to(purpose);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let opened = match self.state.identity().tenants().open_text(self.tenant.id, &parts, token).await {
            Ok(opened) => opened,
            Err(keyreeve_identity::Error::Seal(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let Ok(made_at) = <[u8; 8]>::try_from(opened.expose()) else { return Ok(false) };
        let made_at = Timestamp::from_micros(i64::from_be_bytes(made_at));
        Ok(self.state.world().now().since(made_at) < LASTS)
    }
}
