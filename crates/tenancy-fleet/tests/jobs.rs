//! Work on many items by some threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tenancy_fleet::{InvalidJobs, Jobs};

#[test]
fn a_number_of_jobs_out_of_bounds_is_refused() {
    for jobs in [0, 257, usize::MAX] {
        let error: InvalidJobs = Jobs::new(jobs).unwrap_err();
        assert_eq!(error.found, jobs);
        let text = format!("{jobs} jobs at a time are out of bounds; use 1 to 256");
        assert_eq!(error.to_string(), text);
    }
    assert!(Jobs::new(1).is_ok() && Jobs::new(256).is_ok());
}

#[test]
fn every_item_is_worked_on_once_and_at_most_as_many_at_a_time_as_there_are_jobs() {
    let items: Vec<usize> = (0..500).collect();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = |item: &usize| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        now.fetch_sub(1, Ordering::SeqCst);
        item * 2
    };
    let mut results = vec![None; items.len()];
    let mut largest = 0;
    let each = |some: Vec<(usize, usize)>| {
        // Meanwhile further results are ready.
        std::thread::sleep(Duration::from_millis(5));
        largest = largest.max(some.len());
        for (at, result) in some {
            assert_eq!(results[at].replace(result), None, "{at} twice");
        }
        Ok::<(), std::io::Error>(())
    };
    Jobs::new(3)
        .unwrap()
        .run(&items, || true, work, each)
        .unwrap();
    assert!(
        results
            .iter()
            .zip(&items)
            .all(|(r, item)| *r == Some(item * 2))
    );
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(largest, 64, "the most that one transaction records");
}

#[test]
fn after_an_error_of_the_receiver_no_work_is_begun() {
    let items: Vec<u32> = (0..10_000).collect();
    let (begun, handed) = (AtomicUsize::new(0), Mutex::new(0));
    let work = |_: &u32| {
        std::thread::sleep(std::time::Duration::from_micros(50));
        begun.fetch_add(1, Ordering::SeqCst)
    };
    let each = |some: Vec<(usize, usize)>| {
        *handed.lock().unwrap() += some.len();
        Err("full")
    };
    let failed = Jobs::new(4).unwrap().run(&items, || true, work, each);
    assert_eq!(failed, Err("full"));
    let begun = begun.load(Ordering::SeqCst);
    assert_eq!(*handed.lock().unwrap(), begun, "begun work is handed over");
    assert!(begun < items.len(), "{begun}");
}

#[test]
fn work_stops_when_it_may_not_proceed() {
    let items = [0; 100];
    let left = AtomicUsize::new(5);
    let proceed = || {
        let taken = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken)
            .is_ok()
    };
    let mut done = 0;
    let each = |some: Vec<(usize, i32)>| {
        done += some.len();
        Ok::<(), std::io::Error>(())
    };
    Jobs::new(2)
        .unwrap()
        .run(&items, proceed, |item| *item, each)
        .unwrap();
    assert_eq!(done, 5);
}
