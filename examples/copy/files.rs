//! The two files: checks before the first read, and a destination that appears complete or not at
//! all.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{ErrorKind, Seek};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Advice, access, fadvise};
use tempfile::{Builder, NamedTempFile};

use crate::direct::Named;
use crate::failure::Failure;

pub(crate) struct Source {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        // Checked before opening: opening a pipe would wait for its other end.
        let metadata = fs::metadata(path).map_err(Failure::at("read", path))?;
        refuse_special(path, &metadata)?;
        let file = File::open(path).map_err(Failure::at("read", path))?;
        // A hint to read further ahead. Not every file system supports it.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(Self {
            path: path.to_owned(),
            file,
            metadata,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.metadata.len()
    }

    pub(crate) fn as_read(&self, direct: bool) -> Named<'_> {
        Named::new(&self.path, &self.file, direct)
    }

    pub(crate) fn rewind(&self) -> Result<(), Failure> {
        (&self.file)
            .rewind()
            .map_err(Failure::at("read", &self.path))
    }
}

fn refuse_special(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    let path = path.display();
    if metadata.is_dir() {
        Err(Failure::new(format!("{path} is a directory, not a file")))
    } else if metadata.is_file() {
        Ok(())
    } else {
        Err(Failure::new(format!("{path} is not a regular file")))
    }
}

/// A temporary file beside the destination; removed if it is dropped before
/// [`finish`](Self::finish).
pub(crate) struct Destination {
    /// The final path. Symbolic links are resolved, so that they stay links.
    path: PathBuf,
    beside: NamedTempFile,
}

impl Destination {
    pub(crate) fn create(path: &Path, source: &Source) -> Result<Self, Failure> {
        let path = match fs::metadata(path) {
            Ok(metadata) => {
                refuse_same(path, &metadata, source)?;
                refuse_special(path, &metadata)?;
                access(path, Access::WRITE_OK)
                    .map_err(|error| Failure::at("write", path)(error.into()))?;
                fs::canonicalize(path).map_err(Failure::at("write", path))?
            }
            Err(error) if error.kind() != ErrorKind::NotFound || path.is_symlink() => {
                return Err(Failure::at("write", path)(error));
            }
            Err(_) => path.to_owned(),
        };
        let beside = Builder::new()
            .prefix(".copy-")
            .suffix(".part")
            .tempfile_in(directory_of(&path))
            .map_err(Failure::at("create a file beside", &path))?;
        Ok(Self { path, beside })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn as_written(&self, direct: bool) -> Named<'_> {
        Named::new(&self.path, self.file(), direct)
    }

    fn file(&self) -> &File {
        self.beside.as_file()
    }

    /// Opens the same file again, for reading from its start.
    pub(crate) fn reopen(&self) -> Result<File, Failure> {
        self.beside
            .reopen()
            .map_err(Failure::at("read back", &self.path))
    }

    /// Sets the source's permissions (without set-user-ID and similar bits, since the owner is not
    /// kept) and renames the file to its final name.
    pub(crate) fn finish(self, source: &Source, fsync: bool) -> Result<(), Failure> {
        let mode = Permissions::from_mode(source.metadata.mode() & 0o777);
        self.file()
            .set_permissions(mode)
            .map_err(Failure::at("set the permissions of", &self.path))?;
        if fsync {
            self.file()
                .sync_all()
                .map_err(Failure::at("sync", &self.path))?;
        }
        let Self { path, beside } = self;
        beside
            .persist(&path)
            .map_err(|error| Failure::at("rename to", &path)(error.error))?;
        if fsync {
            File::open(directory_of(&path))
                .and_then(|directory| directory.sync_all())
                .map_err(Failure::at("sync the directory of", &path))?;
        }
        Ok(())
    }
}

fn refuse_same(path: &Path, metadata: &Metadata, source: &Source) -> Result<(), Failure> {
    let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    if id(metadata) != id(&source.metadata) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} and {} are the same file",
        source.path.display(),
        path.display()
    )))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
