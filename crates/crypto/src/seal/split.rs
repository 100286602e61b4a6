//! The master key split into shares, any `threshold` of which give it back, and fewer of which say nothing about it
//! (Shamir, "How to share a secret", 1979).
//!
//! What stays on the machine is a [`SplitPlan`]: which split it was, how many shares are wanted, the key's name, and a
//! digest of each share. By the digest a share is judged when it comes, alone: nobody can spoil a gathering with a share
//! that is made up. A share has 256 random bits, so its digest gives nothing of it away.

use super::field::{at_zero, evaluate};
use super::key::{KEY_BYTES, KeyFingerprint};
use super::master::MasterKey;
use crate::digest::{constant_time_eq, sha256_of_parts};
use crate::secret::Secret;
use keyreeve_base::World;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// The most shares that a key is split into.
pub const MAX_SHARES: u8 = 32;
const SET_BYTES: usize = 4;
const CHECK_BYTES: usize = 4;
/// Set, number, value, check value.
const SHARE_BYTES: usize = SET_BYTES + 1 + KEY_BYTES + CHECK_BYTES;
const PREFIX: &str = "krs1";
/// The longest text that is read as a share: every digit followed by a separator, and room to spare.
const MAX_TEXT: usize = 512;

/// Why a key was not split, or a share was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The numbers make no sense.
    #[error("a key is split into 2 to {MAX_SHARES} shares, of which at least 2 and at most all are wanted")]
    Numbers,
    /// The file beside the database is not what [`SplitPlan::to_text`] writes.
    #[error("is not the marker of a split master key")]
    Plan,
    /// Not the form of a share.
    #[error("does not read like one: krs1- and {} hexadecimal digits are wanted", SHARE_BYTES * 2)]
    Malformed,
    /// The check value does not fit: a digit is wrong.
    #[error("is mistyped: its check value does not fit")]
    Mistyped,
    /// A share of another split.
    #[error("belongs to another split ({found}, not {wanted})")]
    Foreign {
        /// The split that it names.
        found: SetId,
        /// The split at hand.
        wanted: SetId,
    },
    /// It says the right split, and is none of its shares.
    #[error("is none of the shares that were handed out")]
    Forged,
    /// Too few different shares.
    #[error("{found} different shares are not enough, {wanted} are wanted")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many are wanted.
        wanted: u8,
    },
    /// The shares gave another key; the marker is damaged.
    #[error("the shares give another key than the one that was split")]
    OtherKey,
}

/// The name of one split: shares of different ones do not fit together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetId([u8; SET_BYTES]);

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One share. Wiped when dropped.
pub struct Share {
    set: SetId,
    number: u8,
    value: Zeroizing<[u8; KEY_BYTES]>,
}

impl Share {
    /// Reads a share as somebody types it: case, spaces and hyphens do not matter.
    ///
    /// # Errors
    /// [`SplitError::Malformed`] or [`SplitError::Mistyped`].
    pub fn parse(text: &str) -> Result<Self, SplitError> {
        if text.len() > MAX_TEXT {
            return Err(SplitError::Malformed);
        }
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        plain
            .extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase()));
        let digits = plain.strip_prefix(PREFIX).ok_or(SplitError::Malformed)?;
        let bytes = unhex::<SHARE_BYTES>(digits).ok_or(SplitError::Malformed)?;
        let (set, rest) = bytes.split_first_chunk::<SET_BYTES>().ok_or(SplitError::Malformed)?;
        let (number, rest) = rest.split_first().ok_or(SplitError::Malformed)?;
        let (value, given) = rest.split_first_chunk::<KEY_BYTES>().ok_or(SplitError::Malformed)?;
        let share = Self { set: SetId(*set), number: *number, value: Zeroizing::new(*value) };
        if *number == 0 || !constant_time_eq(&share.check(), given) {
            return Err(SplitError::Mistyped);
        }
        Ok(share)
    }

    /// The share as it is handed to its keeper: in groups of eight digits.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let mut text = String::with_capacity(PREFIX.len() + SHARE_BYTES * 3);
        text.push_str(PREFIX);
        let (check, number) = (self.check(), [self.number]);
        let bytes = self.set.0.iter().chain(&number).chain(self.value.iter()).chain(&check);
        for (at, byte) in bytes.enumerate() {
            if at % 4 == 0 {
                text.push('-');
            }
            text.extend(hex(*byte));
        }
        Secret::from(text)
    }

    /// Which of the shares it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let parts: [&[u8]; 4] = [b"keyreeve share check v1\0", &self.set.0, &[self.number], &*self.value];
        sha256_of_parts(&parts).first_chunk().copied().unwrap_or_default()
    }

    fn commitment(&self) -> [u8; 32] {
        sha256_of_parts(&[b"keyreeve share commitment v1\0", &self.set.0, &[self.number], &*self.value])
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of {})", self.number, self.set)
    }
}

/// What is kept of a split: nothing of it opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPlan {
    set: SetId,
    threshold: u8,
    master_key: KeyFingerprint,
    commitments: Vec<[u8; 32]>,
}

/// A plan as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    keyreeve_split_master_key: u8,
    set: String,
    threshold: u8,
    master_key: String,
    shares: Vec<String>,
}

impl SplitPlan {
    /// Which split it is.
    #[must_use]
    pub const fn set(&self) -> SetId {
        self.set
    }

    /// How many shares give the key.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many shares were handed out.
    #[must_use]
    pub const fn shares(&self) -> usize {
        self.commitments.len()
    }

    /// The name of the key.
    #[must_use]
    pub const fn master_key(&self) -> KeyFingerprint {
        self.master_key
    }

    /// Reads a share and judges it.
    ///
    /// # Errors
    /// [`SplitError::Malformed`], `Mistyped`, `Foreign` or `Forged`.
    pub fn accept(&self, text: &str) -> Result<Share, SplitError> {
        let share = Share::parse(text)?;
        if share.set != self.set {
            return Err(SplitError::Foreign { found: share.set, wanted: self.set });
        }
        let known = self.commitments.get(usize::from(share.number).wrapping_sub(1));
        match known {
            Some(known) if constant_time_eq(known, &share.commitment()) => Ok(share),
            _ => Err(SplitError::Forged),
        }
    }

    /// The key that these shares give.
    ///
    /// # Errors
    /// [`SplitError::TooFew`] or [`SplitError::OtherKey`].
    pub fn join(&self, shares: &[Share]) -> Result<MasterKey, SplitError> {
        let mut different: Vec<&Share> = Vec::with_capacity(shares.len());
        for share in shares {
            if different.iter().all(|known| known.number != share.number) {
                different.push(share);
            }
        }
        if different.len() < usize::from(self.threshold) {
            return Err(SplitError::TooFew { found: different.len(), wanted: self.threshold });
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let mut points = Zeroizing::new(Vec::with_capacity(different.len()));
        for (at, byte) in bytes.iter_mut().enumerate() {
            points.clear();
            points.extend(different.iter().map(|s| (s.number, s.value.get(at).copied().unwrap_or_default())));
            *byte = at_zero(&points);
        }
        let key = MasterKey::from_raw(bytes);
        if key.fingerprint() == self.master_key { Ok(key) } else { Err(SplitError::OtherKey) }
    }

    /// The plan as a file holds it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let written = Written {
            keyreeve_split_master_key: 1,
            set: self.set.to_string(),
            threshold: self.threshold,
            master_key: self.master_key.to_string(),
            shares: self
                .commitments
                .iter()
                .map(|bytes| bytes.iter().copied().flat_map(hex).collect())
                .collect(),
        };
        // A structure of texts and numbers always has a JSON form.
        serde_json::to_string_pretty(&written).unwrap_or_default() + "\n"
    }

    /// Reads what [`SplitPlan::to_text`] wrote.
    ///
    /// # Errors
    /// [`SplitError::Plan`].
    pub fn parse(text: &str) -> Result<Self, SplitError> {
        let written: Written = serde_json::from_str(text).map_err(|_| SplitError::Plan)?;
        let commitments = written.shares.iter().map(|share| unhex::<32>(share).map(|bytes| *bytes));
        let plan = Self {
            set: SetId(*unhex(&written.set).ok_or(SplitError::Plan)?),
            threshold: written.threshold,
            master_key: KeyFingerprint::from_bytes(*unhex(&written.master_key).ok_or(SplitError::Plan)?),
            commitments: commitments.collect::<Option<_>>().ok_or(SplitError::Plan)?,
        };
        if written.keyreeve_split_master_key == 1 && sensible(plan.threshold, plan.shares()) {
            Ok(plan)
        } else {
            Err(SplitError::Plan)
        }
    }
}

fn sensible(threshold: u8, shares: usize) -> bool {
    (2..=usize::from(MAX_SHARES)).contains(&shares) && (2..=shares).contains(&usize::from(threshold))
}

impl MasterKey {
    /// Splits the key into `shares` shares, of which `threshold` give it back.
    ///
    /// # Errors
    /// [`SplitError::Numbers`].
    pub fn split(
        &self,
        world: &World,
        threshold: u8,
        shares: u8,
    ) -> Result<(SplitPlan, Vec<Share>), SplitError> {
        if !sensible(threshold, usize::from(shares)) {
            return Err(SplitError::Numbers);
        }
        let set = SetId(world.random_bytes());
        let mut dealt: Vec<Share> =
            (1..=shares).map(|number| Share { set, number, value: Zeroizing::new([0; KEY_BYTES]) }).collect();
        let mut coefficients = Zeroizing::new(Vec::with_capacity(usize::from(threshold)));
        for (at, byte) in self.raw().iter().enumerate() {
            coefficients.clear();
            coefficients.push(*byte);
            coefficients.extend((1..threshold).flat_map(|_| world.random_bytes::<1>()));
            for share in &mut dealt {
                if let Some(value) = share.value.get_mut(at) {
                    *value = evaluate(&coefficients, share.number);
                }
            }
        }
        let commitments = dealt.iter().map(Share::commitment).collect();
        Ok((SplitPlan { set, threshold, master_key: self.fingerprint(), commitments }, dealt))
    }
}

fn hex(byte: u8) -> impl Iterator<Item = char> {
    [byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(u32::from(digit), 16))
}

fn unhex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    for byte in bytes.iter_mut() {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
