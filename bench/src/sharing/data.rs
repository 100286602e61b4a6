//! The data set, the same in every run: one tree of depth 10, groups nested five deep, ten grants on each resource.

use anyhow::Result;
use bytes::Bytes;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;

/// How many children a resource has: of a million, the lowest lie ten levels below the root.
const CHILDREN: u64 = 4;
/// How many grants there are on each resource.
pub const GRANTS: u64 = 10;
/// How many groups lie in each other.
const NESTED: u64 = 5;

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Resources; the first is the root of all.
    pub resources: u64,
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
}

impl Size {
    /// A million resources, 100,000 users and 10,000 groups at 1, and so many of each as `scale` says.
    pub fn of(scale: f64) -> Self {
        // A share of a million is a small number, and what is behind its point does not matter.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1,000 and 10,000,000"
        )]
        let resources = (scale * 1e6).clamp(1_000.0, 1e7) as u64;
        Self { resources, users: resources / 10, groups: resources / 100 }
    }

    /// Any number below `bound`, by another.
    fn any(of: u64, bound: u64) -> u64 {
        mixed(of) % bound.max(1)
    }

    /// Writes the users, groups and memberships as an import reads them.
    pub fn write_directory(self, file: &Path) -> Result<()> {
        let mut out = BufWriter::new(std::fs::File::create(file)?);
        for n in 0..self.users {
            writeln!(out, r#"{{"type":"user","id":"{}","username":"user{n:07}"}}"#, user(n))?;
        }
        for n in 0..self.groups {
            writeln!(out, r#"{{"type":"group","id":"{}","name":"group{n:07}"}}"#, group(n))?;
        }
        for n in 0..self.groups {
            if n % NESTED != 0 {
                let (outer, inner) = (group(n - 1), group(n));
                writeln!(
                    out,
                    r#"{{"type":"membership","group_id":"{outer}","member":{{"group_id":"{inner}"}}}}"#
                )?;
            }
            for k in 0..10 {
                let (group, user) = (group(n), user((n * 10 + k) % self.users));
                writeln!(
                    out,
                    r#"{{"type":"membership","group_id":"{group}","member":{{"user_id":"{user}"}}}}"#
                )?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// Lines that make these resources.
    pub fn resources(self, range: Range<u64>) -> Bytes {
        let mut lines = String::new();
        for n in range {
            let (id, owner) = (resource(n), user(Self::any(n, self.users)));
            let parent = match n {
                0 => String::new(),
                n => format!(r#","parent":"{}""#, resource((n - 1) / CHILDREN)),
            };
            let owner = format!(r#"{{"kind":"user","id":"{owner}"}}"#);
            // Writing to a String does not fail.
            let _ = writeln!(
                lines,
                r#"{{"resource":{{"id":"{id}","type":"FOLDER","owner":{owner},"name":"folder {n}"{parent}}}}}"#
            );
        }
        lines.into()
    }

    /// Lines that make the grants on these resources: one in ten to a group, half of them for what lies below as well.
    pub fn grants(self, range: Range<u64>) -> Bytes {
        let mut lines = String::new();
        for n in range {
            let (id, first) = (resource(n), Self::any(n + (1 << 40), self.users));
            for k in 0..GRANTS {
                // Apart from each other, so that none is there twice.
                let (kind, subject) = match k {
                    0 => ("group", group(Self::any(n + (1 << 41), self.groups))),
                    _ => ("user", user((first + k * (self.users / 11 + 1)) % self.users)),
                };
                let (permission, cascade) = (if k % 2 == 0 { "READ" } else { "WRITE" }, k % 4 < 2);
                let subject = format!(r#"{{"kind":"{kind}","id":"{subject}"}}"#);
                let _ = writeln!(
                    lines,
                    r#"{{"grant":{{"resource":"{id}","permission":"{permission}","subject":{subject},"cascade":{cascade}}}}}"#
                );
            }
        }
        lines.into()
    }
}

/// Lines that make the type and its permissions.
pub fn model() -> Bytes {
    Bytes::from_static(
        br#"{"type":{"id":"FOLDER"}}
{"permission":{"type":"FOLDER","id":"READ"}}
{"permission":{"type":"FOLDER","id":"WRITE","implies":["READ"]}}
"#,
    )
}

/// A user's identifier.
pub fn user(n: u64) -> String {
    format!("00000000-0000-7000-8000-{n:012x}")
}

/// A group's identifier.
pub fn group(n: u64) -> String {
    format!("00000000-0000-7000-9000-{n:012x}")
}

/// A resource's identifier.
pub fn resource(n: u64) -> String {
    format!("r{n:07}")
}

/// Numbers that look like chance, and are the same in each run (splitmix64).
pub fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `bound` by Zipf's law (the n-th as often as 1/n), for the `draw`-th draw.
pub fn zipf(draw: u64, bound: u64) -> u64 {
    // The top 53 bits, which a double holds.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a power of a number below 2^53 between 1 and that number"
    )]
    let place = {
        let share = (mixed(draw) >> 11) as f64 / (1_u64 << 53) as f64;
        (bound.max(1) as f64).powf(share) as u64
    };
    // Who asks often is anybody, not the first that there are.
    mixed(place) % bound.max(1)
}
