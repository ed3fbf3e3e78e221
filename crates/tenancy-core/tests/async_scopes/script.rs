//! Random futures, whose steps the library and the model take alike.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tenancy_core::scope::detached;
use tenancy_core::{Attached, Tenant};

use super::model::{Frame, Who};
use super::world::{Held, Task, World};

/// What a planted panic carries; `resume_unwind` prints nothing.
struct Planted;

/// An attached value, whose polls and end the model follows.
struct Watched<T> {
    frame: Frame,
    /// Empty only while it is being dropped.
    value: Option<Pin<Box<Attached<T>>>>,
    world: World,
}

impl<T> Watched<T> {
    fn new(world: &World, who: Option<Who>, value: T) -> Self {
        let (value, count): (_, fn(&mut super::counts::Counts) -> &mut usize) = match who {
            Some(who) => (world.tenants[who].attach(value), |c| &mut c.attached),
            None => (detached(value), |c| &mut c.detached),
        };
        assert_eq!(value.tenant(), who.map(|who| &world.tenants[who]));
        world.count(count);
        Self {
            frame: world.lock().model.frame(who),
            value: Some(Box::pin(value)),
            world: world.clone(),
        }
    }

    fn poll_with<R>(&mut self, f: impl FnOnce(Pin<&mut T>) -> R) -> R {
        let value = self.value.as_mut().expect("it lives");
        self.world.lock().model.begin(self.frame);
        let _leave = Leave(&self.world, self.frame);
        value.as_mut().poll_with(f)
    }
}

/// Ends a poll of the model, also on panic.
struct Leave<'a>(&'a World, Frame);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.lock().model.leave(self.1);
        self.0.check("a poll ended");
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.world.lock().model.begin(self.frame);
        self.value = None;
        self.world.lock().model.end(self.frame);
        self.world.check("a future was dropped");
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_with(|future| future.poll(cx))
    }
}

/// Checks the current tenant when it is dropped.
struct Witness(World);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.check("a value was dropped");
    }
}

/// A future that does random things. One that is `outside` every attached future holds no
/// guard over an await.
fn life(world: World, depth: usize, outside: bool) -> Task {
    Box::pin(async move {
        let _last = Witness(world.clone());
        let mut held = Vec::new();
        let mut kept = Vec::new();
        world.check("a future began");
        for _ in 0..world.below(12) {
            if world.is_over() {
                break;
            }
            match world.below(100) {
                0..38 => call(&world, &mut held, outside),
                38..60 => pause(&world).await,
                60..62 if depth > 0 => {
                    world.count(|c| &mut c.panics);
                    resume_unwind(Box::new(Planted));
                }
                62..70 => {
                    world.count(|c| &mut c.awaited);
                    child(&world, depth, outside).await;
                }
                70..80 => branches(&world, depth, outside).await,
                80..84 => spawn(&world),
                84..92 => parked(&world, &mut kept, depth, outside).await,
                92..96 => handed(&world, &mut kept).await,
                _ => body(&world),
            }
            world.check("a step was done");
        }
        // Sometimes what was kept first goes first.
        if world.chance(50) {
            drop(held);
        }
    })
}

/// Waits for its second poll, woken at once or by any holder of the waker.
async fn pause(world: &World) {
    world.step("pause", 0);
    let mut polled = false;
    let wait = poll_fn(|cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        match world.chance(30) {
            true => cx.waker().wake_by_ref(),
            false => world.lock().wakers.push(cx.waker().clone()),
        }
        Poll::Pending
    });
    wait.await;
}

/// Something without an await.
fn call(world: &World, held: &mut Vec<Held>, outside: bool) {
    // Where nothing is attached a guard must not be left, so it is made in a call.
    match outside || world.chance(25) {
        true => within(world, held, 0),
        false => guard(world, held),
    }
}

/// Something with a guard.
fn guard(world: &World, held: &mut Vec<Held>) {
    let who = world.who();
    match world.below(100) {
        0..28 => enter(world, held, who),
        28..52 => {
            world.step("switch", who);
            let scope = world.tenants[who].switch();
            let guard = world.lock().model.switch(who);
            held.push(world.hold(guard, scope));
            world.count(|c| &mut c.switched);
        }
        52..76 => drop(pick(world, "drop", held)),
        76..84 => {
            if let Some(held) = pick(world, "forget", held) {
                held.forget();
                world.count(|c| &mut c.forgotten);
            }
        }
        84..92 => {
            if let Some(held) = pick(world, "give", held) {
                held.give();
                world.count(|c| &mut c.given);
            }
        }
        _ => {
            world.step("take", 0);
            if let Some(taken) = world.take() {
                world.count(|c| &mut c.taken);
                held.push(taken);
            }
        }
    }
}

fn enter(world: &World, held: &mut Vec<Held>, who: Who) {
    world.step("enter", who);
    let entered = world.tenants[who].enter();
    let guard = world.lock().model.enter(who);
    match (entered, guard) {
        (Ok(scope), Some(guard)) => {
            held.push(world.hold(guard, scope));
            world.count(|c| &mut c.entered);
        }
        (Err(_), None) => world.count(|c| &mut c.refused),
        (Ok(_), None) => world.fail("entered while another was current".to_owned()),
        (Err(error), Some(_)) => world.fail(error.to_string()),
    }
}

fn pick(world: &World, step: &'static str, held: &mut Vec<Held>) -> Option<Held> {
    world.step(step, 0);
    let at = match held.len() {
        0 => return None,
        n => world.below(n),
    };
    Some(held.swap_remove(at))
}

/// A call that makes a tenant, or none, current. It may leave guards, and panic.
fn within(world: &World, held: &mut Vec<Held>, depth: usize) {
    let planted = world.chance(10);
    let inside = |world: &World, held: &mut Vec<Held>| {
        world.check("a call began");
        for _ in 0..world.below(5) {
            match depth < 2 && world.chance(15) {
                true => within(world, held, depth + 1),
                false => guard(world, held),
            }
            world.check("a step of a call was done");
        }
        if planted {
            resume_unwind(Box::new(Planted));
        }
    };
    let (who, kind) = (world.who(), world.below(3));
    world.step(["run", "switch_to", "outside"][kind], who);
    let tenant = &world.tenants[who];
    // Refused where another tenant is current, and then nothing happened.
    if kind == 0
        && world
            .lock()
            .model
            .current()
            .is_some_and(|current| current != who)
    {
        assert!(tenant.run(|| ()).is_err());
        return world.count(|c| &mut c.refused);
    }
    let frame = {
        let mut state = world.lock();
        let frame = state.model.frame((kind < 2).then_some(who));
        state.model.begin(frame);
        frame
    };
    let call = AssertUnwindSafe(|| match kind {
        0 => tenant
            .run(|| inside(world, held))
            .expect("it is not refused"),
        1 => tenant.switch_to(|| inside(world, held)),
        _ => Tenant::outside(|| inside(world, held)),
    });
    let ended = catch_unwind(call);
    world.lock().model.end(frame);
    world.check("a call ended");
    caught(world, ended.err());
    world.count(|c| {
        [&mut c.runs, &mut c.switches_to, &mut c.outsides]
            .into_iter()
            .nth(kind)
            .unwrap()
    });
}

/// A panic that was not planted is a failure.
fn caught(world: &World, panic: Option<Box<dyn std::any::Any + Send>>) {
    if let Some(panic) = panic.filter(|panic| !panic.is::<Planted>()) {
        let text = panic.downcast_ref::<String>().cloned();
        world.fail(format!("panicked: {text:?}"));
    }
}

/// A future of a tenant, of none, or of the current one.
fn child(world: &World, depth: usize, outside: bool) -> Task {
    match depth < 4 && world.chance(30) {
        true => {
            world.count(|c| &mut c.bare);
            let task = life(world.clone(), depth + 1, outside);
            Box::pin(Caught(Some(task), world.clone()))
        }
        false => attached(world, depth),
    }
}

fn attached(world: &World, depth: usize) -> Task {
    let who = world.anyone();
    world.step("attach", who.unwrap_or(usize::MAX));
    let task = life(world.clone(), depth + 1, false);
    let watched = Watched::new(world, who, task);
    Box::pin(Caught(Some(Box::pin(watched)), world.clone()))
}

/// A future for an executor. A few are attached to nothing.
pub fn task(world: &World) -> Task {
    match world.chance(15) {
        true => {
            world.count(|c| &mut c.bare);
            let task = life(world.clone(), 0, true);
            Box::pin(Caught(Some(task), world.clone()))
        }
        false => attached(world, 0),
    }
}

/// A future whose panics end it.
struct Caught(Option<Task>, World);

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(task) = self.0.as_mut() else {
            return Poll::Ready(());
        };
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| {
            caught(&self.1, Some(panic));
            self.0 = None;
            Poll::Ready(())
        })
    }
}

/// Several futures within this one, until all are done, or only the first.
async fn branches(world: &World, depth: usize, outside: bool) {
    let first = world.chance(30);
    world.step(if first { "race" } else { "join" }, 0);
    match first {
        true => world.count(|c| &mut c.raced),
        false => world.count(|c| &mut c.joined),
    }
    let mut left: Vec<_> = (0..2 + world.below(2))
        .map(|_| child(world, depth, outside))
        .collect();
    let all = poll_fn(move |cx| {
        let mut turns = left.len();
        while turns > 0 && !left.is_empty() {
            let at = world.below(left.len());
            if left[at].as_mut().poll(cx).is_ready() {
                drop(left.swap_remove(at));
                if first {
                    left.clear();
                }
            }
            turns -= 1;
        }
        if left.is_empty() {
            return Poll::Ready(());
        }
        // Futures that were not polled have no waker.
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    all.await;
}

fn spawn(world: &World) {
    world.step("spawn", 0);
    world.count(|c| &mut c.spawned);
    let task = task(world);
    world.lock().spawned.push(task);
}

/// A future that is polled a few times here, and then dropped, kept, or given away.
async fn parked(world: &World, kept: &mut Vec<Task>, depth: usize, outside: bool) {
    let bare = world.chance(20);
    let mut task = match bare {
        true => child(world, depth, outside),
        false => attached(world, depth),
    };
    if poll_some(world, &mut task).await {
        return;
    }
    match world.below(3) {
        0 if !bare => {
            world.step("hand", 0);
            world.lock().handed.push(task);
        }
        1 => kept.push(task),
        _ => {
            world.count(|c| &mut c.cancelled);
            drop(task);
        }
    }
}

/// Polls it up to three times; says whether it is done.
async fn poll_some(world: &World, task: &mut Task) -> bool {
    let times = world.below(4);
    world.step("poll", times);
    poll_fn(|cx| {
        let mut polls = 0..times;
        Poll::Ready(polls.any(|_| task.as_mut().poll(cx).is_ready()))
    })
    .await
}

/// A parked future of this one, or of another task.
async fn handed(world: &World, kept: &mut Vec<Task>) {
    let mut from: Vec<_> = std::mem::take(&mut world.lock().handed);
    world.step("take over", from.len());
    let task = from.pop().or_else(|| kept.pop());
    world.lock().handed.extend(from);
    let Some(mut task) = task else {
        return;
    };
    world.count(|c| &mut c.handed);
    match world.chance(50) {
        true => task.await,
        false if poll_some(world, &mut task).await => {}
        false => kept.push(task),
    }
}

/// A value that is no future, and leaves guards behind when it is polled.
fn body(world: &World) {
    let who = world.anyone();
    world.step("body", who.unwrap_or(usize::MAX));
    world.count(|c| &mut c.bodies);
    let mut held = Vec::new();
    let mut body = Watched::new(world, who, Witness(world.clone()));
    for _ in 0..world.below(4) {
        body.poll_with(|_| {
            world.check("a body is polled");
            guard(world, &mut held);
        });
    }
    match world.chance(50) {
        true => drop((held, body)),
        false => drop((body, held)),
    }
}
