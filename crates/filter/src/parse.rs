//! Text to filter, by recursive descent: `not` binds closest, then `and`, then `or`.
//!
//! Each level of recursion is counted against [`MAX_DEPTH`], each comparison against [`MAX_TERMS`], so that neither the
//! parser nor whoever walks the filter afterwards can be made to recurse or work without bound.

use crate::path::is_path_byte;
use crate::{Filter, FilterError, Op, Path, Value};

/// The longest text of a filter, in bytes.
pub const MAX_BYTES: usize = 4_096;

/// How deep parentheses and brackets nest at most.
pub const MAX_DEPTH: usize = 16;

/// How many comparisons a filter has at most.
pub const MAX_TERMS: usize = 64;

/// Reads a filter (RFC 7644 section 3.4.2.2). Operators and the words `and`, `or`, `not`, `true`, `false` and `null` are
/// read in either case. Beyond the grammar, `emails[type eq "work"].value sw "a"`, which clients in the field send, is
/// read as `emails[type eq "work" and value sw "a"]`.
///
/// # Errors
/// [`FilterError`]: where the text goes wrong, and what is wrong there.
pub fn parse(text: &str) -> Result<Filter<Path>, FilterError> {
    let mut reader = Reader::new(text)?;
    let filter = reader.either(Place::Outside, 0)?;
    reader.end("and, or, or the end of the filter is expected")?;
    Ok(filter)
}

/// Where a comparison stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Outside,
    /// Inside the brackets of a value path, where parts are named.
    Brackets,
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    terms: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError { at: MAX_BYTES, message: format!("is longer than {MAX_BYTES} bytes") });
        }
        Ok(Self { text, at: 0, terms: 0 })
    }

    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Result<T, FilterError> {
        Err(FilterError { at: self.at, message: message.into() })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Passes white space; whether there was any.
    fn space(&mut self) -> bool {
        let rest = self.rest();
        let space = rest.len().saturating_sub(rest.trim_ascii_start().len());
        self.skip(space);
        space > 0
    }

    /// Passes this character, white space before it included.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let before = self.at;
        self.space();
        let there = self.peek() == Some(byte);
        if there {
            self.skip(1);
        } else {
            self.at = before;
        }
        there
    }

    pub(crate) fn end(&mut self, message: &str) -> Result<(), FilterError> {
        self.space();
        if self.rest().is_empty() { Ok(()) } else { self.error(message) }
    }

    /// The letters that stand next, without passing them.
    fn word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// Passes this word, if it stands here by itself.
    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.at;
        self.space();
        let word = self.word();
        let follows = self.rest().as_bytes().get(word.len()).copied();
        let there = word.eq_ignore_ascii_case(keyword) && !follows.is_some_and(is_path_byte);
        if there {
            self.skip(word.len());
        } else {
            self.at = before;
        }
        there
    }

    /// `a or b or c`
    pub(crate) fn either(&mut self, place: Place, depth: usize) -> Result<Filter<Path>, FilterError> {
        if depth > MAX_DEPTH {
            return self.error(format!("is nested deeper than {MAX_DEPTH}"));
        }
        let first = self.both(place, depth)?;
        let mut parts = vec![first];
        while self.keyword("or") {
            parts.push(self.both(place, depth)?);
        }
        Ok(one_or(parts, Filter::Or))
    }

    /// `a and b and c`
    fn both(&mut self, place: Place, depth: usize) -> Result<Filter<Path>, FilterError> {
        let first = self.single(place, depth)?;
        let mut parts = vec![first];
        while self.keyword("and") {
            parts.push(self.single(place, depth)?);
        }
        Ok(one_or(parts, Filter::And))
    }

    /// `(…)`, `not (…)` or a comparison.
    fn single(&mut self, place: Place, depth: usize) -> Result<Filter<Path>, FilterError> {
        let before = self.at;
        if self.keyword("not") {
            if self.take(b'(') {
                let inner = self.parenthesised(place, depth)?;
                return Ok(Filter::Not(Box::new(inner)));
            }
            // Perhaps an attribute of that name.
            self.at = before;
        }
        if self.take(b'(') { self.parenthesised(place, depth) } else { self.comparison(place, depth) }
    }

    fn parenthesised(&mut self, place: Place, depth: usize) -> Result<Filter<Path>, FilterError> {
        let inner = self.either(place, depth.saturating_add(1))?;
        if self.take(b')') { Ok(inner) } else { self.error("and, or, or a closing parenthesis is expected") }
    }

    fn comparison(&mut self, place: Place, depth: usize) -> Result<Filter<Path>, FilterError> {
        self.space();
        let start = self.at;
        let path = self.path()?;
        if place == Place::Brackets && (path.schema.is_some() || path.sub.is_some()) {
            self.at = start;
            return self.error("inside brackets, the plain name of a part is expected");
        }
        if self.peek() == Some(b'[') {
            if place == Place::Brackets || path.sub.is_some() {
                return self.error("a value path cannot stand here");
            }
            self.skip(1);
            return self.brackets(path, depth);
        }
        self.test(path)
    }

    /// What stands behind the path: `pr`, or an operator and a value.
    fn test(&mut self, path: Path) -> Result<Filter<Path>, FilterError> {
        self.terms = self.terms.saturating_add(1);
        if self.terms > MAX_TERMS {
            return self.error(format!("has more than {MAX_TERMS} comparisons"));
        }
        let spaced = self.space();
        if spaced && self.keyword("pr") {
            return Ok(Filter::Present(path));
        }
        let ops = [Op::Eq, Op::Ne, Op::Co, Op::Sw, Op::Ew, Op::Gt, Op::Ge, Op::Lt, Op::Le];
        let Some(op) = ops.into_iter().find(|op| spaced && self.keyword(op.text())) else {
            return self.error("an operator is expected: eq, ne, co, sw, ew, gt, ge, lt, le or pr");
        };
        self.space();
        let start = self.at;
        let value = self.value()?;
        let fits = match (op, &value) {
            (Op::Eq | Op::Ne, _) | (_, Value::Text(_)) => true,
            (Op::Gt | Op::Ge | Op::Lt | Op::Le, Value::Number(_)) => true,
            (Op::Co | Op::Sw | Op::Ew | Op::Gt | Op::Ge | Op::Lt | Op::Le, _) => false,
        };
        if !fits {
            self.at = start;
            return self.error(format!("{} cannot compare with {value}", op.text()));
        }
        Ok(Filter::Compare(path, op, value))
    }

    /// The rest of a value path, whose opening bracket was passed.
    fn brackets(&mut self, path: Path, depth: usize) -> Result<Filter<Path>, FilterError> {
        let mut inner = self.inner(depth)?;
        if self.peek() == Some(b'.') {
            self.skip(1);
            let sub = self.part()?;
            let test = self.test(Path::new(&sub))?;
            inner = match inner {
                Filter::And(mut parts) => {
                    parts.push(test);
                    Filter::And(parts)
                }
                other => Filter::And(vec![other, test]),
            };
        }
        Ok(Filter::Within(path, Box::new(inner)))
    }

    /// What stands in brackets, and the closing one.
    pub(crate) fn inner(&mut self, depth: usize) -> Result<Filter<Path>, FilterError> {
        let inner = self.either(Place::Brackets, depth.saturating_add(1))?;
        if self.take(b']') { Ok(inner) } else { self.error("and, or, or a closing bracket is expected") }
    }

    /// The plain name of a part.
    pub(crate) fn part(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let path = self.path()?;
        if path.schema.is_some() || path.sub.is_some() {
            self.at = start;
            return self.error("the plain name of a part is expected");
        }
        Ok(path.name)
    }

    pub(crate) fn path(&mut self) -> Result<Path, FilterError> {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !is_path_byte(byte)).unwrap_or(rest.len());
        match Path::read(rest.get(..end).unwrap_or_default()) {
            Ok(path) => {
                self.skip(end);
                Ok(path)
            }
            Err((offset, message)) => {
                self.skip(offset);
                self.error(message)
            }
        }
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        const EXPECTED: &str = "a value is expected: a text in double quotes, a number, true, false or null";
        match self.peek() {
            Some(b'"') => self.text_value(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let word = self.word();
                let follows = self.rest().as_bytes().get(word.len()).copied();
                let value = match word.to_ascii_lowercase().as_str() {
                    _ if follows.is_some_and(is_path_byte) => return self.error(EXPECTED),
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" => Value::Null,
                    _ => return self.error(EXPECTED),
                };
                self.skip(word.len());
                Ok(value)
            }
        }
    }

    /// A text as JSON writes it (RFC 8259 section 7).
    fn text_value(&mut self) -> Result<Value, FilterError> {
        let rest = self.rest();
        let mut escaped = false;
        let closing = rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let Some(end) = closing.map(|inside| inside.saturating_add(2)) else {
            return self.error("the text has no closing quote");
        };
        let literal = rest.get(..end).unwrap_or_default();
        match serde_json::from_str(literal) {
            Ok(text) => {
                self.skip(end);
                Ok(Value::Text(text))
            }
            Err(_) => self.error("the text has an escape or a character that JSON does not allow"),
        }
    }

    fn number(&mut self) -> Result<Value, FilterError> {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
            .unwrap_or(rest.len());
        match serde_json::from_str(rest.get(..end).unwrap_or_default()) {
            Ok(number) => {
                self.skip(end);
                Ok(Value::Number(number))
            }
            Err(_) => self.error("the number is not written as JSON writes numbers, or is too large"),
        }
    }
}

fn one_or(
    mut parts: Vec<Filter<Path>>,
    many: impl FnOnce(Vec<Filter<Path>>) -> Filter<Path>,
) -> Filter<Path> {
    match parts.pop() {
        Some(last) if parts.is_empty() => last,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
