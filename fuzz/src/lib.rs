//! What the fuzz targets check. Each module has one `check(data)`, which panics when a
//! promise is broken; libFuzzer, the committed seeds and proptest feed the same function.

use std::ffi::OsStr;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io};

pub mod grammar;
pub mod host;
pub mod path;
pub mod resolve;
pub mod smoke;
pub mod tenant_id;
pub mod world;

/// The whole of a target on the stable toolchain. It checks the files that are named as
/// arguments, or else the committed seeds of `target`; a directory stands for the files
/// in it. With `--seconds N` first, it then mutates them for so long.
pub fn replay(target: &str, check: fn(&[u8])) -> ExitCode {
    match try_replay(target, check) {
        Ok(report) => {
            println!("{target}: {report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{target}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn try_replay(target: &str, check: fn(&[u8])) -> Result<String, String> {
    let mut args = env::args_os().skip(1).peekable();
    let mut time = Duration::ZERO;
    if args.next_if(|arg| arg == "--seconds").is_some() {
        let seconds = args.next().and_then(|arg| arg.to_str()?.parse().ok());
        time = Duration::from_secs(seconds.ok_or("--seconds needs a number")?);
    }
    let mut named: Vec<PathBuf> = args.map(PathBuf::from).collect();
    if named.is_empty() {
        named.push(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("seeds")
                .join(target),
        );
    }
    let mut inputs = Vec::new();
    for path in &named {
        for file in files(path).map_err(|e| format!("{}: {e}", path.display()))? {
            let data = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            // The panic's own message was printed by the hook.
            let failed = |_| format!("the check failed on {}", file.display());
            catch_unwind(|| check(&data)).map_err(failed)?;
            inputs.push(data);
        }
    }
    if inputs.is_empty() {
        return Err(format!("no input was found in {named:?}"));
    }
    let failed = |input: Vec<u8>| format!("the check failed on b\"{}\"", input.escape_ascii());
    let more = match time {
        Duration::ZERO => 0,
        time => smoke::run(&inputs, check, time).map_err(failed)?,
    };
    Ok(format!(
        "{} inputs and {more} made from them checked",
        inputs.len()
    ))
}

/// The file itself, or what lies in the directory, by name.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let name = file.file_name().and_then(OsStr::to_str);
        if name.is_some_and(|name| !name.starts_with('.')) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
