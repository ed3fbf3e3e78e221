//! What the futures of one program share: the model, the dice, and what they hand over.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::Waker;

use tenancy_core::{Epoch, Event, Observing, Scope, Tenant, observe};

use super::counts::Counts;
use super::model::{Guard, Model, Who};
use crate::scope::tenant;
use crate::util::Rng;

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// The guards of this thread. Futures hold their numbers only, so that they can be sent
    /// to another thread, as they can when a guard was left in a thread-local.
    static DRAWER: RefCell<Vec<(Guard, Scope)>> = const { RefCell::new(Vec::new()) };
    /// The crossings that observers of this thread saw.
    static TOLD: RefCell<Vec<(Tenant, Tenant)>> = const { RefCell::new(Vec::new()) };
}

/// Hands the crossings of every thread to its [`World::check`], from now on.
pub fn listen() {
    static OBSERVING: OnceLock<Observing> = OnceLock::new();
    OBSERVING.get_or_init(|| {
        observe(Arc::new(|event: &Event<'_>| {
            if let Event::Switched { from, to } = event {
                TOLD.with_borrow_mut(|told| told.push(((*from).clone(), (*to).clone())));
            }
        }))
    });
}

pub fn tenants() -> Arc<[Tenant]> {
    let acme = tenant("acme");
    let second = Epoch::FIRST.next();
    let reborn = acme.to_builder().epoch(second).build().unwrap();
    Arc::new([acme, reborn, tenant("beta"), tenant("gamma")])
}

pub struct State {
    pub model: Model,
    rng: Rng,
    /// Guards that a future will drop.
    owned: Vec<Guard>,
    /// Parked futures that any task may take.
    pub handed: Vec<Task>,
    /// Futures that are to become tasks.
    pub spawned: Vec<Task>,
    pub wakers: Vec<Waker>,
    /// How many steps are left.
    steps: usize,
    did: Vec<(&'static str, Who)>,
    failure: Option<String>,
}

#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    pub tenants: Arc<[Tenant]>,
}

impl World {
    pub fn new(tenants: &Arc<[Tenant]>, threads: usize, seed: u64, steps: usize) -> Self {
        let state = State {
            model: Model::new(threads),
            rng: Rng::new(seed),
            owned: Vec::new(),
            handed: Vec::new(),
            spawned: Vec::new(),
            wakers: Vec::new(),
            steps,
            did: Vec::new(),
            failure: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            tenants: tenants.clone(),
        }
    }

    /// Never kept over a call of the library, nor over the drop of a future.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn below(&self, bound: usize) -> usize {
        self.lock().rng.below(bound)
    }

    pub fn chance(&self, percent: usize) -> bool {
        self.lock().rng.chance(percent)
    }

    pub fn who(&self) -> Who {
        self.below(self.tenants.len())
    }

    /// A tenant, or none.
    pub fn anyone(&self) -> Option<Who> {
        self.chance(70).then(|| self.who())
    }

    /// Whether there is one more step, of this name and with this tenant.
    pub fn step(&self, name: &'static str, who: Who) {
        let mut state = self.lock();
        state.did.push((name, who));
        state.steps = state.steps.saturating_sub(1);
    }

    pub fn is_over(&self) -> bool {
        self.lock().steps == 0
    }

    pub fn count(&self, what: impl FnOnce(&mut Counts) -> &mut usize) {
        *what(&mut self.lock().model.counts) += 1;
    }

    /// The current tenant and the crossings are those that the model says. A deviation
    /// is kept, not thrown: futures catch what is thrown, and drops must not.
    pub fn check(&self, at: &str) {
        let current = Tenant::current();
        let told = TOLD.take();
        let mut state = self.lock();
        let want = state.model.current().map(|who| &self.tenants[who]);
        let name = |tenant: Option<&Tenant>| tenant.map(|t| t.to_ref().to_string());
        if current.as_ref() != want {
            let (is, want) = (name(current.as_ref()), name(want));
            state.fail(format!("{at}: current is {is:?}, not {want:?}"));
        }
        let crossed = state.model.crossed();
        let pair = |(from, to): (Who, Who)| (self.tenants[from].clone(), self.tenants[to].clone());
        let crossed: Vec<_> = crossed.into_iter().map(pair).collect();
        if told != crossed {
            state.fail(format!("{at}: told of {told:?}, not of {crossed:?}"));
        }
    }

    /// One of those that wait to be woken.
    pub fn waker(&self) -> Option<Waker> {
        let mut state = self.lock();
        let waiting = state.wakers.len();
        let at = (waiting > 0).then(|| state.rng.below(waiting))?;
        Some(state.wakers.swap_remove(at))
    }

    pub fn fail(&self, text: String) {
        self.lock().fail(text);
    }

    pub fn failure(&self) -> Option<String> {
        self.lock().failure.take()
    }

    /// Puts a guard into the drawer of this thread, to be dropped with what is returned.
    pub fn hold(&self, guard: Guard, scope: Scope) -> Held {
        DRAWER.with_borrow_mut(|drawer| drawer.push((guard, scope)));
        self.own(guard)
    }

    fn own(&self, guard: Guard) -> Held {
        self.lock().owned.push(guard);
        Held {
            guard,
            given: false,
            world: self.clone(),
        }
    }

    /// One of this thread's guards that no future holds any more.
    pub fn take(&self) -> Option<Held> {
        let here: Vec<_> = DRAWER.with_borrow(|drawer| drawer.iter().map(|g| g.0).collect());
        let mut state = self.lock();
        let free: Vec<_> = here.iter().filter(|g| !state.owned.contains(g)).collect();
        let guard = match free.len() {
            0 => return None,
            n => *free[state.rng.below(n)],
        };
        drop(state);
        Some(self.own(guard))
    }

    /// Drops what is left in the drawer of this thread.
    pub fn empty_drawer(&self) {
        while let Some(held) = self.take() {
            drop(held);
        }
    }
}

impl State {
    fn fail(&mut self, text: String) {
        let did = &self.did;
        self.failure
            .get_or_insert_with(|| format!("{text}\nafter {did:?}"));
    }
}

/// A guard that goes when this is dropped, if it is on this thread.
pub struct Held {
    guard: Guard,
    given: bool,
    world: World,
}

impl Held {
    fn scope(&self) -> Option<Scope> {
        DRAWER.with_borrow_mut(|drawer| {
            let at = drawer.iter().position(|(guard, _)| *guard == self.guard)?;
            Some(drawer.swap_remove(at).1)
        })
    }

    /// Leaks the scope: it stays open.
    pub fn forget(self) {
        if let Some(scope) = self.scope() {
            std::mem::forget(scope);
        }
    }

    /// Leaves it to whichever future takes it.
    pub fn give(mut self) {
        self.given = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let scope = match self.given {
            true => None,
            false => self.scope(),
        };
        let is_here = scope.is_some();
        drop(scope);
        let mut state = self.world.lock();
        state.owned.retain(|owned| *owned != self.guard);
        if is_here {
            state.model.drop(self.guard);
        }
        drop(state);
        self.world.check("a guard was dropped");
    }
}
