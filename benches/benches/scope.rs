//! Making a tenant current: scopes, a bare thread-local, and tokio's task-local.
//!
//! A rival keeps an owned handle too, restores what was there before, and nothing else: no
//! refusal of another tenant, no guards dropped out of order, no panics. The raw operation is
//! a push onto a `Vec` in a thread-local, and a pop.

use std::cell::RefCell;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use tenancy_core::Tenant;
use tenancy_core::scope::detached;

thread_local! {
    static CURRENT: RefCell<Option<Tenant>> = const { RefCell::new(None) };
    static RAW: RefCell<Vec<Tenant>> = const { RefCell::new(Vec::new()) };
}

tokio::task_local! {
    static TASK: Tenant;
}

fn acme() -> Tenant {
    let acme = Tenant::builder("acme".parse().expect("four letters are an id"));
    acme.build().expect("no attributes")
}

fn set(tenant: Option<Tenant>) -> Option<Tenant> {
    CURRENT.with(|current| current.replace(tenant))
}

fn get() -> Option<Tenant> {
    CURRENT.with(|current| current.borrow().clone())
}

fn push(tenant: &Tenant) {
    RAW.with_borrow_mut(|stack| stack.push(tenant.clone()));
}

fn pop() -> Option<Tenant> {
    RAW.with_borrow_mut(Vec::pop)
}

/// Into the scope and out of it again.
fn enter(c: &mut Criterion) {
    let acme = acme();
    let mut group = c.benchmark_group("scope/enter");
    group.bench_function("tenancy", |b| {
        b.iter(|| {
            let scope = black_box(&acme).enter().expect("nobody else is current");
            black_box(&scope);
        });
    });
    group.bench_function("raw", |b| {
        b.iter(|| {
            push(black_box(&acme));
            pop()
        });
    });
    group.bench_function("switch_to", |b| {
        b.iter(|| black_box(&acme).switch_to(|| black_box(())))
    });
    group.bench_function("outside", |b| b.iter(|| Tenant::outside(|| black_box(()))));
    group.bench_function("thread_local", |b| {
        b.iter(|| {
            let before = set(Some(black_box(&acme).clone()));
            black_box(&before);
            set(before);
        });
    });
    group.bench_function("task_local", |b| {
        b.iter(|| TASK.sync_scope(black_box(&acme).clone(), || black_box(())));
    });
}

/// Who is current, as an owned handle.
fn current(c: &mut Criterion) {
    let acme = acme();
    let mut group = c.benchmark_group("scope/current");
    group.bench_function("tenancy", |b| {
        let _scope = acme.enter().expect("nobody else is current");
        assert_eq!(Tenant::current().as_ref(), Some(&acme));
        b.iter(Tenant::current);
    });
    group.bench_function("thread_local", |b| {
        let before = set(Some(acme.clone()));
        assert_eq!(get().as_ref(), Some(&acme));
        b.iter(get);
        set(before);
    });
    group.bench_function("task_local", |b| {
        TASK.sync_scope(acme.clone(), || {
            assert_eq!(TASK.get(), acme);
            b.iter(|| TASK.get());
        });
    });
}

/// A future made for a tenant, polled once to its end, and dropped.
fn attach(c: &mut Criterion) {
    let acme = acme();
    let mut group = c.benchmark_group("scope/attach");
    group.bench_function("tenancy", |b| {
        b.iter(|| poll(acme.attach(async { Tenant::current() })));
        assert_eq!(
            poll(acme.attach(async { Tenant::current() })).as_ref(),
            Some(&acme)
        );
    });
    group.bench_function("thread_local", |b| {
        let run = || {
            let before = set(Some(acme.clone()));
            let current = poll(async { get() });
            set(before);
            current
        };
        assert_eq!(run().as_ref(), Some(&acme));
        b.iter(run);
    });
    group.bench_function("task_local", |b| {
        let run = || poll(TASK.scope(acme.clone(), async { TASK.get() }));
        assert_eq!(run(), acme);
        b.iter(run);
    });
}

/// One poll of an attached future: with no scope open at its end, and with one that is taken off
/// and comes back.
fn poll_attached(c: &mut Criterion) {
    let acme = acme();
    let mut group = c.benchmark_group("scope/poll");
    let forever = || std::future::pending::<()>();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut plain = pin!(acme.attach(forever()));
    group.bench_function("tenancy", |b| b.iter(|| plain.as_mut().poll(cx)));
    let mut nobodys = pin!(detached(forever()));
    group.bench_function("detached", |b| b.iter(|| nobodys.as_mut().poll(cx)));
    let scoped = acme.clone();
    let mut keeps = pin!(acme.attach(async move {
        std::mem::forget(scoped.enter());
        forever().await;
    }));
    group.bench_function("one_scope_kept", |b| b.iter(|| keeps.as_mut().poll(cx)));
    let mut bare = pin!(forever());
    group.bench_function("raw", |b| {
        b.iter(|| {
            push(&acme);
            let polled = bare.as_mut().poll(cx);
            pop();
            polled
        });
    });
    let mut task = pin!(TASK.scope(acme.clone(), forever()));
    group.bench_function("task_local", |b| b.iter(|| task.as_mut().poll(cx)));
}

fn poll<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("these futures wait for nothing"),
    }
}

criterion_group!(benches, enter, current, attach, poll_attached);
criterion_main!(benches);
