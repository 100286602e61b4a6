//! The victim whose things are at stake, and the three who try.

use keyreeve_acceptance::{Browser, Call, Mount, Server, TestClient, TestUser, TokenSet};
use keyreeve_http::route::Guard;
use keyreeve_tokens::clients::GrantType;

/// Who tries. The order is that of the cases' expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Without any credential.
    Nobody = 0,
    /// A user and a client of the same tenant who have nothing to do with the victim.
    Stranger = 1,
    /// A user of the victim's name, a client and a token of another tenant.
    Foreign = 2,
}

/// The credentials of one who tries.
struct Credentials {
    client: TestClient,
    token: String,
    browser: Browser,
}

/// A tenant with a victim, Ada, who is signed in and uses an application.
pub struct Stage {
    /// The slug of the tenant in paths; of no use for the default one.
    pub slug: &'static str,
    /// The default tenant's mount: paths of routes are whole.
    pub root: Mount,
    pub mount: Mount,
    pub portal: TestClient,
    pub ada: Browser,
    user: TestUser,
    pub tokens: TokenSet,
    /// A code that is still good.
    pub code: String,
    /// The identifier of her session.
    pub session: String,
    /// A sealed request of her browser.
    pub request: String,
    /// The file name of the stylesheet, which holds a digest of its content.
    pub asset: String,
    stranger: Credentials,
    foreign: Credentials,
}

impl Stage {
    /// The default tenant, attacked from `rival`.
    pub async fn at_root(server: &Server) -> Self {
        let rival = server.tenant("rival").create().await;
        Self::new(server, (**server).clone(), rival, "").await
    }

    /// The tenant `acme`, attacked from the default tenant.
    pub async fn at_tenant(server: &Server) -> Self {
        let acme = server.tenant("acme").create().await;
        let rival = server.tenant("rival2").create().await;
        Self::new(server, acme, rival, "acme").await
    }

    async fn new(server: &Server, mount: Mount, rival: Mount, slug: &'static str) -> Self {
        let user = mount.user("ada").email("ada@example.org").create().await;
        let portal = mount.client("portal").web_app().create().await;
        let ada = mount.browser();
        let tokens = mount.code_flow(&portal).tokens(&ada, "ada").await;
        let code = mount.code_flow(&portal).walk(&ada, "ada").await.code().to_owned();
        let sessions = mount.identity().sessions().list(mount.id(), user.user.id).await.unwrap();
        let begun = mount.code_flow(&portal).with("prompt", "consent").begin(&ada).await;
        let request = begun.location().split_once("request=").unwrap().1.to_owned();

        mount.user("stranger").create().await;
        // It may use codes, so that what refuses it is whose code it is.
        let client = mount
            .client("outsider")
            .web_app()
            .grants(&[GrantType::AuthorizationCode, GrantType::ClientCredentials])
            .create()
            .await;
        let answer = mount.token(&client, &[("grant_type", "client_credentials")]).await;
        let browser = mount.browser();
        browser.sign_in("stranger").await;
        let stranger = Credentials { client, token: TokenSet::read(&answer).access, browser };

        rival.user("ada").email("ada@example.org").create().await;
        let client = rival.client("intruder").web_app().create().await;
        let browser = rival.browser();
        let token = rival.code_flow(&client).tokens(&browser, "ada").await.access;
        browser.plant_elsewhere(&rival, &mount);
        let foreign = Credentials { client, token, browser };
        let session = sessions[0].id.to_string();
        let root = (**server).clone();
        let asset = stylesheet(&root).await;
        Self {
            slug,
            root,
            mount,
            portal,
            ada,
            user,
            tokens,
            code,
            session,
            request,
            asset,
            stranger,
            foreign,
        }
    }

    /// What the guard asks for, as far as `who` has it.
    pub fn with_credentials(&self, call: Call, guard: Guard, who: Who) -> Call {
        let credentials = match who {
            Who::Nobody => return call,
            Who::Stranger => &self.stranger,
            Who::Foreign => &self.foreign,
        };
        match guard {
            Guard::Client => call.basic(&credentials.client.client_id, credentials.client.secret()),
            Guard::Bearer => call.bearer(&credentials.token),
            Guard::Public | Guard::Browser | Guard::BrowserForm | Guard::Operator => {
                let cookies = credentials.browser.cookies();
                let cookies: Vec<String> =
                    cookies.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                call.header("cookie", &cookies.join("; "))
            }
        }
    }

    /// Ada has lost nothing: her session, her password, her tokens, her code.
    pub async fn check_unharmed(&self) {
        assert!(self.ada.is_signed_in().await, "her session ended");
        assert_eq!(self.user.sessions().await, 1);
        assert!(self.mount.is_active(&self.portal, &self.tokens.access).await, "her token ended");
        self.mount.refresh(&self.portal, self.tokens.refresh()).await;
        self.mount.browser().sign_in("ada").await;
        assert_eq!(self.mount.audited("consent.grant").await.len(), 1, "somebody agreed in her name");
    }
}

/// The stylesheet that a page names.
async fn stylesheet(mount: &Mount) -> String {
    let page = mount.get("/signin").send().await.expect(200).page();
    let links = page.elements.iter().filter(|(tag, _)| tag == "link");
    let path = links.filter_map(|(_, attributes)| attributes.get("href")).find(|href| href.ends_with(".css"));
    path.and_then(|path| path.strip_prefix("/assets/")).expect("a stylesheet").to_owned()
}

/// The cookies of one tenant under the names that another tenant's have, as a thief would plant them.
trait Planted {
    fn plant_elsewhere(&self, from: &Mount, to: &Mount);
}

impl Planted for Browser {
    fn plant_elsewhere(&self, from: &Mount, to: &Mount) {
        let suffix = |mount: &Mount| mount.prefix().strip_prefix("/t/").map(|slug| format!("-{slug}"));
        for name in ["session", "browser", "device"] {
            let value = self.cookie(&format!("{name}{}", suffix(from).unwrap_or_default())).unwrap();
            self.set_cookie(&format!("{name}{}", suffix(to).unwrap_or_default()), &value);
        }
    }
}
