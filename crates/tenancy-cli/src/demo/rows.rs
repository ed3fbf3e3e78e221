//! The second process of a demo, which prints every row in every tenant's file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use tenancy::Config;

use crate::failure::Failure;

/// Prints the rows of all files below the storage root, one per line: the tenant in the
/// file's stamp, the tenant of the row, the request's number.
///
/// The files are found and opened without the library, its catalog and its pools, as these are
/// under test.
pub fn print(dir: &Path) -> Result<(), Failure> {
    // Ctrl-C goes to both processes. This one ignores it, so that the first one gets all rows.
    ctrlc::set_handler(|| ()).map_err(|error| Failure::Refused(error.into()))?;
    let root = Config::load(dir.join(Config::FILE_NAME))?.storage.root;
    let mut out = BufWriter::new(io::stdout().lock());
    for path in databases(&root.join("tenants"))? {
        print_file(&path, &mut out)
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
    }
    out.flush()?;
    Ok(())
}

fn print_file(path: &Path, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    let holder: String =
        connection.query_row("SELECT tenant FROM _tenancy_stamp", [], |row| row.get(0))?;
    let mut visits = connection.prepare("SELECT tenant, number FROM visits")?;
    let mut rows = visits.query([])?;
    while let Some(row) = rows.next()? {
        let (tenant, number): (String, u32) = (row.get(0)?, row.get(1)?);
        writeln!(out, "{holder}\t{tenant}\t{number}")?;
    }
    Ok(())
}

/// Returns every `.db` file below a directory, in order.
fn databases(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(databases(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "db") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
