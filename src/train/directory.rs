//! The run directory: the exact inputs of a run, its checkpoint and its reports.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or written.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something stands there that is no folder.
    #[error("{path} is a file; a run is kept in a folder: give another name with `--out`")]
    NoFolder {
        /// What stands there.
        path: PathBuf,
    },
    /// The run's checkpoint is gone: every run has one from its beginning.
    #[error(
        "{path} is missing, so the run cannot go on; put a copy of it there, or begin again with another `--out`"
    )]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
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

/// Folder of checkpoints kept beside the last.
const KEPT: &str = "checkpoints";

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
        directory.is_no_file()?;
        if directory.program().exists() {
            return Err(DirectoryError::Taken { path: directory.path });
        }
        let made = std::fs::create_dir_all(&directory.path);
        made.map_err(|error| DirectoryError::Io { path: directory.path.clone(), error })?;
        Ok(directory)
    }

    /// The directory at a path, made where it is not there; whether it holds a run does not matter.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn at(path: &Path) -> Result<Self, DirectoryError> {
        let directory = RunDirectory { path: path.to_owned() };
        directory.is_no_file()?;
        let made = std::fs::create_dir_all(path);
        made.map_err(|error| DirectoryError::Io { path: directory.path.clone(), error })?;
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
        directory.is_no_file()?;
        match directory.program().exists() {
            true => Ok(directory),
            false => Err(DirectoryError::NoRun { path: directory.path }),
        }
    }

    fn is_no_file(&self) -> Result<(), DirectoryError> {
        match self.path.is_file() {
            true => Err(DirectoryError::NoFolder { path: self.path.clone() }),
            false => Ok(()),
        }
    }

    /// The last checkpoint, to go on from.
    ///
    /// # Errors
    /// When it is not there: a run writes its first before its first step.
    pub fn kept_checkpoint(&self) -> Result<PathBuf, DirectoryError> {
        let path = self.checkpoint();
        match path.exists() {
            true => Ok(path),
            false => Err(DirectoryError::NoCheckpoint { path }),
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

    /// A checkpoint kept beside the last one, of a step.
    pub fn kept(&self, step: u32) -> PathBuf {
        self.path.join(KEPT).join(format!("step-{step:08}.safetensors"))
    }

    /// Keeps the last checkpoint under its step's name, and of those kept so the latest `most`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&self, step: u32, most: usize) -> Result<(), DirectoryError> {
        let folder = self.path.join(KEPT);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| DirectoryError::Io { path, error }
        };
        std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = self.kept(step);
        let bytes = std::fs::read(self.checkpoint()).map_err(failed(&self.checkpoint()))?;
        replace(&path, &bytes).map_err(failed(&path))?;
        let entries: std::io::Result<Vec<PathBuf>> =
            std::fs::read_dir(&folder).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
        let mut kept = entries.map_err(failed(&folder))?;
        kept.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
        kept.sort();
        let old = kept.len().saturating_sub(most);
        for path in &kept[..old] {
            std::fs::remove_file(path).map_err(failed(path))?;
        }
        Ok(())
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
        replace(path, bytes).map_err(|error| DirectoryError::Io { path: path.to_owned(), error })
    }
}

/// Writes a file aside, syncs it and gives it its name.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let written = std::fs::File::create(&aside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&aside, path));
    if let Err(error) = written {
        // A part of a file serves nobody, least of all on a full disk.
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
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
    fn what_cannot_be_written_leaves_no_part_behind() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"bytes").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

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
