//! `wagesim compare`.

use std::path::{Component, PathBuf};

use clap::Args;

use super::sweep::explored;
use super::{Failure, failed, print};
use crate::explore::{comparison, comparison_page, run_report};
use crate::report::{AREA_NOTE, plain};

/// Show runs side by side
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim compare runs/quick runs/quick-2
  wagesim compare runs/wide runs/narrow --html compare.html    one self-contained page, with curves")]
pub(super) struct Compare {
    /// Run directories
    #[arg(required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Write a page too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the figures as JSON: an object a run
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let read = |(dir, name): (&PathBuf, String)| Ok((name, run_report(dir)?));
        let runs: Result<Vec<_>, _> = self.runs.iter().zip(names(&self.runs)).map(read).collect();
        let runs = runs.map_err(explored)?;
        if let Some(path) = &self.html {
            let page = comparison_page(&runs).map_err(failed)?;
            let html = page.html().map_err(|e| failed(anyhow::anyhow!(e)))?;
            std::fs::write(path, html).map_err(|e| failed(anyhow::anyhow!("{}: {e}", path.display())))?;
        }
        let (head, rows) = comparison(&runs);
        if self.json {
            let run = |i: usize| rows.iter().map(|row| (row[0].clone(), row[i].clone().into())).collect();
            let object =
                (1..head.len()).map(|i| (head[i].clone(), serde_json::Value::Object(run(i)))).collect();
            let text = serde_json::to_string_pretty(&serde_json::Value::Object(object)).map_err(failed)?;
            return print(&(text + "\n"));
        }
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let mut table = plain(&head, 1..);
        rows.into_iter().for_each(|row| {
            table.add_row(row);
        });
        print(&(table.trim_fmt() + "\n\nnote: " + AREA_NOTE + "\n"))
    }
}

/// Folders without what all their paths begin with, but for the last part of a path.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<Component<'_>>> = runs.iter().map(|run| run.components().collect()).collect();
    let same = |place: usize| parts.iter().all(|p| p.len() > place + 1 && p[place] == parts[0][place]);
    let common = (0..).take_while(|&place| same(place)).count();
    let name = |parts: &Vec<Component<'_>>| parts[common..].iter().collect::<PathBuf>().display().to_string();
    parts.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_what_tells_them_apart() {
        let of = |runs: &[&str]| names(&runs.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/wide", "runs/narrow"]), ["wide", "narrow"]);
        assert_eq!(of(&["/a/x/points/1", "/a/y/points/1"]), ["x/points/1", "y/points/1"]);
        assert_eq!(of(&["runs", "runs/x", "."]), ["runs", "runs/x", "."]);
        assert_eq!(of(&["a/b", "a/b"]), ["b", "b"]);
    }
}
