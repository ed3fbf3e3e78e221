//! Feature `tracing`: [`TracingObserver`].

use crate::event::{Event, Observer};

/// An observer that writes every [`Event`] to `tracing` with the target `tenancy`.
///
/// Warnings are `NameConflict`, `CatalogUnavailable`, `OpenFailed`, `WarmPoolFailed`, `LockWait`,
/// `NoJournal`, `IdleMaintenanceFailed`, `UpkeepFailed`, `WaitedLong`, `TimedOut`, `HeldLong`,
/// `SchemaRefused` and `BoundReached`. `Switched` has the level `info`, and every other event the
/// level `debug`.
///
/// ```
/// use std::sync::Arc;
/// use tenancy_core::{TracingObserver, observe};
/// let _observing = observe(Arc::new(TracingObserver));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Switched { .. } => ::tracing::info!(target: "tenancy", ?event),
            Event::NameConflict { .. }
            | Event::CatalogUnavailable { .. }
            | Event::OpenFailed { .. }
            | Event::WarmPoolFailed { .. }
            | Event::LockWait { .. }
            | Event::NoJournal { .. }
            | Event::IdleMaintenanceFailed { .. }
            | Event::UpkeepFailed { .. }
            | Event::WaitedLong { .. }
            | Event::TimedOut { .. }
            | Event::HeldLong { .. }
            | Event::SchemaRefused { .. }
            | Event::BoundReached { .. } => ::tracing::warn!(target: "tenancy", ?event),
            _ => ::tracing::debug!(target: "tenancy", ?event),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use ::tracing::span::{Attributes, Id, Record};
    use ::tracing::{Level, Metadata, Subscriber};

    use super::*;
    use crate::Tenant;

    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "tenancy"
        }
        fn event(&self, event: &::tracing::Event<'_>) {
            let mut levels = self.0.lock().expect("no test panics with it");
            levels.push(*event.metadata().level());
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn events_that_affect_a_tenant_are_warnings() {
        let levels = Arc::default();
        let acme = Tenant::builder("acme".parse().expect("an id"))
            .build()
            .expect("a tenant");
        ::tracing::subscriber::with_default(Levels(Arc::clone(&levels)), || {
            TracingObserver.observe(&Event::BoundReached { max: 4 });
            TracingObserver.observe(&Event::SchemaRefused {
                tenant: &acme,
                what: "table x",
            });
            TracingObserver.observe(&Event::UpkeepFailed {
                tenant: &acme,
                error: &std::fmt::Error,
            });
            TracingObserver.observe(&Event::TimedOut {
                tenant: &acme,
                waited: Duration::ZERO,
            });
            TracingObserver.observe(&Event::HeldLong {
                tenant: acme.id(),
                holder: "main.rs:1",
                held: Duration::ZERO,
            });
            TracingObserver.observe(&Event::Opening { tenant: &acme });
            TracingObserver.observe(&Event::Switched {
                from: &acme,
                to: &acme,
            });
        });
        let levels = levels.lock().expect("no thread panicked with it");
        let (warnings, others) = levels.split_at(5);
        assert_eq!(warnings, [Level::WARN; 5]);
        assert_eq!(others, [Level::DEBUG, Level::INFO]);
    }
}
