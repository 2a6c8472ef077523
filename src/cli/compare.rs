//! `wagesim compare`.

use std::path::PathBuf;

use clap::Args;

use super::sweep::explored;
use super::{Failure, failed, print};
use crate::explore::{comparison, comparison_page, run_report};
use crate::report::plain;

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
        let read = |dir: &PathBuf| Ok((dir.display().to_string(), run_report(dir)?));
        let runs: Result<Vec<_>, _> = self.runs.iter().map(read).collect();
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
        print(&(table.trim_fmt() + "\n"))
    }
}
