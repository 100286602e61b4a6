//! PEM (RFC 7468): one or more labelled blocks of Base64, with anything between them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyreeve_crypto::{Secret, SecretBytes};
use zeroize::Zeroizing;

/// The longest text that is read: a chain of certificates with its key.
pub const MAX_PEM_BYTES: usize = 256 * 1024;
/// The most blocks that one text may hold.
pub const MAX_BLOCKS: usize = 32;

/// One block.
pub struct Block {
    /// What stands after `BEGIN`, such as `CERTIFICATE`.
    pub label: String,
    /// The bytes.
    pub bytes: SecretBytes,
    /// Whether the block has headers before its Base64 that say it is encrypted (RFC 1421, as OpenSSL once wrote).
    pub encrypted: bool,
}

/// Why a text is not PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// More bytes than [`MAX_PEM_BYTES`].
    #[error("is longer than {MAX_PEM_BYTES} bytes")]
    TooLong,
    /// More blocks than [`MAX_BLOCKS`].
    #[error("has more than {MAX_BLOCKS} PEM blocks")]
    TooMany,
    /// A block begins and does not end under the same label.
    #[error("has a PEM block that begins on line {line} and does not end")]
    Unclosed {
        /// Where it begins, from 1.
        line: usize,
    },
    /// What stands in a block is not Base64.
    #[error("has a PEM block on line {line} that is not Base64")]
    NotBase64 {
        /// Where it begins, from 1.
        line: usize,
    },
}

/// The blocks of `text` in their order; none when there are none.
///
/// # Errors
/// [`PemError`], with the line.
pub fn parse(text: &str) -> Result<Vec<Block>, PemError> {
    if text.len() > MAX_PEM_BYTES {
        return Err(PemError::TooLong);
    }
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim).zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(label) = boundary(line, "BEGIN") else { continue };
        if blocks.len() == MAX_BLOCKS {
            return Err(PemError::TooMany);
        }
        // Enough for the whole text, so that growing leaves no copy behind.
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        let (mut encrypted, mut closed) = (false, false);
        for (line, _) in lines.by_ref() {
            if let Some(end) = boundary(line, "END") {
                closed = end == label;
                break;
            }
            match line.split_once(':') {
                Some((name, value)) => encrypted |= name == "Proc-Type" && value.contains("ENCRYPTED"),
                None => body.push_str(line),
            }
        }
        if !closed {
            return Err(PemError::Unclosed { line: number });
        }
        // Room enough from the start, and wiped also when it is not Base64 to its end.
        let mut bytes = Zeroizing::new(Vec::with_capacity(body.len()));
        STANDARD.decode_vec(body.as_bytes(), &mut bytes).map_err(|_| PemError::NotBase64 { line: number })?;
        blocks.push(Block { label: label.to_owned(), bytes: std::mem::take(&mut *bytes).into(), encrypted });
    }
    Ok(blocks)
}

/// The label of a `-----BEGIN label-----` or `-----END label-----` line.
fn boundary<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_suffix("-----")?.strip_prefix(kind)?.strip_prefix(' ')
}

/// `bytes` as one block, in lines of 64 characters (70 for OpenSSH's own label, as OpenSSH writes it).
#[must_use]
pub fn encode(label: &str, bytes: &[u8]) -> Secret {
    let width = if label == "OPENSSH PRIVATE KEY" { 70 } else { 64 };
    let base64 = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = String::with_capacity(base64.len() + base64.len() / width + 2 * label.len() + 40);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(width).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    Secret::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_around_blocks_is_passed_over_and_mistakes_have_a_line() {
        let text = "subject=CN = x\n-----BEGIN A-----\r\nAQ==\r\n-----END A-----\nissuer\n-----BEGIN B-----\n-----END B-----";
        let blocks = parse(text).unwrap();
        assert_eq!(blocks.iter().map(|block| block.label.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(blocks[0].bytes.expose(), [1]);
        let error = |text: &str| parse(text).err().unwrap();
        assert_eq!(error("\n-----BEGIN A-----\nAQ=="), PemError::Unclosed { line: 2 });
        assert_eq!(error("-----BEGIN A-----\n-----END B-----"), PemError::Unclosed { line: 1 });
        assert_eq!(error("-----BEGIN A-----\nA*==\n-----END A-----"), PemError::NotBase64 { line: 1 });
        assert_eq!(error(&"-----BEGIN A-----\n-----END A-----\n".repeat(MAX_BLOCKS + 1)), PemError::TooMany);
        assert_eq!(error(&" ".repeat(MAX_PEM_BYTES + 1)), PemError::TooLong);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let blocks = parse(encode("X Y", &bytes).expose()).unwrap();
            prop_assert_eq!(blocks.len(), 1);
            prop_assert_eq!(blocks[0].bytes.expose(), &bytes[..]);
        }

        #[test]
        fn hostile_text_ends(text in "(-----(BEGIN|END) [AB]-----|[a-zA-Z:=\n -])*") {
            let _ = parse(&text);
        }
    }
}
