//! [`Scope`]: the stretch in which a tenant is current.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::event::{Event, emit};
use crate::tenant::Tenant;

thread_local! {
    /// Invariant: keys rise from bottom to top; the top one is current.
    static STACK: RefCell<Vec<(u64, Tenant)>> = const { RefCell::new(Vec::new()) };
    static NEXT_KEY: Cell<u64> = const { Cell::new(0) };
}

/// The context guard: a tenant is current on this thread until it is dropped.
///
/// Dropping restores whoever was current before, also on panic and when guards are
/// dropped out of order: the last entered of those still alive is current.
///
/// It stays on its thread. Threads and tasks that are spawned inside inherit
/// nothing; a task that would carry a `Scope` along does not compile:
///
/// ```compile_fail,E0277
/// # use tenancy_core::Tenant;
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// let scope = acme.enter()?;
/// std::thread::spawn(move || drop(scope)).join().ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The tenant itself may go, and be entered there:
///
/// ```
/// # use tenancy_core::Tenant;
/// # let acme = Tenant::builder("acme".parse()?).build()?;
/// let scope = acme.clone();
/// std::thread::spawn(move || drop(scope)).join().ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// For futures there is [`Tenant::attach`]. A scope that is leaked with
/// `std::mem::forget` stays current; [`Tenant::run`] and `attach` cannot leak.
#[doc(alias = "context")]
#[doc(alias = "guard")]
#[must_use = "the tenant is current only until the scope is dropped"]
#[derive(Debug)]
pub struct Scope {
    key: u64,
    /// A raw pointer is not `Send`: neither is the scope.
    thread: PhantomData<*const ()>,
}

impl Scope {
    fn push(tenant: &Tenant) -> Self {
        // While a thread's locals are being destroyed nothing can be entered any
        // more; then nobody is current and whoever asks is refused.
        let key = NEXT_KEY.with(|next| {
            let key = next.get();
            next.set(key + 1);
            key
        });
        let _ = STACK.try_with(|stack| stack.borrow_mut().push((key, tenant.clone())));
        Self {
            key,
            thread: PhantomData,
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let taken = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let at = stack.iter().rposition(|(key, _)| *key == self.key)?;
            Some(stack.remove(at))
        });
        // The handle goes after the borrow has ended.
        drop(taken);
    }
}

/// Puts the stack back as it was found, whatever was left on it since.
struct Restore(Scope);

impl Drop for Restore {
    fn drop(&mut self) {
        let left = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            match stack.pop_if(|(key, _)| *key == self.0.key) {
                // Nothing was left, as nearly always: without an allocation.
                Some(own) => (Some(own), Vec::new()),
                None => {
                    let below = stack.partition_point(|(key, _)| *key < self.0.key);
                    (None, stack.split_off(below))
                }
            }
        });
        drop(left);
    }
}

impl Tenant {
    /// Makes this tenant current until the scope is dropped. The same tenant again
    /// is fine.
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// let scope = acme.enter()?;
    /// assert_eq!(Tenant::current(), Some(acme));
    /// drop(scope);
    /// assert_eq!(Tenant::current(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// While another tenant is current, another incarnation of this one too.
    pub fn enter(&self) -> Result<Scope, OtherTenant> {
        self.refuse_other()?;
        Ok(Scope::push(self))
    }

    /// Makes this tenant current whoever is: the one way to cross from one tenant
    /// to another on purpose. Observers see it.
    pub fn switch(&self) -> Scope {
        let from = self.other();
        let scope = Scope::push(self);
        if let Some(from) = from {
            emit(&Event::Switched {
                from: &from,
                to: self,
            });
        }
        scope
    }

    /// Runs `f` with this tenant current. What was current before is restored
    /// whatever happens inside, a leaked [`Scope`] included.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, OtherTenant> {
        self.refuse_other()?;
        let _restore = Restore(Scope::push(self));
        Ok(f())
    }

    /// Makes this tenant current during every poll of `future`, on any executor and
    /// whatever thread polls it, and while it is dropped.
    ///
    /// ```
    /// # use tenancy_core::Tenant;
    /// # let acme = Tenant::builder("acme".parse()?).build()?;
    /// let answer = acme.attach(async { Tenant::current() });
    /// assert_eq!(smol::block_on(answer), Some(acme));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach<F: Future>(&self, future: F) -> Attached<F> {
        Attached {
            future: Some(future),
            tenant: self.clone(),
        }
    }

    /// The tenant that is current on this thread.
    pub fn current() -> Option<Self> {
        STACK
            .try_with(|stack| stack.borrow().last().map(|(_, tenant)| tenant.clone()))
            .ok()
            .flatten()
    }

    fn refuse_other(&self) -> Result<(), OtherTenant> {
        match self.other() {
            None => Ok(()),
            Some(current) => Err(OtherTenant {
                wanted: self.clone(),
                current,
            }),
        }
    }

    /// Who is current, if that is another.
    fn other(&self) -> Option<Self> {
        let other = STACK.try_with(|stack| {
            let stack = stack.borrow();
            let (_, current) = stack.last().filter(|(_, current)| current != self)?;
            Some(current.clone())
        });
        other.ok().flatten()
    }
}

/// A tenant was entered while another was current.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", refusal(wanted, current))]
pub struct OtherTenant {
    /// Who was to be entered.
    pub wanted: Tenant,
    /// Who is current.
    pub current: Tenant,
}

fn refusal(wanted: &Tenant, current: &Tenant) -> String {
    // Two incarnations of one tenant are told apart by their epochs.
    let name = |tenant: &Tenant| match wanted.id() == current.id() {
        true => tenant.to_ref().to_string(),
        false => tenant.id().to_string(),
    };
    let (wanted, current) = (name(wanted), name(current));
    format!(
        "tenant {wanted} cannot be entered while {current} is current; \
         drop that scope, or call `Tenant::switch` to cross on purpose"
    )
}

pin_project_lite::pin_project! {
    /// A future that runs for a tenant; see [`Tenant::attach`].
    ///
    /// Being polled inside another tenant's scope counts as a
    /// [switch](Tenant::switch), and observers see it.
    #[must_use = "futures do nothing unless polled"]
    pub struct Attached<F> {
        // Empty only while it is being dropped.
        #[pin]
        future: Option<F>,
        tenant: Tenant,
    }

    impl<F> PinnedDrop for Attached<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _restore = cross(this.tenant);
            this.future.set(None);
        }
    }
}

impl<F> std::fmt::Debug for Attached<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl<F: Future> Future for Attached<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _restore = cross(this.tenant);
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// Enters without asking who is current, as [`Tenant::switch`] does.
fn cross(tenant: &Tenant) -> Restore {
    let from = tenant.other();
    let restore = Restore(Scope::push(tenant));
    if let Some(from) = from {
        emit(&Event::Switched {
            from: &from,
            to: tenant,
        });
    }
    restore
}
