//! The command line on a server elsewhere, as a person uses it: signed in by the device grant, approved in a browser.

use crate::program::wire::{Answer, Wire};
use crate::program::{PUBLIC_URL, Program, Running};
use keyreeve_acceptance::{PASSWORD, Page};
use keyreeve_testkit::{Engine, on_both_engines};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const REFUSED: i32 = 5;
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A person's computer, which has nothing but the program.
struct Desk<'p> {
    program: &'p Program,
    home: PathBuf,
    url: String,
}

/// A command that has ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl<'p> Desk<'p> {
    fn new(program: &'p Program, server: &Running) -> Self {
        let home = program.data().parent().unwrap().join("home");
        std::fs::create_dir(&home).unwrap();
        Self { program, home, url: format!("http://{}", server.address) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program.command(&[&["--server", &self.url], arguments].concat());
        // Nothing here knows where the installation is.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYREEVE_")) {
            command.env_remove(name);
        }
        command.env_remove("KEYREEVE_DATA_DIR").env_remove("KEYREEVE_DATABASE_URL").env("HOME", &self.home);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end(self.command(arguments).spawn().unwrap())
    }

    /// Begins to sign in; the path that is to be opened, and the code that must be shown there.
    fn login(&self) -> (Child, String, String) {
        let mut child = self.command(&["login", "--json"]).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let path = line.trim().strip_prefix("Open ").and_then(|url| url.strip_prefix(PUBLIC_URL));
        let path = path.unwrap_or_else(|| panic!("{line}")).to_owned();
        line.clear();
        said.read_line(&mut line).unwrap();
        let code = line.split("the code ").nth(1).unwrap().split('.').next().unwrap().to_owned();
        child.stderr = Some(said.into_inner());
        (child, path, code)
    }
}

fn end(mut child: Child) -> Ended {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Ended { code: child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
}

impl Ended {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A person's browser.
struct Person {
    wire: Wire,
    cookies: Vec<String>,
}

impl Person {
    async fn new(server: &Running) -> Self {
        Self { wire: Wire::open(server.address).await.unwrap(), cookies: Vec::new() }
    }

    fn keep(&mut self, answer: Answer) -> Answer {
        for cookie in &answer.cookies {
            let name = cookie.split('=').next().unwrap();
            self.cookies.retain(|kept| kept.split('=').next() != Some(name));
            self.cookies.push(cookie.clone());
        }
        answer
    }

    /// A page, wherever it leads.
    async fn open(&mut self, path: &str) -> Page {
        let mut path = path.to_owned();
        for _ in 0..5 {
            let answer = self.wire.get(&path, &self.cookies.join("; ")).await.unwrap();
            let answer = self.keep(answer);
            match &answer.location {
                Some(location) => path = location.strip_prefix(PUBLIC_URL).unwrap_or(location).to_owned(),
                None => return Page::parse(&answer.expect(200).body),
            }
        }
        panic!("{path} leads in circles");
    }

    /// Sends a form of a page with these fields, and goes where that leads.
    async fn send(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = page.form(action);
        for (name, value) in fields {
            form = match *name {
                "decision" => form.press(name, value),
                name => form.with(name, value),
            };
        }
        let answer = self.wire.post(action, &self.cookies.join("; "), &form.pairs()).await.unwrap();
        let answer = self.keep(answer);
        match &answer.location {
            Some(location) => {
                let path = location.strip_prefix(PUBLIC_URL).unwrap_or(location).to_owned();
                self.open(&path).await
            }
            None => Page::parse(&answer.expect(200).body),
        }
    }

    /// Types nothing that the page does not know, and decides.
    async fn decide(&mut self, path: &str, code: &str, word: &str) {
        let mut page = self.open(path).await;
        if page.form_ending("/signin").is_some() {
            page = self.send(&page, "/signin", &[("username", "ada"), ("password", PASSWORD)]).await;
        }
        let page = self.send(&page, "/device", &[]).await;
        assert!(page.text.contains(code) && page.text.contains("Command line"), "{}", page.text);
        self.send(&page, "/device/decision", &[("decision", word)]).await;
    }
}

on_both_engines! {
    async fn a_person_signs_the_command_line_in(engine: Engine) {
        let program = Program::new(engine).await;
        program.run(&["client", "create", "--client-id", "keyreeve-cli", "--name", "Command line", "--public", "--grant-type", DEVICE_CODE,
            "--grant-type", "refresh_token", "--scope", "keyreeve:admin", "--scope", "offline_access", "--json"], "");
        let ada = program.run(&["user", "create", "--username", "ada", "--password-stdin", "--json"], PASSWORD);
        program.run(&["role", "give", "tenant-admin", "ada", "--json"], "");
        let server = program.serve();
        let desk = Desk::new(&program, &server);
        let refused = desk.run(&["user", "list"]).expect(REFUSED);
        assert!(refused.stderr.contains("login"), "{}", refused.stderr);

        let mut person = Person::new(&server).await;
        let (denied, path, code) = desk.login();
        person.decide(&path, &code, "deny").await;
        let denied = end(denied).expect(REFUSED);
        assert!(denied.stderr.contains("access_denied"), "{}", denied.stderr);
        desk.run(&["user", "list"]).expect(REFUSED);

        let (waiting, path, code) = desk.login();
        person.decide(&path, &code, "allow").await;
        let signed_in = end(waiting).expect(0);
        assert_eq!(signed_in.json()["client_id"], "keyreeve-cli");
        // What is kept is for its owner alone, and goes on from command to command.
        let kept = desk.home.join(".config/keyreeve/sessions.json");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let before = std::fs::read_to_string(&kept).unwrap();
        assert!(before.contains("kr_rt_") && !signed_in.stdout.contains("kr_rt_") && !signed_in.stderr.contains("kr_rt_"));
        desk.run(&["user", "create", "--username", "bob"]).expect(0);
        desk.run(&["user", "lock", "bob"]).expect(0);
        assert_ne!(std::fs::read_to_string(&kept).unwrap(), before, "it is rotated");
        let lock = desk.run(&["audit", "list", "--action", "user.lock", "--json"]).expect(0).json();
        assert_eq!(lock["items"][0]["actor"], serde_json::json!({"kind": "user", "id": ada["id"]}));

        assert_eq!(desk.run(&["logout", "--json"]).expect(0).json()["ended"].as_array().unwrap().len(), 1);
        desk.run(&["user", "list"]).expect(REFUSED);
        // What was kept is worth nothing any more.
        std::fs::write(&kept, before).unwrap();
        desk.run(&["user", "list"]).expect(REFUSED);
        server.kill();
    }
}
