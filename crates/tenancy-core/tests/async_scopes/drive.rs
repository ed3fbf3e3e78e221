//! The executors that programs run on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Waker};

use smol::LocalExecutor;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::script::task;
use super::world::{Task, World};

/// Threads that do one thing at a time, in turns: which does what is the dice's.
pub struct Threads(Vec<(Sender<Job>, Receiver<()>)>);

type Job = Box<dyn FnOnce() + Send>;

impl Threads {
    pub fn new(threads: usize) -> Self {
        let start = |_| {
            let (send, jobs) = channel::<Job>();
            let (done, wait) = channel();
            std::thread::spawn(move || {
                for job in jobs {
                    let _ = catch_unwind(AssertUnwindSafe(job));
                    if done.send(()).is_err() {
                        return;
                    }
                }
            });
            (send, wait)
        };
        Self((0..threads).map(start).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len().max(1)
    }

    /// Does it on a thread, and waits for it. Without threads it is done here.
    fn on(&self, world: &World, thread: usize, job: impl FnOnce() + Send + 'static) {
        world.lock().model.thread = thread;
        let Some((send, done)) = self.0.get(thread) else {
            return job();
        };
        send.send(Box::new(job)).expect("it lives");
        done.recv().expect("it answers");
    }
}

/// A hand-written executor: polls any task, on any thread, woken or not, and drops some.
pub fn by_hand(world: &World, threads: &Threads) {
    let mut tasks = roots(world);
    while !tasks.is_empty() {
        let at = world.below(tasks.len());
        let (mut task, world_) = (tasks.swap_remove(at), world.clone());
        let (keep, kept) = channel();
        let drops = world.is_over() && world.chance(20) || world.chance(3);
        let job = move || {
            world_.check("nobody runs");
            match drops {
                true => drop(task),
                false if poll_inside(&world_, &mut task) => {}
                false => keep.send(task).expect("it is waited for"),
            }
            world_.check("nobody runs any more");
            assert!(world_.lock().model.is_outside());
        };
        threads.on(world, world.below(threads.len()), job);
        tasks.extend(kept.try_recv());
        tasks.append(&mut world.lock().spawned);
    }
    for thread in 0..threads.len() {
        let world_ = world.clone();
        threads.on(world, thread, move || finish(&world_));
    }
}

/// Sometimes a task is polled where a tenant is current.
fn poll_inside(world: &World, task: &mut Task) -> bool {
    let cx = &mut Context::from_waker(Waker::noop());
    if !world.chance(20) {
        return task.as_mut().poll(cx).is_ready();
    }
    let who = world.who();
    let frame = {
        let mut state = world.lock();
        let frame = state.model.frame(Some(who));
        state.model.begin(frame);
        frame
    };
    let ready = world.tenants[who].switch_to(|| task.as_mut().poll(cx).is_ready());
    world.lock().model.end(frame);
    ready
}

fn roots(world: &World) -> Vec<Task> {
    (0..1 + world.below(3)).map(|_| task(world)).collect()
}

/// Drops what no task has taken.
fn finish(world: &World) {
    while let Some(task) = { world.lock().handed.pop() } {
        drop(task);
    }
    world.empty_drawer();
    world.check("the program is over");
}

/// Wakes those that wait, in any order, and starts what was spawned, until all are done.
async fn keep_going<F: Future<Output = ()>>(
    world: &World,
    mut start: impl FnMut(Task),
    mut are_done: impl FnMut() -> bool,
    pause: impl Fn() -> F,
) {
    roots(world).into_iter().for_each(&mut start);
    while !are_done() {
        world.check("nobody runs");
        let spawned: Vec<_> = world.lock().spawned.drain(..).collect();
        spawned.into_iter().for_each(&mut start);
        if let Some(waker) = world.waker() {
            waker.wake();
        }
        pause().await;
    }
    world.lock().wakers.clear();
    finish(world);
}

/// Tasks of tokio, on one thread.
pub fn on_tokio(world: &World, runtime: &Runtime) {
    let local = LocalSet::new();
    let tasks = std::cell::RefCell::new(Vec::new());
    let done = keep_going(
        world,
        |task| tasks.borrow_mut().push(tokio::task::spawn_local(task)),
        || {
            let mut tasks = tasks.borrow_mut();
            tasks.retain(|task| !task.is_finished());
            if let Some(task) = tasks.first().filter(|_| world.chance(4)) {
                task.abort();
            }
            tasks.is_empty() && world.lock().spawned.is_empty()
        },
        tokio::task::yield_now,
    );
    local.block_on(runtime, done);
    world.check("the runtime has ended");
}

/// Tasks of smol, on one thread.
pub fn on_smol(world: &World) {
    let executor = LocalExecutor::new();
    let tasks = std::cell::RefCell::new(Vec::new());
    let done = keep_going(
        world,
        |task| tasks.borrow_mut().push(executor.spawn(task)),
        || {
            let mut tasks = tasks.borrow_mut();
            tasks.retain(|task| !task.is_finished());
            if !tasks.is_empty() && world.chance(4) {
                // Dropping it cancels it, at its next turn.
                drop(tasks.swap_remove(0));
            }
            tasks.is_empty() && executor.is_empty() && world.lock().spawned.is_empty()
        },
        smol::future::yield_now,
    );
    smol::block_on(executor.run(done));
    drop(executor);
    world.check("the executor has ended");
}
