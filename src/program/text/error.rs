//! What is wrong with a text: every place, drawn with its line, and through which macros it was reached.

use std::fmt;

use crate::spec::SourceError;

/// Errors that are drawn; the others are counted.
const SHOWN: usize = 20;

/// One thing that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// What, where, and what to do.
    pub error: SourceError,
    /// Where the macros it stands in were used, the innermost first.
    pub uses: Vec<SourceError>,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        for used in &self.uses {
            write!(f, "\nnote: {used}")?;
        }
        Ok(())
    }
}

/// All that is wrong with a text, in its order; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextErrors {
    pub(super) shown: Vec<TextError>,
    pub(super) more: usize,
}

impl TextErrors {
    /// The errors, but for those beyond the first twenty.
    pub fn all(&self) -> &[TextError] {
        &self.shown
    }

    pub(super) fn push(&mut self, error: impl FnOnce() -> TextError) {
        if self.shown.len() < SHOWN {
            self.shown.push(error());
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for TextErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.shown.iter().enumerate() {
            let before = if index == 0 { "" } else { "\n\nerror: " };
            write!(f, "{before}{error}")?;
        }
        match (self.shown.len(), self.more) {
            (0 | 1, 0) => Ok(()),
            (shown, 0) => write!(f, "\n\n{shown} errors"),
            (shown, more) => write!(f, "\n\n{} errors, the first {shown} shown", shown + more),
        }
    }
}

impl std::error::Error for TextErrors {}
