//! Cutting a stream of bytes into lines.

use memchr::memchr;

/// The longest line, in bytes: the largest user there can be fits several times over.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Its bytes.
    Text(Vec<u8>),
    /// The first [`MAX_LINE_BYTES`] of a line that is longer.
    TooLong(Vec<u8>),
}

/// Cuts what it is given into lines, which may be given in pieces of any size. Holds one line at most.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    begun: bool,
    too_long: bool,
}

impl Lines {
    /// A cutter at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream; answers the lines that end in it.
    pub fn push(&mut self, mut piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            self.keep(line);
            lines.push(self.take());
            piece = rest.get(1..).unwrap_or_default();
        }
        self.keep(piece);
        lines
    }

    /// The last line, if the stream does not end with the end of one.
    pub fn end(&mut self) -> Option<Line> {
        (!self.partial.is_empty() || self.too_long).then(|| self.take())
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.partial.len());
        if piece.len() > room {
            self.too_long = true;
        }
        self.partial.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
    }

    fn take(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        // A byte order mark, which some editors put before the first line.
        if !self.begun && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        self.begun = true;
        if std::mem::take(&mut self.too_long) { Line::TooLong(line) } else { Line::Text(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new();
        let mut all: Vec<Line> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
        all.extend(lines.end());
        all
    }

    fn text(line: &str) -> Line {
        Line::Text(line.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_in_either_way_and_the_last_need_not_end() {
        assert_eq!(cut(&[b"\xef\xbb\xbfa\r\nb\n\nc"]), [text("a"), text("b"), text(""), text("c")]);
        assert_eq!(cut(&[b"a\n"]), [text("a")]);
        assert_eq!(cut(&[b""]), []);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let piece = vec![b'x'; 300_000];
        let lines = cut(&[&piece, &piece, &piece, &piece, b"\nnext"]);
        let [Line::TooLong(kept), next] = lines.as_slice() else { panic!("two lines") };
        assert_eq!((kept.len(), next), (MAX_LINE_BYTES, &text("next")));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_changes_nothing(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            at in 0_usize..200,
        ) {
            let at = at.min(bytes.len());
            prop_assert_eq!(cut(&[&bytes[..at], &bytes[at..]]), cut(&[&bytes]));
        }
    }
}
