//! What a child process of a test does; on its own it has no role and passes.

use crate::{
    bounds, crash, disk, fleet_crash, migrate, options_traced, owners, recover, retire, turn, undo,
    wal_bound, warm_pool_crash,
};

#[test]
fn plays_its_role() {
    let Some((role, arguments)) = crate::util::child::role() else {
        return;
    };
    match role.as_str() {
        "provision" => crash::provision_and_die(&arguments),
        "build" => options_traced::build(&arguments),
        "commit" => options_traced::commit(&arguments),
        "disk" => disk::work(&arguments),
        "migrate" => migrate::race(&arguments),
        "fleet" => fleet_crash::run_and_die(&arguments),
        "fleets" => fleet_crash::migrate_together(&arguments),
        "recover" => recover::recover_and_die(&arguments),
        "open" => crate::provision::open_and_say(&arguments),
        "upgrade" => crate::upgrade::open_and_die(&arguments),
        "warm_pool" => warm_pool_crash::fill_and_die(&arguments),
        "sign-ups" => warm_pool_crash::sign_up(&arguments),
        "runs" => undo::race(&arguments),
        "read" => wal_bound::read(&arguments),
        "owner" => owners::make_tenants(&arguments),
        "hold" => retire::hold(&arguments),
        "max_memory" => bounds::fill_the_memory(),
        "traffic" => turn::traffic(&arguments),
        _ => panic!("no role {role}"),
    }
}
