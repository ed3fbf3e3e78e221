//! [`Tenant::attach`]: current during every poll, on any executor, and never longer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tenancy_core::Tenant;
use tenancy_core::scope::detached;

use crate::scope::{Switches, tenant};
use crate::util::{Rng, env};

/// Pending `times` times, waking itself; asserts at every poll that `want` is current.
fn stays(want: Option<Tenant>, times: usize) -> impl Future<Output = usize> + Send {
    let mut left = times;
    poll_fn(move |cx| {
        assert_eq!(Tenant::current(), want);
        if left == 0 {
            return Poll::Ready(times);
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Records the current tenant when it is dropped.
struct Witness(Arc<Mutex<Option<Option<Tenant>>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = Some(Tenant::current());
    }
}

fn witness() -> (Witness, Arc<Mutex<Option<Option<Tenant>>>>) {
    let seen = Arc::new(Mutex::new(None));
    (Witness(seen.clone()), seen)
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Three tenants, one of them nested in another, and a task that spawns a task.
async fn story(acme: Tenant, beta: Tenant) {
    stays(Some(acme.clone()), 3).await;
    let inner = beta.clone();
    let nested = beta.attach(async move { stays(Some(inner), 2).await });
    assert_eq!(nested.await, 2);
    stays(Some(acme.clone()), 1).await;
    acme.run(|| assert_eq!(Tenant::current().as_ref(), Some(&acme)))
        .unwrap();
}

#[test]
fn tasks_of_tokio_keep_their_tenant_on_every_worker() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200)
            .map(|i| {
                let (acme, beta) = (tenant(&format!("a{i}")), tenant(&format!("b{i}")));
                let bare = tokio::spawn(stays(None, 3));
                let task = tokio::spawn(acme.clone().attach(async move {
                    story(acme.clone(), beta).await;
                    tokio::task::yield_now().await;
                    // A task inherits nothing unless it is attached.
                    tokio::spawn(stays(None, 1)).await.unwrap();
                    tokio::spawn(acme.attach(stays(Some(acme.clone()), 1)))
                        .await
                        .unwrap();
                    stays(Some(acme), 1).await
                }));
                (bare, task)
            })
            .collect();
        for (bare, task) in tasks {
            assert_eq!((bare.await.unwrap(), task.await.unwrap()), (3, 1));
        }
    });
}

#[test]
fn tasks_of_smol_keep_their_tenant() {
    let executor = Arc::new(smol::Executor::new());
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            std::thread::spawn(move || {
                let _ = smol::block_on(executor.run(stopped.recv()));
                assert_eq!(Tenant::current(), None);
            })
        })
        .collect();
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let (acme, beta) = (tenant(&format!("a{i}")), tenant(&format!("b{i}")));
            executor.spawn(acme.clone().attach(async move {
                story(acme.clone(), beta).await;
                smol::future::yield_now().await;
                stays(Some(acme), 2).await
            }))
        })
        .collect();
    smol::block_on(async {
        for task in tasks {
            assert_eq!(task.await, 2);
        }
    });
    drop(stop);
    for worker in workers {
        worker.join().unwrap();
    }
}

/// A hand-written executor: every poll of every task on whichever thread comes
/// first, tasks moved from one to the other, some dropped half-way.
#[test]
fn a_hand_written_executor_may_move_and_drop_futures() {
    type Task = (Tenant, Pin<Box<dyn Future<Output = ()> + Send>>);
    let seed = env("TENANCY_SEED", 1);
    println!("seed {seed}");
    let queue: Arc<Mutex<Vec<Task>>> = Arc::default();
    let mut witnesses = Vec::new();
    for i in 0..300 {
        let acme = tenant(&format!("a{i}"));
        let (witness, seen) = witness();
        let (inside, beta) = (acme.clone(), tenant("beta"));
        let future = acme.attach(async move {
            let _witness = witness;
            story(inside, beta).await;
        });
        queue.lock().unwrap().push((acme.clone(), Box::pin(future)));
        witnesses.push((acme, seen));
    }
    std::thread::scope(|threads| {
        for thread in 0..3 {
            let queue = &queue;
            threads.spawn(move || work(&mut Rng::new(seed ^ (thread << 32)), queue));
        }
    });
    for (acme, seen) in witnesses {
        assert_eq!(
            *seen.lock().unwrap(),
            Some(Some(acme)),
            "dropped outside its scope"
        );
    }

    fn work(rng: &mut Rng, queue: &Mutex<Vec<Task>>) {
        loop {
            let (acme, mut future) = {
                let mut queue = queue.lock().unwrap();
                match queue.len() {
                    0 => return,
                    n => queue.swap_remove(rng.below(n)),
                }
            };
            // Polled with no tenant current, with its tenant, or with another (a switch).
            let around = [None, Some(acme.clone()), Some(tenant("gamma"))];
            let around = rng.pick(&around).as_ref().map(Tenant::switch);
            let before = Tenant::current();
            if rng.chance(5) {
                drop(future);
            } else if poll_once(future.as_mut()).is_pending() {
                queue.lock().unwrap().push((acme, future));
            }
            assert_eq!(Tenant::current(), before);
            drop(around);
            assert_eq!(Tenant::current(), None);
        }
    }
}

#[test]
fn the_inner_future_is_dropped_inside_its_scope() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for polls in 0..3 {
        let (witness, seen) = witness();
        let mut future = Box::pin(acme.attach(async move {
            let _witness = witness;
            std::future::pending::<()>().await;
        }));
        for _ in 0..polls {
            assert!(poll_once(future.as_mut()).is_pending());
        }
        let _around = beta.enter().unwrap();
        drop(future);
        assert_eq!(
            *seen.lock().unwrap(),
            Some(Some(acme.clone())),
            "after {polls} polls"
        );
        assert_eq!(Tenant::current(), Some(beta.clone()));
    }
}

#[test]
fn a_panicking_poll_leaves_no_tenant_current() {
    let acme = tenant("acme");
    let (witness, seen) = witness();
    let mut future = Box::pin(acme.attach(async move {
        let _witness = witness;
        stays(Tenant::current(), 1).await;
        // A leaked scope and a panic: the poll's end takes both back.
        std::mem::forget(tenant("beta").switch());
        resume_unwind(Box::new(()));
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    assert_eq!(Tenant::current(), None);
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(future.as_mut()))).is_err());
    assert_eq!(Tenant::current(), None);
    drop(future);
    assert_eq!(Tenant::current(), None);
    // The panic dropped what the future held while acme was on the stack.
    let current = seen.lock().unwrap().clone();
    assert!(matches!(current, Some(Some(_))), "{current:?}");
}

/// Polls a future to its end in turns with `other`, on this thread.
fn in_turns<F: Future>(mut future: Pin<Box<F>>, mut other: impl FnMut()) -> F::Output {
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
        other();
    }
}

fn no_tenant_is_current() {
    assert_eq!(Tenant::current(), None);
}

// The lint is right: this is what it warns of. That it does is expected, so that its lines in
// `clippy.toml` are known to work.
#[expect(clippy::await_holding_invalid_type)]
#[test]
fn a_scope_over_an_await_stays_in_its_own_future() {
    let (acme, beta, gamma) = (tenant("acme"), tenant("beta"), tenant("gamma"));
    let (inner, innermost) = (beta.clone(), gamma.clone());
    let held = || async {
        let first = inner.switch();
        smol::future::yield_now().await;
        assert_eq!(Tenant::current().as_ref(), Some(&inner));
        let second = innermost.switch();
        smol::future::yield_now().await;
        // Both are back, in their order.
        assert_eq!(Tenant::current().as_ref(), Some(&innermost));
        drop(second);
        assert_eq!(Tenant::current().as_ref(), Some(&inner));
        smol::future::yield_now().await;
        drop(first);
        Tenant::current()
    };
    let attached = Box::pin(acme.attach(held()));
    assert_eq!(in_turns(attached, no_tenant_is_current), Some(acme));
    let detached = Box::pin(detached(held()));
    assert_eq!(in_turns(detached, no_tenant_is_current), None);
}

#[expect(clippy::await_holding_invalid_type)]
#[test]
fn values_of_a_parked_future_are_dropped_in_its_scope() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let (witness, seen) = witness();
    let mut future = Box::pin(acme.attach(async move {
        let _scope = beta.switch();
        let _witness = witness;
        std::future::pending::<()>().await;
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    drop(future);
    no_tenant_is_current();
    assert_eq!(*seen.lock().unwrap(), Some(Some(tenant("beta"))));
}

/// Where a future puts a scope for others to drop.
type Drawer = std::rc::Rc<std::cell::Cell<Option<tenancy_core::Scope>>>;

#[test]
fn a_scope_dropped_elsewhere_is_gone_at_the_next_poll() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let drawer = Drawer::default();
    let theirs = drawer.clone();
    let future = acme.attach(async move {
        theirs.set(Some(beta.switch()));
        smol::future::yield_now().await;
        let second = Tenant::current();
        smol::future::yield_now().await;
        (second, Tenant::current())
    });
    let mut turns = 0;
    let seen = in_turns(Box::pin(future), || {
        no_tenant_is_current();
        turns += 1;
        if turns == 2 {
            drawer.take();
        }
    });
    assert_eq!(seen, (Some(tenant("beta")), Some(acme)));
}

#[test]
fn a_scope_that_outlives_its_future_ends_with_it() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let mut future = Box::pin(acme.attach(async { beta.switch() }));
    let Poll::Ready(scope) = poll_once(future.as_mut()) else {
        panic!("it waits for nothing");
    };
    no_tenant_is_current();
    drop(future);
    let gamma = tenant("gamma").enter().unwrap();
    drop(scope);
    assert_eq!(Tenant::current(), Some(tenant("gamma")));
    drop(gamma);
    no_tenant_is_current();
}

#[test]
fn a_future_polled_on_another_thread_gets_nothing_back() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let mut future = Box::pin(acme.attach(async move {
        std::mem::forget(beta.switch());
        let mut seen = Vec::new();
        for _ in 0..3 {
            smol::future::yield_now().await;
            seen.push(Tenant::current());
        }
        seen
    }));
    for _ in 0..2 {
        assert!(poll_once(future.as_mut()).is_pending());
    }
    future = std::thread::spawn(move || {
        assert!(poll_once(future.as_mut()).is_pending());
        no_tenant_is_current();
        future
    })
    .join()
    .unwrap();
    let Poll::Ready(seen) = poll_once(future.as_mut()) else {
        panic!("it waits no longer");
    };
    // Nor does it when it is back on its first thread.
    assert_eq!(seen, [Some(tenant("beta")), Some(acme.clone()), Some(acme)]);
}

#[test]
fn anything_can_be_attached_and_polled() {
    let acme = tenant("acme");
    let (witness, seen) = witness();
    let mut body = Box::pin(acme.attach((witness, vec![1, 2])));
    assert_eq!(body.tenant(), Some(&acme));
    assert_eq!(body.get_ref().1, [1, 2]);
    for left in [2, 1] {
        let polled = body.as_mut().poll_with(|mut body| {
            assert_eq!(Tenant::current().as_ref(), Some(&acme));
            body.1.pop()
        });
        assert_eq!(polled, Some(left));
        no_tenant_is_current();
    }
    drop(body);
    assert_eq!(*seen.lock().unwrap(), Some(Some(acme)));
    assert_eq!(detached(()).tenant(), None);
}

#[test]
fn no_tenant_is_current_in_a_detached_future() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let switches = Switches::on_this_thread();
    let (witness, seen) = witness();
    let entered = beta.clone();
    let central = detached(async move {
        let _witness = witness;
        stays(None, 1).await;
        // Any tenant can be entered, as none is current.
        assert_eq!(entered.run(Tenant::current), Ok(Some(entered.clone())));
        entered.attach(stays(Some(entered.clone()), 1)).await;
        stays(None, 1).await;
        Tenant::current()
    });
    let _around = acme.enter().unwrap();
    let current = in_turns(Box::pin(central), || {
        assert_eq!(Tenant::current().as_ref(), Some(&acme));
    });
    assert_eq!(current, None);
    assert_eq!(*seen.lock().unwrap(), Some(None));
    assert_eq!(switches.take(), [], "nobody was crossed from");
}

#[test]
fn a_poll_inside_another_tenants_scope_is_a_switch_and_is_seen() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let switches = Switches::on_this_thread();
    let crossing = ("beta@1".to_owned(), "acme@1".to_owned());
    let mut future = Box::pin(acme.attach(stays(Some(acme.clone()), 2)));
    // With no tenant current or with its tenant: no switch.
    assert!(poll_once(future.as_mut()).is_pending());
    acme.run(|| assert!(poll_once(future.as_mut()).is_pending()))
        .unwrap();
    assert_eq!(switches.take(), []);
    beta.run(|| assert!(poll_once(future.as_mut()).is_ready()))
        .unwrap();
    assert_eq!(switches.take(), from_ref(&crossing));
    beta.run(|| drop(future)).unwrap();
    assert_eq!(switches.take(), [crossing]);
}

#[test]
fn nested_attaching_crosses_and_comes_back_at_every_poll() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let switches = Switches::on_this_thread();
    let inner = beta.attach(stays(Some(beta.clone()), 1));
    let mut future = Box::pin(acme.attach(async move {
        assert_eq!(inner.await, 1);
        Tenant::current()
    }));
    let crossing = ("acme@1".to_owned(), "beta@1".to_owned());
    assert!(poll_once(future.as_mut()).is_pending());
    assert_eq!(switches.take(), from_ref(&crossing));
    assert_eq!(poll_once(future.as_mut()), Poll::Ready(Some(acme)));
    // Once to poll it, once to drop it when the await was over.
    assert_eq!(switches.take(), [crossing.clone(), crossing]);
}

#[test]
fn waking_does_not_need_a_scope() {
    struct Note(Mutex<Vec<Option<Tenant>>>);
    impl Wake for Note {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(Tenant::current());
        }
    }
    let acme = tenant("acme");
    let note = Arc::new(Note(Mutex::default()));
    let waker = Waker::from(note.clone());
    let mut future = Box::pin(acme.attach(stays(Some(acme.clone()), 1)));
    let mut cx = Context::from_waker(&waker);
    assert!(future.as_mut().poll(&mut cx).is_pending());
    waker.wake();
    let woken = note.0.lock().unwrap().clone();
    assert_eq!(woken, [Some(acme), None]);
}
