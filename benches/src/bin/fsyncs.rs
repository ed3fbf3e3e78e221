//! `fsyncs one|many|warm_pool N`: creates so many tenants through the facade, one after the
//! other, at once, or from a warm pool that is filled before, for `scripts/fsyncs` to count what waits for the disk.

use tenancy::sqlite::{Migration, Migrations, SqliteStorage};
use tenancy::{Rule, Tenancy, TenantSpec, Upkeep};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().ok_or("one, many or warm_pool")?;
    let count: usize = arguments.next().ok_or("how many")?.parse()?;
    let root = tempfile::tempdir()?;
    let notes = Migration::new("notes", "CREATE TABLE notes (text TEXT NOT NULL) STRICT");
    let mut storage = SqliteStorage::builder(root.path()).migrations(Migrations::new([notes])?);
    if how == "warm_pool" {
        storage = storage.warm_pool(count);
    }
    let tenancy = Tenancy::builder(storage.create()?).upkeep(Upkeep::Manual);
    let tenancy = tenancy.resolver(|r| r.rule(Rule::domain())).build()?;
    let spec = |n: usize| Ok(TenantSpec::new(format!("t{n}").parse()?));
    let specs: Vec<_> = (0..count)
        .map(spec)
        .collect::<Result<_, tenancy::catalog::InvalidTenantId>>()?;
    match how.as_str() {
        "one" | "warm_pool" => {
            // A hundred at most a round; as many as are wanted are ready then.
            (0..count.div_ceil(100)).for_each(|_| tenancy.maintain());
            for spec in specs {
                tenancy.create(spec)?;
            }
        }
        "many" => {
            for created in tenancy.create_many(&specs) {
                created?;
            }
        }
        other => return Err(format!("{other}: one, many or warm_pool").into()),
    }
    Ok(())
}
