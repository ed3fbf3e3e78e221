//! `allocations`: counts what a resolve allocates, over the mix and for every other outcome, and what
//! a scope does; and
//! `allocations memory [TENANTS]`: what the index holds for each name, beyond the tenant's record.

use std::alloc::System;
use std::env;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tenancy_benches::mix::{SEQUENCE, Spread, Text};
use tenancy_benches::rivals::Contender;
use tenancy_benches::world::World;
use tenancy_core::{Method, Reason, RequestHead, Resolver, Tenant};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), String> {
    let mut args = env::args().skip(1);
    match args.next().as_deref() {
        None => per_resolve(),
        Some("memory") => {
            let tenants = args.next().map_or(Ok(1_000_000), |n| n.parse());
            memory(tenants.map_err(|e| format!("TENANTS: {e}"))?);
        }
        Some(other) => return Err(format!("{other}: usage: allocations [memory [TENANTS]]")),
    }
    Ok(())
}

/// Prints `{"mix":…,"other_outcomes":…,"scope":…}`, allocations a resolve and a scope.
fn per_resolve() {
    let world = World::new(10_000);
    // A sync allocates, and is not what is counted.
    let hour = Duration::from_secs(3600);
    let resolver = world.resolver_with(world.catalog().clone(), |builder| {
        builder.poll_every(hour).max_staleness(hour)
    });
    let text = Text::draw(&world, Spread::Zipf, SEQUENCE / 8);
    let mix = text.requests();
    let region = Region::new(GLOBAL);
    for request in mix.requests() {
        black_box(resolver.answer(request));
    }
    let in_mix = region.change().allocations as f64 / mix.requests().len() as f64;
    let heads = outcomes();
    let region = Region::new(GLOBAL);
    for (head, reason) in &heads {
        assert_eq!(reason_of(&resolver, head), *reason, "{head:?}");
    }
    let others = region.change().allocations as f64 / heads.len() as f64;
    let scope = per_scope();
    println!("{{\"mix\":{in_mix},\"other_outcomes\":{others},\"scope\":{scope}}}");
}

/// Entering, switching, leaving, and polls of an attached future that keeps no scope.
fn per_scope() -> f64 {
    const TIMES: usize = 1000;
    let [acme, beta] = ["acme", "beta"].map(|id| {
        let tenant = Tenant::builder(id.parse().expect("four letters are an id"));
        tenant.build().expect("no attributes")
    });
    let mut attached = pin!(acme.attach(std::future::pending::<()>()));
    let mut once = || {
        let poll = || {
            let cx = &mut Context::from_waker(Waker::noop());
            let _ = black_box(attached.as_mut().poll(cx));
        };
        let scope = acme.enter().expect("nobody is current");
        Tenant::outside(|| beta.switch_to(poll));
        drop((beta.switch(), scope));
    };
    // The thread's stack itself.
    once();
    let region = Region::new(GLOBAL);
    (0..TIMES).for_each(|_| once());
    region.change().allocations as f64 / TIMES as f64
}

fn reason_of(resolver: &Resolver, head: &RequestHead<'_, '_>) -> Option<Reason> {
    black_box(resolver.resolve(head))
        .err()
        .map(|refused| refused.reason())
}

/// One request for each outcome that the mix does not have.
fn outcomes() -> Vec<(RequestHead<'static, 'static>, Option<Reason>)> {
    let get = |host: &'static str, target| RequestHead::new(Method::Get, target).host(host);
    vec![
        (get("app.example", "/orders"), None),
        (
            get("nobody.app.example", "/orders"),
            Some(Reason::UnknownTenant),
        ),
        (get("nobody.example", "/orders"), Some(Reason::NoTenant)),
        (get("a.b.app.example", "/orders"), Some(Reason::NoTenant)),
        (get("no_body.app.example", "/orders"), Some(Reason::BadHost)),
        (get("app.example", "/../orders"), Some(Reason::BadPath)),
    ]
}

/// Prints `{"names":…,"bytes_per_name":…}`. The resolver shares the records with the catalog,
/// so whatever it holds when it has read everything is its index.
fn memory(tenants: usize) {
    let world = World::new(tenants);
    let region = Region::new(GLOBAL);
    let resolver = world.resolver();
    let held = region.change();
    let bytes = held.bytes_allocated - held.bytes_deallocated;
    let names = world.names();
    let each = bytes as f64 / names as f64;
    println!("{{\"names\":{names},\"bytes_per_name\":{each:.1}}}");
    drop(resolver);
}
