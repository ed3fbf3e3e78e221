//! [`Settings`]: the limits and switches of a connection. Only Rust code can change them.

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};

/// All limits that SQLite has.
const LIMITS: [Limit; 13] = [
    Limit::SQLITE_LIMIT_LENGTH,
    Limit::SQLITE_LIMIT_SQL_LENGTH,
    Limit::SQLITE_LIMIT_COLUMN,
    Limit::SQLITE_LIMIT_EXPR_DEPTH,
    Limit::SQLITE_LIMIT_COMPOUND_SELECT,
    Limit::SQLITE_LIMIT_VDBE_OP,
    Limit::SQLITE_LIMIT_FUNCTION_ARG,
    Limit::SQLITE_LIMIT_ATTACHED,
    Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
    Limit::SQLITE_LIMIT_VARIABLE_NUMBER,
    Limit::SQLITE_LIMIT_TRIGGER_DEPTH,
    Limit::SQLITE_LIMIT_WORKER_THREADS,
    Limit::SQLITE_LIMIT_PARSER_DEPTH,
];

/// All switches that SQLite has. `SQLITE_DBCONFIG_FP_DIGITS` is a number, which rusqlite's
/// switches cannot set.
const SWITCHES: [DbConfig; 20] = [
    DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY,
    DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
    DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER,
    DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
    DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP,
    DbConfig::SQLITE_DBCONFIG_RESET_DATABASE,
    DbConfig::SQLITE_DBCONFIG_DEFENSIVE,
    DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA,
    DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE,
    DbConfig::SQLITE_DBCONFIG_DQS_DDL,
    DbConfig::SQLITE_DBCONFIG_DQS_DML,
    DbConfig::SQLITE_DBCONFIG_LEGACY_FILE_FORMAT,
    DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    DbConfig::SQLITE_DBCONFIG_STMT_SCANSTATUS,
    DbConfig::SQLITE_DBCONFIG_REVERSE_SCANORDER,
    DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE,
    DbConfig::SQLITE_DBCONFIG_ENABLE_COMMENTS,
];

/// The limits and switches that a connection had when it was opened, including changes by
/// `on_connect`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    limits: [i32; LIMITS.len()],
    switches: u32,
}

impl Settings {
    /// Reads the settings of a connection.
    pub(crate) fn of(connection: &Connection) -> Result<Self> {
        let mut limits = [0; LIMITS.len()];
        for (value, limit) in limits.iter_mut().zip(LIMITS) {
            *value = connection.limit(limit)?;
        }
        let mut switches = 0;
        for (bit, switch) in SWITCHES.into_iter().enumerate() {
            switches |= u32::from(connection.db_config(switch)?) << bit;
        }
        Ok(Self { limits, switches })
    }

    /// Returns whether the connection still has these settings.
    pub(crate) fn are_those_of(&self, connection: &Connection) -> bool {
        Self::of(connection).is_ok_and(|now| now == *self)
    }
}
