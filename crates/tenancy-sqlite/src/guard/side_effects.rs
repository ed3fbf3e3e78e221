//! [`SideEffects`]: the changes that SQL leaves on its connection, as seen by the authorizer.

use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::hooks::AuthAction;

use crate::guard::rules::is_setting;

/// The side effects of the statements that were prepared on a connection since its check-out. A
/// statement that was prepared but never run counts, too.
#[derive(Debug, Default)]
pub(crate) struct SideEffects(AtomicU8);

/// An object of the `temp` database was created, changed or removed. Such an object exists until
/// the connection is closed, and hides an object of the file with the same name.
const TEMP: u8 = 1;
/// A PRAGMA changed a setting that stays in effect.
const SETTING: u8 = 2;
/// A table of the file was created or altered.
pub(crate) const TABLES: u8 = 4;
/// Foreign keys were deferred. This lasts until the end of the next transaction, which may belong
/// to the next check-out.
pub(crate) const DEFERRED: u8 = 8;

impl SideEffects {
    /// Notes the side effects of a statement.
    pub(crate) fn note(&self, action: &AuthAction<'_>, database: Option<&str>) {
        let effect = effect_of(action, database);
        if effect != 0 {
            self.0.fetch_or(effect, Ordering::Relaxed);
        }
    }

    /// Returns whether every side effect can be undone without closing the connection.
    pub(crate) fn are_harmless(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (TEMP | SETTING) == 0
    }

    /// Forgets these side effects, and returns whether one was noted.
    pub(crate) fn take(&self, effects: u8) -> bool {
        // Most check-outs have no side effects, and a load is cheaper than a write.
        self.0.load(Ordering::Relaxed) & effects != 0
            && self.0.fetch_and(!effects, Ordering::Relaxed) & effects != 0
    }
}

fn effect_of(action: &AuthAction<'_>, database: Option<&str>) -> u8 {
    use AuthAction as A;
    match *action {
        A::Read { .. } | A::Select | A::Recursive | A::Function { .. } => 0,
        A::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } => match pragma_name.eq_ignore_ascii_case("defer_foreign_keys") {
            true => DEFERRED,
            false if is_setting(pragma_name) => SETTING,
            false => 0,
        },
        A::Pragma { .. } => 0,
        // To rename a table of the file, SQLite also updates the triggers and views of `temp`.
        A::Update { table_name, .. } if table_name.starts_with("sqlite_temp_") => 0,
        A::AlterTable {
            database_name: "temp",
            ..
        } => TEMP,
        _ if database == Some("temp") => TEMP,
        A::CreateTable { .. } | A::AlterTable { .. } | A::CreateVtable { .. } => TABLES,
        _ => 0,
    }
}
