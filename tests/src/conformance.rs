//! What every store promises, each promise a function of its own, run for one store by [`crate::exercise!`].
//!
//! To hold a new store to them: implement [`Subject`] for it, [`Lasting`] if it leaves something behind, and write
//! `exercise!(TheSubject);` in a module of its own. To add a promise: write it in the module of its role and name it in the list below.

pub mod documents;
pub mod endpoints;
pub mod history;
pub mod inbox;
pub mod jobs;
pub mod model;
pub mod order;
pub mod plugins;
pub mod prune;
pub mod queue;
pub mod reopen;
pub mod settings;
pub mod statistics;
pub mod steer;
pub mod world;

use std::sync::Arc;

use async_trait::async_trait;
use hookwright::store::Store;

/// A store under test, with what it needs to exist.
#[async_trait]
pub trait Subject: Sized + Send + Sync + 'static {
    /// Whether this machine has what it needs. Where it has not, its tests say so, and are skipped.
    fn is_there() -> bool {
        true
    }

    /// Begins with an empty store, apart from any other.
    async fn create() -> Self;

    fn store(&self) -> &Arc<dyn Store>;
}

/// A subject whose store leaves something behind.
#[async_trait]
pub trait Lasting: Subject {
    /// Closes the store and opens what it left. No one else holds the store by then.
    async fn reopen(self) -> Self;
}

/// Makes a test of each promise for one [`Subject`]; with `lasting`, for one that is [`Lasting`], of those about
/// reopening too.
#[macro_export]
macro_rules! exercise {
    ($subject:ty, lasting) => {
        $crate::exercise!($subject);
        $crate::promises! { $subject:
            reopen {
                everything_is_still_there
                leases_end
                the_order_goes_on
                producer_ids_are_remembered
                waiting_deliveries_keep_their_time
                deleted_endpoints_stay_deleted
                lists_are_the_same
                counts_outlast_the_store
                the_line_stands_after_a_restart
                a_job_goes_on_after_a_restart
                plugins_outlast_the_store
            }
        }
    };
    ($subject:ty) => {
        $crate::promises! { $subject:
            inbox {
                an_event_is_found_as_it_was_posted
                payloads_are_kept_byte_for_byte
                an_event_without_deliveries_is_kept
                a_stale_version_writes_nothing
                a_batch_is_all_or_nothing
                a_known_producer_id_gets_the_first_answer
                other_content_under_a_known_producer_id_is_a_conflict
                producer_ids_hold_within_a_batch
                one_of_many_racing_posts_is_accepted
                tenants_do_not_share_producer_ids
                events_without_a_producer_id_are_never_duplicates
                taken_deliveries_are_leased_to_the_caller
                an_event_has_no_more_deliveries_than_it_can_have
            }
            queue {
                what_waits_is_due_when_its_event_was_accepted
                claims_are_exclusive
                the_longest_due_go_first
                claims_take_turns_over_endpoints
                a_claim_keeps_its_bounds
                skipped_endpoints_wait
                held_endpoints_wait
                deleted_endpoints_wait
                an_expired_lease_is_claimed_again
                an_expired_taken_lease_is_claimed_again
                a_late_settle_changes_nothing
                renewed_leases_stand
                lost_leases_are_not_renewed
                released_deliveries_wait_until_due
                a_settled_delivery_is_never_handed_out_again
                a_retry_waits_until_it_is_due
                a_lease_settles_once
                a_lost_lease_leaves_the_rest_of_the_batch_alone
                attempts_are_kept_as_they_were
                the_latest_attempts_are_kept
                next_due_is_exact
                next_due_passes_over_what_no_claim_hands_out
                pending_counts_what_is_not_final
            }
            steer {
                retry_now_makes_a_waiting_delivery_due
                retry_now_leaves_a_leased_delivery_to_its_holder
                cancel_ends_a_waiting_delivery
                cancel_takes_the_lease_away
                final_deliveries_are_not_steered
                unknown_deliveries_are_not_found
                a_replay_is_a_new_delivery
                a_replay_can_have_a_webhook_id_of_its_own
                replays_of_replays_keep_the_line
                pending_deliveries_are_not_replayed
                nothing_is_replayed_to_a_deleted_endpoint
                a_full_event_is_not_replayed
                orphans_are_cancelled
                orphans_lose_their_leases
                what_waited_too_long_has_failed
            }
            order {
                only_the_head_is_handed_out
                the_order_is_that_of_the_appends
                a_failing_head_keeps_the_others_waiting
                a_head_given_back_stays_the_head
                a_head_steps_aside_where_it_is_to
                only_the_head_is_taken
                the_next_one_follows_whoever_is_cancelled
                nobody_jumps_the_line
                a_replay_comes_last
                what_was_made_before_is_in_no_line
                a_line_ends_with_the_order
                a_line_waited_too_long
                a_line_goes_with_its_endpoint
                what_waits_is_cancelled_up_to_a_moment
            }
            plugins {
                rows_are_kept_as_they_are
                an_outdated_row_writes_nothing
                one_of_many_racing_rows_is_written
                a_row_is_deleted_as_it_was_seen
                files_of_any_size_come_back
                a_file_is_kept_once
                forgotten_files_are_gone
            }
            history {
                events_come_newest_first
                deliveries_come_newest_first
                each_event_filter_finds_its_own
                each_delivery_filter_finds_its_own
                what_is_unknown_is_not_found
                pages_neither_skip_nor_repeat_events
                pages_neither_skip_nor_repeat_deliveries
                pages_hold_under_concurrent_writes
                long_histories_are_found_whole
            }
            prune {
                pending_deliveries_are_kept_however_old
                what_ended_goes_by_itself
                an_event_goes_with_its_last_delivery
                an_event_goes_though_the_clock_went_back
                an_event_without_deliveries_goes_by_its_age
                replays_keep_their_event
                ordinals_are_not_given_again
                a_pruned_producer_id_is_free
                held_past_retention_arrives
                a_call_looks_at_so_many_events
            }
            documents {
                documents_are_kept_in_the_order_of_kinds_and_names
                documents_and_endpoints_share_one_version
                one_of_many_racing_documents_is_written
            }
            endpoints {
                rows_are_kept_as_they_are
                each_change_raises_the_version
                the_faster_change_wins
                one_of_many_racing_changes_is_made
                a_deleted_endpoint_can_be_created_again
                an_endpoint_is_judged_anew
                a_recovery_is_told_once
            }
            jobs {
                jobs_are_kept_as_they_are
                a_step_delivers_again_and_says_how_far_it_came
                a_step_is_made_once
                what_was_delivered_again_stands_for_its_line
                an_endpoint_gets_what_it_never_got
                a_job_ends_once
                old_jobs_are_forgotten_and_running_ones_are_not
            }
            settings {
                settings_are_kept
                the_first_default_stands
                racing_defaults_agree
            }
            statistics {
                each_scope_counts_its_own
                each_end_is_counted
                orphans_are_counted_as_cancelled
                attempts_are_counted_as_they_come
                counts_stand_in_their_span_of_time
                what_changes_nothing_counts_nothing
                what_is_promised_to_a_held_endpoint_is_counted_as_held
                health_counts_failures_until_a_success
                health_is_of_one_batch_too
                an_endpoints_last_times_are_kept
                the_age_of_a_queue_is_that_of_its_oldest
                errors_are_grouped_by_endpoint_and_kind
                pages_of_errors_neither_skip_nor_repeat
                old_counts_are_forgotten
                announcements_come_with_what_they_tell_of
                announcements_come_with_a_changed_endpoint
            }
            model {
                the_memory_store_agrees
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! promises {
    ($subject:ty: $($role:ident { $($promise:ident)* })*) => {
        $(mod $role {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    if !<$subject as $crate::conformance::Subject>::is_there() {
                        return;
                    }
                    $crate::conformance::$role::$promise::<$subject>().await;
                }
            )*
        })*
    };
}

#[cfg(test)]
mod tests {
    /// A promise that is written but not listed would never be held.
    #[test]
    fn every_promise_is_exercised() {
        let list = include_str!("conformance.rs");
        for source in [
            include_str!("conformance/documents.rs"),
            include_str!("conformance/endpoints.rs"),
            include_str!("conformance/history.rs"),
            include_str!("conformance/inbox.rs"),
            include_str!("conformance/jobs.rs"),
            include_str!("conformance/model.rs"),
            include_str!("conformance/order.rs"),
            include_str!("conformance/prune.rs"),
            include_str!("conformance/queue.rs"),
            include_str!("conformance/reopen.rs"),
            include_str!("conformance/settings.rs"),
            include_str!("conformance/statistics.rs"),
            include_str!("conformance/steer.rs"),
        ] {
            let promises = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            for name in promises.filter_map(|line| line.split('<').next()) {
                assert!(list.lines().any(|line| line.trim() == name), "`{name}` is missing in the list");
            }
        }
    }
}
