//! The pieces in which an import's lines go to whoever has the database, and what comes back: one byte for the kind, four
//! for the length, the content. A stream that breaks is told from one that has ended.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest piece, in bytes.
const MAX_PIECE: usize = 8 * 1024 * 1024;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of the file.
    Data,
    /// Nothing follows.
    End,
    /// Lines of JSON about what became of lines.
    Results,
    /// The answer of the command, after which nothing follows.
    Answer,
}

impl Kind {
    const ALL: [(Self, u8); 4] =
        [(Self::Data, b'D'), (Self::End, b'E'), (Self::Results, b'R'), (Self::Answer, b'A')];
}

/// Sends one piece.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    output: &mut W,
    kind: Kind,
    content: &[u8],
) -> io::Result<()> {
    let letter = Kind::ALL.iter().find(|(of, _)| *of == kind).map_or(b'E', |(_, letter)| *letter);
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    output.write_u8(letter).await?;
    output.write_u32(length).await?;
    output.write_all(content).await?;
    output.flush().await
}

/// Receives one piece; none where the stream has ended between two.
pub(super) async fn receive<R: AsyncRead + Unpin>(input: &mut R) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let letter = match input.read_u8().await {
        Ok(letter) => letter,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let kind = Kind::ALL.iter().find(|(_, of)| *of == letter).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| io::Error::other("a piece of no known kind"))?;
    let length = usize::try_from(input.read_u32().await?).map_err(io::Error::other)?;
    if length > MAX_PIECE {
        return Err(io::Error::other("a piece that is too long"));
    }
    let mut content = vec![0; length];
    input.read_exact(&mut content).await?;
    Ok(Some((kind, content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_arrive_as_they_were_sent_and_a_broken_stream_is_an_error() {
        let mut sent = Vec::new();
        send(&mut sent, Kind::Data, b"a line\n").await.unwrap();
        send(&mut sent, Kind::End, b"").await.unwrap();
        let mut input = sent.as_slice();
        assert_eq!(receive(&mut input).await.unwrap(), Some((Kind::Data, b"a line\n".to_vec())));
        assert_eq!(receive(&mut input).await.unwrap(), Some((Kind::End, Vec::new())));
        assert_eq!(receive(&mut input).await.unwrap(), None);
        for broken in [&sent[..3], b"X\0\0\0\0", b"D\xff\xff\xff\xff"] {
            assert!(receive(&mut &*broken).await.is_err());
        }
    }
}
