//! The run directory: the exact inputs of a run, its checkpoint and its reports.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It already holds a run.
    #[error("{path} already holds a run; `--resume` goes on with it, another `--out` begins a new one")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to go on from.
    #[error("{path} holds no run to resume; leave `--resume` out to begin one")]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
}

/// A run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

/// Folder of the runs whose place the user did not choose.
const RUNS: &str = "runs";

impl RunDirectory {
    /// A fresh directory: `chosen`, or the first free of `runs/name`, `runs/name-2`, …
    ///
    /// # Errors
    /// When `chosen` holds a run already, or nothing can be written there.
    pub fn create(chosen: Option<&Path>, name: &str) -> Result<Self, DirectoryError> {
        let path = match chosen {
            Some(path) => path.to_owned(),
            None => numbered(name).find(|p| !p.exists()).unwrap_or_else(|| PathBuf::from(RUNS)),
        };
        let directory = RunDirectory { path };
        if directory.program().exists() {
            return Err(DirectoryError::Taken { path: directory.path });
        }
        let made = std::fs::create_dir_all(&directory.path);
        made.map_err(|source| DirectoryError::Io { path: directory.path.clone(), source })?;
        Ok(directory)
    }

    /// The directory of a run to go on with: `chosen`, or the last of `runs/name`, `runs/name-2`, …
    ///
    /// # Errors
    /// When there is no run.
    pub fn existing(chosen: Option<&Path>, name: &str) -> Result<Self, DirectoryError> {
        let last = || numbered(name).take_while(|p| p.exists()).last();
        let path = chosen.map(Path::to_owned).or_else(last);
        let path = path.ok_or_else(|| DirectoryError::NoRun { path: Path::new(RUNS).join(name) })?;
        let directory = RunDirectory { path };
        match directory.program().exists() {
            true => Ok(directory),
            false => Err(DirectoryError::NoRun { path: directory.path }),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The compiled program.
    pub fn program(&self) -> PathBuf {
        self.path.join("program.safetensors")
    }

    /// Network and recipe, settings applied.
    pub fn source(&self) -> PathBuf {
        self.path.join("program.toml")
    }

    /// The machine, complete.
    pub fn machine(&self) -> PathBuf {
        self.path.join("machine.toml")
    }

    /// The last checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The report.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.json")
    }

    /// Writes a file of the directory; what was there stays whole until the new one is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
        replace(path, bytes).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })
    }
}

/// Writes a file aside, syncs it and gives it its name.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let mut file = std::fs::File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    // The new name is not lost with the power either; not every file system can promise that.
    let _ = std::fs::File::open(path.parent().unwrap_or(Path::new("."))).and_then(|d| d.sync_all());
    Ok(())
}

fn numbered(name: &str) -> impl Iterator<Item = PathBuf> {
    let first = Path::new(RUNS).join(name);
    let name = name.to_owned();
    std::iter::once(first).chain((2..10_000).map(move |n| Path::new(RUNS).join(format!("{name}-{n}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_run_is_not_taken_twice() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(Some(&dir.path().join("run")), "x").unwrap();
        assert!(matches!(RunDirectory::existing(Some(run.path()), "x"), Err(DirectoryError::NoRun { .. })));
        run.write(&run.program(), b"x").unwrap();
        assert!(matches!(RunDirectory::create(Some(run.path()), "x"), Err(DirectoryError::Taken { .. })));
        assert_eq!(RunDirectory::existing(Some(run.path()), "x").unwrap(), run);
    }
}
