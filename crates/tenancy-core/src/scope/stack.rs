//! The scopes of a thread: the open ones, and the ones that attached values have parked between two
//! polls.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::event::{Event, emit};
use crate::tenant::Tenant;

/// The key of an entry. It is unique in the process, so no thread finds the entry of another.
pub(super) type Key = u64;

/// The keys of the entries that a value has parked, from bottom to top. The value holds them. If
/// they are dropped, the entries are garbage.
pub(super) type Keys = Arc<[Key]>;

/// A change of the current tenant from one to another.
pub(super) struct Crossing {
    pub(super) from: Tenant,
    pub(super) to: Tenant,
}

/// Notifies observers of a crossing, if there was one.
pub(super) fn notify(crossing: Option<Crossing>) {
    if let Some(Crossing { from, to }) = &crossing {
        emit(&Event::Switched { from, to });
    }
}

struct Entry {
    key: Key,
    /// The current tenant while this entry is the last. `None` hides the tenants of lower entries.
    tenant: Option<Tenant>,
}

struct Parked {
    tenant: Option<Tenant>,
    keys: Weak<[Key]>,
}

thread_local! {
    /// The entries; the last one is current. Keys are not in order, as a restored entry can be
    /// above newer ones.
    static STACK: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    static PARKED: RefCell<HashMap<Key, Parked, FixedState>> =
        const { RefCell::new(HashMap::with_hasher(FixedState::with_seed(0))) };
    static NEXT_KEY: Cell<Key> = const { Cell::new(0) };
}

/// The number of keys that a thread takes from the process at a time. If threads took single keys,
/// all of them would often write the same cache line.
const BLOCK: Key = 1 << 20;
static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);

pub(super) fn new_key() -> Key {
    NEXT_KEY.with(|next| {
        let key = match next.get() {
            full if full % BLOCK == 0 => NEXT_BLOCK.fetch_add(1, Ordering::Relaxed) * BLOCK + 1,
            key => key,
        };
        next.set(key + 1);
        key
    })
}

// While the thread-locals of a thread are destroyed, no tenant is current and entering one has no
// effect. The functions here ignore this case instead of failing.

/// Applies `f` to the current tenant.
pub(super) fn with_current<R>(f: impl FnOnce(Option<&Tenant>) -> R) -> Option<R> {
    let read = |stack: &RefCell<Vec<Entry>>| f(current(&stack.borrow()));
    STACK.try_with(read).ok()
}

fn current(stack: &[Entry]) -> Option<&Tenant> {
    stack.last()?.tenant.as_ref()
}

/// Makes `tenant` current.
///
/// # Errors
/// Returns the current tenant if it is another one.
pub(super) fn enter(key: Key, tenant: &Tenant) -> Result<(), Tenant> {
    let entered = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        if let Some(other) = current(&stack).filter(|current| *current != tenant) {
            return Err(other.clone());
        }
        let tenant = Some(tenant.clone());
        stack.push(Entry { key, tenant });
        Ok(())
    });
    entered.unwrap_or(Ok(()))
}

/// Makes `tenant` current in any case, and restores the entries parked under `keys` above it.
pub(super) fn cross(key: Key, tenant: Option<&Tenant>, keys: Option<Keys>) -> Option<Crossing> {
    let crossed = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let below = stack.len();
        let tenant = tenant.cloned();
        stack.push(Entry { key, tenant });
        if let Some(keys) = keys {
            restore(&keys, &mut stack);
        }
        let (from, to) = (current(&stack[..below])?, current(&stack)?);
        (from != to).then(|| Crossing {
            from: from.clone(),
            to: to.clone(),
        })
    });
    crossed.ok().flatten()
}

/// Moves the parked entries with these keys to the stack. An entry whose guard was dropped
/// meanwhile is not found. On another thread than that of the parking, no entry is found.
fn restore(keys: &[Key], stack: &mut Vec<Entry>) {
    let _ = PARKED.try_with(|parked| {
        let mut parked = parked.borrow_mut();
        let entry = |key: &Key| {
            let Parked { tenant, .. } = parked.remove(key)?;
            Some(Entry { key: *key, tenant })
        };
        stack.extend(keys.iter().filter_map(entry));
    });
}

/// Removes an entry from the stack or from the parked ones.
pub(super) fn remove(key: Key) {
    let found = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let at = stack.iter().rposition(|entry| entry.key == key)?;
        Some(stack.remove(at))
    });
    // Here and in `end`, handles are dropped only after the borrow has ended.
    if let Ok(None) = found {
        let parked = PARKED.try_with(|parked| parked.borrow_mut().remove(&key));
        drop(parked);
    }
}

/// Removes the entry, and returns the entries above it.
fn cut(key: Key) -> Vec<Entry> {
    let above = STACK.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        if let Some(own) = stack.pop_if(|entry| entry.key == key) {
            // The usual case: there are no entries above it, and nothing is allocated.
            return (Some(own), Vec::new());
        }
        let Some(at) = stack.iter().rposition(|entry| entry.key == key) else {
            return (None, Vec::new());
        };
        let above = stack.split_off(at + 1);
        (stack.pop(), above)
    });
    above.map(|(_own, above)| above).unwrap_or_default()
}

/// Removes the entry and all entries above it.
pub(super) fn end(key: Key) {
    drop(cut(key));
}

/// Ends an entry as [`end`] does, but keeps the entries above it until they are
/// [restored](cross) or removed.
pub(super) fn park(key: Key) -> Option<Keys> {
    let left = cut(key);
    if left.is_empty() {
        return None;
    }
    let keys: Keys = left.iter().map(|entry| entry.key).collect();
    let parking = PARKED.try_with(|parked| {
        let mut parked = parked.borrow_mut();
        if parked.len() + left.len() > parked.capacity() {
            // Before the map grows, garbage is removed: scopes that values left on this thread when
            // they moved to another.
            parked.retain(|_, entry| entry.keys.strong_count() > 0);
        }
        parked.extend(left.into_iter().map(|Entry { key, tenant }| {
            let keys = Arc::downgrade(&keys);
            (key, Parked { tenant, keys })
        }));
    });
    parking.is_ok().then_some(keys)
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::mpsc::channel;

    use super::*;
    use crate::scope::Attached;

    fn acme() -> Tenant {
        let acme = Tenant::builder("acme".parse().expect("an id"));
        acme.build().expect("a tenant")
    }

    /// Leaks a scope in the value.
    fn leave_one(value: Pin<&mut Attached<()>>) {
        value.poll_with(|_| std::mem::forget(acme().enter().expect("its own")));
    }

    fn parked() -> usize {
        PARKED.with_borrow(HashMap::len)
    }

    #[test]
    fn parked_scopes_end_with_their_value() {
        {
            let mut value = pin!(acme().attach(()));
            for left in 1..=3 {
                leave_one(value.as_mut());
                assert_eq!(parked(), left);
            }
        }
        assert_eq!(parked(), 0);
        STACK.with_borrow(|stack| assert!(stack.is_empty()));
    }

    #[test]
    fn scopes_that_moved_values_left_behind_are_collected() {
        let (send, there) = channel();
        let (done, gone) = channel();
        let drops = move || {
            for value in there {
                drop(value);
                done.send(()).expect("it is waited for");
            }
        };
        let other = std::thread::spawn(drops);
        for _ in 0..10_000 {
            let mut value = Box::pin(acme().attach(()));
            leave_one(value.as_mut());
            send.send(value).expect("it listens");
            gone.recv().expect("it answers");
        }
        assert!(parked() < 10, "{}", parked());
        drop(send);
        other.join().expect("no thread panicked");
    }

    #[test]
    fn no_two_threads_have_a_key_in_common() {
        let take = || (0..3).map(|_| new_key()).collect::<Vec<_>>();
        let theirs = std::thread::spawn(take).join().expect("no thread panicked");
        let ours = take();
        assert!(
            ours.iter().all(|key| !theirs.contains(key)),
            "{ours:?}, {theirs:?}"
        );
        NEXT_KEY.set(BLOCK);
        let next = take();
        assert!(next[0] > BLOCK && next[0] % BLOCK == 1, "{next:?}");
    }
}
