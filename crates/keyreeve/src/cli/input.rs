//! What a command needs besides its flags: a secret from standard input or the terminal, a file. Both are read where
//! the command was typed, also when a running server carries it out.

use super::args::{
    AuthCommand, ClientCommand, Command, CredentialArgs, IssuerCommand, JwtCommand, PasswordArg,
    SecretCommand, SecretKind, SshCommand, UserCommand, ValueArgs,
};
use super::exit::{Exit, Failure};
use keyreeve_crypto::{Secret, base64url};
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The most that is read of a secret, in bytes: hashes of other systems are longer than passwords.
const MAX_SECRET_BYTES: u64 = 8 * 1024;
/// The most that is read of a file, in bytes.
const MAX_FILE_BYTES: u64 = 512 * 1024;

/// What was read.
#[derive(Debug, Default)]
pub struct Input {
    /// A password, or the hash of one.
    pub secret: Option<Secret>,
    /// The content of the file that a flag names.
    pub file: Option<String>,
    /// The directory to which paths are relative.
    pub directory: PathBuf,
}

impl Input {
    /// Reads what `command` needs.
    ///
    /// # Errors
    /// A sentence, when there is nothing to read or it is not text.
    pub fn read(command: &Command) -> Result<Self, Failure> {
        let directory = std::env::current_dir()
            .map_err(|error| Failure::new(Exit::Failed, format!("there is no working directory: {error}")))?;
        let mut input = Self { directory, ..Self::default() };
        match command {
            Command::User(UserCommand::Create(new)) => {
                let wanted = new.password.password_stdin || new.password_hash_stdin;
                input.secret = wanted.then(from_stdin).transpose()?;
            }
            Command::User(UserCommand::SetPassword { password, .. }) => input.secret = password_of(password)?,
            Command::Client(ClientCommand::Create(new)) => {
                input.file = new.jwks_file.as_ref().map(file).transpose()?;
            }
            Command::Issuer(IssuerCommand::Create(new)) => {
                input.file = new.jwks_file.as_ref().map(file).transpose()?;
            }
            Command::Secret(SecretCommand::Create(new)) => input.value(new.kind, &new.value)?,
            Command::Secret(SecretCommand::Write { kind, value, .. }) => input.value(*kind, value)?,
            Command::Jwt(JwtCommand::Sign(asked)) => {
                input.file = asked.claims_file.as_ref().map(file).transpose()?;
            }
            Command::Secret(SecretCommand::Auth(AuthCommand::Create(new))) => {
                input.secret = Some(credential(&new.credential)?);
            }
            Command::Secret(SecretCommand::Auth(AuthCommand::Renew { credential: how, .. })) => {
                input.secret = Some(credential(how)?);
            }
            Command::Ssh(SshCommand::Sign { public_key, .. }) => input.file = Some(file(public_key)?),
            Command::Api { data: Some(data), .. } => {
                input.file = Some(if data == "-" { document_from_stdin()? } else { data.clone() });
            }
            _ => {}
        }
        Ok(input)
    }
}

impl Input {
    /// Reads the value of a secret, if it is brought.
    fn value(&mut self, kind: SecretKind, value: &ValueArgs) -> Result<(), Failure> {
        if value.stdin {
            self.secret = Some(from_stdin()?);
        }
        if let Some(path) = &value.file {
            // Only a file may be anything else than text.
            self.file = Some(if kind == SecretKind::File { bytes(path)? } else { file(path)? });
        }
        Ok(())
    }
}

/// The first line of what is named.
fn credential(how: &CredentialArgs) -> Result<Secret, Failure> {
    let Some(path) = &how.file else { return from_stdin() };
    let text = Zeroizing::new(file(path)?);
    match text.split(['\n', '\r']).next() {
        None | Some("") => Err(Failure::usage(format!("{} is empty", path.display()))),
        Some(line) => Ok(Secret::new(line)),
    }
}

fn password_of(how: &PasswordArg) -> Result<Option<Secret>, Failure> {
    if how.generate_password {
        return Ok(None);
    }
    if how.password_stdin || !std::io::stdin().is_terminal() {
        return from_stdin().map(Some);
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Secret::from)
            .map_err(|error| Failure::new(Exit::Failed, format!("the password cannot be read: {error}")))
    };
    let (first, second) = (ask("New password: ")?, ask("Once more: ")?);
    if first.expose() == second.expose() {
        Ok(Some(first))
    } else {
        Err(Failure::usage("the two passwords differ; nothing was changed"))
    }
}

/// The first line of standard input, without its end.
fn from_stdin() -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    std::io::stdin()
        .take(MAX_SECRET_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::Failed, format!("standard input cannot be read: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::usage("standard input is not UTF-8 text"))?;
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage("standard input is empty; pipe the password into the command"));
    }
    Ok(Secret::new(line))
}

/// All of standard input.
fn document_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(Exit::Failed, format!("standard input cannot be read: {error}")))?;
    Ok(text)
}

/// A file of any content, in base64url.
fn bytes(path: &PathBuf) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok(base64url::encode(bytes.as_slice()))
}

fn file(path: &PathBuf) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
        .map_err(unreadable)?;
    Ok(text)
}
