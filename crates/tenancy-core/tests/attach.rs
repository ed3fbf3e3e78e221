//! [`Tenant::attach`]: current during every poll, on any executor, and never longer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tenancy_core::Tenant;

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

/// Remembers who was current when it was dropped.
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
fn tasks_of_tokio_keep_to_their_tenant_on_every_worker() {
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
fn tasks_of_smol_keep_to_their_tenant() {
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
            // Polled by nobody, by its own tenant, or by another (a switch).
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
fn a_panicking_poll_leaves_nobody_current() {
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

// The lint is right: this is what it warns of.
#[allow(clippy::await_holding_invalid_type)]
#[test]
fn a_scope_held_across_an_await_ends_with_the_poll() {
    let acme = tenant("acme");
    let mut future = Box::pin(acme.attach(async {
        let beta = tenant("beta").switch();
        poll_fn(|cx| match Tenant::current() {
            // The second poll starts as every poll: with acme.
            Some(current) if current.id().as_str() == "acme" => Poll::Ready(()),
            _ => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        drop(beta);
        Tenant::current()
    }));
    assert!(poll_once(future.as_mut()).is_pending());
    assert_eq!(Tenant::current(), None);
    assert_eq!(poll_once(future.as_mut()), Poll::Ready(Some(acme)));
    assert_eq!(Tenant::current(), None);
}

#[test]
fn a_poll_inside_another_tenants_scope_is_a_switch_and_is_seen() {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let switches = Switches::on_this_thread();
    let crossing = ("beta@1".to_owned(), "acme@1".to_owned());
    let mut future = Box::pin(acme.attach(stays(Some(acme.clone()), 2)));
    // By nobody and by its own tenant: no switch.
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
