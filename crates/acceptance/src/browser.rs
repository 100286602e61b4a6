//! A person's browser: it keeps cookies, sends forms as the page has them, and walks through the pages.

use crate::call::{Answer, Call};
use crate::page::Form;
use crate::server::Mount;
use crate::{PASSWORD, Page};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use url::Url;

/// More steps than any way through the pages has.
const MAX_STEPS: usize = 12;

/// A browser at a tenant. A clone is the same browser: it has the same cookies.
#[derive(Clone)]
pub struct Browser {
    mount: Mount,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
    headers: Vec<(String, String)>,
}

impl Browser {
    pub(crate) fn new(mount: &Mount) -> Self {
        Self { mount: mount.clone(), cookies: Arc::default(), headers: Vec::new() }
    }

    /// The same browser at another tenant of the server.
    #[must_use]
    pub fn at(&self, mount: &Mount) -> Self {
        Self { mount: mount.clone(), ..self.clone() }
    }

    /// The same browser with one more header in each request, such as its languages.
    #[must_use]
    pub fn sending(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A browser with a copy of the cookies that this one has now.
    #[must_use]
    pub fn copy(&self) -> Self {
        let cookies = Arc::new(Mutex::new(self.cookies.lock().expect("the cookies").clone()));
        Self { cookies, ..self.clone() }
    }

    /// The tenant that it is at.
    #[must_use]
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The value of a cookie, by its name on the wire.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().expect("the cookies").get(name).cloned()
    }

    /// Every cookie.
    #[must_use]
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().expect("the cookies").clone()
    }

    /// Plants a cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().expect("the cookies").insert(name.to_owned(), value.to_owned());
    }

    /// Removes a cookie.
    pub fn drop_cookie(&self, name: &str) {
        self.cookies.lock().expect("the cookies").remove(name);
    }

    /// A GET of a path below the tenant, or of a URL of the server.
    pub fn get(&self, path: &str) -> Visit {
        self.visit("GET", path)
    }

    /// A POST to it, as a script or another site would send it: without what a browser adds to the forms of a page.
    pub fn post(&self, path: &str) -> Visit {
        self.visit("POST", path)
    }

    /// A form that a page of another site posts here. As `SameSite=Lax` has it, no cookie goes with it; those of the
    /// answer are kept, since the browser comes here to stay.
    pub fn post_from(&self, site: &str, path: &str, form: &[(&str, &str)]) -> Visit {
        let visit = self.visit("POST", path).form(form);
        let visit = visit.header("origin", site).header("sec-fetch-site", "cross-site");
        Visit { cookies: false, ..visit }
    }

    fn visit(&self, method: &str, path: &str) -> Visit {
        let mut call = self.mount.call(method, path);
        for (name, value) in &self.headers {
            call = call.header(name, value);
        }
        Visit { browser: self.clone(), call, cookies: true }
    }

    /// A form of a page of this server, as the browser sends it. Its action is a path from the root.
    pub fn form(&self, form: &Form) -> Visit {
        let base = self.mount.tokens().base_url();
        let visit = self.visit("POST", &format!("{base}{}", form.action));
        visit.with(|call| {
            let origin = Url::parse(base).expect("a URL").origin().ascii_serialization();
            call.header("origin", &origin).header("sec-fetch-site", "same-origin").form(&form.pairs())
        })
    }

    /// Sends a form of a page of this server.
    pub async fn submit(&self, form: &Form) -> Answer {
        self.form(form).send().await
    }

    /// Goes where a redirect of this server leads, as long as it leads to this server.
    pub async fn follow(&self, answer: Answer) -> Answer {
        let mut answer = answer;
        for _ in 0..MAX_STEPS {
            if answer.own_location().is_none() {
                return answer;
            }
            answer = self.get(answer.location()).send().await;
        }
        panic!("the redirects do not end\n{answer}")
    }

    /// The sign-in form.
    pub async fn sign_in_form(&self) -> Form {
        let page = self.get("/signin").send().await.expect(200).page();
        page.form(&format!("{}/signin", self.mount.prefix()))
    }

    /// Tries to sign in at the page; answers what the attempt is answered with.
    pub async fn try_sign_in(&self, name: &str, password: &str) -> Answer {
        let form = self.sign_in_form().await;
        self.submit(&form.with("username", name).with("password", password)).await
    }

    /// Signs in at the page with the password that every user has.
    ///
    /// # Panics
    /// When it does not succeed.
    pub async fn sign_in(&self, name: &str) {
        let answer = self.try_sign_in(name, PASSWORD).await.expect(303);
        let account = format!("{}/account", self.mount.prefix());
        assert_eq!(answer.own_location(), Some(account.as_str()), "{answer}");
    }

    /// Signs out by the button of the account page.
    pub async fn sign_out(&self) {
        let page = self.get("/account").send().await.expect(200).page();
        let form = page.form(&format!("{}/signout", self.mount.prefix()));
        let answer = self.submit(&form).await;
        assert!(self.follow(answer).await.expect(200).is_page());
    }

    /// Whether it is signed in: the account page shows itself.
    pub async fn is_signed_in(&self) -> bool {
        let answer = self.get("/account").send().await;
        let signed_in = answer.status == 200;
        if !signed_in {
            let sign_in = format!("{}/signin", self.mount.prefix());
            assert_eq!(answer.own_location(), Some(sign_in.as_str()), "{answer}");
        }
        signed_in
    }

    /// Walks on from an answer as `person` would: follows redirects, signs in, allows, until the client has its answer.
    ///
    /// # Panics
    /// When a page comes that leads no further.
    pub async fn walk(&self, answer: Answer, person: &str) -> Callback {
        let mut answer = answer;
        let mut pages = Vec::new();
        for _ in 0..MAX_STEPS {
            if let Some(callback) = Callback::read(&answer, &pages) {
                return callback;
            }
            if answer.own_location().is_some() {
                answer = self.get(answer.location()).send().await;
                continue;
            }
            let page = answer.clone().expect(200).page();
            let (name, form) =
                self.fill(&page, person).unwrap_or_else(|| panic!("it goes no further\n{answer}"));
            pages.push(name);
            answer = self.submit(&form).await;
            // A page in answer to a form says what is wrong with it.
            assert!(answer.status != 401 && answer.status != 429, "{answer}");
        }
        panic!("the pages do not end\n{answer}")
    }

    fn fill(&self, page: &Page, person: &str) -> Option<(&'static str, Form)> {
        if let Some(form) = page.form_ending("/signin") {
            return Some(("sign_in", form.with("username", person).with("password", PASSWORD)));
        }
        page.form_ending("/consent").map(|form| ("consent", form.press("decision", "allow")))
    }
}

/// A request of a browser in the making.
#[must_use = "a visit that is not sent does nothing"]
pub struct Visit {
    browser: Browser,
    call: Call,
    /// Whether the browser's cookies go with it.
    cookies: bool,
}

impl Visit {
    /// With a change of the request.
    pub fn with(mut self, change: impl FnOnce(Call) -> Call) -> Self {
        self.call = change(self.call);
        self
    }

    /// With these parameters in its query.
    pub fn query(self, params: &[(&str, &str)]) -> Self {
        self.with(|call| call.query(params))
    }

    /// With one more header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|call| call.header(name, value))
    }

    /// With a form as its body.
    pub fn form(self, params: &[(&str, &str)]) -> Self {
        self.with(|call| call.form(params))
    }

    /// Sends it with the browser's cookies, and keeps those that come back.
    pub async fn send(self) -> Answer {
        let Self { browser, mut call, cookies } = self;
        let sent: Vec<String> =
            browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies && !sent.is_empty() {
            call = call.header("cookie", &sent.join("; "));
        }
        let answer = call.send().await;
        for (name, value, text) in answer.cookies() {
            if text.to_ascii_lowercase().contains("max-age=0") || value.is_empty() {
                browser.drop_cookie(name);
            } else {
                browser.set_cookie(name, value);
            }
        }
        answer
    }
}

/// The answer that a client gets through the browser.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Where it went, without the parameters.
    pub uri: String,
    /// The parameters, each once.
    pub params: BTreeMap<String, String>,
    /// `query` or `form_post`.
    pub mode: &'static str,
    /// The pages that the person answered on the way: `sign_in`, `consent`.
    pub pages: Vec<&'static str>,
    shown: String,
}

impl Callback {
    /// The callback that an answer is, if it is one.
    fn read(answer: &Answer, pages: &[&'static str]) -> Option<Self> {
        let of = |uri: String, pairs: Vec<(String, String)>, mode| {
            let count = pairs.len();
            let params: BTreeMap<_, _> = pairs.into_iter().collect();
            assert_eq!(params.len(), count, "a parameter stands twice\n{answer}");
            Self { uri, params, mode, pages: pages.to_vec(), shown: answer.to_string() }
        };
        if answer.status.is_redirection() && answer.own_location().is_none() {
            let url = Url::parse(answer.location()).expect("a URL");
            let pairs = url.query_pairs().into_owned().collect();
            let uri = answer.location().split('?').next().unwrap_or_default().to_owned();
            return Some(of(uri, pairs, "query"));
        }
        let form =
            answer.is_page().then(|| answer.page().forms.into_iter().find(|form| form.is_answer))??;
        Some(of(form.action, form.fields, "form_post"))
    }

    /// A parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// The code.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn code(&self) -> &str {
        self.get("code").unwrap_or_else(|| panic!("there is no code\n{}", self.shown))
    }

    /// The error code.
    ///
    /// # Panics
    /// When there is none, or a code beside it.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> &str {
        assert!(self.get("code").is_none(), "there is a code\n{}", self.shown);
        self.get("error").unwrap_or_else(|| panic!("there is no error\n{}", self.shown))
    }
}
