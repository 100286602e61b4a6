//! Where an import's lines come from: a file or standard input, as it is or converted. Read on a thread of its own.

use crate::cli::args::{Format, ImportArgs};
use crate::cli::exit::Failure;
use keyreeve_transfer::convert::{Note, Sink};
use keyreeve_transfer::ldif::Mapping;
use keyreeve_transfer::{Record, keycloak, ldif};
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many bytes are handed on at a time.
const PIECE: usize = 64 * 1024;
/// How many pieces may wait.
const WAITING: usize = 8;

/// Something from the source.
pub(super) enum Piece {
    /// Bytes of lines.
    Data(Vec<u8>),
    /// Something that is not taken over.
    Note(Note),
    /// The source broke off.
    Failed(String),
}

/// A source that is being read.
pub(super) struct Source {
    pub(super) pieces: Receiver<Piece>,
    /// How many bytes were read, where that tells how far it is.
    pub(super) read: Arc<AtomicU64>,
    /// How many there are, where that is known.
    pub(super) size: Option<u64>,
}

/// What a source does on its thread.
type Work = Box<dyn FnOnce(&Sender<Piece>) -> io::Result<()> + Send>;

/// Opens the source.
pub(super) fn open(args: &ImportArgs) -> Result<Source, Failure> {
    let unreadable =
        |error: io::Error| Failure::usage(format!("{} cannot be read: {error}", args.file.display()));
    let stdin = args.file.as_os_str() == "-";
    let mapping = Mapping::parse(args.map.iter().map(String::as_str))
        .map_err(|error| Failure::usage(error.to_string()))?;
    if !mapping.is_empty() && args.from != Format::Ldif {
        return Err(Failure::usage("--map is for --from ldif"));
    }
    let (sender, pieces) = channel(WAITING);
    let read = Arc::new(AtomicU64::new(0));
    let mut size = None;
    let work: Work = match args.from {
        Format::Ndjson if stdin => Box::new(|sender| copy(io::stdin().lock(), sender)),
        Format::Ndjson => {
            let file = File::open(&args.file).map_err(unreadable)?;
            size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
            let counted = Counted { input: file, read: read.clone() };
            Box::new(move |sender| copy(counted, sender))
        }
        Format::Ldif => {
            let file =
                if stdin { Spooled::stdin() } else { Spooled::file(&args.file) }.map_err(unreadable)?;
            Box::new(move |sender| {
                let mut sink = Pieces { sender, lines: Vec::with_capacity(PIECE) };
                ldif::convert(|| file.again(), &mapping, &mut sink)?;
                sink.hand_on()
            })
        }
        Format::Keycloak => {
            let (path, spooled) = if stdin {
                let spooled = Spooled::named_stdin().map_err(unreadable)?;
                (spooled.path().to_owned(), Some(spooled))
            } else {
                (args.file.clone(), None)
            };
            let export = keycloak::Export::open(&path).map_err(unreadable)?;
            Box::new(move |sender| {
                let _spooled = spooled;
                let mut sink = Pieces { sender, lines: Vec::with_capacity(PIECE) };
                keycloak::convert(&export, &mut sink)?;
                sink.hand_on()
            })
        }
    };
    let run = move || {
        if let Err(error) = work(&sender) {
            drop(sender.blocking_send(Piece::Failed(error.to_string())));
        }
    };
    std::thread::Builder::new().name("import-source".to_owned()).spawn(run).map_err(unreadable)?;
    Ok(Source { pieces, read, size })
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(read)
    }
}

fn copy(mut input: impl Read, sender: &Sender<Piece>) -> io::Result<()> {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        piece.truncate(read);
        give(sender, Piece::Data(piece))?;
    }
}

fn give(sender: &Sender<Piece>, piece: Piece) -> io::Result<()> {
    sender.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}

/// Where converters put their records.
struct Pieces<'s> {
    sender: &'s Sender<Piece>,
    lines: Vec<u8>,
}

impl Pieces<'_> {
    fn hand_on(&mut self) -> io::Result<()> {
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(PIECE));
        give(self.sender, Piece::Data(lines))
    }
}

impl Sink for Pieces<'_> {
    fn record(&mut self, record: Record) -> io::Result<()> {
        record.write(&mut self.lines)?;
        if self.lines.len() >= PIECE { self.hand_on() } else { Ok(()) }
    }

    fn note(&mut self, note: Note) -> io::Result<()> {
        give(self.sender, Piece::Note(note))
    }
}

/// A file that can be read more than once.
struct Spooled(File);

impl Spooled {
    fn file(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// A copy of standard input, in a file without a name that only this process can read.
    fn stdin() -> io::Result<Self> {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        Ok(Self(file))
    }

    /// The same with a name, which goes away with the process.
    fn named_stdin() -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        Ok(file)
    }

    fn again(&self) -> io::Result<File> {
        let mut file = self.0.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}
