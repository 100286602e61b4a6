//! `keyreeve serve`

use super::exit::{Exit, Failure};
use super::{LOCK_PATIENCE, system_world};
use crate::config::Config;
use crate::first_start::FirstStart;
use crate::unseal::Gathering;
use crate::{App, Error, Purpose, doors, master_key};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_http::front::Front;
use keyreeve_http::origin::TrustedProxies;
use keyreeve_identity::Cause;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The upper bounds of the latency histograms, in seconds.
const BUCKETS_S: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The upper bounds of the number of transactions in one commit.
const BUCKETS_TRANSACTIONS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

pub(super) fn run(config: Config, json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("keyreeve")
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    runtime.block_on(Box::pin(serve(config, json)))
}

async fn serve(mut config: Config, json: bool) -> Result<(), Failure> {
    let stopping = watch::Sender::new(false);
    let (mut sealed_stop, mut stop) = (stopping.subscribe(), stopping.subscribe());
    let signal = shutdown_signal()?;
    tokio::spawn(async move {
        signal.await;
        stopping.send_replace(true);
    });
    let metrics = recorder();
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let message = format!("{} cannot be bound: {error}. --listen chooses another address", config.listen);
        Failure::new(Exit::Unavailable, message)
    })?;
    // Known only now where any free port was asked for; links and issuers are made from it.
    if let Ok(bound) = listener.local_addr() {
        config.listen = bound;
    }
    for name in config.unknown_environment() {
        tracing::warn!(variable = %name, "there is no such setting; the variable has no effect");
    }
    if !config.has_public_url() && config.listen.ip().is_unspecified() {
        tracing::warn!("public_url is not set: links and issuers name this machine only");
    }
    let (listener, unsealed) = match master_key::split_plan(&config)? {
        None => (listener, None),
        Some(plan) => {
            let stop = async move { drop(sealed_stop.wait_for(|stop| *stop).await) };
            match sealed(&config, listener, Gathering::new(plan, system_world()), (stop, json)).await? {
                Some((listener, gathering)) => (listener, Some(gathering)),
                // Stopped before enough shares had come.
                None => return Ok(()),
            }
        }
    };
    let key = unsealed.as_ref().map(Gathering::key).transpose()?;
    let app = open(config, metrics, key.as_ref()).await?;
    drop(key);
    let first = app.first_start().await?;
    if let Some(gathering) = unsealed {
        note_unsealed(&app, &gathering).await?;
    }
    let shutdown = async move { drop(stop.wait_for(|stop| *stop).await) };
    let shown = app.clone();
    let ready = move || {
        log_start(&shown);
        announce(&shown, first, json);
    };
    app.serve_and_say(listener, shutdown, ready).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Answers as a sealed server does until enough shares have come; gives the listener back then, or none when it is to
/// stop. Connections that come in between wait.
async fn sealed(
    config: &Config,
    listener: TcpListener,
    gathering: Gathering,
    (stop, json): (impl Future<Output = ()> + Send + 'static, bool),
) -> Result<Option<(TcpListener, Gathering)>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("the listener cannot be kept: {error}"));
    let kept = listener.into_std().map_err(failed)?;
    let listener = TcpListener::from_std(kept.try_clone().map_err(failed)?).map_err(failed)?;
    let (done, ended) = watch::channel(None::<bool>);
    let awaited = gathering.clone();
    tokio::spawn(async move {
        let unsealed = tokio::select! {
            () = awaited.complete() => true,
            () = stop => false,
        };
        done.send_replace(Some(unsealed));
    });
    let over =
        |mut ended: watch::Receiver<Option<bool>>| async move { drop(ended.wait_for(Option::is_some).await) };
    #[cfg(unix)]
    let control = super::remote::Control::listen_alone(&config.data_dir)
        .await?
        .map(|control| tokio::spawn(control.gather(gathering.clone(), over(ended.clone()))));
    let url = config.public_url(config.listen).map_err(Error::Setup)?;
    let front = Front::new(&system_world(), url.url(), TrustedProxies::default());
    say_sealed(config, &gathering, json);
    keyreeve_http::serve::serve(listener, front.wrap(gathering.router()), over(ended.clone())).await;
    #[cfg(unix)]
    if let Some(control) = control {
        drop(control.await);
    }
    if *ended.borrow() != Some(true) {
        return Ok(None);
    }
    Ok(Some((TcpListener::from_std(kept).map_err(failed)?, gathering)))
}

fn say_sealed(config: &Config, gathering: &Gathering, json: bool) {
    let so_far = gathering.so_far();
    tracing::info!(listen = %config.listen, threshold = so_far.threshold, "sealed");
    let text = if json {
        so_far.to_json().to_string()
    } else {
        let (wanted, all) = (so_far.threshold, so_far.shares);
        format!("\n  The master key is split: {wanted} of {all} shares are awaited (keyreeve unseal).")
    };
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

async fn note_unsealed(app: &App, gathering: &Gathering) -> Result<(), Error> {
    let plan = gathering.plan();
    let detail =
        json!({"set": plan.set().to_string(), "threshold": plan.threshold(), "shares": plan.shares()});
    app.note_master_key("key.unseal", detail, &Cause::system()).await
}

fn log_start(app: &App) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %app.config.listen,
        public_url = %app.public_url,
        engine = %app.store.engine(),
        "serving"
    );
}

/// Opens the installation; waits for a moment while a command has it.
async fn open(
    config: Config,
    metrics: Option<PrometheusHandle>,
    joined: Option<&MasterKey>,
) -> Result<App, Error> {
    let (config, started) = (Arc::new(config), Instant::now());
    loop {
        match App::open_with(Purpose::Serve, config.clone(), system_world(), metrics.clone(), joined).await {
            Err(Error::Store(keyreeve_store::Error::InUse { .. })) if started.elapsed() < LOCK_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            opened => return opened,
        }
    }
}

/// The process's recorder of metrics; absent where something else installed one before.
fn recorder() -> Option<PrometheusHandle> {
    let transactions = Matcher::Full("keyreeve_store_commit_transactions".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_S)
        .and_then(|builder| builder.set_buckets_for_metric(transactions, &BUCKETS_TRANSACTIONS))
        .ok()?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    crate::meters::describe();
    Some(handle)
}

/// Ready at the first SIGTERM or Ctrl-C. A second one ends the process at once.
pub(super) fn shutdown_signal() -> Result<impl Future<Output = ()>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("signals cannot be awaited: {error}"));
    #[cfg(unix)]
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
    #[cfg(unix)]
    let mut interrupt =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: open requests are finished; a second signal stops at once");
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                std::process::exit(Exit::Failed as i32);
            });
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await.map_err(failed));
    })
}

/// Says where to sign in; the first time, also who as. This is the only place where the one-time password is ever seen.
fn announce(app: &App, first: Option<FirstStart>, json: bool) {
    let sign_in = doors::sign_in_url(app);
    let text = if json {
        let first = first.map(|first| {
            json!({
                "username": first.username,
                "one_time_password": first.one_time_password.as_ref().map(|password| password.expose()),
            })
        });
        json!({"url": app.public_url.to_string(), "sign_in": sign_in, "data_dir": app.config.data_dir, "first_start": first}).to_string()
    } else {
        banner(app, &sign_in, first.as_ref(), std::io::stdout().is_terminal())
    };
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

fn banner(app: &App, sign_in: &str, first: Option<&FirstStart>, colours: bool) -> String {
    let (strong, faint, plain) = if colours { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let line = |name: &str, value: &str| format!("  {faint}{name:<10}{plain}{value}\n");
    let mut text = format!("\n  {strong}Keyreeve{plain} {}\n\n", env!("CARGO_PKG_VERSION"));
    text += &line("Sign in", &format!("{strong}{sign_in}{plain}"));
    if let Some(first) = first {
        text += &line("User name", &format!("{strong}{}{plain}", first.username));
        if let Some(password) = &first.one_time_password {
            text += &line("Password", &format!("{strong}{}{plain}", password.expose()));
            text += &line("", "valid once, shown this once: you choose your own at the first sign-in");
        }
    }
    text += "\n";
    let dir = std::path::absolute(&app.config.data_dir).unwrap_or_else(|_| app.config.data_dir.clone());
    text += &line("Data", &dir.display().to_string());
    text += &line("Stop", "Ctrl-C");
    text
}
