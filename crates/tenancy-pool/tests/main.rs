//! The pools from outside. What is promised, and what proves it:
//!
//! | | invariant | test |
//! |---|---|---|
//! | 1 | never more open than `max_connections` | `model`, `stress` (counted in the fake), shuttle |
//! | 2 | never more of a tenant than its own bound | `model`, `stress`, `order::a_bigger_plan_gets_more` |
//! | 3 | a tenant's connection never reaches another | `model`, `stress` (a tag in the connection) |
//! | 4 | the parts add up to `open` | `model`, `stress` (sampled while it runs) |
//! | 5 | after the last guard nothing is out and nobody waits | `stress`, `basic` |
//! | 6 | no connection in two hands | `stress` (and ownership) |
//! | 7 | a check-out ends by its deadline | `order::a_check_out_ends_at_its_deadline`, `stress` |
//! | 8 | a failed or panicked connect leaves no trace and serves the next | `model`, `basic`, `order::a_failed_connect_serves_the_next` |
//! | 9 | with `handoff_after` = 0 grants are in order of arrival | `sched`, `order::waiters_are_served_as_they_came` |
//! | 10 | tickets are served in order | `sched`, `order::tenants_are_served_as_they_came` |
//! | 11 | the victim is the least recently used, never the asker's, never one waited for | `sched`, `model` (name the very connection) |
//! | 12 | who waits, waits for a reason | `sched`, `order::at_rest_who_waits_has_a_reason`, shuttle |
//! | 13 | broken, dirty or panicked-over connections never come back | `model`, `stress`, `admin` |
//! | 14 | one preparation at a time, one success per tenant and epoch | `sched`, `stress`, `basic` |
//! | 15 | after `close` nothing of the tenant exists or opens | `model`, `stress`, shuttle |
//! | 16 | connections are dropped once, outside every lock | `stress` (every call of the fake asks for stats) |
//! | 17 | stats add up | `model`, `stress` |
//! | 18 | time-outs leave no ticket | `order::a_time_out_leaves_no_ticket` |
//! | 19 | a stale handle never reaches the next user of its slot | `model`, `admin` |
//!
//! `sched` stands for `src/sched/tests.rs`: the scheduler alone, driven in any order, with
//! all of it counted from scratch after every step. It asserts 1–6 and 8–19 on the way.
//!
//! `scripts/mutants` breaks the pools in the ways of `tests/mutants/`, and expects red.
#![cfg(not(shuttle))]

mod admin;
mod basic;
mod model;
mod order;
mod read_only;
mod stress;
mod texts;
mod util;
