//! Scenarios of seats and the futures that wait for them.

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use shuttle::rand::{Rng, thread_rng};

use super::*;
use crate::mailbox::Mailbox;
use crate::sync::Moment;
use crate::{Seat, SeatFuture};

/// A waker of the thread that runs a future.
struct Parked(Mailbox<()>);

impl Parked {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mailbox::new()))
    }

    fn park(&self) {
        self.0.wait_until(Moment::never());
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.put(());
        self.0.wake();
    }
}

type Seated = Result<Seat<Counted>, CheckoutError<std::io::Error>>;

fn poll(future: &mut SeatFuture<Counted>, parked: &Arc<Parked>) -> Poll<Seated> {
    let waker = Waker::from(parked.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Polls until it is done, with another waker each time, and sometimes spuriously.
fn wait(mut future: SeatFuture<Counted>) -> Seated {
    loop {
        let parked = Parked::new();
        if let Poll::Ready(seated) = poll(&mut future, &parked) {
            return seated;
        }
        if thread_rng().gen_bool(0.75) {
            parked.park();
        }
    }
}

impl World {
    /// Waits for a seat and opens it, or not.
    fn use_seat(&self, id: &str, timeout: Duration, opens: bool) {
        let seated = wait(self.pools.seat_async_timeout(&tenant(id, 1), timeout));
        match seated {
            Ok(seat) if opens => match seat.open() {
                Ok(_out) => thread::yield_now(),
                Err(CheckoutError::Connect { .. } | CheckoutError::Closed { .. }) => {}
                Err(other) => panic!("{other}"),
            },
            Ok(_unopened) => thread::yield_now(),
            Err(CheckoutError::Timeout { .. }) if timeout < NEVER => {}
            Err(CheckoutError::Closed { .. } | CheckoutError::Backoff { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Drops the future after a number of polls, or its result.
    fn cancel(&self, id: &str, polls: u32) {
        let mut future = self.pools.seat_async_timeout(&tenant(id, 1), NEVER);
        let parked = Parked::new();
        for _ in 0..polls {
            if poll(&mut future, &parked).is_ready() {
                break;
            }
            thread::yield_now();
        }
    }

    /// Checks that only deferred closes are left, which the next reap does.
    fn check_idle_once_reaped(&self) {
        self.pools.reap();
        self.check_idle();
    }
}

/// Starts threads that each wait for a seat, and open it or not.
fn seats(
    world: &Arc<World>,
    users: &[(&'static str, Duration, bool)],
) -> Vec<thread::JoinHandle<()>> {
    let user = |&(id, timeout, opens): &(&'static str, Duration, bool)| {
        world.spawn(move |world| world.use_seat(id, timeout, opens))
    };
    users.iter().map(user).collect()
}

#[test]
fn shuttle_tasks_and_threads_serve_each_other() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = seats(&world, &[("a", NEVER, true), ("a", NEVER, true)]);
        threads.extend(users(&world, &[("a", NEVER, 2)]));
        all(threads);
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_an_unopened_seat_serves_the_next() {
    check(|| {
        let world = World::new(1, 1, Duration::ZERO, 0);
        let who = [("a", NEVER, false), ("b", NEVER, false), ("b", NEVER, true)];
        let mut threads = seats(&world, &who);
        threads.extend(users(&world, &[("a", NEVER, 1)]));
        all(threads);
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_a_wait_cancelled_at_any_poll_strands_no_waiter() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 1), ("b", NEVER, 1)]);
        for (id, polls) in [("a", 1), ("b", 2), ("a", 3)] {
            threads.push(world.spawn(move |world| world.cancel(id, polls)));
        }
        threads.extend(seats(&world, &[("a", NEVER, true)]));
        all(threads);
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_a_grant_that_races_with_the_deadline_is_not_lost() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let who = [("a", SOON, true), ("b", SOON, true), ("a", NEVER, true)];
        let mut threads = seats(&world, &who);
        threads.extend(users(&world, &[("a", SOON, 1), ("b", NEVER, 1)]));
        all(threads);
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_a_failed_open_of_a_seat_wakes_the_next() {
    check(|| {
        let world = World::new(1, 1, SOON, 2);
        let who = [("a", NEVER, true), ("a", NEVER, true), ("b", NEVER, true)];
        all(seats(&world, &who));
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_close_ends_waits_and_leaves_no_connection() {
    check(|| {
        let world = World::new(2, 1, SOON, 0);
        let who = [("a", NEVER, true), ("a", NEVER, false), ("b", NEVER, false)];
        let mut threads = seats(&world, &who);
        threads.push(world.spawn(|world| world.cancel("a", 2)));
        threads.push(world.spawn(|world| {
            let id = tenant("a", 1).id().clone();
            world.pools.close(&id, NEVER).expect("it ends");
            assert!(
                world
                    .pools
                    .tenant_stats(&id)
                    .is_some_and(|of| of.idle + of.closing == 0)
            );
        }));
        all(threads);
        world.check_idle_once_reaped();
    });
}

#[test]
fn shuttle_close_all_closes_the_connections_of_seats() {
    check(|| {
        let world = World::new(2, 1, SOON, 0);
        let mut threads = seats(&world, &[("a", NEVER, false), ("b", NEVER, true)]);
        threads.push(world.spawn(|world| world.cancel("b", 1)));
        threads.push(world.spawn(|world| {
            world.pools.close_all(NEVER).expect("it ends");
            assert_eq!(world.driver.live.load(Ordering::SeqCst), 0);
        }));
        all(threads);
        world.check_idle();
    });
}

#[test]
fn shuttle_a_future_wakes_the_task_that_polled_it_last() {
    check(|| {
        let world = World::new(1, 1, SOON, 0);
        let mut threads = users(&world, &[("a", NEVER, 2)]);
        threads.push(world.spawn(|world| {
            let mut future = world.pools.seat_async_timeout(&tenant("a", 1), NEVER);
            let first = Parked::new();
            if let Poll::Ready(seat) = poll(&mut future, &first) {
                return drop(seat.expect("a seat").open().expect("a connection"));
            }
            let moved = thread::spawn(move || wait(future).expect("a seat"));
            drop(
                moved
                    .join()
                    .expect("no panic")
                    .open()
                    .expect("a connection"),
            );
        }));
        all(threads);
        world.check_idle_once_reaped();
    });
}
