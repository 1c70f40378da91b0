//! What every backend must do: one suite for the store, one for the replay cache. A backend joins with one line:
//!
//! ```text
//! countersign_store::store_suite!(sqlite, SqliteBackend::new());
//! countersign_store::replay_suite!(memory, MemoryBackend::new());
//! ```
//!
//! Store cases run in a *world* with two of everything and no empty field. Each reads all of it before and after, so that a
//! missing `WHERE` shows, whichever case it hides from.

// A case that fails panics: that is how a test says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(missing_docs, reason = "cases are named by what they state")]

pub mod audit;
pub mod counters;
pub mod directory;
pub mod lists;
pub mod login;
pub mod replay;
pub mod sessions;
pub mod terms;
pub mod tiers;
pub mod users;
pub mod world;

use countersign_core::now::UnixMillis;

use crate::memory::ReplaySettings;
use crate::{ReplayUnavailable, SharedReplay, SharedStore};

/// A place where a store keeps its state.
pub trait StoreBackend {
    /// Opens it: empty at first, and afterwards with what an earlier store left, also one that was dropped without a word.
    fn open(&self) -> impl Future<Output = SharedStore>;
}

/// A place where a replay cache keeps its claims.
pub trait ReplayBackend {
    /// Opens it: empty at first, and afterwards with what an earlier cache left.
    ///
    /// # Errors
    /// When it is open already.
    fn open(&self, settings: ReplaySettings, now: UnixMillis) -> impl Future<Output = Result<SharedReplay, ReplayUnavailable>>;

    /// What was not made durable is lost, as in a power cut. The cache has been dropped before.
    fn lose_memory(&self) -> impl Future<Output = ()>;
}

/// Makes a test of every case, for one backend: an expression that is evaluated for each.
#[macro_export]
macro_rules! store_suite {
    ($name:ident, $backend:expr) => {
        mod $name {
            use super::*;
            $crate::conformance_cases! { $backend;
                audit: an_edit_by_anyone_is_told_in_order, a_change_and_its_row_come_together, the_chain_of_an_untouched_log_is_intact,
                    uses_add_up_and_change_nothing_else;
                directory: a_client_is_added_once, a_client_is_switched, a_client_is_removed_with_its_keys,
                    a_signing_key_needs_its_client, a_signing_key_is_switched_and_removed, a_second_secret_plans_the_end_of_the_first,
                    a_third_secret_waits_for_an_end, the_last_secret_stays, an_api_key_needs_its_client,
                    an_api_key_is_switched_and_removed, an_admin_key_is_added_switched_and_removed, one_token_key_signs_at_a_time,
                    of_parallel_adds_one_adds;
                lists: a_list_is_added_once_and_removed_with_its_entries, an_entry_needs_its_list, an_entry_is_saved_by_version,
                    an_entry_is_removed_by_version, of_parallel_saves_of_one_version_one_saves, every_field_of_an_entry_is_kept;
                login: an_attempt_is_counted_for_those_it_concerns, an_unknown_user_is_counted_like_a_known_one,
                    parallel_attempts_are_counted_exactly, an_attempt_that_waits_is_not_counted, a_success_clears_the_way,
                    a_known_network_is_not_kept_out_by_strangers, a_session_needs_the_user_that_was_verified,
                    a_better_hash_replaces_the_old_one;
                sessions: a_token_gets_one_successor, of_parallel_uses_one_rotates, a_token_shown_late_ends_its_session,
                    a_used_successor_ends_the_grace, another_application_changes_nothing, an_unknown_token_changes_nothing,
                    a_token_of_another_session_is_unknown, a_disabled_user_gets_no_successor, an_ended_session_gives_nothing,
                    a_session_is_ended_once, ended_sessions_are_told_while_they_matter, sessions_are_listed_newest_first,
                    a_chain_survives_a_restart, old_answers_are_dropped, old_sessions_are_swept;
                users: a_user_is_added_once, users_are_found_and_listed_by_name, disabling_a_user_ends_the_sessions,
                    a_new_password_ends_the_sessions, other_scopes_leave_sessions_open,
                    a_removed_user_leaves_sessions_ended_and_entries_disabled, everything_survives_a_restart;
            }
        }
    };
}

/// Makes a test of every case, for one backend: an expression that is evaluated for each.
#[macro_export]
macro_rules! replay_suite {
    ($name:ident, $backend:expr) => {
        mod $name {
            use super::*;
            $crate::conformance_cases! { $backend;
                replay: a_claim_is_first_once, the_nonce_and_the_message_are_each_claimed, another_secret_is_another_matter,
                    a_nonce_is_not_a_message, a_secret_has_a_bounded_number_of_claims, all_secrets_have_a_bounded_number_of_claims,
                    a_claim_is_kept_as_long_as_it_must_be, room_comes_back_when_claims_are_over, of_parallel_claims_one_is_first,
                    claims_survive_a_kill, claims_survive_a_planned_stop, a_closed_cache_claims_nothing,
                    what_may_have_been_forgotten_is_behind_the_fence, the_fence_survives_a_kill,
                    a_clock_set_back_reopens_nothing,
                    a_clock_far_behind_is_told, it_answers_as_a_memory_without_end_would;
                tiers: a_claim_of_any_tier_is_kept_as_long_as_it_must_be, a_claim_beyond_what_is_kept_is_refused,
                    room_comes_back_in_every_tier, claims_that_live_long_keep_no_others, one_secret_leaves_room_in_every_tier,
                    claims_of_any_tier_survive_kills_and_a_planned_stop, a_lost_memory_lets_nothing_in_again,
                    a_clock_set_back_reopens_nothing_in_any_tier, a_clock_set_back_a_little_reopens_nothing,
                    every_tier_answers_as_a_memory_without_end_would;
                counters: a_counter_must_grow, a_counter_is_refused_together_with_its_claim, of_parallel_claims_with_one_counter_one_is_first,
                    counters_have_no_end, counters_survive_kills_and_a_planned_stop, a_lost_memory_lets_no_counter_in_again,
                    a_bounded_number_of_secrets_has_a_counter;
                terms: what_was_claimed_under_other_terms_is_not_let_in_again, a_time_that_is_read_in_another_way_lets_nothing_in_again,
                    other_terms_of_one_kind_keep_out_no_other;
            }
        }
    };
}

/// The tests of both suites. Not for direct use.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($backend:expr; $($file:ident: $($case:ident),+;)+) => {$(
        mod $file {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    $crate::conformance::$file::$case(&$backend).await;
                }
            )+
        }
    )+};
}
