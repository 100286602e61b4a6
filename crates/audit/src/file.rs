//! Checking an exported log without the database.

use crate::chain::{Head, link};
use crate::event::Entry;
use crate::wire::PublicEntry;
use keyreeve_base::TenantId;

/// The longest line that is read, in bytes; no entry comes near.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Whether an exported file is what was exported, and if not, where it breaks first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileVerdict {
    /// Every line follows from the one before.
    Intact,
    /// A line is not an exported entry.
    Unreadable {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// An entry was changed, or does not follow from the one before.
    Altered {
        /// The line, counted from 1.
        line: u64,
        /// The entry's number.
        seq: i64,
    },
    /// A number is missing: an entry was removed, or the export was filtered.
    Missing {
        /// The line, counted from 1.
        line: u64,
        /// The first number that is absent.
        seq: i64,
    },
    /// The file holds, but does not pass through the head that the caller noted.
    NotTheExpected {
        /// The number of the noted head.
        seq: i64,
    },
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The tenant whose log it is; none for an empty file.
    pub tenant: Option<TenantId>,
    /// Entries that were checked.
    pub checked: u64,
    /// The number of the first entry; 1 for a whole log.
    pub first: Option<i64>,
    /// Where the checked entries end.
    pub head: Option<Head>,
    /// Whether it holds.
    pub verdict: FileVerdict,
}

/// Checks an export line by line, in constant memory.
#[derive(Debug, Default)]
pub struct FileVerifier {
    expected: Option<Head>,
    expectation_met: bool,
    tenant: Option<TenantId>,
    line: u64,
    checked: u64,
    first: Option<i64>,
    head: Option<Head>,
    broken: Option<FileVerdict>,
}

impl FileVerifier {
    /// A check from the start of a file. With `expected`, the entries must pass through that head, noted earlier: that
    /// shows that the end was not cut off, and that nobody made up the whole file.
    #[must_use]
    pub fn new(expected: Option<Head>) -> Self {
        Self { expectation_met: expected.is_none(), expected, ..Self::default() }
    }

    /// Takes the next line, without its end. Answers whether it is worth going on: after the first break it is not.
    pub fn line(&mut self, text: &str) -> bool {
        if self.broken.is_none() {
            self.line = self.line.saturating_add(1);
            if !text.trim().is_empty() {
                self.broken = self.check(text).err();
            }
        }
        self.broken.is_none()
    }

    fn check(&mut self, text: &str) -> Result<(), FileVerdict> {
        let line = self.line;
        let unreadable = |why: String| FileVerdict::Unreadable { line, why };
        if text.len() > MAX_LINE_BYTES {
            return Err(unreadable("is longer than any entry".to_owned()));
        }
        let entry: PublicEntry = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let entry = entry.into_entry().map_err(|why| unreadable(why.to_owned()))?;
        let Some(seq) = entry.seq.filter(|seq| *seq > 0) else {
            return Err(unreadable("has no place in the chain".to_owned()));
        };
        let before = match &self.head {
            Some(head) => head.clone(),
            None if seq == 1 => Head::genesis(entry.tenant_id),
            // A file that begins later can only be trusted as far as its first line's word for what came before.
            None => Head { seq: seq - 1, hash: entry.previous.clone().unwrap_or_default() },
        };
        if seq != before.seq + 1 {
            return Err(FileVerdict::Missing { line, seq: before.seq + 1 });
        }
        let same_tenant = self.tenant.is_none_or(|tenant| tenant == entry.tenant_id);
        if !same_tenant || !holds(&before, seq, &entry) {
            return Err(FileVerdict::Altered { line, seq });
        }
        let head = Head { seq, hash: entry.hash.clone().unwrap_or_default() };
        let met = self.expected.as_ref().is_some_and(|expected| *expected == head || *expected == before);
        self.expectation_met = self.expectation_met || met;
        self.tenant = Some(entry.tenant_id);
        self.first = self.first.or(Some(seq));
        self.checked = self.checked.saturating_add(1);
        self.head = Some(head);
        Ok(())
    }

    /// What was found, at the end of the file.
    #[must_use]
    pub fn finish(self) -> FileReport {
        let verdict = match (self.broken, &self.expected) {
            (Some(broken), _) => broken,
            (None, Some(expected)) if !self.expectation_met => {
                FileVerdict::NotTheExpected { seq: expected.seq }
            }
            (None, _) => FileVerdict::Intact,
        };
        FileReport { tenant: self.tenant, checked: self.checked, first: self.first, head: self.head, verdict }
    }
}

/// Whether the entry's hash is that of its content behind `before`. A tool in between may have written the detail with
/// other spaces; the log has it as [`serde_json`] prints it.
fn holds(before: &Head, seq: i64, entry: &Entry) -> bool {
    let hash = |entry: &Entry| entry.hash.as_deref() == Some(&link(&before.hash, seq, &entry.content()));
    if entry.previous.as_deref() != Some(&before.hash) {
        return false;
    }
    let respelt = |detail: &String| {
        let value: serde_json::Value = serde_json::from_str(detail).ok()?;
        Some(Entry { detail: Some(value.to_string()), ..entry.clone() })
    };
    hash(entry) || entry.detail.as_ref().and_then(respelt).is_some_and(|respelt| hash(&respelt))
}
