//! The invariants of the pools: each with the tests that prove it, and the mutants of
//! `tests/mutants/` that break it. `scripts/mutants` applies each mutant to a copy of the crate and
//! expects a test to fail; `scripts/mutate.py --check` finds those that no longer apply.
//!
//! `sched` is `src/sched/tests/mod.rs`: the scheduler alone, driven in any order, with everything
//! counted anew after every step. It asserts nearly all invariants on the way. `shuttled`
//! (`src/shuttled.rs`, by `scripts/shuttle`) asserts them under thousands of schedules.

use std::collections::BTreeSet;
use std::path::PathBuf;

struct Proof {
    number: u32,
    promise: &'static str,
    tests: &'static [&'static str],
    mutants: &'static [&'static str],
}

const SCHED: &str = "sched::the_scheduler_keeps_its_promises";
const MODEL: &str = "model::every_check_out_ends_as_in_the_model";
const STRESS: &str = "stress::no_connection_is_lost_by_any_failure";

const PROOFS: [Proof; 32] = [
    Proof {
        number: 1,
        promise: "at most `max_connections` are open, counted in the fake",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "shuttled::shuttle_tenants_evict_each_other",
        ],
        mutants: &["bound-off-by-one", "a-seat-is-free-before-the-drop"],
    },
    Proof {
        number: 2,
        promise: "a tenant has at most its own bound of connections",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "order::a_larger_plan_has_a_higher_bound",
            "order::a_changed_plan_changes_the_bound",
        ],
        mutants: &[
            "bound-of-a-tenant-off-by-one",
            "surplus-connections-are-kept",
        ],
    },
    Proof {
        number: 3,
        promise: "a tenant's connection never reaches another: a tag in the connection",
        tests: &[SCHED, MODEL, STRESS],
        mutants: &["another-tenants-connection"],
    },
    Proof {
        number: 4,
        promise: "the parts add up to `open`",
        tests: &[SCHED, MODEL, STRESS],
        mutants: &["counts-do-not-add-up", "one-seat-for-two"],
    },
    Proof {
        number: 5,
        promise: "after the last guard there is no connection out, no waiter and no ticket",
        tests: &[SCHED, STRESS, "basic::waiters_are_served_by_returns"],
        mutants: &["a-timed-out-waiter-stays-in-the-queue"],
    },
    Proof {
        number: 6,
        promise: "no connection is checked out twice at a time",
        tests: &[SCHED, STRESS],
        mutants: &["one-seat-for-two", "a-grant-at-the-deadline-is-lost"],
    },
    Proof {
        number: 7,
        promise: "a check-out ends by its deadline and 50 ms",
        tests: &["order::a_check_out_ends_at_its_deadline", STRESS],
        mutants: &["a-thread-waits-past-its-deadline"],
    },
    Proof {
        number: 8,
        promise: "a failed or panicked connect restores the counts and serves the next",
        tests: &[
            SCHED,
            MODEL,
            "order::a_failed_connect_serves_the_next",
            "basic::a_panic_while_connecting_unwinds_and_gives_the_seat_back",
            "shuttled::shuttle_a_failed_connect_wakes_the_next",
        ],
        mutants: &[
            "a-panic-while-opening-keeps-the-seat",
            "no-backoff-after-a-failure",
        ],
    },
    Proof {
        number: 9,
        promise: "with `handoff_after` = 0 grants are in order of arrival",
        tests: &[SCHED, "order::waiters_are_served_in_order_of_arrival"],
        mutants: &[
            "the-last-waiter-is-served-first",
            "new-requests-barge-for-ever",
        ],
    },
    Proof {
        number: 10,
        promise: "tickets are served in order",
        tests: &[SCHED, "order::tenants_are_served_in_order_of_arrival"],
        mutants: &["the-last-ticket-is-served-first"],
    },
    Proof {
        number: 11,
        promise: "the least recently used connection is evicted, never the requester's, never one with waiters",
        tests: &[SCHED, MODEL, "idle_maintenance::idle_maintenance_is_no_use"],
        mutants: &[
            "the-most-recently-used-is-evicted",
            "idle-maintenance-counts-as-use",
            "a-maintained-connection-goes-last",
            "a-connection-with-waiters-is-evicted",
            "another-tenants-connection",
        ],
    },
    Proof {
        number: 12,
        promise: "every waiter waits for a reason, and every waiter with a grant is woken",
        tests: &[
            SCHED,
            "order::every_waiter_waits_for_a_reason",
            "shuttled::shuttle_no_wake_up_is_lost",
            "shuttled::shuttle_a_timed_out_waiter_wakes_the_next",
            "sched::a_connection_with_a_woken_waiter_is_not_maintained",
            "shuttled::shuttle_check_outs_during_idle_maintenance_are_served",
        ],
        mutants: &[
            "no-waiter-is-woken-to-retry",
            "no-waiter-is-woken",
            "a-timed-out-waiter-wakes-no-other",
            "a-raised-epoch-keeps-the-ticket",
            "idle-maintenance-of-a-wanted-connection",
            "a-grant-at-the-deadline-is-lost",
        ],
    },
    Proof {
        number: 13,
        promise: "broken, restricted and badly maintained connections, and those of a panic, are closed",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "admin::broken_connections_are_closed",
            "admin::a_connection_that_was_out_during_a_panic_is_closed",
            "read_only::a_connection_that_stays_restricted_is_closed",
            "idle_maintenance::failed_or_panicked_idle_maintenance_closes_the_connection",
        ],
        mutants: &[
            "a-broken-connection-is-kept",
            "a-connection-of-a-panic-is-kept",
            "a-read-only-connection-is-kept",
            "failed-maintenance-keeps-the-connection",
        ],
    },
    Proof {
        number: 14,
        promise: "one preparation at a time, one success for each tenant and epoch",
        tests: &[
            SCHED,
            STRESS,
            "basic::simultaneous_first_check_outs_make_one_preparation",
        ],
        mutants: &["two-preparations-at-a-time"],
    },
    Proof {
        number: 15,
        promise: "after `close` no connection of the tenant exists or is opened",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "shuttled::shuttle_close_leaves_no_connection",
            "shuttled::shuttle_close_waits_for_idle_maintenance",
            "idle_maintenance::close_waits_for_idle_maintenance",
            "admin::close_waits_for_a_connection_that_is_being_opened",
        ],
        mutants: &["close-does-not-wait", "a-closed-tenant-is-opened"],
    },
    Proof {
        number: 16,
        promise: "connections are dropped once, and no foreign code runs under a lock",
        tests: &[STRESS, "events::an_observer_may_read_the_stats"],
        mutants: &[
            "a-seat-is-free-before-the-drop",
            "foreign-code-under-the-lock",
        ],
    },
    Proof {
        number: 17,
        promise: "stats add up",
        tests: &[SCHED, MODEL, STRESS],
        mutants: &[
            "counts-do-not-add-up",
            "evictions-are-counted-for-the-pools-alone",
            "hand-offs-are-counted-for-the-pools-alone",
        ],
    },
    Proof {
        number: 18,
        promise: "time-outs leave no ticket",
        tests: &[
            SCHED,
            "order::a_time_out_leaves_no_ticket",
            "shuttled::shuttle_a_ticket_that_times_out_blocks_no_other",
        ],
        mutants: &[
            "a-ticket-outlives-a-time-out",
            "a-timed-out-waiter-stays-in-the-queue",
        ],
    },
    Proof {
        number: 19,
        promise: "a stale handle never reaches the next user of its slot, nor the next epoch",
        tests: &[
            SCHED,
            MODEL,
            "admin::a_kept_handle_finds_its_tenant_after_it_was_forgotten",
            "shuttled::shuttle_a_raised_epoch_strands_no_waiter",
        ],
        mutants: &["a-stale-handle-finds-the-slot", "a-past-epoch-is-kept"],
    },
    Proof {
        number: 20,
        promise: "an idle connection is maintained once, in time, and stays as idle as before",
        tests: &[
            SCHED,
            MODEL,
            "idle_maintenance::a_connection_is_maintained_once_until_it_is_used_again",
            "idle_maintenance::a_check_out_during_idle_maintenance_opens_another_connection_or_waits",
        ],
        mutants: &[
            "idle-maintenance-is-repeated",
            "idle-maintenance-comes-too-soon",
            "idle-maintenance-counts-as-use",
        ],
    },
    Proof {
        number: 21,
        promise: "a waiter beside a failed connect is served after the backoff, or refused with its error",
        tests: &[
            SCHED,
            "failures::a_waiter_beside_a_failed_connect_is_served_after_the_backoff",
            "failures::a_waiter_beside_a_failed_preparation_is_served_after_the_backoff",
            "failures::a_waiter_for_the_failed_connect_alone_is_refused_with_its_error",
            "shuttled::shuttle_a_backoff_strands_no_waiter",
        ],
        mutants: &[
            "a-failure-wakes-no-waiter",
            "the-end-of-a-backoff-gives-no-ticket",
        ],
    },
    Proof {
        number: 22,
        promise: "a close on the way of a check-out evicts, and its upkeep is done once",
        tests: &[
            STRESS,
            "evict::the_next_reap_does_the_upkeep_of_an_eviction_once",
            "evict::a_tenant_that_is_connected_to_again_needs_no_upkeep",
            "evict::closes_on_the_way_of_a_check_out_evict_and_requested_closes_complete",
            "evict::close_waits_for_upkeep_and_is_woken_by_its_end",
            "shuttled::shuttle_close_waits_for_upkeep_and_is_woken",
        ],
        mutants: &[
            "an-eviction-closes-completely",
            "upkeep-is-forgotten",
            "upkeep-of-an-open-tenant",
            "close-does-not-wait-for-upkeep",
        ],
    },
    Proof {
        number: 23,
        promise: "above a lowered bound no connection is kept idle",
        tests: &[
            SCHED,
            "admin::surplus_connections_are_closed_when_a_tenants_bound_is_lowered",
            "admin::a_bound_lowered_during_an_open_keeps_no_surplus",
        ],
        mutants: &["surplus-stays-idle", "an-opening-connection-does-not-stay"],
    },
    Proof {
        number: 24,
        promise: "removed tenants take no memory, and no other is forgotten",
        tests: &[
            MODEL,
            STRESS,
            "slots::a_hundred_thousand_removed_tenants_take_no_memory",
            "slots::a_late_removal_forgets_nothing_of_the_tenant_created_again",
            "shuttled::shuttle_a_released_slot_strands_no_waiter",
        ],
        mutants: &["a-removed-tenant-keeps-its-slot", "a-late-removal-forgets"],
    },
    Proof {
        number: 25,
        promise: "no step of a check-out begins after its deadline",
        tests: &[
            "deadline::no_connection_is_opened_after_a_close_past_the_deadline",
            "deadline::no_database_is_prepared_after_a_connect_past_the_deadline",
            "deadline::repeated_validation_ends_at_the_deadline",
        ],
        mutants: &["steps-have-no-deadline"],
    },
    Proof {
        number: 26,
        promise: "a connection that the driver rejects at a check-out or its return is closed",
        tests: &[
            STRESS,
            "hooks::a_connection_rejected_at_its_check_out_is_closed",
            "hooks::a_connection_rejected_at_its_return_is_closed",
        ],
        mutants: &["a-rejected-connection-is-kept", "a-rejected-return-is-kept"],
    },
    Proof {
        number: 27,
        promise: "suspended time counts for ages",
        tests: &["admin::suspended_time_counts_for_ages"],
        mutants: &["suspended-time-does-not-count"],
    },
    Proof {
        number: 28,
        promise: "after `close_all` no connection exists or is opened",
        tests: &[
            "peers::close_all_leaves_no_connection_and_opens_none",
            "shuttled::shuttle_close_all_leaves_no_connection",
        ],
        mutants: &["new-tenants-open-after-close-all", "close-all-is-not-woken"],
    },
    Proof {
        number: 29,
        promise: "an unopened seat and a cancelled wait serve the next",
        tests: &[
            SCHED,
            STRESS,
            "seats::a_future_dropped_before_or_after_its_grant_loses_no_connection",
            "shuttled_seats::shuttle_an_unopened_seat_serves_the_next",
            "shuttled_seats::shuttle_a_wait_cancelled_at_any_poll_strands_no_waiter",
        ],
        mutants: &["an-unopened-seat-is-lost", "a-cancelled-wait-stays"],
    },
    Proof {
        number: 30,
        promise: "no foreign code runs where a task is polled or a seat is dropped",
        tests: &[
            "seats::no_foreign_code_runs_where_tasks_are_polled",
            "seats::the_close_of_a_dropped_seats_connection_is_deferred",
            "seats::an_evicted_connection_is_closed_where_the_seat_is_opened",
        ],
        mutants: &["a-dropped-seat-closes-its-connection"],
    },
    Proof {
        number: 31,
        promise: "the wait of a task ends at its deadline, polled or not; its last waker is woken",
        tests: &[
            "seats::a_wait_ends_at_the_deadline_and_names_the_holders",
            "seats::a_future_that_is_never_polled_again_leaves_the_queue_at_its_deadline",
            "seats::the_last_waker_is_woken_and_spurious_polls_change_nothing",
            "seats::a_seat_belongs_to_no_thread",
            "shuttled_seats::shuttle_a_grant_that_races_with_the_deadline_is_not_lost",
            "shuttled_seats::shuttle_a_future_wakes_the_task_that_polled_it_last",
        ],
        mutants: &[
            "a-task-has-no-deadline",
            "the-first-waker-is-kept",
            "a-seat-belongs-to-a-thread",
        ],
    },
    Proof {
        number: 32,
        promise: "a deferred close blocks no seat: the next check-out that needs it does it, or `close`",
        tests: &[
            SCHED,
            "seats::the_close_of_a_dropped_seats_connection_is_deferred",
            "seats::an_expired_connection_is_replaced_where_the_seat_is_opened",
            "shuttled_seats::shuttle_close_ends_waits_and_leaves_no_connection",
        ],
        mutants: &[
            "deferred-closes-keep-their-seats",
            "a-ticket-for-a-seat-that-another-took",
            "close-leaves-deferred-closes",
        ],
    },
];

fn source(of: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(match of {
        "sched" => "src/sched/tests/mod.rs".into(),
        "shuttled" => "src/shuttled.rs".into(),
        "shuttled_seats" => "src/shuttled/seats.rs".into(),
        module => format!("tests/{module}.rs"),
    });
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn each_promise_has_a_test_and_a_mutant_that_breaks_it() {
    let mutants = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    let mut used = BTreeSet::new();
    for (at, proof) in PROOFS.iter().enumerate() {
        let (number, promise) = (proof.number, proof.promise);
        assert_eq!(number as usize, at + 1);
        assert!(
            !proof.tests.is_empty() && !proof.mutants.is_empty(),
            "{number}: {promise}"
        );
        for test in proof.tests {
            let (module, name) = test.split_once("::").expect("module::test");
            let is_there = source(module).contains(&format!("fn {name}("));
            assert!(is_there, "{number}: there is no {test}");
        }
        for mutant in proof.mutants {
            let text = std::fs::read_to_string(mutants.join(format!("{mutant}.mutant")));
            let text = text.unwrap_or_else(|error| panic!("{number}: {mutant}: {error}"));
            let (breaks, _) = text
                .split_once(';')
                .expect("Breaks invariant …; caught by …");
            let broken = breaks.trim_start_matches("Breaks invariant ");
            let mut broken = broken
                .split(", ")
                .map(|n| n.parse::<u32>().expect("a number"));
            assert!(
                broken.any(|n| n == number),
                "{mutant} does not say that it breaks {number}"
            );
            used.insert(format!("{mutant}.mutant"));
        }
    }
    let there = std::fs::read_dir(mutants).expect("a directory");
    let there = there.map(|entry| entry.expect("an entry").file_name().into_string());
    let there: BTreeSet<String> = there.map(|name| name.expect("a name")).collect();
    assert_eq!(there, used, "a mutant that proves nothing");
}
