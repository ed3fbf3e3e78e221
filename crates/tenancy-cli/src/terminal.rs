//! Questions and warnings on stderr.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use tenancy::event::{Event, Observer, Observing};

use crate::args::Global;
use crate::failure::{Failure, complain};

/// Prints warnings of the library until the guard is dropped: a file system without a journal, and,
/// on a terminal, each lock that the process waits for.
pub fn notes(global: &Global) -> Option<Observing> {
    struct Notes {
        of_waits: bool,
    }
    impl Observer for Notes {
        fn observe(&self, event: &Event<'_>) {
            match event {
                Event::LockWait { path, by } if self.of_waits => complain_of_wait(path, by),
                Event::NoJournal { path } => complain(format_args!(
                    "warning: {} is on ext4 without a journal: a power failure may damage tenants' files, \
                     and put rows of one tenant into the file of another",
                    path.display()
                )),
                _ => {}
            }
        }
    }
    let of_waits = io::stderr().is_terminal();
    let is_seen = !global.quiet && (of_waits || !global.json);
    is_seen.then(|| tenancy::event::observe(Arc::new(Notes { of_waits })))
}

fn complain_of_wait(path: &Path, by: &[u32]) {
    let by: Vec<_> = by.iter().map(u32::to_string).collect();
    let by = match &by[..] {
        [] => "another process".to_owned(),
        by => format!("process {}", by.join(", ")),
    };
    complain(format_args!(
        "waiting for {by}, which has {} locked",
        path.display()
    ));
}

/// Returns whether questions can be asked: whether stdin and stderr are both a terminal.
pub fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question, and returns the trimmed answer.
pub fn ask(question: &str) -> Result<String, Failure> {
    let mut err = io::stderr().lock();
    write!(err, "{question} ")?;
    err.flush()?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        writeln!(err)?;
        return Err(Failure::refused("no answer; nothing was changed"));
    }
    Ok(answer.trim().to_owned())
}

/// Asks a question until the answer is valid. Prints the error of each invalid answer.
pub fn ask_until<T>(
    question: &str,
    accept: impl Fn(&str) -> Result<T, Failure>,
) -> Result<T, Failure> {
    loop {
        match accept(&ask(question)?) {
            Ok(answer) => return Ok(answer),
            Err(problem) => problem.say(),
        }
    }
}

/// Asks a question, and returns whether the answer is yes. An empty answer is no.
pub fn ask_yes(question: &str) -> Result<bool, Failure> {
    let answer = ask(&format!("{question} [y/N]"))?.to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

/// Asks for confirmation, and returns an error without it. Without a terminal, returns an error
/// that names `--yes`.
pub fn confirm(what: &str) -> Result<(), Failure> {
    if !is_attended() {
        return Err(Failure::refused(format!(
            "{what}: give --yes to confirm this without a terminal; nothing was changed"
        )));
    }
    match ask_yes(&format!("{what}; continue?"))? {
        true => Ok(()),
        false => Err(Failure::refused("not confirmed; nothing was changed")),
    }
}
