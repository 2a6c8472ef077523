//! Errors that point at a place in a text a user wrote, drawn with the line they mean. Owns how such an error looks;
//! must not know what the text means (machine files, programs and assembly all use it).

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// What is wrong, where, and what to do about it.
///
/// `Display` draws it as rustc does, with the source line; it has no leading `error:`, which is the printer's to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// The file's name, or `--set` for a setting of the command line.
    pub origin: String,
    /// Line in the origin, from 1.
    pub line: usize,
    /// Column in the line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    excerpt: Box<Excerpt>,
}

/// The line the error points at, and the bytes of it that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    span: Range<usize>,
}

impl SourceError {
    /// An error at the bytes `span` of `source`, the whole text of `origin`. A span outside the text is cut to it.
    pub fn new(origin: &str, source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = source.floor_char_boundary(span.start.min(source.len()));
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        let text = source[line_start..line_end].trim_end_matches('\r');
        let in_line = (start - line_start).min(text.len());
        let end = text.floor_char_boundary(span.end.saturating_sub(line_start).clamp(in_line, text.len()));
        Self {
            origin: origin.to_owned(),
            line: source[..line_start].matches('\n').count() + 1,
            column: text[..in_line].chars().count() + 1,
            message: message.into(),
            hint: None,
            excerpt: Box::new(Excerpt { text: text.to_owned(), span: in_line..end }),
        }
    }

    /// The same error with a line that says what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snippet = Snippet::source(self.excerpt.text.as_str())
            .line_start(self.line)
            .path(self.origin.as_str())
            .annotation(AnnotationKind::Primary.span(self.excerpt.span.clone()));
        let mut report = vec![Level::ERROR.no_name().primary_title(self.message.as_str()).element(snippet)];
        if let Some(hint) = &self.hint {
            report.push(Group::with_title(Level::HELP.secondary_title(hint.as_str())));
        }
        formatter.write_str(&Renderer::plain().render(&report))
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"α\"\nrows = 0 # none\r\n";

    #[test]
    fn an_error_counts_lines_and_characters_from_one() {
        let at = TEXT.find('0').expect("in the text");
        let error = SourceError::new("m.toml", TEXT, at..at + 1, "no rows");
        assert_eq!((error.line, error.column), (2, 8));
        let alpha = TEXT.find('"').expect("in the text");
        let error = SourceError::new("m.toml", TEXT, alpha + 3..alpha + 4, "after a two-byte character");
        assert_eq!((error.line, error.column), (1, 10));
    }

    #[test]
    fn an_error_is_drawn_with_its_line_and_hint() {
        let at = TEXT.find('0').expect("in the text");
        let error = SourceError::new("m.toml", TEXT, at..at + 1, "no rows").with_hint("write 1 or more");
        assert_eq!(
            error.to_string(),
            "no rows\n --> m.toml:2:8\n  |\n2 | rows = 0 # none\n  |        ^\n  |\nhelp: write 1 or more"
        );
    }

    #[test]
    fn a_span_beyond_the_text_points_at_its_end() {
        let error = SourceError::new("m.toml", "a =", 90..99, "no value");
        assert_eq!((error.line, error.column), (1, 4));
        assert!(error.to_string().contains("m.toml:1:4"));
    }

    #[test]
    fn a_span_over_several_lines_shows_the_first() {
        let error = SourceError::new("m.toml", "a = [\n1]\n", 4..8, "two lines");
        assert_eq!((error.line, error.column), (1, 5));
        assert!(!error.to_string().contains("1]"));
    }
}
