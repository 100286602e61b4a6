//! Django's texts: the hasher's name, then its parts or the text of the function itself.

use super::super::argon::Argon2Hash;
use super::super::phc;
use super::pbkdf2::Prf;
use super::{Stored, bcrypt, pbkdf2, scrypt};

pub(super) fn parse(text: &str) -> Option<Stored> {
    let (name, rest) = text.split_once('$')?;
    match name {
        "pbkdf2_sha256" => parse_pbkdf2(Prf::Sha256, rest).map(Stored::Pbkdf2),
        "pbkdf2_sha1" => parse_pbkdf2(Prf::Sha1, rest).map(Stored::Pbkdf2),
        "scrypt" => parse_scrypt(rest).map(Stored::Scrypt),
        "bcrypt" => bcrypt::parse(rest).map(Stored::Bcrypt),
        "bcrypt_sha256" => bcrypt::parse_prehashed(rest).map(Stored::Bcrypt),
        "argon2" => {
            Argon2Hash::parse(&format!("${rest}")).map(|hash| Stored::Argon2 { hash, as_typed: true })
        }
        _ => None,
    }
}

/// `iterations$salt$hash`; the salt is its own text, the hash standard base64.
fn parse_pbkdf2(prf: Prf, rest: &str) -> Option<pbkdf2::Pbkdf2> {
    let (iterations, rest) = rest.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    pbkdf2::new(prf, phc::number(iterations)?, salt.as_bytes().to_vec(), phc::base64(hash)?)
}

/// `N$salt$r$p$hash`; the salt is its own text.
fn parse_scrypt(rest: &str) -> Option<scrypt::Scrypt> {
    let mut parts = rest.split('$');
    let mut next = || parts.next();
    let (n, salt, r, p, hash) = (next()?, next()?, next()?, next()?, next()?);
    let n = phc::number(n).filter(|n| n.is_power_of_two())?;
    let costs = (phc::number(r)?, phc::number(p)?);
    match next() {
        None => scrypt::new(n.trailing_zeros(), costs, salt.as_bytes().to_vec(), phc::base64(hash)?),
        Some(_) => None,
    }
}
