//! `--set key=value`: one value laid over a file. Owns the form of a setting; must not know which keys exist.

use crate::spec::SourceError;

/// How errors name the command line as the place of a setting.
pub(crate) const ORIGIN: &str = "--set";

/// One `--set key=value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dotted, as typed: `accumulators.forward.bits`; a number is a place in a list: `layer.0.conv`.
    pub key: String,
    /// The value.
    pub value: toml::Value,
}

impl Setting {
    /// Reads `a.b=3`. The value is TOML; what TOML cannot read is a string, so `wage.variant=paper` needs no quotes.
    ///
    /// # Errors
    /// No `=`, or a key with an empty part.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(SourceError::new(ORIGIN, text, 0..text.len(), "this setting has no value")
                .with_hint("write --set key=value, for example --set array.rows=16"));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.split('.').any(str::is_empty) {
            return Err(SourceError::new(ORIGIN, text, 0..key.len(), "a key is names joined by dots")
                .with_hint("for example --set accumulators.forward.bits=20"));
        }
        if too_large(value) {
            let message = format!("the number {value} is too large: a whole number has 64 bits");
            return Err(SourceError::new(ORIGIN, text, text.len() - value.len()..text.len(), message)
                .with_hint("the greatest is 9223372036854775807"));
        }
        let value = value.parse().unwrap_or_else(|_| toml::Value::String(value.to_owned()));
        Ok(Self { key: key.to_owned(), value })
    }

    /// The setting as a line of text: what errors show.
    pub fn text(&self) -> String {
        format!("{}={}", self.key, self.value)
    }
}

/// Whether a value is a whole number that TOML cannot hold.
fn too_large(value: &str) -> bool {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let number: Result<i64, _> = value.replace('_', "").parse();
    number.is_err_and(|e| matches!(e.kind(), PosOverflow | NegOverflow))
}

/// The one of `known` that a user who wrote `written` most likely meant. A bare last name finds its dotted key.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    let written = written.to_lowercase();
    let score = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let whole = strsim::normalized_damerau_levenshtein(&written, &candidate);
        let last = candidate.rsplit('.').next().unwrap_or_default();
        // A whole key alike is better evidence than a last name alike.
        whole.max(0.95 * strsim::normalized_damerau_levenshtein(&written, last))
    };
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let alike = score(candidate);
        if alike >= ALIKE && best.is_none_or(|(most, _)| alike > most) {
            best = Some((alike, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_toml_where_toml_can_read_it() {
        let value = |text| Setting::parse(text).expect("a setting").value;
        assert_eq!(value("a.b=3"), toml::Value::Integer(3));
        assert_eq!(value("a.b = 0.125"), toml::Value::Float(0.125));
        assert_eq!(value("a=true"), toml::Value::Boolean(true));
        assert_eq!(value("a=\"3\""), toml::Value::String("3".into()));
        assert_eq!(value("a={b=1}").get("b"), Some(&toml::Value::Integer(1)));
    }

    #[test]
    fn a_value_toml_cannot_read_is_a_string() {
        let value = |text| Setting::parse(text).expect("a setting").value;
        assert_eq!(value("data.input=p/127.5-1"), toml::Value::String("p/127.5-1".into()));
        assert_eq!(
            value("array.dataflow=output-stationary"),
            toml::Value::String("output-stationary".into())
        );
        assert_eq!(value("a=x=y"), toml::Value::String("x=y".into()));
        assert_eq!(value("a="), toml::Value::String(String::new()));
    }

    #[test]
    fn a_number_too_large_is_called_that() {
        for text in ["a.b=99999999999999999999", "a.b = -9_999_999_999_999_999_999"] {
            let error = Setting::parse(text).expect_err(text);
            assert!(error.message.contains("too large"), "{error}");
        }
    }

    #[test]
    fn a_setting_without_key_or_value_is_refused() {
        for text in ["array.rows", "=3", "array..rows=3", ".rows=3"] {
            let error = Setting::parse(text).expect_err(text);
            assert_eq!(error.origin, "--set");
        }
    }

    #[test]
    fn the_nearest_key_is_found_by_its_whole_or_its_last_name() {
        let known = ["array.rows", "array.columns", "accumulators.bits", "dram.burst_bytes"];
        assert_eq!(nearest("array.row", known), Some("array.rows"));
        assert_eq!(nearest("columns", known), Some("array.columns"));
        assert_eq!(nearest("acumulators.Bits", known), Some("accumulators.bits"));
        assert_eq!(nearest("zzz", known), None);
    }
}
