//! [`Jobs`]: work on many items by a bounded number of threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// The most threads. Each has up to six descriptors open: beyond this number the usual 1,024
/// descriptors of a process do not suffice, and no disk gets faster.
const MAX_JOBS: usize = 256;

/// The most results that are handed over at once, so that a journal records them in one
/// transaction.
const RESULTS_AT_ONCE: usize = 64;

/// An error for a number of jobs out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{found} jobs at a time are out of bounds; use 1 to 256")]
#[non_exhaustive]
pub struct InvalidJobs {
    /// The number that was given.
    pub found: usize,
}

/// A number of threads, 1 to 256, that work on many items.
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
    /// Returns this number of threads.
    ///
    /// # Errors
    /// Returns an error if it is not 1 to 256.
    pub fn new(jobs: usize) -> Result<Self, InvalidJobs> {
        match jobs {
            1..=MAX_JOBS => Ok(Self(jobs)),
            found => Err(InvalidJobs { found }),
        }
    }

    /// Returns the nearest number within bounds.
    pub(crate) fn clamped(jobs: usize) -> Self {
        Self(jobs.clamp(1, MAX_JOBS))
    }

    /// Does `work` for each item while `proceed` returns `true`, and hands the results, each
    /// with the index of its item, to `each` on the calling thread, in the order in which they
    /// are ready. Work that was begun is finished and handed over.
    ///
    /// # Errors
    /// Returns the first error of `each`; no work is begun after it.
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
                        // The receiver lives as long as this scope.
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

    /// Returns an answer for each item, in their order; `None` for an item that was not
    /// reached before `proceed` returned `false`.
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
