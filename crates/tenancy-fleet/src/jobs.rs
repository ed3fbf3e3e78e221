//! [`Jobs`]: work on many items by a bounded number of threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// The largest number of threads. Each opens up to six file descriptors, so that more threads could
/// exceed the usual bound of 1,024, and more threads do not make a disk faster.
const MAX_JOBS: usize = 256;

/// The largest number of results that are passed to the caller at once, to be recorded in one
/// transaction.
const RESULTS_AT_ONCE: usize = 64;

/// The error of a number of jobs that is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} jobs at a time are out of bounds; use 1 to 256")]
#[non_exhaustive]
pub struct InvalidJobs {
    /// The given number.
    pub found: usize,
}

/// A number of threads, 1 to 256, to process many items.
///
/// ```
/// use tenancy_fleet::Jobs;
///
/// let (words, mut letters) = (["one", "two", "three"], 0);
/// let jobs = Jobs::new(2)?;
/// jobs.run(&words, || true, |word| word.len(), |results| {
///     letters += results.iter().map(|(_, length)| length).sum::<usize>();
///     Ok::<(), std::io::Error>(())
/// })?;
/// assert_eq!(letters, 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs(usize);

impl Jobs {
    /// Creates a number of threads.
    ///
    /// # Errors
    /// Returns an error if `jobs` is not 1 to 256.
    pub fn new(jobs: usize) -> Result<Self, InvalidJobs> {
        match jobs {
            1..=MAX_JOBS => Ok(Self(jobs)),
            found => Err(InvalidJobs { found }),
        }
    }

    /// Creates the nearest number within the bounds.
    pub(crate) fn clamped(jobs: usize) -> Self {
        Self(jobs.clamp(1, MAX_JOBS))
    }

    /// Calls `work` for each item, on the threads, until `proceed` returns `false`. Calls `each` on
    /// the calling thread with the results as soon as they are ready, each with the index of its
    /// item. Items that are begun are finished, and their results passed to `each`.
    ///
    /// # Errors
    /// Returns the first error of `each`. No further item is begun after it.
    pub fn run<T: Sync, R: Send, E>(
        self,
        items: &[T],
        proceed: impl Fn() -> bool + Sync,
        work: impl Fn(&T) -> R + Sync,
        mut each: impl FnMut(Vec<(usize, R)>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            let (next, halt, proceed, work) = (&next, &halt, &proceed, &work);
            for _ in 0..self.0.min(items.len()) {
                let send = send.clone();
                scope.spawn(move || {
                    while !halt.load(Ordering::Relaxed)
                        && proceed()
                        && let at = next.fetch_add(1, Ordering::Relaxed)
                        && let Some(item) = items.get(at)
                    {
                        // Cannot fail: the receiver lives as long as this scope.
                        let _ = send.send((at, work(item)));
                    }
                });
            }
            drop(send);
            let mut failed = None;
            while let Ok(first) = receive.recv() {
                let mut results = vec![first];
                results.extend(receive.try_iter().take(RESULTS_AT_ONCE - 1));
                if let Err(error) = each(results) {
                    halt.store(true, Ordering::Relaxed);
                    failed.get_or_insert(error);
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }

    /// Returns the result of `ask` for each item, in the order of the items. Returns `None` for each
    /// item that was not begun before `proceed` returned `false`.
    pub(crate) fn answers<T: Sync, R: Send>(
        self,
        items: &[T],
        proceed: impl Fn() -> bool + Sync,
        ask: impl Fn(&T) -> R + Sync,
    ) -> Vec<Option<R>> {
        let mut answers: Vec<_> = items.iter().map(|_| None).collect();
        let collect = |some: Vec<(usize, R)>| {
            for (at, answer) in some {
                answers[at] = Some(answer);
            }
            Ok::<(), std::convert::Infallible>(())
        };
        match self.run(items, proceed, ask, collect) {
            Ok(()) => answers,
        }
    }
}
