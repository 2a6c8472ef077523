//! Two instruction logs side by side: the first instruction where they part.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Fields that say when, not what: `--ignore cycles` stands for them.
pub const CYCLES: [&str; 4] = ["issued", "started", "unit_free", "ended"];

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The file cannot be read, or its compression breaks off before the first line.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no log.
    #[error("{}: line {line} is no line of an instruction log: {what}; write logs with `wagesim trace --log FILE`", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The file breaks off.
    #[error("{}: cut within line {line}: it has no end; the {same} instructions before are the same in both", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// The line that is not whole.
        line: u64,
        /// Instructions compared before.
        same: u64,
    },
}

/// What two logs came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Difference {
    /// Every instruction is the same in both.
    Same {
        /// How many.
        instructions: u64,
    },
    /// They part.
    Parts {
        /// Instructions before that are the same.
        same: u64,
        /// Names of the fields that differ.
        fields: Vec<String>,
        /// The instruction in the first log; none where it has no more.
        a: Option<Map<String, Value>>,
        /// The instruction in the second.
        b: Option<Map<String, Value>>,
        /// The last instruction that is the same.
        before: Option<Map<String, Value>>,
    },
}

struct Log {
    path: PathBuf,
    lines: Box<dyn BufRead>,
    line: u64,
}

/// A line of a log.
enum Line {
    Instruction(Map<String, Value>),
    End,
}

impl Log {
    fn open(path: &Path) -> Result<Self, DiffError> {
        let fail = |source| DiffError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(fail)?;
        let lines: Box<dyn BufRead> = match path.extension().is_some_and(|e| e == "zst") {
            true => Box::new(BufReader::new(zstd::Decoder::new(file).map_err(fail)?)),
            false => Box::new(BufReader::new(file)),
        };
        let mut log = Log { path: path.to_owned(), lines, line: 0 };
        let head = log.text().map_err(fail)?;
        let is_log = serde_json::from_str::<Value>(&head).is_ok_and(|head| head["log"] == "wagesim");
        match is_log {
            true => Ok(log),
            false => Err(log.form("it does not begin with {\"log\":\"wagesim\"")),
        }
    }

    fn form(&self, what: impl Into<String>) -> DiffError {
        DiffError::Form { path: self.path.clone(), line: self.line, what: what.into() }
    }

    fn text(&mut self) -> std::io::Result<String> {
        self.line += 1;
        let mut text = String::new();
        self.lines.read_line(&mut text)?;
        Ok(text)
    }

    /// The next line, `same` instructions having been compared.
    fn next(&mut self, same: u64) -> Result<(String, Line), DiffError> {
        let cut = |log: &Log| DiffError::Cut { path: log.path.clone(), line: log.line, same };
        let text = match self.text() {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Err(cut(self)),
            Err(source) => return Err(DiffError::Read { path: self.path.clone(), source }),
        };
        if !text.ends_with('\n') {
            return Err(cut(self));
        }
        match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) if fields.contains_key("end") => Ok((text, Line::End)),
            Ok(Value::Object(fields)) if fields.contains_key("seq") => Ok((text, Line::Instruction(fields))),
            Ok(_) => Err(self.form("it has no seq")),
            Err(error) => Err(self.form(error.to_string())),
        }
    }
}

/// The fields that differ, `ignored` left out, in the first one's order.
fn differing(a: &Map<String, Value>, b: &Map<String, Value>, ignored: &[String]) -> Vec<String> {
    let mut names: Vec<&String> = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
    names.retain(|name| !ignored.contains(name) && a.get(*name) != b.get(*name));
    names.into_iter().cloned().collect()
}

/// Where two logs part, fields of these names not looked at.
///
/// # Errors
/// When one of them cannot be read, is none, or breaks off.
pub fn diff(a: &Path, b: &Path, ignored: &[String]) -> Result<Difference, DiffError> {
    let (mut a, mut b) = (Log::open(a)?, Log::open(b)?);
    let (mut same, mut before) = (0, None);
    loop {
        let (text_a, line_a) = a.next(same)?;
        let (text_b, line_b) = b.next(same)?;
        let parts = |fields, a, b, before| Ok(Difference::Parts { same, fields, a, b, before });
        match (line_a, line_b) {
            (Line::End, Line::End) => return Ok(Difference::Same { instructions: same }),
            (Line::Instruction(a), Line::End) => return parts(Vec::new(), Some(a), None, before),
            (Line::End, Line::Instruction(b)) => return parts(Vec::new(), None, Some(b), before),
            (Line::Instruction(a), Line::Instruction(b)) => {
                let fields = if text_a == text_b { Vec::new() } else { differing(&a, &b, ignored) };
                if !fields.is_empty() {
                    return parts(fields, Some(a), Some(b), before);
                }
                (same, before) = (same + 1, Some(a));
            }
        }
    }
}
