//! Reading LDIF (RFC 2849): lines that are folded and encoded, to entries of attributes and values. Entries come out one
//! after the other; one is in memory at a time, and never more of it than [`MAX_ENTRY_BYTES`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{BufRead, Read as _};

/// The largest entry, in bytes: a group of half a million members.
pub(super) const MAX_ENTRY_BYTES: usize = 64 * 1024 * 1024;

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line on which it begins, counted from one.
    pub(super) line: u64,
    /// Its distinguished name.
    pub(super) dn: String,
    /// Attributes in the order of the file: the name in lower case without options, and the value.
    pub(super) values: Vec<(String, String)>,
    /// What could not be read of it.
    pub(super) oddities: Vec<String>,
}

impl Entry {
    /// All values of an attribute, whose name is in lower case.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e str> {
        self.values.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The first value of the first of these attributes that has one.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        let named = |name: &&str| {
            let found = self.values.iter().find(|(of, value)| of == name && !value.trim().is_empty());
            found.map(|(_, value)| value.as_str())
        };
        names.iter().find_map(named)
    }

    /// Whether one of the object classes is among `classes`, which are in lower case.
    pub(super) fn is_a(&self, classes: &[&str]) -> bool {
        self.all("objectclass").any(|class| classes.contains(&class.to_ascii_lowercase().as_str()))
    }
}

/// What came of a piece of the file between empty lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An entry.
    Entry(Entry),
    /// Something else: the line and what is wrong with it.
    Odd(u64, String),
}

/// The entries of a file.
pub(super) struct Entries<R> {
    input: R,
    line: u64,
    /// The line on which the last logical line begins.
    begun: u64,
    /// A line that was read to see whether it continues the one before.
    ahead: Option<Vec<u8>>,
    ended: bool,
}

/// How a logical line ends.
enum Logical {
    Text(Vec<u8>),
    TooLong,
    Blank,
    End,
}

impl<R: BufRead> Entries<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0, begun: 0, ahead: None, ended: false }
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Piece>> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let (mut begun, mut bytes, mut too_long) = (0, 0_usize, false);
        loop {
            match self.logical()? {
                Logical::Text(line) => {
                    if line.first() == Some(&b'#') {
                        continue;
                    }
                    if lines.is_empty() {
                        begun = self.begun;
                    }
                    bytes = bytes.saturating_add(line.len());
                    too_long |= bytes > MAX_ENTRY_BYTES;
                    if too_long {
                        lines.truncate(1);
                    } else {
                        lines.push(line);
                    }
                }
                Logical::TooLong => too_long = true,
                Logical::Blank if lines.is_empty() && !too_long => {}
                Logical::Blank => break,
                Logical::End if lines.is_empty() && !too_long => return Ok(None),
                Logical::End => break,
            }
        }
        if too_long {
            return Ok(Some(Piece::Odd(begun, "is longer than 64 MiB".to_owned())));
        }
        match entry(begun, &lines) {
            // Only the version of the format.
            None => self.next(),
            Some(piece) => Ok(Some(piece)),
        }
    }

    /// A line with those that continue it.
    fn logical(&mut self) -> std::io::Result<Logical> {
        let Some(mut line) = self.physical()? else { return Ok(Logical::End) };
        self.begun = self.line;
        if line.is_empty() {
            return Ok(Logical::Blank);
        }
        let mut too_long = line.len() > MAX_ENTRY_BYTES;
        while let Some(next) = self.physical()? {
            match next.split_first() {
                Some((b' ', rest)) => {
                    too_long |= line.len().saturating_add(rest.len()) > MAX_ENTRY_BYTES;
                    if !too_long {
                        line.extend_from_slice(rest);
                    }
                }
                _ => {
                    self.ahead = Some(next);
                    self.line = self.line.saturating_sub(1);
                    break;
                }
            }
        }
        Ok(if too_long { Logical::TooLong } else { Logical::Text(line) })
    }

    /// A line of the file without its end.
    fn physical(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let mut line = Vec::new();
        let most = u64::try_from(MAX_ENTRY_BYTES).unwrap_or(u64::MAX).saturating_add(2);
        let read = (&mut self.input).take(most).read_until(b'\n', &mut line)?;
        if read == 0 {
            self.ended = true;
            return Ok(None);
        }
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        if self.line == 1 && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        Ok(Some(line))
    }
}

/// The lines of one entry; none when they are only the version of the format.
fn entry(line: u64, lines: &[Vec<u8>]) -> Option<Piece> {
    let mut lines = lines.iter().map(|line| attribute(line)).peekable();
    if matches!(lines.peek(), Some(Ok(Some((name, _)))) if name == "version") {
        lines.next();
        lines.peek()?;
    }
    let odd = |what: &str| Some(Piece::Odd(line, what.to_owned()));
    let dn = match lines.next() {
        Some(Ok(Some((name, dn)))) if name == "dn" => dn,
        Some(Err(problem)) => return odd(&problem),
        _ => return odd("does not begin with dn:"),
    };
    let mut entry = Entry { line, dn, ..Entry::default() };
    for read in lines {
        match read {
            Ok(Some((name, value))) if name == "changetype" => {
                if !value.trim().eq_ignore_ascii_case("add") {
                    return odd("is a change of another kind than add");
                }
            }
            Ok(Some((name, _))) if name == "control" => entry.oddities.push("has a control".to_owned()),
            Ok(Some(value)) => entry.values.push(value),
            Ok(None) => {}
            Err(problem) => entry.oddities.push(problem),
        }
    }
    Some(Piece::Entry(entry))
}

/// The attribute and value of a line; none for an option that is left alone.
fn attribute(line: &[u8]) -> Result<Option<(String, String)>, String> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("has a line without a colon")?;
    let (name, rest) = line.split_at(colon);
    let name = std::str::from_utf8(name).map_err(|_| "has an attribute whose name is not UTF-8")?;
    let mut options = name.split(';');
    let name = options.next().unwrap_or_default().trim().to_ascii_lowercase();
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(harmless) {
        return Err("has an attribute whose name is none".to_owned());
    }
    // `;lang-de` is another value for people, `;binary` is a certificate.
    if options.next().is_some() {
        return Ok(None);
    }
    let rest = rest.get(1..).unwrap_or_default();
    let value = match rest.split_first() {
        Some((b'<', _)) => return Err(format!("refers to a file for {name}, which is not read")),
        Some((b':', encoded)) => decode(encoded).ok_or_else(|| format!("has no base64 in {name}"))?,
        _ => rest.trim_ascii_start().to_vec(),
    };
    let value = String::from_utf8(value).map_err(|_| format!("has a value of {name} that is not UTF-8"))?;
    if value.contains('\0') {
        return Err(format!("has a zero byte in {name}"));
    }
    Ok(Some((name, value)))
}

fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let encoded: Vec<u8> = encoded.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(encoded).ok()
}

/// A distinguished name in a form in which two spellings of one are the same: attribute types and values in lower case,
/// without white space around them, escapes undone and done anew.
pub(super) fn normal_dn(dn: &str) -> String {
    let parts = split(dn, |c| matches!(c, ',' | ';' | '+'));
    let parts = parts.iter().map(|part| match part.split_once('=') {
        Some((kind, value)) => {
            format!("{}={}", kind.trim().to_ascii_lowercase(), unescape(value.trim()).to_lowercase())
        }
        None => part.trim().to_lowercase(),
    });
    parts.map(|part| part.replace('\\', "\\\\").replace(',', "\\,")).collect::<Vec<_>>().join(",")
}

/// The attribute type, in lower case, and the value of the first part of a distinguished name.
pub(super) fn first_rdn(dn: &str) -> Option<(String, String)> {
    let first = split(dn, |c| matches!(c, ',' | ';')).into_iter().next()?;
    let (kind, value) = first.split_once('=')?;
    Some((kind.trim().to_ascii_lowercase(), unescape(value.trim())))
}

/// The parts between separators that are not escaped.
fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if !escaped && separates(c) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(part);
    parts
}

/// Undoes `\,` and `\2c` (RFC 4514 section 2.4).
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.extend(tail.first());
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
