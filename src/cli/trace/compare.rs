//! `wagesim trace --diff`: where two logs part, told side by side.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Failure, failed, given, print};
use crate::trace::{CYCLES, Difference, diff};

/// Compares two logs; [`Failure::Differs`] where they part.
pub(super) fn compare(a: &Path, b: &Path, ignore: &[String], json: bool) -> Result<(), Failure> {
    let times = ignore.iter().any(|name| name == "cycles").then_some(CYCLES).into_iter().flatten();
    let ignored: Vec<String> = ignore.iter().cloned().chain(times.map(str::to_owned)).collect();
    let found = diff(a, b, &ignored).map_err(given)?;
    let text = match (&found, json) {
        (_, true) => serde_json::to_string_pretty(&found).map_err(failed)? + "\n",
        (Difference::Same { instructions }, _) => format!("the same: {instructions} instructions\n"),
        (Difference::Parts { .. }, _) => told(&found, [a, b]),
    };
    print(&text)?;
    match found {
        Difference::Same { .. } => Ok(()),
        Difference::Parts { .. } => Err(Failure::Differs),
    }
}

/// Where an instruction stands, and what it is.
fn named(line: &Map<String, Value>) -> String {
    let field = |name: &str| line.get(name).map(Value::to_string).unwrap_or_default();
    let word = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = [word("phase"), word("layer")].join(" ");
    let rounds = field("loops");
    format!(
        "step {}, instruction {} (pc {}, rounds {rounds}, {}): {}",
        field("step"),
        field("seq"),
        field("pc"),
        place.trim_end(),
        word("text")
    )
}

fn told(found: &Difference, paths: [&Path; 2]) -> String {
    let Difference::Parts { same, fields, a, b, before } = found else { return String::new() };
    let mut text = format!("{same} instructions are the same");
    if let Some(before) = before {
        text += &format!(", the last of them\n    {}", named(before));
    }
    text.push('\n');
    for (path, side) in paths.into_iter().zip([a, b]) {
        let path = path.display();
        match side {
            None => text += &format!("{path} has no more\n"),
            Some(line) => {
                text += &format!("{path}: {}\n", named(line));
                for name in fields {
                    let value = line.get(name).map_or("not there".to_owned(), Value::to_string);
                    text += &format!("    {name}: {value}\n");
                }
            }
        }
    }
    text
}
