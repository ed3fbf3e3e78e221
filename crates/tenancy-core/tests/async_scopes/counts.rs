//! What happened in the programs: a test in which something never happens proves nothing.

macro_rules! counts {
    ($($name:ident)*) => {
        #[derive(Debug, Default, Clone)]
        pub struct Counts {
            $(pub $name: usize,)*
        }

        impl Counts {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// The names of what did not happen this often.
            pub fn below(&self, least: usize) -> Vec<&'static str> {
                let each = [$((stringify!($name), self.$name)),*];
                each.into_iter().filter(|(_, n)| *n < least).map(|(name, _)| name).collect()
            }
        }
    };
}

counts! {
    attached detached bare
    entered refused switched forgotten
    // Scopes that came back at a poll, polls with several, and those that stayed on
    // another thread.
    restored several left_behind
    // Guards: in their own poll; in a future polled inside it; while their future was
    // parked; after it had ended; and futures that ended before their guards.
    dropped dropped_outside dropped_parked too_late outlived
    // Guards that changed hands.
    given taken
    runs outsides switches_to bodies
    awaited joined raced spawned
    // Futures that were dropped while parked, and that went to another task.
    cancelled handed
    panics
}
