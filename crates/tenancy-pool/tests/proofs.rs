//! The invariants: what is promised, the tests that prove it, and the patches of
//! `tests/mutants/` that break it. `scripts/mutants` applies each patch to a copy of the
//! crate and expects red.
//!
//! `sched` is `src/sched/tests/mod.rs`: the scheduler alone, driven in any order, with all of
//! it counted from scratch after every step. It asserts nearly all of this on the way, and
//! `shuttled` (`src/shuttled.rs`, by `scripts/shuttle`) under thousands of schedules.

use std::collections::BTreeSet;
use std::path::PathBuf;

struct Proof {
    number: u32,
    promise: &'static str,
    tests: &'static [&'static str],
    patches: &'static [&'static str],
}

const SCHED: &str = "sched::the_scheduler_keeps_its_promises";
const MODEL: &str = "model::every_check_out_ends_as_the_model_says";
const STRESS: &str = "stress::nothing_is_lost_whatever_fails";

const PROOFS: [Proof; 32] = [
    Proof {
        number: 1,
        promise: "never more open than `max_connections`, counted in the fake",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "shuttled::shuttle_tenants_take_each_others_seats",
        ],
        patches: &["bound-off-by-one", "seat-freed-before-drop"],
    },
    Proof {
        number: 2,
        promise: "never more of a tenant than it may have",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "order::a_bigger_plan_gets_more",
            "order::a_plan_that_changes_changes_what_a_tenant_gets",
        ],
        patches: &["cap-off-by-one", "too-many-are-kept"],
    },
    Proof {
        number: 3,
        promise: "a tenant's connection never reaches another: a tag in the connection",
        tests: &[SCHED, MODEL, STRESS],
        patches: &["anothers-connection"],
    },
    Proof {
        number: 4,
        promise: "the parts add up to `open`",
        tests: &[SCHED, MODEL, STRESS],
        patches: &["parts-do-not-add-up", "one-seat-for-two"],
    },
    Proof {
        number: 5,
        promise: "after the last guard nothing is out, nobody waits, no ticket is left",
        tests: &[SCHED, STRESS, "basic::waiters_are_served_by_returns"],
        patches: &["waiter-stays-in-the-queue"],
    },
    Proof {
        number: 6,
        promise: "no connection in two hands",
        tests: &[SCHED, STRESS],
        patches: &["one-seat-for-two", "late-grant-is-lost"],
    },
    Proof {
        number: 7,
        promise: "a check-out ends by its deadline and 50 ms",
        tests: &["order::a_check_out_ends_at_its_deadline", STRESS],
        patches: &["waits-past-its-deadline"],
    },
    Proof {
        number: 8,
        promise: "a failed or panicked connect leaves no trace and serves the next",
        tests: &[
            SCHED,
            MODEL,
            "order::a_failed_connect_serves_the_next",
            "basic::a_panic_while_connecting_unwinds_and_gives_the_seat_back",
            "shuttled::shuttle_a_failed_connect_wakes_the_next",
        ],
        patches: &["failure-keeps-the-seat", "herd-after-a-failure"],
    },
    Proof {
        number: 9,
        promise: "with `handoff_after` = 0 grants are in order of arrival",
        tests: &[SCHED, "order::waiters_are_served_as_they_came"],
        patches: &["last-waiter-first", "overtakes-who-waited-long"],
    },
    Proof {
        number: 10,
        promise: "tickets are served in order",
        tests: &[SCHED, "order::tenants_are_served_as_they_came"],
        patches: &["last-ticket-first"],
    },
    Proof {
        number: 11,
        promise: "the victim is the least recently used, never the asker's, never one waited for",
        tests: &[SCHED, MODEL, "rest::a_rest_is_no_use"],
        patches: &[
            "victim-is-the-most-recent",
            "rest-counts-as-use",
            "rested-goes-last",
            "victim-of-those-who-wait",
            "anothers-connection",
        ],
    },
    Proof {
        number: 12,
        promise: "at rest, who waits does so for a reason; who has news is woken",
        tests: &[
            SCHED,
            "order::at_rest_who_waits_has_a_reason",
            "shuttled::shuttle_no_wake_up_is_lost",
            "shuttled::shuttle_a_waiter_that_gives_up_passes_its_nudge_on",
            "sched::what_somebody_was_nudged_towards_does_not_rest",
            "shuttled::shuttle_who_comes_while_it_rests_is_served",
        ],
        patches: &[
            "nobody-is-nudged",
            "nobody-is-woken",
            "no-nudge-when-the-first-leaves",
            "raise-keeps-the-ticket",
            "rests-what-is-waited-for",
            "late-grant-is-lost",
        ],
    },
    Proof {
        number: 13,
        promise: "broken, panicked-over, restricted and badly rested connections never come back",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "admin::broken_connections_are_closed",
            "admin::what_a_panic_left_behind_is_closed",
            "read_only::a_connection_that_stays_restricted_is_closed",
            "rest::a_rest_that_fails_or_panics_costs_the_connection",
        ],
        patches: &[
            "broken-comes-back",
            "panic-comes-back",
            "read-only-comes-back",
            "failed-rest-comes-back",
        ],
    },
    Proof {
        number: 14,
        promise: "one preparation at a time, one success for each tenant and epoch",
        tests: &[
            SCHED,
            STRESS,
            "basic::a_herd_on_a_cold_tenant_makes_one_preparation",
        ],
        patches: &["two-prepare-at-a-time"],
    },
    Proof {
        number: 15,
        promise: "after `close` nothing of the tenant exists or opens",
        tests: &[
            SCHED,
            MODEL,
            STRESS,
            "shuttled::shuttle_close_leaves_nothing",
            "shuttled::shuttle_close_waits_for_a_rest",
            "rest::close_waits_for_a_rest",
            "admin::close_waits_for_a_connection_that_is_being_opened",
        ],
        patches: &["close-does-not-wait", "closed-still-opens"],
    },
    Proof {
        number: 16,
        promise: "connections are dropped once, and nothing of the user's runs under a lock",
        tests: &[STRESS, "events::an_observer_may_ask_for_figures"],
        patches: &["seat-freed-before-drop", "asks-the-user-under-the-lock"],
    },
    Proof {
        number: 17,
        promise: "stats add up",
        tests: &[SCHED, MODEL, STRESS],
        patches: &["parts-do-not-add-up"],
    },
    Proof {
        number: 18,
        promise: "time-outs leave no ticket",
        tests: &[
            SCHED,
            "order::a_time_out_leaves_no_ticket",
            "shuttled::shuttle_a_ticket_that_times_out_stops_nobody",
        ],
        patches: &["ticket-kept-after-a-time-out", "waiter-stays-in-the-queue"],
    },
    Proof {
        number: 19,
        promise: "a stale handle never reaches the next user of its slot, nor the next epoch",
        tests: &[
            SCHED,
            MODEL,
            "admin::a_kept_handle_finds_its_tenant_after_it_was_forgotten",
            "shuttled::shuttle_a_raised_epoch_strands_nobody",
        ],
        patches: &["stale-handle-finds-the-slot", "old-epoch-comes-back"],
    },
    Proof {
        number: 20,
        promise: "what is idle rests once, when it is time, and is as idle as before",
        tests: &[
            SCHED,
            MODEL,
            "rest::a_connection_rests_once_until_it_is_used_again",
            "rest::who_comes_while_it_rests_opens_another_or_waits_for_it",
        ],
        patches: &["rests-again", "rests-too-soon", "rest-counts-as-use"],
    },
    Proof {
        number: 21,
        promise: "who waits beside a failed connect is served once it is forgotten, or refused with it",
        tests: &[
            SCHED,
            "failures::who_waits_beside_a_failed_connect_is_served_once_it_is_forgotten",
            "failures::who_waits_beside_a_failed_preparation_is_served_once_it_is_forgotten",
            "failures::who_waits_for_nothing_but_the_failed_connect_is_refused_with_it",
            "shuttled::shuttle_a_remembered_failure_strands_nobody",
        ],
        patches: &[
            "a-failure-is-kept-quiet",
            "a-forgotten-failure-gives-no-ticket",
        ],
    },
    Proof {
        number: 22,
        promise: "a close that somebody waits for is quick, and what it left is done once",
        tests: &[
            STRESS,
            "evict::what_an_eviction_left_is_done_once_by_the_next_reap",
            "evict::a_tenant_that_is_connected_to_again_needs_no_upkeep",
            "evict::every_close_that_somebody_waits_for_is_quick_and_the_others_are_thorough",
            "evict::close_waits_for_upkeep_and_is_told_when_it_ends",
            "shuttled::shuttle_close_waits_for_upkeep_and_is_woken",
        ],
        patches: &[
            "eviction-is-thorough",
            "left-work-is-forgotten",
            "upkeep-of-what-is-open",
            "close-does-not-wait-for-upkeep",
        ],
    },
    Proof {
        number: 23,
        promise: "above a lowered bound nothing is kept idle",
        tests: &[
            SCHED,
            "admin::surplus_connections_are_closed_when_a_tenants_bound_is_lowered",
            "admin::a_bound_lowered_while_one_is_opened_keeps_no_idle_one_beside_it",
        ],
        patches: &["surplus-stays-idle", "opening-is-not-counted"],
    },
    Proof {
        number: 24,
        promise: "of tenants that are gone nothing is remembered, of others nothing is forgotten",
        tests: &[
            MODEL,
            STRESS,
            "slots::nothing_is_kept_of_a_hundred_thousand_tenants_that_are_gone",
            "slots::a_removal_that_is_told_late_forgets_nothing_of_the_tenant_made_again",
            "shuttled::shuttle_a_slot_that_is_freed_strands_nobody",
        ],
        patches: &["removed-is-remembered", "late-removal-forgets"],
    },
    Proof {
        number: 25,
        promise: "no step of a check-out is begun after its deadline",
        tests: &[
            "deadline::nothing_is_opened_after_a_close_that_took_too_long",
            "deadline::nothing_is_prepared_after_a_connect_that_took_too_long",
            "deadline::validating_one_after_the_other_ends_at_the_deadline",
        ],
        patches: &["steps-take-their-time"],
    },
    Proof {
        number: 26,
        promise: "what the driver refuses at a check-out or its return is closed",
        tests: &[
            STRESS,
            "hooks::a_connection_that_is_refused_at_its_check_out_is_closed",
            "hooks::a_connection_that_is_refused_at_its_return_is_closed",
        ],
        patches: &["refused-is-lent", "refused-return-comes-back"],
    },
    Proof {
        number: 27,
        promise: "the time for which the machine was suspended counts for ages",
        tests: &["admin::the_time_for_which_the_machine_was_suspended_counts"],
        patches: &["suspension-does-not-count"],
    },
    Proof {
        number: 28,
        promise: "after `close_all` nothing exists or opens",
        tests: &[
            "peers::close_all_leaves_nothing_and_nothing_comes_back",
            "shuttled::shuttle_close_all_leaves_nothing",
        ],
        patches: &["newcomers-after-the-end", "the-end-is-not-told"],
    },
    Proof {
        number: 29,
        promise: "a seat that is not opened and a wait that is cancelled serve the next",
        tests: &[
            SCHED,
            STRESS,
            "seats::one_that_is_dropped_while_it_waits_or_once_it_is_granted_loses_nothing",
            "shuttled_seats::shuttle_a_seat_that_is_not_opened_serves_the_next",
            "shuttled_seats::shuttle_a_wait_cancelled_at_any_poll_strands_nobody",
        ],
        patches: &["unopened-seat-is-lost", "cancelled-wait-stays"],
    },
    Proof {
        number: 30,
        promise: "nothing of the user's runs where a task is polled or a seat is dropped",
        tests: &[
            "seats::nothing_of_the_users_runs_where_tasks_are_polled",
            "seats::what_may_not_be_kept_is_closed_by_who_may_block",
            "seats::another_tenants_connection_is_closed_where_the_seat_is_opened",
        ],
        patches: &["seat-closes-where-it-is-dropped"],
    },
    Proof {
        number: 31,
        promise: "a wait without a thread ends by its deadline, polled or not; its last waker is told",
        tests: &[
            "seats::waiting_ends_at_the_deadline_with_who_holds_what",
            "seats::one_that_is_never_polled_again_stands_in_nobodys_way_after_its_deadline",
            "seats::the_last_waker_is_woken_and_polling_for_nothing_changes_nothing",
            "seats::a_seat_is_held_by_no_thread",
            "shuttled_seats::shuttle_a_grant_that_races_with_the_deadline_is_not_lost",
            "shuttled_seats::shuttle_a_future_that_moves_between_tasks_tells_the_last_one",
        ],
        patches: &[
            "no-end-without-a-look",
            "first-waker-is-kept",
            "seat-is-a-threads",
        ],
    },
    Proof {
        number: 32,
        promise: "what was set aside is in nobody's way: who needs its seat closes it, or `close` does",
        tests: &[
            SCHED,
            "seats::what_may_not_be_kept_is_closed_by_who_may_block",
            "seats::an_expired_connection_is_replaced_where_the_seat_is_opened",
            "shuttled_seats::shuttle_close_ends_waits_and_leaves_nothing",
        ],
        patches: &[
            "aside-is-nobodys",
            "ticket-for-what-another-took",
            "close-leaves-what-is-aside",
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
fn each_promise_has_a_test_and_a_patch_that_breaks_it() {
    let mutants = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mutants");
    let mut used = BTreeSet::new();
    for (at, proof) in PROOFS.iter().enumerate() {
        let (number, promise) = (proof.number, proof.promise);
        assert_eq!(number as usize, at + 1);
        assert!(
            !proof.tests.is_empty() && !proof.patches.is_empty(),
            "{number}: {promise}"
        );
        for test in proof.tests {
            let (module, name) = test.split_once("::").expect("module::test");
            let is_there = source(module).contains(&format!("fn {name}("));
            assert!(is_there, "{number}: there is no {test}");
        }
        for patch in proof.patches {
            let text = std::fs::read_to_string(mutants.join(format!("{patch}.patch")));
            let text = text.unwrap_or_else(|error| panic!("{number}: {patch}: {error}"));
            let (breaks, _) = text
                .split_once(';')
                .expect("Breaks invariant …; caught by …");
            let broken = breaks.trim_start_matches("Breaks invariant ");
            let mut broken = broken
                .split(", ")
                .map(|n| n.parse::<u32>().expect("a number"));
            assert!(
                broken.any(|n| n == number),
                "{patch} does not say that it breaks {number}"
            );
            used.insert(format!("{patch}.patch"));
        }
    }
    let there = std::fs::read_dir(mutants).expect("a directory");
    let there = there.map(|entry| entry.expect("an entry").file_name().into_string());
    let there: BTreeSet<String> = there.map(|name| name.expect("a name")).collect();
    assert_eq!(there, used, "a patch that proves nothing");
}
