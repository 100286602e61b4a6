//! LDIF (RFC 2849), as LDAP servers export it: people and accounts become users, groups of every usual kind become groups
//! with their members.
//!
//! The file is read twice: users and groups first, then who is in what. Members are named by their distinguished names;
//! which user or group that is, is remembered as a digest and a name for each entry whose name does not begin with what
//! the user is called (`uid=ada,…` needs no memory, `CN=Ada Lovelace,…` does).

mod entry;
mod map;

pub use map::{Mapping, MappingError};

use crate::convert::{Sink, note};
use crate::record::{GroupRecord, MembershipRecord, PartyName, Record, Word, set};
use entry::{Entries, Entry, Piece, first_rdn, normal_dn};
use keyreeve_crypto::sha256;
use keyreeve_identity::MembershipKind;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufReader, Read};

/// The object classes of groups.
const GROUPS: [&str; 6] =
    ["groupofnames", "groupofuniquenames", "groupofmembers", "posixgroup", "group", "groupofurls"];
/// The object classes of users.
const USERS: [&str; 7] =
    ["inetorgperson", "organizationalperson", "person", "posixaccount", "account", "user", "mailaccount"];
/// Object classes that are built upon those of users and are none.
const NO_USERS: [&str; 2] = ["computer", "msds-groupmanagedserviceaccount"];
/// The most entries whose names are remembered.
const MAX_REMEMBERED: usize = 5_000_000;

type DnKey = [u8; 16];

/// Who is behind a distinguished name.
enum Known {
    User(Box<str>),
    Group(Box<str>),
}

/// Reads an LDIF file, which `open` opens anew for each of the two passes.
///
/// # Errors
/// Those of reading and of the sink; more entries than can be remembered.
pub fn convert<R: Read>(
    open: impl Fn() -> io::Result<R>,
    mapping: &Mapping,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let mut first =
        First { mapping, known: HashMap::new(), group_names: HashSet::new(), dropped: BTreeMap::new() };
    let mut entries = Entries::new(BufReader::with_capacity(128 * 1024, open()?));
    while let Some(piece) = entries.next()? {
        match piece {
            Piece::Entry(entry) => first.take(&entry, sink)?,
            Piece::Odd(line, what) => {
                note(sink, &format!("line {line}"), "an entry that cannot be read", what)?;
            }
        }
    }
    for (attribute, count) in &first.dropped {
        note(
            sink,
            &format!("attribute {attribute}"),
            "an attribute without a mapping",
            format!("{count} values"),
        )?;
    }
    let mut entries = Entries::new(BufReader::with_capacity(128 * 1024, open()?));
    while let Some(piece) = entries.next()? {
        if let Piece::Entry(entry) = piece
            && entry.is_a(&GROUPS)
        {
            members(&entry, &first.known, sink)?;
        }
    }
    Ok(())
}

fn key(dn: &str) -> DnKey {
    let digest = sha256(normal_dn(dn).as_bytes());
    let mut key = [0; 16];
    for (byte, of) in key.iter_mut().zip(digest) {
        *byte = of;
    }
    key
}

/// The first pass.
struct First<'m> {
    mapping: &'m Mapping,
    known: HashMap<DnKey, Known>,
    group_names: HashSet<String>,
    /// Attributes that nothing was made of, each with how often.
    dropped: BTreeMap<String, u64>,
}

impl First<'_> {
    fn take(&mut self, entry: &Entry, sink: &mut dyn Sink) -> io::Result<()> {
        let about = format!("entry {}", entry.dn);
        for oddity in &entry.oddities {
            note(sink, &about, "a value that cannot be read", oddity.clone())?;
        }
        if entry.is_a(&GROUPS) {
            self.group(entry, sink)
        } else if entry.is_a(&USERS) && !entry.is_a(&NO_USERS) {
            self.user(entry, sink)
        } else {
            note(sink, &about, "an entry that is neither user nor group", "")
        }
    }

    fn user(&mut self, entry: &Entry, sink: &mut dyn Sink) -> io::Result<()> {
        let Some(record) = map::user(entry, self.mapping, &mut self.dropped, sink)? else { return Ok(()) };
        let name = map::name_of(&record).map(str::to_owned);
        if let Some(name) = name {
            let told = first_rdn(&entry.dn).is_some_and(|(kind, value)| kind == "uid" && value == name);
            if !told {
                self.remember(&entry.dn, Known::User(name.into()))?;
            }
        }
        sink.record(Record::User(Box::new(record)))
    }

    fn group(&mut self, entry: &Entry, sink: &mut dyn Sink) -> io::Result<()> {
        let Some(cn) = entry.first(&["cn", "samaccountname", "name"]) else {
            return note(sink, &format!("entry {}", entry.dn), "a group without a name", "");
        };
        let mut name = cn.trim().to_owned();
        if !self.group_names.insert(name.to_lowercase()) {
            // Two groups of one name are two groups; the members of one must not come into the other.
            note(
                sink,
                &format!("group {name}"),
                "a name that another group has; it is called by its DN",
                &*entry.dn,
            )?;
            name.clone_from(&entry.dn);
            self.group_names.insert(name.to_lowercase());
        }
        self.remember(&entry.dn, Known::Group(name.as_str().into()))?;
        sink.record(Record::Group(GroupRecord {
            name: Some(name),
            description: set(entry.first(&["description"]).map(str::to_owned)),
            ..GroupRecord::default()
        }))
    }

    fn remember(&mut self, dn: &str, known: Known) -> io::Result<()> {
        if self.known.len() >= MAX_REMEMBERED {
            return Err(io::Error::other(format!(
                "there are more than {MAX_REMEMBERED} entries whose names have to be remembered; split the file"
            )));
        }
        self.known.insert(key(dn), known);
        Ok(())
    }
}

/// Who is in a group, by distinguished name or by user name.
fn members(entry: &Entry, known: &HashMap<DnKey, Known>, sink: &mut dyn Sink) -> io::Result<()> {
    let Some(Known::Group(group)) = known.get(&key(&entry.dn)) else { return Ok(()) };
    let mut owners = HashSet::new();
    let lists = [
        ("owner", MembershipKind::Owner),
        ("member", MembershipKind::Member),
        ("uniquemember", MembershipKind::Member),
    ];
    for (attribute, kind) in lists {
        for dn in entry.all(attribute) {
            // A unique member may carry a bit string behind its name (RFC 4517 section 3.3.21).
            let dn = match dn.rsplit_once("#'") {
                Some((dn, _)) if attribute == "uniquemember" => dn,
                _ => dn,
            };
            if dn.trim().is_empty() {
                continue;
            }
            let key = key(dn);
            if kind == MembershipKind::Owner {
                owners.insert(key);
            } else if owners.contains(&key) {
                continue;
            }
            match party(dn, &key, known) {
                Some(PartyName::Group(_)) if kind == MembershipKind::Owner => {
                    note(sink, &format!("group {group}"), "an owner that is a group", dn)?;
                }
                Some(member) => sink.record(membership(group, member, kind))?,
                None => note(sink, &format!("group {group}"), "a member that is not in the file", dn)?,
            }
        }
    }
    for name in entry.all("memberuid").filter(|name| !name.trim().is_empty()) {
        sink.record(membership(group, PartyName::User(name.trim().to_owned()), MembershipKind::Member))?;
    }
    Ok(())
}

fn party(dn: &str, key: &DnKey, known: &HashMap<DnKey, Known>) -> Option<PartyName> {
    match known.get(key) {
        Some(Known::User(name)) => Some(PartyName::User(name.to_string())),
        Some(Known::Group(name)) => Some(PartyName::Group(name.to_string())),
        None => first_rdn(dn).filter(|(kind, _)| kind == "uid").map(|(_, value)| PartyName::User(value)),
    }
}

fn membership(group: &str, member: PartyName, kind: MembershipKind) -> Record {
    Record::Membership(MembershipRecord {
        kind_word: Word,
        group: Some(group.to_owned()),
        group_id: None,
        member,
        kind,
        added_at: None,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
