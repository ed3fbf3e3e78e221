//! `tenancy init`: the files of a new project.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use tenancy::Config;
use tenancy::sqlite::{SqliteStorage, StorageError};

use crate::args::Init;
use crate::failure::Failure;
use crate::output::Output;

/// The files to write. The config is the last one, so that the others exist if it exists.
const FILES: [(&str, &str); 3] = [
    ("migrations/0001_init.sql", include_str!("0001_init.sql")),
    (
        "migrations/0001_init.down.sql",
        include_str!("0001_init.down.sql"),
    ),
    (Config::FILE_NAME, include_str!("tenancy.toml")),
];
const IGNORED: &str = "/data/\n";

#[derive(Debug, Serialize)]
struct Made {
    written: Vec<String>,
    storage_root: String,
}

pub fn run(args: &Init, out: Output) -> Result<(), Failure> {
    let dir = args.dir.as_path();
    for (name, _) in FILES {
        if dir.join(name).exists() {
            let path = dir.join(name);
            return Err(Failure::refused(format!(
                "{} exists already; nothing was changed",
                path.display()
            )));
        }
    }
    let root = dir.join("data");
    make_dir(&dir.join("migrations"))?;
    make_root(&root)?;
    let mut written = Vec::new();
    // An existing .gitignore belongs to the project and is not changed.
    let ignore = dir.join(".gitignore");
    match ignore.exists() {
        true => out.note("note: .gitignore exists; add the line /data/ to it"),
        false => written.push(write(&ignore, IGNORED)?),
    }
    for (name, text) in FILES {
        written.push(write(&dir.join(name), text)?);
    }
    let storage_root = root.display().to_string();
    out.record(&Made {
        written,
        storage_root,
    })?;
    out.note("next: tenancy create acme, then tenancy resolve http://acme.localhost/");
    Ok(())
}

/// Creates a directory if it does not exist.
fn make_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .map_err(|cause| Failure::file(path, "the directory cannot be created", &cause))
}

/// Creates the storage root if it does not exist.
fn make_root(root: &Path) -> Result<(), Failure> {
    match SqliteStorage::create(root) {
        Ok(_) | Err(StorageError::RootExists { .. }) => Ok(()),
        Err(error) => Err(Failure::Usage(error.into())),
    }
}

fn write(path: &Path, text: &str) -> Result<String, Failure> {
    let new = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let done = new.and_then(|mut file| file.write_all(text.as_bytes()));
    done.map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => Failure::refused(format!(
            "{} exists already; it was not changed",
            path.display()
        )),
        _ => Failure::file(path, "cannot be written", &cause),
    })?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_a_new_project_is_valid() {
        let (name, text) = FILES[FILES.len() - 1];
        let config = Config::parse(text, Path::new(name)).expect("a config");
        assert_eq!(config.storage.root, Path::new("data"));
        assert_eq!(config.resolve.subdomains_of, ["localhost"]);
    }
}
