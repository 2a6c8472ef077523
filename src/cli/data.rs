//! `wagesim data`.

use std::path::{Path, PathBuf};

use super::{Failure, failed, given, print};
use crate::data::{Found, Published, published};
use crate::report::plain;
use clap::Args;

/// Where each data set is published, which files it has, and whether they are whole
///
/// Compares the MD5 sum of every file in DIR (or in DIR's folder of the set's name) with the published one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim data                    what there is, and where to get it
  wagesim data ~/sets/cifar10     whether that folder holds a whole set
  wagesim train programs/vgg7-cifar10.toml --data ~/sets/cifar10")]
pub(super) struct Data {
    /// Folder of a set's files, or of folders named as the sets; `data` if left out
    dir: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Line {
    set: &'static str,
    page: &'static str,
    file: &'static str,
    md5: &'static str,
    found: Found,
}

impl Data {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let dir = self.dir.clone().unwrap_or_else(|| PathBuf::from("data"));
        let mut lists = Vec::new();
        for set in published() {
            let own = dir.join(set.set.name());
            let folder = if own.is_dir() { own } else { dir.clone() };
            lists.push(list(&set, &folder)?);
        }
        let has = |list: &[Line], found| list.iter().any(|line| line.found == found);
        if lists.iter().any(|list| has(list, Found::Whole)) {
            // Fashion-MNIST's files are named as MNIST's: in the folder of the one the other is not there.
            for list in lists.iter_mut().filter(|list| !has(list, Found::Whole)) {
                list.iter_mut().for_each(|line| line.found = Found::Missing);
            }
        }
        let lines: Vec<Line> = lists.into_iter().flatten().collect();
        if self.json {
            return print(&(serde_json::to_string_pretty(&lines).map_err(failed)? + "\n"));
        }
        let mut table = plain(&["set", "file", "MD5 sum", "found"], 4..);
        for line in &lines {
            let found = match line.found {
                Found::Whole => "whole",
                Found::Other => "not as published",
                Found::Missing => "not there",
            };
            table.add_row([line.set, line.file, line.md5, found]);
        }
        let pages: Vec<String> =
            published().iter().map(|set| format!("  {:<14} {}", set.set.name(), set.page)).collect();
        print(&format!(
            "looked in {}\n{table}\npublished at\n{}\n\
             A folder of pictures (set = \"images\") has train/CLASS/*.jpg and test/CLASS/*.jpg.\n",
            dir.display(),
            pages.join("\n")
        ))
    }
}

/// The list of files that is there, or the first.
fn list(set: &Published, folder: &Path) -> Result<Vec<Line>, Failure> {
    let mut first = None;
    for files in set.files {
        let mut lines = Vec::new();
        for (file, md5) in *files {
            let found = Found::of(folder, file, md5).map_err(given)?;
            lines.push(Line { set: set.set.name(), page: set.page, file, md5, found });
        }
        if lines.iter().any(|line| line.found != Found::Missing) {
            return Ok(lines);
        }
        first.get_or_insert(lines);
    }
    Ok(first.unwrap_or_default())
}
