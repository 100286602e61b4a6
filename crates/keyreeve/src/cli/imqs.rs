//! `keyreeve imqs`: a throw-away server that speaks the interface of IMQS Auth, and moving from the original.

use super::args::ImqsArgs;
use super::exit::{Exit, Failure, Output};
use super::{serve, system_world};
use crate::config::Config;
use crate::{App, Purpose};
use keyreeve_compat::imqs::{Fixture, Imported};
use keyreeve_identity::{Cause, DEFAULT_SLUG, NewTenant, TenantSettings};
use serde_json::json;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;

/// The largest file of users, and of a URL, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

pub(super) fn run(config: Config, arguments: ImqsArgs, json: bool) -> Result<Option<Output>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("keyreeve")
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    runtime.block_on(Box::pin(async move {
        match (arguments.fixture, arguments.import) {
            (Some(file), _) => fixture(config, &file, json).await.map(|()| None),
            (None, Some(url)) => import(config, &url).await.map(Some),
            (None, None) => Err(Failure::usage("say --fixture or --import")),
        }
    }))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(&format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

async fn fixture(mut config: Config, file: &Path, json: bool) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let fixture = Fixture::parse(&read(file)?).map_err(|error| wrong(&error))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
    let scratch =
        tempfile::Builder::new().prefix("keyreeve-imqs-").tempdir().map_err(|error| failed(&error))?;
    let shutdown = serve::shutdown_signal()?;
    let address = config.listen;
    config.data_dir = scratch.path().join("data");
    config.database_url = None;
    config.imqs.enabled = true;
    config.imqs.tenant = DEFAULT_SLUG.to_owned();
    config.imqs.listen = Some(address);
    // Everything here is known to whoever wrote the file: hashes need not cost anything.
    (config.hashing.memory_kib, config.hashing.iterations) = (8_192, 1);
    // The other doors, which nobody is told of.
    config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(config.listen).await.map_err(|error| failed(&error))?;
    if let Ok(bound) = listener.local_addr() {
        config.listen = bound;
    }
    let app = App::open(config, system_world()).await?;
    let (slug, name) = (DEFAULT_SLUG.to_owned(), "Fixture".to_owned());
    let new = NewTenant { slug, name, settings: TenantSettings::default() };
    app.identity.tenants().create(new, &Cause::operator()).await.map_err(crate::Error::from)?;
    if let Some(imqs) = app.compat.imqs() {
        imqs.load(fixture).await.map_err(|error| wrong(&error))?;
    }
    let ready = move || {
        let url = format!("http://{address}");
        let text = if json { json!({ "url": url }).to_string() } else { format!("IMQS Auth on {url}") };
        drop(writeln!(std::io::stdout().lock(), "{text}"));
    };
    app.serve_and_say(listener, shutdown, ready).await?;
    Ok(())
}

async fn import(config: Config, given: &str) -> Result<Output, Failure> {
    let url = match given.strip_prefix('@') {
        Some(path) => read(Path::new(path))?.trim().to_owned(),
        None => given.to_owned(),
    };
    if !config.imqs.enabled {
        let what =
            "compat_imqs_enabled is off: switch the interface on for the tenant that everything goes to";
        return Err(Failure::usage(what));
    }
    let app = App::open_for(Purpose::Command, config, system_world(), None).await?;
    let source = keyreeve_store::foreign::connect(&url).await.map_err(crate::Error::from)?;
    let Some(imqs) = app.compat.imqs() else {
        return Err(Failure::new(Exit::Failed, "there is no such interface"));
    };
    let done = imqs.import(&source).await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let Imported { groups, users, archived, passwords, sessions, left_out } = &done;
    let mut text = format!(
        "{groups} groups, {users} users ({archived} archived, {passwords} with their password), {sessions} sessions"
    );
    for line in left_out {
        text.push_str("\nleft out: ");
        text.push_str(line);
    }
    let value = serde_json::to_value(&done).unwrap_or_default();
    Ok(Output { text, json: value, exit: Exit::Ok })
}
