//! A program as assembly text, complete, and back.
//!
//! ```text
//! .program {"name":"example","dram_bytes":4096}
//! .const N = 32
//! .reg row = s1
//! .place codes = operand bytes=N
//! .tensor {"name":"a","address":0,"bits":8,"signed":true,"shape":[32]}
//! .macro fetch to from
//!     load dst=to src=from bytes=sizeof(from)
//! .endm
//! main:
//! .phase forward 0
//!     fetch to=codes from=a
//!     halt
//! ```
//! Directives carry what is not code: `.program`, `.tensor`, `.probe` (of the next instruction) and `.training` as JSON,
//! `.phase NAME [LAYER]`, names: `.const`, `.reg`, `.place`, `.macro`, and other files: `.include "FILE"`. A label begins an entry. A tensor's name is its
//! place in DRAM; a tensor without an address lies behind the tensor before. `isa/assembly.md` is the guide.

mod directives;
mod error;
mod expansion;
mod names;
mod reader;
mod sources;
mod write;

pub use error::{TextError, TextErrors};

use super::Program;
use reader::{Reader, Site};
use sources::Sources;

/// What `.program` says.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dram_bytes: Option<u64>,
}

/// A program read from text, and what its writer may have overlooked.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The program.
    pub program: Program,
    /// Names that nothing uses.
    pub warnings: Vec<TextError>,
    sites: Vec<Site>,
    sources: Sources,
}

impl Assembled {
    /// An error at an instruction of the program, drawn with its line.
    pub fn at(&self, pc: usize, message: &str) -> Option<TextError> {
        self.sites.get(pc).map(|site| site.error(&self.sources, message))
    }
}

impl Program {
    /// The program of a text and the files it includes; `origin` is its path, and how errors name it.
    ///
    /// # Errors
    /// Every line that means nothing, with its place and a way out; where all do, what [`Program::check`] finds.
    pub fn from_text(text: &str, origin: &str) -> Result<Program, TextErrors> {
        Self::assembled(text, origin).map(|assembled| assembled.program)
    }

    /// [`Program::from_text`], with warnings.
    ///
    /// # Errors
    /// Those of [`Program::from_text`].
    pub fn assembled(text: &str, origin: &str) -> Result<Assembled, TextErrors> {
        let sources = Sources::of(text, origin);
        let mut reader = Reader::new(&sources);
        let mut start = 0;
        for line in sources.text.split_inclusive('\n') {
            reader.line(start..start + line.trim_end_matches(['\n', '\r']).len());
            start += line.len();
        }
        reader.finish()
    }
}
