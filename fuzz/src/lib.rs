//! What the fuzz targets check. Each module has one `check(data)`, which panics when a
//! promise is broken; libFuzzer, the committed seeds and proptest feed the same function.

use std::ffi::OsStr;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

pub mod grammar;
pub mod tenant_id;

/// The whole of a target on the stable toolchain: checks the files named as
/// arguments, or else the committed seeds of `target`. A directory stands for the
/// files in it.
pub fn replay(target: &str, check: fn(&[u8])) -> ExitCode {
    let mut named: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if named.is_empty() {
        named.push(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("seeds")
                .join(target),
        );
    }
    match replay_all(&named, check) {
        Ok(0) => {
            eprintln!("{target}: no input was found in {named:?}");
            ExitCode::FAILURE
        }
        Ok(inputs) => {
            println!("{target}: {inputs} inputs checked");
            ExitCode::SUCCESS
        }
        Err((path, why)) => {
            eprintln!("{target}: {why} on {}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// How many inputs were checked, or the first that failed.
fn replay_all(named: &[PathBuf], check: fn(&[u8])) -> Result<usize, (PathBuf, String)> {
    let mut inputs = 0;
    for path in named {
        for file in files(path).map_err(|e| (path.clone(), e.to_string()))? {
            let data = fs::read(&file).map_err(|e| (file.clone(), e.to_string()))?;
            // The panic's own message was printed by the hook.
            catch_unwind(|| check(&data)).map_err(|_| (file, "the check failed".to_owned()))?;
            inputs += 1;
        }
    }
    Ok(inputs)
}

/// The file itself, or what lies in the directory, by name.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file
            .file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|n| !n.starts_with('.'))
        {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
