//! The failures that end a command, with their exit codes.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use tenancy::fleet::FleetError;

type BoxError = Box<dyn Error + Send + Sync>;

/// Prints a line on stderr. An error of the write is ignored, so that it does not change the exit
/// code.
pub fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The failure of a command.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or a wrong config: exit code 2.
    Usage(BoxError),
    /// A check failed or an operation was refused: exit code 1.
    Refused(BoxError),
    /// Some of several tenants failed: exit code 3. The report, already printed, names them.
    Partial(String),
    /// The request was refused: exit code 1. The answer is already printed.
    Answered,
    /// The reader of standard output closed it: exit code 0.
    PipeClosed,
}

impl Failure {
    /// Returns a failure for wrong usage, with this text.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into().into())
    }

    /// Returns a failure for a refused operation, with this text.
    pub fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into().into())
    }

    /// Returns a failure for a file that cannot be read or written. `what` is the fact.
    pub fn file(path: &std::path::Path, what: &str, cause: &io::Error) -> Self {
        Self::usage(format!("{}: {what}: {cause}", path.display()))
    }

    /// Prints the reason on one line, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        self.say();
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Partial(_) => ExitCode::from(3),
            Self::Refused(_) | Self::Answered => ExitCode::from(1),
            Self::PipeClosed => ExitCode::SUCCESS,
        }
    }

    /// Prints the reason on one line.
    pub fn say(&self) {
        match self {
            Self::Usage(error) | Self::Refused(error) => {
                complain(format_args!("error: {}", OneLine(&**error)));
            }
            Self::Partial(text) => complain(format_args!("error: {text}")),
            Self::Answered | Self::PipeClosed => {}
        }
    }
}

/// An error and its causes, as one line.
pub struct OneLine<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            let text = error.to_string();
            // Skips a cause whose text ends the text of the error before it.
            if !said.ends_with(&text) {
                said = if said.is_empty() {
                    text
                } else {
                    format!("{said}: {text}")
                };
            }
            next = error.source();
        }
        let words: Vec<_> = said.split(['\n', '\r']).map(str::trim).collect();
        f.write_str(&words.join(" "))
    }
}

impl From<tenancy::Error> for Failure {
    fn from(error: tenancy::Error) -> Self {
        use tenancy::Error;
        use tenancy::catalog::WriteError;
        use tenancy::sqlite::StorageError;
        match error {
            Error::Config(_)
            | Error::Resolver(_)
            | Error::Pools(_)
            | Error::Migrations(_)
            | Error::Seeds(_)
            | Error::Id(_)
            | Error::Domain(_)
            | Error::Status(_)
            | Error::Attributes(_)
            | Error::Storage(
                StorageError::NoRoot { .. }
                | StorageError::NotARoot { .. }
                | StorageError::NotADirectory { .. },
            )
            | Error::Write(WriteError::Attributes(_)) => Self::Usage(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<tenancy::config::ConfigError> for Failure {
    fn from(error: tenancy::config::ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::Refused(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_and_its_causes_make_one_line() {
        let cause = io::Error::other("disk\nfull");
        let error = tenancy::catalog::CatalogError::new(cause);
        assert_eq!(
            OneLine(&error).to_string(),
            "the catalog cannot be read; see the cause and try again: disk full"
        );
    }
}
