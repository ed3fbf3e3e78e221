//! Whatever happens in whatever order: nobody reads another's mark, and nobody loses
//! their own.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tenancy::Tenant;
use tenancy::pool::CheckoutError;

use crate::util::{World, id, mark, marks};

const TENANTS: usize = 4;

/// What is done next, and for which of the tenants.
#[derive(Debug, Clone, Copy)]
enum Op {
    Write(usize),
    Read(usize),
    /// A write in a transaction that is left open when the connection goes back.
    Abandon(usize),
    /// The first is current; whatever is tried for the second must be refused.
    Meddle(usize, usize),
    /// Two connections of two tenants at once, by a switch.
    Cross(usize, usize),
    Suspend(usize),
    Recreate(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let tenant = || 0..TENANTS;
    let op = prop_oneof![
        6 => tenant().prop_map(Op::Write),
        4 => tenant().prop_map(Op::Read),
        2 => tenant().prop_map(Op::Abandon),
        2 => (tenant(), tenant()).prop_map(|(a, b)| Op::Meddle(a, b)),
        2 => (tenant(), tenant()).prop_map(|(a, b)| Op::Cross(a, b)),
        1 => tenant().prop_map(Op::Suspend),
        1 => tenant().prop_map(Op::Recreate),
    ];
    vec(op, 1..40)
}

/// The world, and what every tenant must hold.
struct Model {
    world: World,
    holds: BTreeMap<usize, Vec<String>>,
    written: usize,
}

fn name(tenant: usize) -> String {
    format!("t{tenant}")
}

impl Model {
    fn new() -> Self {
        let world = World::new();
        for tenant in 0..TENANTS {
            world.made(&name(tenant));
        }
        Self {
            world,
            holds: BTreeMap::new(),
            written: 0,
        }
    }

    /// The tenant as a request finds it; an operator finds those that are suspended.
    fn handle(&self, tenant: usize) -> Tenant {
        let host = format!("{}.app.test", name(tenant));
        match self.world.ask(&host) {
            Ok(Some(found)) => found,
            _ => self.world.tenant(&id(&name(tenant))).expect("it is there"),
        }
    }

    fn next_mark(&mut self, tenant: usize) -> String {
        self.written += 1;
        let text = format!("{} of {}", self.written, name(tenant));
        self.holds.entry(tenant).or_default().push(text.clone());
        text
    }

    fn expected(&self, tenant: usize) -> Vec<String> {
        let mut marks = self.holds.get(&tenant).cloned().unwrap_or_default();
        marks.sort();
        marks
    }

    fn check_marks(&self, tenant: usize) {
        let handle = self.handle(tenant);
        let scope = handle.enter().expect("nobody is current");
        let connection = self.world.checkout_current().expect("a connection");
        assert_eq!(
            marks(&connection),
            self.expected(tenant),
            "{}",
            name(tenant)
        );
        drop(scope);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Write(tenant) => {
                let handle = self.handle(tenant);
                let text = self.next_mark(tenant);
                let connection = self.world.checkout(&handle).expect("a connection");
                mark(&connection, &text);
            }
            Op::Read(tenant) => self.check_marks(tenant),
            Op::Abandon(tenant) => {
                let connection = self
                    .world
                    .checkout(&self.handle(tenant))
                    .expect("a connection");
                connection
                    .execute_batch("BEGIN IMMEDIATE")
                    .expect("a transaction");
                mark(&connection, "never committed");
            }
            Op::Meddle(current, other) => self.meddle(current, other),
            Op::Cross(outer, inner) => self.cross(outer, inner),
            Op::Suspend(tenant) => {
                let id = id(&name(tenant));
                let change = self.world.suspend(&id).or_else(|_| self.world.resume(&id));
                change.expect("it is one or the other");
            }
            Op::Recreate(tenant) => {
                let old = self.handle(tenant);
                self.world
                    .destroy(old.id(), Duration::ZERO)
                    .expect("nothing is out");
                self.world.made(&name(tenant));
                self.holds.remove(&tenant);
                self.world
                    .checkout(&old)
                    .expect_err("an earlier incarnation");
            }
        }
    }

    fn meddle(&self, current: usize, other: usize) {
        if current == other {
            return;
        }
        let (mine, theirs) = (self.handle(current), self.handle(other));
        let scope = mine.enter().expect("nobody is current");
        theirs.enter().expect_err("another is current");
        let refused = self
            .world
            .checkout(&theirs)
            .expect_err("another is current");
        assert!(
            matches!(refused, CheckoutError::OtherTenant { .. }),
            "{refused}"
        );
        let connection = self.world.checkout_current().expect("my own");
        for file in self.world.files() {
            let attach = format!("ATTACH '{}' AS theirs", file.display());
            connection
                .execute_batch(&attach)
                .expect_err("no other file");
        }
        drop(scope);
    }

    fn cross(&mut self, outer: usize, inner: usize) {
        let (first, second) = (self.handle(outer), self.handle(inner));
        let texts = [self.next_mark(outer), self.next_mark(inner)];
        let scope = first.enter().expect("nobody is current");
        let held = self.world.checkout_current().expect("a connection");
        let crossing = second.switch();
        let connection = self.world.checkout_current().expect("a connection");
        mark(&connection, &texts[1]);
        drop(crossing);
        mark(&held, &texts[0]);
        assert_eq!(Tenant::current(), Some(first));
        drop(scope);
    }
}

fn check(ops: &[Op]) {
    let mut model = Model::new();
    for op in ops {
        model.apply(*op);
        assert_eq!(Tenant::current(), None, "after {op:?}");
    }
    for tenant in 0..TENANTS {
        model.check_marks(tenant);
    }
    // And by connections that were never in the pools.
    let model = Model {
        world: model.world.restart(),
        ..model
    };
    for tenant in 0..TENANTS {
        model.check_marks(tenant);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn nobody_reads_anothers_mark_whatever_the_order(ops in ops()) {
        check(&ops);
    }

    #[test]
    fn nobody_reads_anothers_mark_from_several_threads(lists in vec(ops(), 3)) {
        threads(&lists);
    }
}

/// Several threads write and read at once: every mark that a thread finds in a tenant
/// is that tenant's, and at the end all are there.
fn threads(lists: &[Vec<Op>]) {
    let world = World::new();
    let handles: Vec<_> = (0..TENANTS)
        .map(|tenant| world.made(&name(tenant)))
        .collect();
    let work = |thread: usize, list: &[Op]| {
        let mut written = Vec::new();
        for (at, op) in list.iter().enumerate() {
            let (Op::Write(tenant)
            | Op::Read(tenant)
            | Op::Abandon(tenant)
            | Op::Meddle(tenant, _)
            | Op::Cross(tenant, _)
            | Op::Suspend(tenant)
            | Op::Recreate(tenant)) = *op;
            let scope = handles[tenant]
                .enter()
                .expect("nobody is current on this thread");
            let connection = world.checkout_current().expect("a connection");
            if !matches!(op, Op::Read(_)) {
                let text = format!("{} {thread} {at}", name(tenant));
                mark(&connection, &text);
                written.push(text);
            }
            let own = format!("{} ", name(tenant));
            let found = marks(&connection);
            assert!(
                found.iter().all(|mark| mark.starts_with(&own)),
                "{own}: {found:?}"
            );
            drop(scope);
        }
        written
    };
    let mut written: Vec<String> = std::thread::scope(|scope| {
        let work = &work;
        let all = lists.iter().enumerate();
        let all: Vec<_> = all
            .map(|(at, list)| scope.spawn(move || work(at, list)))
            .collect();
        all.into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let mut found = Vec::new();
    for handle in &handles {
        found.extend(marks(&world.checkout(handle).expect("a connection")));
    }
    written.sort();
    found.sort();
    assert_eq!(found, written);
}
