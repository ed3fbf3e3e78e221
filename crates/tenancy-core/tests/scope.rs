//! [`Scope`]: random sequences against a model that is a list.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use tenancy_core::{Epoch, Event, Observing, OtherTenant, Scope, Tenant, observe};

use crate::util::{Rng, env};

pub fn tenant(id: &str) -> Tenant {
    Tenant::builder(id.parse().unwrap()).build().unwrap()
}

/// The switches that observers see on this thread, until it is dropped.
pub struct Switches {
    seen: Arc<Mutex<Vec<(String, String)>>>,
    _observing: Observing,
}

impl Switches {
    /// Counts only this thread's: others of the process run tests, too.
    pub fn on_this_thread() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let here = std::thread::current().id();
        let sink = seen.clone();
        let observer = move |event: &Event<'_>| {
            if let Event::Switched { from, to } = event
                && std::thread::current().id() == here
            {
                let pair = (from.to_ref().to_string(), to.to_ref().to_string());
                sink.lock().unwrap().push(pair);
            }
        };
        Self {
            seen,
            _observing: observe(Arc::new(observer)),
        }
    }

    /// What was seen since the last call.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// The scopes and their model: a list of the entered tenants, of which the last is current.
struct World {
    tenants: Vec<Tenant>,
    guards: Vec<(u64, Scope)>,
    model: Vec<(u64, usize)>,
    next: u64,
    switches: Switches,
    did: Vec<String>,
    counts: Counts,
}

#[derive(Default, Debug)]
struct Counts {
    entered: usize,
    refused: usize,
    switched: usize,
    dropped: usize,
    out_of_order: usize,
    forgotten: usize,
    runs: usize,
    panics: usize,
    threads: usize,
}

/// What a planted panic carries; `resume_unwind` prints nothing.
struct Planted;

impl World {
    fn new() -> Self {
        let acme = tenant("acme");
        let second = Epoch::FIRST.next();
        let reborn = acme.to_builder().epoch(second).build().unwrap();
        Self {
            tenants: vec![acme, reborn, tenant("beta"), tenant("gamma")],
            guards: Vec::new(),
            model: Vec::new(),
            next: 0,
            switches: Switches::on_this_thread(),
            did: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn current(&self) -> Option<usize> {
        self.model.last().map(|(_, who)| *who)
    }

    fn push(&mut self, who: usize) -> u64 {
        self.next += 1;
        self.model.push((self.next, who));
        self.next
    }

    #[track_caller]
    fn check(&self) {
        let want = self.current().map(|who| self.tenants[who].clone());
        assert_eq!(Tenant::current(), want, "after {:?}", self.did);
    }

    /// `what` crossed from the current tenant to `who`, and observers saw exactly that.
    #[track_caller]
    fn check_switch(&self, from: Option<usize>, who: usize) {
        let name = |who: usize| self.tenants[who].to_ref().to_string();
        let crossed = from.filter(|from| *from != who);
        let want: Vec<_> = crossed
            .map(|from| (name(from), name(who)))
            .into_iter()
            .collect();
        assert_eq!(self.switches.take(), want, "after {:?}", self.did);
    }

    #[track_caller]
    fn check_refusal(&self, who: usize, error: &OtherTenant) {
        let current = self.current().expect("nobody is current, yet refused");
        assert_eq!(error.wanted, self.tenants[who]);
        assert_eq!(error.current, self.tenants[current], "after {:?}", self.did);
    }

    fn may_enter(&self, who: usize) -> bool {
        self.current().is_none_or(|current| current == who)
    }

    fn enter(&mut self, who: usize) {
        match self.tenants[who].enter() {
            Ok(scope) => {
                assert!(self.may_enter(who), "entered after {:?}", self.did);
                self.counts.entered += 1;
                let key = self.push(who);
                self.guards.push((key, scope));
            }
            Err(error) => {
                assert!(!self.may_enter(who), "refused after {:?}", self.did);
                self.counts.refused += 1;
                self.check_refusal(who, &error);
            }
        }
    }

    fn switch(&mut self, who: usize) {
        let from = self.current();
        let scope = self.tenants[who].switch();
        self.check_switch(from, who);
        self.counts.switched += 1;
        let key = self.push(who);
        self.guards.push((key, scope));
    }

    fn drop_one(&mut self, at: usize) {
        let (key, scope) = self.guards.remove(at);
        self.counts.dropped += 1;
        if self.model.last().is_some_and(|(last, _)| *last > key) {
            self.counts.out_of_order += 1;
        }
        drop(scope);
        self.model.retain(|(other, _)| *other != key);
    }

    /// A guard that unwinding drops.
    fn guarded(&mut self, who: usize, rng: &mut Rng, depth: usize) {
        let planted = rng.chance(40);
        let mut key = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let from = self.current();
            let _scope = self.tenants[who].switch();
            self.check_switch(from, who);
            key = self.push(who);
            self.steps(rng, depth);
            if planted {
                resume_unwind(Box::new(Planted));
            }
        }));
        self.caught(outcome, planted);
        self.model.retain(|(other, _)| *other != key);
    }

    fn run(&mut self, who: usize, rng: &mut Rng, depth: usize) {
        if !self.may_enter(who) {
            let error = self.tenants[who].run(|| unreachable!()).unwrap_err();
            self.counts.refused += 1;
            return self.check_refusal(who, &error);
        }
        self.counts.runs += 1;
        let planted = rng.chance(40);
        let key = self.push(who);
        let tenant = self.tenants[who].clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let ran = tenant.run(|| {
                self.check();
                self.steps(rng, depth);
                if planted {
                    resume_unwind(Box::new(Planted));
                }
                7
            });
            assert_eq!(ran, Ok(7));
        }));
        self.caught(outcome, planted);
        // Whatever was left on it since is gone, leaked or not.
        self.model.retain(|(other, _)| *other < key);
    }

    fn caught(&mut self, outcome: std::thread::Result<()>, planted: bool) {
        match outcome {
            Ok(()) => assert!(!planted),
            Err(panic) if panic.is::<Planted>() => self.counts.panics += 1,
            Err(panic) => resume_unwind(panic),
        }
    }

    fn steps(&mut self, rng: &mut Rng, depth: usize) {
        for _ in 0..rng.below(8) {
            self.step(rng, depth + 1);
            self.check();
            assert_eq!(self.switches.take(), [], "after {:?}", self.did);
        }
    }

    fn step(&mut self, rng: &mut Rng, depth: usize) {
        let who = rng.below(self.tenants.len());
        let what = rng.below(100);
        self.did.push(format!("{depth}:{what}:{who}"));
        match what {
            0..25 => self.enter(who),
            25..40 => self.switch(who),
            40..65 if !self.guards.is_empty() => self.drop_one(rng.below(self.guards.len())),
            65..70 if !self.guards.is_empty() => {
                // It stays current until the `run` around it ends.
                let (_, scope) = self.guards.swap_remove(rng.below(self.guards.len()));
                std::mem::forget(scope);
                self.counts.forgotten += 1;
            }
            70..80 if depth < 4 => self.guarded(who, rng, depth),
            80..98 if depth < 4 => self.run(who, rng, depth),
            98..100 => {
                self.counts.threads += 1;
                let inherited = std::thread::spawn(Tenant::current).join().unwrap();
                assert_eq!(inherited, None, "after {:?}", self.did);
            }
            _ => {}
        }
    }
}

#[test]
fn scopes_behave_as_a_list_does() {
    let seed = env("TENANCY_SEED", 1);
    let sequences = env("TENANCY_SEQUENCES", 400);
    println!("seed {seed}, {sequences} sequences");
    let mut total = Counts::default();
    for sequence in 0..sequences {
        // A thread of its own: what one sequence leaks, the next does not see.
        let counts = std::thread::spawn(move || {
            let mut rng = Rng::new(seed ^ (sequence << 32));
            let mut world = World::new();
            for _ in 0..40 {
                world.step(&mut rng, 0);
                world.check();
            }
            world.counts
        });
        let counts = counts
            .join()
            .unwrap_or_else(|_| panic!("sequence {sequence}, seed {seed}"));
        total.add(&counts);
    }
    println!("{total:?}");
    total.assert_all_happened();
}

impl Counts {
    fn each(&self) -> [usize; 9] {
        [
            self.entered,
            self.refused,
            self.switched,
            self.dropped,
            self.out_of_order,
            self.forgotten,
            self.runs,
            self.panics,
            self.threads,
        ]
    }

    fn add(&mut self, other: &Self) {
        self.entered += other.entered;
        self.refused += other.refused;
        self.switched += other.switched;
        self.dropped += other.dropped;
        self.out_of_order += other.out_of_order;
        self.forgotten += other.forgotten;
        self.runs += other.runs;
        self.panics += other.panics;
        self.threads += other.threads;
    }

    fn assert_all_happened(&self) {
        assert!(self.each().iter().all(|count| *count > 100), "{self:?}");
    }
}

#[test]
fn entering_another_tenant_names_both_and_how_to_switch() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let reborn = acme
        .to_builder()
        .epoch(Epoch::FIRST.next())
        .build()
        .unwrap();
    let _scope = acme.enter().unwrap();
    for (wanted, want) in [
        (
            &beta,
            "tenant beta cannot be entered while acme is current; \
             drop that scope, or call `Tenant::switch` to cross on purpose",
        ),
        (
            &reborn,
            "tenant acme@2 cannot be entered while acme@1 is current; \
             drop that scope, or call `Tenant::switch` to cross on purpose",
        ),
    ] {
        assert_eq!(wanted.enter().unwrap_err().to_string(), want);
        assert_eq!(wanted.run(|| ()).unwrap_err().to_string(), want);
        assert_eq!(Tenant::current().as_ref(), Some(&acme));
    }
}

#[test]
fn the_newer_handle_of_the_same_incarnation_is_the_same_tenant() {
    let acme = tenant("acme");
    let suspended = acme
        .to_builder()
        .status(tenancy_core::TenantStatus::Suspended);
    let suspended = suspended.build().unwrap();
    let switches = Switches::on_this_thread();
    let _outer = acme.enter().unwrap();
    let inner = suspended.enter().unwrap();
    // The current handle is the one that was entered last.
    assert_eq!(Tenant::current().unwrap().status(), suspended.status());
    drop(inner);
    let _again = suspended.switch();
    assert_eq!(switches.take(), []);
}

#[test]
fn a_scope_may_outlive_the_run_it_was_entered_in() {
    let acme = tenant("acme");
    let scope = acme.run(|| acme.enter().unwrap()).unwrap();
    assert_eq!(Tenant::current(), None);
    let beta = tenant("beta").enter().unwrap();
    drop(scope);
    assert_eq!(Tenant::current(), Some(tenant("beta")));
    drop(beta);
    assert_eq!(Tenant::current(), None);
}

#[test]
fn outside_and_switch_to_restore_over_leaked_scopes() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let switches = Switches::on_this_thread();
    let scope = acme.enter().unwrap();
    let kept = Tenant::outside(|| {
        assert_eq!(Tenant::current(), None);
        std::mem::forget(beta.enter().unwrap());
        assert!(acme.enter().is_err(), "beta is current");
        beta.enter().unwrap()
    });
    assert_eq!(Tenant::current().as_ref(), Some(&acme));
    assert_eq!(switches.take(), []);
    beta.switch_to(|| {
        assert_eq!(Tenant::current().as_ref(), Some(&beta));
        std::mem::forget(tenant("gamma").switch());
    });
    let crossed = |from: &str, to: &str| (format!("{from}@1"), format!("{to}@1"));
    assert_eq!(
        switches.take(),
        [crossed("acme", "beta"), crossed("beta", "gamma")]
    );
    acme.switch_to(|| ());
    assert_eq!(switches.take(), []);
    // A guard that outlived its call ends nothing.
    drop(kept);
    assert_eq!(Tenant::current().as_ref(), Some(&acme));
    // One that is dropped inside ends where it was entered.
    beta.switch_to(|| drop(scope));
    assert_eq!(Tenant::current(), None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        beta.switch_to(|| Tenant::outside(|| resume_unwind(Box::new(Planted))))
    }));
    assert!(panicked.is_err());
    assert_eq!(Tenant::current(), None);
}

#[test]
fn an_observer_that_panics_or_switches_changes_nothing() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let here = std::thread::current().id();
    let gamma = tenant("gamma");
    let depth = Mutex::new(0);
    let observing = observe(Arc::new(move |_: &Event<'_>| {
        if std::thread::current().id() != here {
            return;
        }
        let first = {
            let mut depth = depth.lock().unwrap();
            *depth += 1;
            *depth == 1
        };
        if first {
            // Notified of this switch as well, without any lock held.
            drop(gamma.switch());
            resume_unwind(Box::new(Planted));
        }
    }));
    let _acme = acme.enter().unwrap();
    let scope = beta.switch();
    assert_eq!(Tenant::current(), Some(beta));
    drop(scope);
    drop(observing);
    assert_eq!(Tenant::current(), Some(acme));
}

#[test]
fn thread_pools_keep_nothing_between_jobs() {
    let acme = tenant("acme");
    let (send, jobs) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let worker = std::thread::spawn(move || {
        for job in jobs {
            assert_eq!(Tenant::current(), None);
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
        assert_eq!(Tenant::current(), None);
    });
    for round in 0..20 {
        let acme = acme.clone();
        let job = move || {
            let scope = acme.enter().unwrap();
            acme.run(|| assert_eq!(Tenant::current().as_ref(), Some(&acme)))
                .unwrap();
            if round % 2 == 0 {
                resume_unwind(Box::new(Planted));
            }
            drop(scope);
        };
        send.send(Box::new(job)).unwrap();
    }
    drop(send);
    worker.join().unwrap();
}
