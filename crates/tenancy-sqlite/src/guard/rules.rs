//! The rules by which the authorizer allows or refuses the actions of a statement.

use rusqlite::Result;
use rusqlite::hooks::AuthAction;

use crate::guard::references::{REFERABLE, is_reserved};
use crate::refusal::{DenyRule, Refusal};

/// The pragmas that even trusted SQL may only read. The first four write values that this library
/// keeps in the file; the others hold for every connection of the process.
const NEVER_SET: [&str; 8] = [
    "application_id",
    "journal_mode",
    "schema_version",
    "user_version",
    "data_store_directory",
    "hard_heap_limit",
    "soft_heap_limit",
    "temp_store_directory",
];

/// The pragmas besides [`PRAGMAS`] whose value is an argument of an action, not a setting.
const ACTIONS: [&str; 2] = ["incremental_vacuum", "wal_checkpoint"];

const VIRTUAL_TABLES: [&str; 6] = ["fts3", "fts4", "fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Whether a pragma may carry a value.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    /// Its value is an argument of a query, not a setting.
    Any,
    /// Its value would be a setting that outlives the check-out.
    None,
}

/// The pragmas that SQL may use, if it is not trusted.
const PRAGMAS: [(&str, Value); 32] = [
    ("application_id", Value::None),
    ("auto_vacuum", Value::None),
    ("busy_timeout", Value::None),
    ("cache_size", Value::None),
    ("collation_list", Value::None),
    ("data_version", Value::None),
    // The setting is reset when the connection is returned, if no transaction has ended it.
    ("defer_foreign_keys", Value::Any),
    ("encoding", Value::None),
    ("foreign_key_check", Value::Any),
    ("foreign_key_list", Value::Any),
    ("foreign_keys", Value::None),
    ("freelist_count", Value::None),
    ("function_list", Value::None),
    ("index_info", Value::Any),
    ("index_list", Value::Any),
    ("index_xinfo", Value::Any),
    ("integrity_check", Value::Any),
    ("journal_mode", Value::None),
    ("max_page_count", Value::None),
    ("module_list", Value::None),
    ("optimize", Value::Any),
    ("page_count", Value::None),
    ("page_size", Value::None),
    ("pragma_list", Value::None),
    ("query_only", Value::None),
    ("quick_check", Value::Any),
    ("schema_version", Value::None),
    ("synchronous", Value::None),
    ("table_info", Value::Any),
    ("table_list", Value::Any),
    ("table_xinfo", Value::Any),
    ("user_version", Value::None),
];

/// The actions that the hardening of a connection exempts from the rules.
#[derive(Clone, Copy)]
pub(crate) struct Exempt {
    pub(crate) pragmas: bool,
    pub(crate) functions: bool,
}

/// The functions whose time or memory grows with the square of their arguments, within one step.
const COSTLY: [&str; 6] = [
    "json_patch",
    "jsonb_patch",
    "highlight",
    "snippet",
    "offsets",
    "matchinfo",
];

/// Allows or refuses an action.
pub(crate) fn authorize(
    purpose: Purpose,
    exempt: Exempt,
    action: &AuthAction<'_>,
) -> Result<(), Refusal> {
    use AuthAction as A;
    let refuse = |rule, what: String| Err(Refusal::new(rule, what));
    match *action {
        A::Attach { .. } => refuse(DenyRule::Attach, "ATTACH".into()),
        A::Detach { .. } => refuse(DenyRule::Attach, "DETACH".into()),
        A::Unknown { code, .. } => refuse(DenyRule::Unknown, format!("action {code}")),
        A::Function { function_name } if reaches_out(function_name) => {
            refuse(DenyRule::Function, format!("{function_name}()"))
        }
        A::Function { function_name } if !exempt.functions && is_in(&COSTLY, function_name) => {
            refuse(DenyRule::Cost, format!("{function_name}()"))
        }
        A::Transaction { .. } | A::Savepoint { .. } if purpose == Purpose::Migration => {
            refuse(DenyRule::Transaction, "transaction control".into())
        }
        A::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let is_free =
                exempt.pragmas && (pragma_value.is_none() || !is_in(&NEVER_SET, pragma_name));
            if is_free || pragma_is_allowed(pragma_name, pragma_value) {
                Ok(())
            } else {
                refuse(DenyRule::Pragma, format!("PRAGMA {pragma_name}"))
            }
        }
        A::CreateVtable {
            table_name,
            module_name,
        } => {
            if is_in(&VIRTUAL_TABLES, module_name) {
                refuse_reserved(table_name)
            } else {
                refuse(
                    DenyRule::VirtualTable,
                    format!("a virtual table of {module_name}"),
                )
            }
        }
        A::Read {
            table_name,
            column_name,
        } if purpose == Purpose::Tenant => refuse_read(table_name, column_name),
        _ => {
            let names = [named(action), written_table(action)];
            names.into_iter().flatten().try_for_each(refuse_reserved)
        }
    }
}

fn reaches_out(function: &str) -> bool {
    is_in(
        &["load_extension", "fts3_tokenizer", "sqlite_log"],
        function,
    )
}

fn is_in(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn pragma_is_allowed(name: &str, value: Option<&str>) -> bool {
    value_of(name).is_some_and(|may_carry| value.is_none() || may_carry == Value::Any)
}

fn value_of(name: &str) -> Option<Value> {
    let known = PRAGMAS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    known.map(|(_, may_carry)| *may_carry)
}

/// Returns whether a value of this pragma stays in effect after the statement.
pub(crate) fn is_setting(pragma: &str) -> bool {
    value_of(pragma) != Some(Value::Any) && !is_in(&ACTIONS, pragma)
}

fn refuse_reserved(name: &str) -> Result<(), Refusal> {
    match is_reserved(name) {
        true => Err(Refusal::new(
            DenyRule::Reserved,
            format!("writing {name:?}"),
        )),
        false => Ok(()),
    }
}

/// Refuses to read a table of the library. For `count(*)` the name of the read column is empty.
fn refuse_read(table: &str, column: &str) -> Result<(), Refusal> {
    let (users, id) = REFERABLE;
    let may = table.eq_ignore_ascii_case(users) && (column.is_empty() || column == id);
    if !is_reserved(table) || may {
        return Ok(());
    }
    let what = format!("reading {table:?}");
    Err(Refusal::new(DenyRule::Reserved, what))
}

/// Returns the name of an index or trigger that an action would create. A reserved name is refused
/// there, too, as an index keeps a table of the same name from being created.
fn named<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    use AuthAction as A;
    match *action {
        A::CreateIndex { index_name, .. } | A::CreateTempIndex { index_name, .. } => {
            Some(index_name)
        }
        A::CreateTrigger { trigger_name, .. } | A::CreateTempTrigger { trigger_name, .. } => {
            Some(trigger_name)
        }
        _ => None,
    }
}

/// Returns the table that an action would create, change or remove.
fn written_table<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    use AuthAction as A;
    match *action {
        A::Insert { table_name }
        | A::Delete { table_name }
        | A::Update { table_name, .. }
        | A::CreateTable { table_name }
        | A::CreateTempTable { table_name }
        | A::CreateIndex { table_name, .. }
        | A::CreateTempIndex { table_name, .. }
        | A::CreateTrigger { table_name, .. }
        | A::CreateTempTrigger { table_name, .. }
        | A::DropTable { table_name }
        | A::DropTempTable { table_name }
        | A::DropIndex { table_name, .. }
        | A::DropTempIndex { table_name, .. }
        | A::DropTrigger { table_name, .. }
        | A::DropTempTrigger { table_name, .. }
        | A::DropVtable { table_name, .. }
        | A::AlterTable { table_name, .. } => Some(table_name),
        A::CreateView { view_name }
        | A::CreateTempView { view_name }
        | A::DropView { view_name }
        | A::DropTempView { view_name } => Some(view_name),
        _ => None,
    }
}

/// The use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Checked out to the application.
    Tenant,
    /// Runs migration scripts.
    Migration,
}
