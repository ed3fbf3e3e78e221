//! Making a tenant current: scopes, a bare thread-local, and tokio's task-local.
//!
//! A rival keeps an owned handle too, restores what was there before, and nothing else: no
//! refusal of another tenant, no guards dropped out of order, no panics.

use std::cell::RefCell;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use tenancy_core::Tenant;

thread_local! {
    static CURRENT: RefCell<Option<Tenant>> = const { RefCell::new(None) };
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

fn poll<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("these futures wait for nothing"),
    }
}

criterion_group!(benches, enter, current, attach);
criterion_main!(benches);
