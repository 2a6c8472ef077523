//! The text of a program with the files it includes written out where it includes them, and which line of which file each byte
//! of it is. Knows `.include`, no other line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::isa::without_comment;
use crate::spec::SourceError;

/// Files that may be within each other.
const DEEPEST: usize = 32;
/// Files a text may include, each as often as it is included.
const MOST_FILES: usize = 1 << 12;
/// Bytes they may come to.
const MOST_BYTES: usize = 1 << 26;

const WRITE: &str = "write `.include \"FILE\"`, FILE relative to the file that includes it";

/// A text and what it includes.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    /// All of it, one text.
    pub(super) text: String,
    files: Vec<File>,
    pieces: Vec<Piece>,
    /// Lines of `text` whose file cannot be had, by their first byte: what is wrong and what to do.
    refused: BTreeMap<usize, (String, String)>,
}

#[derive(Debug, Clone)]
struct File {
    origin: String,
    text: Rc<str>,
    /// The file that includes it and its line there.
    included: Option<(usize, Range<usize>)>,
}

/// From byte `at` of the text on, bytes of a file from `from` on.
#[derive(Debug, Clone, Copy)]
struct Piece {
    at: usize,
    file: usize,
    from: usize,
}

impl Sources {
    /// A text and the files it includes; `origin` is its path.
    pub(super) fn of(text: &str, origin: &str) -> Sources {
        let mut sources = Sources::default();
        let mut open = vec![place(Path::new(origin))];
        sources.take_up(File { origin: origin.to_owned(), text: text.into(), included: None }, &mut open);
        sources
    }

    fn take_up(&mut self, file: File, open: &mut Vec<PathBuf>) {
        let (index, text) = (self.files.len(), file.text.clone());
        self.files.push(file);
        let mut from = 0;
        self.pieces.push(Piece { at: self.text.len(), file: index, from });
        for line in text.split_inclusive('\n') {
            let span = from..from + line.trim_end().len();
            from += line.len();
            let Some(rest) = written(line) else {
                self.text.push_str(line);
                continue;
            };
            match self.included(rest, index, span, open) {
                Ok((file, path)) => {
                    open.push(path);
                    self.take_up(file, open);
                    open.pop();
                    if !self.text.is_empty() && !self.text.ends_with('\n') {
                        self.text.push('\n');
                    }
                    self.pieces.push(Piece { at: self.text.len(), file: index, from });
                }
                Err(problem) => {
                    self.refused.insert(self.text.len(), problem);
                    self.text.push_str(line);
                }
            }
        }
    }

    /// The file that `.include` names, in line `span` of a file.
    fn included(
        &self,
        rest: &str,
        by: usize,
        span: Range<usize>,
        open: &[PathBuf],
    ) -> Result<(File, PathBuf), (String, String)> {
        let refuse = |what: String, hint: &str| Err((what, hint.to_owned()));
        let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let Some((name, _)) = name.filter(|(_, rest)| without_comment(rest).trim().is_empty()) else {
            return refuse("this names no file".to_owned(), WRITE);
        };
        let path = Path::new(&self.files[by].origin).parent().unwrap_or(Path::new("")).join(name);
        let origin = path.display().to_string();
        let at = place(&path);
        if let Some(first) = open.iter().position(|p| *p == at) {
            let names = open[first..].iter().chain([&at]).map(|p| p.file_name().unwrap_or_default());
            let chain: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
            return Err((format!("`{name}` includes itself"), chain.join(" → ")));
        }
        if open.len() > DEEPEST || self.files.len() >= MOST_FILES {
            let what = format!("more than {DEEPEST} files within each other, or {MOST_FILES} in all");
            return refuse(what, "include each file once, where all that follows sees its names");
        }
        if !path.is_file() {
            return refuse(format!("there is no file {origin}"), WRITE);
        }
        let bytes = std::fs::metadata(&path).map_or(0, |m| usize::try_from(m.len()).unwrap_or(usize::MAX));
        if bytes.saturating_add(self.text.len()) > MOST_BYTES {
            return refuse(
                format!("{origin} makes the text longer than {MOST_BYTES} bytes"),
                "repeat with `loop`",
            );
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((File { origin, text: text.into(), included: Some((by, span)) }, at)),
            Err(e) => refuse(format!("{origin} cannot be read: {e}"), "a program is text in UTF-8"),
        }
    }

    /// What is wrong with the `.include` that begins a line at this byte.
    pub(super) fn refused(&self, line: usize) -> (String, String) {
        let otherwise = || ("a file cannot be included here".to_owned(), WRITE.to_owned());
        self.refused.get(&line).cloned().unwrap_or_else(otherwise)
    }

    /// The path of the text that includes the others.
    pub(super) fn origin(&self) -> &str {
        self.files.first().map_or("", |file| file.origin.as_str())
    }

    /// The file that a byte of the text stands in, and where in it.
    fn at(&self, byte: usize) -> (usize, usize) {
        let piece = self.pieces.partition_point(|piece| piece.at <= byte).checked_sub(1);
        piece.map_or((0, byte), |piece| {
            let Piece { at, file, from } = self.pieces[piece];
            (file, byte - at + from)
        })
    }

    /// An error at these bytes of the text, drawn in its file.
    pub(super) fn error(&self, span: Range<usize>, message: &str) -> SourceError {
        let (file, start) = self.at(span.start);
        self.in_file(file, start..start + span.len(), message)
    }

    fn in_file(&self, file: usize, span: Range<usize>, message: &str) -> SourceError {
        let File { origin, text, .. } = &self.files[file];
        SourceError::new(origin, text, span, message)
    }

    /// Where the file that a byte of the text stands in is included, the innermost line first.
    pub(super) fn inclusions(&self, byte: usize) -> Vec<SourceError> {
        let mut found = Vec::new();
        let mut file = self.at(byte).0;
        while let Some((by, span)) = &self.files[file].included {
            found.push(self.in_file(*by, span.clone(), "it is included here"));
            file = *by;
        }
        found
    }

    /// `line 3`, with its file where there are several.
    pub(super) fn line(&self, span: &Range<usize>) -> String {
        let SourceError { origin, line, .. } = self.error(span.clone(), "");
        if self.files.len() > 1 { format!("line {line} of {origin}") } else { format!("line {line}") }
    }
}

/// What stands behind `.include` where a line has it.
fn written(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix(".include")?;
    (rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || c == ';' || c == '#')).then_some(rest)
}

/// A path by which two names of one file are equal.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
