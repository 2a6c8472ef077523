//! `--vary`: the values that settings take one after another. Owns the form of an axis; must not know which keys exist.

use crate::spec::{Setting, SourceError};

/// How errors name the place of an axis.
const ORIGIN: &str = "--vary";
/// Values of one range, at most.
const MOST: usize = 10_000;

/// Settings that change together; each entry is one place on the axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The keys, as typed.
    pub keys: Vec<String>,
    /// One setting a key.
    pub places: Vec<Vec<Setting>>,
}

impl Axis {
    /// Reads `KEY=VALUES`, or `KEY=VALUES;KEY=VALUES` for keys that change together. Values are a list, `a,b,c`, of values
    /// and of ranges with both ends, `10..20` or `10..20:2`.
    ///
    /// # Errors
    /// A key without values, an empty range, lists of different lengths.
    pub fn parse(text: &str) -> Result<Axis, SourceError> {
        let mut keys: Vec<String> = Vec::new();
        let mut places: Vec<Vec<Setting>> = Vec::new();
        for part in split(text, ';') {
            let span = place_of(text, part);
            let Some((key, values)) = part.split_once('=') else {
                return Err(SourceError::new(ORIGIN, text, span, "this key has no values")
                    .with_hint("write --vary KEY=VALUES, for example --vary accumulators.bits=12..16"));
            };
            let settings = settings(text, key.trim(), values)?;
            if keys.iter().any(|k| k == key.trim()) {
                return Err(SourceError::new(
                    ORIGIN,
                    text,
                    span,
                    format!("`{}` stands here twice", key.trim()),
                ));
            }
            if places.is_empty() {
                places = settings.into_iter().map(|s| vec![s]).collect();
            } else if places.len() == settings.len() {
                places.iter_mut().zip(settings).for_each(|(place, setting)| place.push(setting));
            } else {
                let message = format!("{} values beside {} of `{}`", settings.len(), places.len(), keys[0]);
                return Err(SourceError::new(ORIGIN, text, span, message)
                    .with_hint("keys joined by `;` change together: give each as many values"));
            }
            keys.push(key.trim().to_owned());
        }
        Ok(Axis { keys, places })
    }
}

/// Bytes of a part in its text.
fn place_of(text: &str, part: &str) -> std::ops::Range<usize> {
    let start = text.find(part).unwrap_or(0);
    start..start + part.len()
}

/// One setting for each value.
fn settings(text: &str, key: &str, values: &str) -> Result<Vec<Setting>, SourceError> {
    let mut settings = Vec::new();
    for value in split(values, ',') {
        let value = value.trim();
        let refuse = |message: String| SourceError::new(ORIGIN, text, place_of(text, value), message);
        if value.is_empty() {
            return Err(refuse(format!("`{key}` has an empty value"))
                .with_hint("write --vary KEY=VALUES, for example --vary accumulators.bits=12..16"));
        }
        let Some((first, last, step)) = range(value) else {
            settings.push(Setting::parse(&format!("{key}={value}"))?);
            continue;
        };
        if step < 1 {
            return Err(
                refuse(format!("the range {value} goes on by {step}")).with_hint("let it be at least 1")
            );
        }
        if last < first {
            return Err(refuse(format!("the range {value} is empty"))
                .with_hint(format!("write the lesser end first: {key}={last}..{first}")));
        }
        let numbers = std::iter::successors(Some(first), |n| n.checked_add(step)).take_while(|&n| n <= last);
        let numbers: Vec<i64> = numbers.take(MOST + 1).collect();
        if numbers.len() > MOST {
            return Err(refuse(format!("the range {value} has more than {MOST} values")));
        }
        for number in numbers {
            settings.push(Setting::parse(&format!("{key}={number}"))?);
        }
    }
    Ok(settings)
}

/// Ends and step of `10..20` or `10..20:2`; nothing for what is no range of whole numbers.
fn range(value: &str) -> Option<(i64, i64, i64)> {
    let (first, rest) = value.split_once("..")?;
    let (last, step) = rest.split_once(':').unwrap_or((rest, "1"));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, step.trim().parse().ok()?))
}

/// Parts between separators that stand in no brackets and no quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (c, None) if c == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let axis = Axis::parse(text).expect(text);
        let place = |p: &Vec<Setting>| p.iter().map(Setting::text).collect::<Vec<_>>().join(" ");
        axis.places.iter().map(place).collect()
    }

    #[test]
    fn lists_and_ranges_are_values_in_order() {
        assert_eq!(values("a.b=10..12"), ["a.b=10", "a.b=11", "a.b=12"]);
        assert_eq!(values("a=8..14:3,20"), ["a=8", "a=11", "a=14", "a=20"]);
        assert_eq!(values("a=7..7"), ["a=7"]);
        assert_eq!(values("o=wrap, saturate"), ["o=\"wrap\"", "o=\"saturate\""]);
    }

    #[test]
    fn commas_within_brackets_and_quotes_part_nothing() {
        let found = values("r=[{epoch=1,eta=8},{epoch=2,eta=1}],0.5");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], "r=0.5");
        assert_eq!(values("n=\"a,b\",c"), ["n=\"a,b\"", "n=\"c\""]);
    }

    #[test]
    fn joined_keys_change_together() {
        assert_eq!(values("g=8,7;r=8,4"), ["g=8 r=8", "g=7 r=4"]);
        let error = Axis::parse("g=8,7;r=8").expect_err("one value is missing");
        assert!(error.message.contains("1 values beside 2 of `g`"), "{error}");
    }

    #[test]
    fn what_is_no_axis_is_refused_at_its_place() {
        for (text, message) in [
            ("accumulators.bits", "no values"),
            ("a=", "empty value"),
            ("a=1,,2", "empty value"),
            ("a=20..10", "the range 20..10 is empty"),
            ("a=1..9:0", "goes on by 0"),
            ("a=1..99999999", "more than 10000"),
            ("a=1;a=2", "twice"),
        ] {
            let error = Axis::parse(text).expect_err(text);
            assert_eq!(error.origin, "--vary");
            assert!(error.message.contains(message), "{text}: {error}");
        }
    }
}
