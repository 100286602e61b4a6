//! `keyreeve key split`, `key join` and `unseal`: the master key in the hands of several people.
//!
//! All of it is done where it was typed, not by a server that runs: shares go to the terminal, and the key file is
//! replaced only when they have been written out.

use super::args::Remote;
use super::exit::{Exit, Failure, Output};
use crate::config::{Config, Inputs};
use crate::master_key;
use keyreeve_crypto::Secret;
use keyreeve_crypto::seal::{Share, SplitPlan};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

/// The most that is read of shares, in bytes.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

/// The arguments by which it is noted in the audit log that keys were split or joined.
pub(super) fn note(what: &str, plan: &SplitPlan) -> Vec<OsString> {
    let (threshold, shares) = (plan.threshold().to_string(), plan.shares().to_string());
    let words = [
        "key",
        "note",
        what,
        "--set",
        &plan.set().to_string(),
        "--threshold",
        &threshold,
        "--shares",
        &shares,
    ];
    words.map(OsString::from).into()
}

/// Writes the shares out, to people or as JSON; fails when they did not get there.
pub(super) fn hand_out(plan: &SplitPlan, shares: &[Share], json: bool) -> Result<(), Failure> {
    let texts: Vec<Secret> = shares.iter().map(Share::to_text).collect();
    let mut out = std::io::stdout().lock();
    let written = if json {
        let shares: Vec<&str> = texts.iter().map(Secret::expose).collect();
        let document = json!({
            "set": plan.set().to_string(), "threshold": plan.threshold(),
            "master_key": plan.master_key().to_string(), "shares": shares,
        });
        writeln!(out, "{document:#}")
    } else {
        let head = format!(
            "The master key {} in {} shares, any {} of which give it back. This is the only time that they are shown.\n",
            plan.master_key(),
            plan.shares(),
            plan.threshold()
        );
        let mut lines = shares.iter().zip(&texts);
        writeln!(out, "{head}").and_then(|()| {
            lines.try_for_each(|(share, text)| {
                writeln!(out, "Share {}\n  {}\n", share.number(), text.expose())
            })
        })
    };
    written.and_then(|()| out.flush()).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the shares could not be written out ({error}); nothing was changed"),
        )
    })
}

/// What is said when the key is split.
pub(super) fn done(kept: Option<std::path::PathBuf>) -> String {
    let mut text =
        "The key file now holds no key. A running server goes on; the next one that starts waits for shares \
                    (keyreeve unseal)."
            .to_owned();
    if let Some(previous) = kept {
        text.push_str(&format!(
            "\n{} holds the key before the present one, which older backups need. Put it where the shares are, or remove it.",
            previous.display()
        ));
    }
    text
}

/// Shares as they are typed: a line each at a terminal, without showing them; or all lines of standard input.
pub(super) struct Typed {
    lines: std::vec::IntoIter<Secret>,
    at_terminal: bool,
}

impl Typed {
    pub(super) fn new() -> Result<Self, Failure> {
        let at_terminal = std::io::stdin().is_terminal();
        let mut lines = Vec::new();
        if !at_terminal {
            let failed =
                |error: std::io::Error| Failure::usage(format!("standard input cannot be read: {error}"));
            for line in std::io::stdin().lock().take(MAX_INPUT_BYTES).lines() {
                let line = Secret::from(line.map_err(failed)?);
                if !line.expose().trim().is_empty() {
                    lines.push(line);
                }
            }
            if lines.is_empty() {
                return Err(Failure::usage(
                    "standard input is empty; pipe the shares into the command, one on a line",
                ));
            }
        }
        Ok(Self { lines: lines.into_iter(), at_terminal })
    }

    /// The next one; none when standard input has ended.
    pub(super) fn next(&mut self, prompt: &str) -> Result<Option<Secret>, Failure> {
        if !self.at_terminal {
            return Ok(self.lines.next());
        }
        let typed = rpassword::prompt_password(prompt)
            .map_err(|error| Failure::new(Exit::Failed, format!("the share cannot be read: {error}")))?;
        Ok(Some(Secret::from(typed)))
    }
}

/// Puts the key together from shares, and back into its file.
pub(super) fn join(config: &Config) -> Result<SplitPlan, Failure> {
    let plan = master_key::split_plan(config)?.ok_or_else(|| {
        Failure::new(Exit::Conflict, "the master key is not split; there is nothing to join")
    })?;
    let (mut typed, mut shares) = (Typed::new()?, Vec::<Share>::new());
    while shares.len() < usize::from(plan.threshold()) {
        let prompt = format!("Share {} of {}: ", shares.len().saturating_add(1), plan.threshold());
        let Some(text) = typed.next(&prompt)? else { break };
        match plan.accept(text.expose()) {
            Ok(share) if shares.iter().any(|known| known.number() == share.number()) => {}
            Ok(share) => shares.push(share),
            Err(error) if typed.at_terminal => {
                drop(writeln!(std::io::stderr(), "keyreeve: the share {error}"));
            }
            Err(error) => {
                return Err(Failure::new(Exit::Refused, format!("a share {error}; nothing was changed")));
            }
        }
    }
    let key = plan
        .join(&shares)
        .map_err(|error| Failure::new(Exit::Refused, format!("{error}; nothing was changed")))?;
    master_key::unsplit(config, &key)?;
    Ok(plan)
}

/// Hands shares to a sealed server, until it has enough.
pub(super) async fn unseal(
    typed: &mut Typed,
    mut hand_in: impl AsyncFnMut(Secret) -> Result<Value, Failure>,
) -> Result<Output, Failure> {
    let mut last = Value::Null;
    while let Some(share) = typed.next("Share: ")? {
        last = match hand_in(share).await {
            Ok(so_far) => so_far,
            Err(failure) if typed.at_terminal && failure.exit == Exit::Refused => {
                drop(writeln!(std::io::stderr(), "keyreeve: {failure}"));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let sealed = last.get("sealed").and_then(Value::as_bool).unwrap_or(false);
        if !sealed {
            return Ok(Output::new("The server is unsealed, and starts.", last));
        }
        if typed.at_terminal {
            drop(writeln!(std::io::stderr(), "{}", so_far(&last)));
        }
    }
    let text = so_far(&last);
    Ok(Output::new(text, last))
}

fn so_far(status: &Value) -> String {
    let number = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or(0);
    format!("{} of {} shares have come; the server is still sealed.", number("gathered"), number("threshold"))
}

/// Hands a share to a server elsewhere, which asks for no other credential.
pub(super) async fn hand_in_elsewhere(
    remote: &Remote,
    inputs: &Inputs,
    share: &Secret,
) -> Result<Value, Failure> {
    super::client::post_openly(remote, inputs, crate::unseal::PATH, &json!({"share": share.expose()})).await
}
