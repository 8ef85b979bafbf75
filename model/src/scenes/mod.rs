//! The scenes. Each is one function, which is run once for each schedule.

mod evictions;
mod faults;
mod hooks;
mod owners;
mod places;
mod shortages;
mod stops;
mod threads;
mod upgrades;
mod waits;

use crate::schedulers;

/// One program that is run under many schedules.
pub struct Scene {
    pub name: &'static str,
    pub run: fn(),
}

impl Scene {
    /// The seeds of its random choices that the depth-first search tries. Some scenes begin with a
    /// choice of what happens; the others choose little or nothing.
    pub fn seeds(&self) -> Vec<u64> {
        if self.name.starts_with("hook_") {
            (1..=16).collect()
        } else if self.name.starts_with("every_call_") {
            schedulers::seeds_of_all(faults::CASES)
        } else {
            vec![1]
        }
    }
}

macro_rules! scenes {
    ($($file:ident: $($name:ident)+;)+) => {
        pub const ALL: &[Scene] = &[
            $($(Scene { name: stringify!($name), run: $file::$name },)+)+
        ];
    };
}

scenes! {
    stops:
        destroy_against_accept
        destroy_against_requests
        destroy_against_a_sleeping_handler
        destroy_against_a_blocked_response
        destroy_against_a_blocked_body
        destroy_against_the_rest_of_a_body
        shutdown_against_the_rest_of_a_body
        destroy_against_half_a_head
        drain_against_idle
        drain_after_a_request
        drain_against_waiting
        drain_against_new_clients
        drain_against_silence
        drain_before_run
        two_destroys_wait_and_shutdown
        two_deadlines
        deadline_and_last_end
        wait_for_a_time
        wait_for_a_stop;
    places:
        turns_of_a_queue
        turns_of_a_queue_destroyed
        turns_of_a_queue_behind_a_slow_upload
        eviction_of_a_slow_reader
        eviction_of_a_last_response
        eviction_of_a_refused_request
        eviction_of_an_idle_one
        one_place_one_client
        place_after_a_slow_response
        place_of_an_idle_client
        place_of_a_lost_client
        drain_while_a_client_waits_for_a_place
        stops_while_a_client_waits_for_a_place
        refusals
        refusals_against_stops
        more_than_eight_refusals
        crowded_by_slow_hooks;
    evictions:
        eviction_of_a_next_head
        eviction_of_a_late_first_head
        eviction_of_a_silent_one
        spared_after_a_wait
        place_after_a_refusal
        search_against_an_idle_one
        refusal_after_an_ending
        nine_refusals_in_turn
        silent_handshake_of_a_refused_client;
    waits:
        rest_of_a_body
        rest_of_a_body_in_a_drain
        place_of_the_rest_of_a_body
        crowded_by_slow_goodbyes;
    shortages:
        no_descriptor
        last_descriptor
        no_descriptor_destroyed
        no_second_descriptor_destroyed
        no_thread_for_a_client
        a_thread_at_the_second_attempt
        no_thread_against_stops
        no_thread_for_the_server
        a_close_that_lingers
        a_last_response_and_more_bytes
        an_early_answer_to_a_slow_upload
        refusals_while_closing_lingers
        more_refusals_while_closing_lingers;
    faults:
        every_call_fails_destroyed
        every_call_fails_drained
        every_call_fails_shut_down
        every_call_fails_over_a_transport;
    threads:
        spare_threads_destroyed
        spare_threads_drained
        spare_threads_shut_down
        spare_threads_dropped
        a_spare_thread_alone
        spare_threads_are_called
        a_spare_threads_last_moment;
    upgrades:
        dropped_elsewhere_destroyed
        dropped_elsewhere_drained
        dropped_by_a_panic
        closed_by_a_panic
        closed_by_a_panic_in_a_drain
        raw_socket_and_lease
        lease_dropped_in_the_closure
        last_drop_of_all
        stacks_of_upgraded_streams
        closed_hook_shuts_down;
    owners:
        never_run
        never_run_and_stopped
        run_here
        two_joins
        join_on_an_own_thread
        owner_dropped
        owner_dropped_by_a_handler
        detached
        two_servers
        shared_listener
        shared_listener_with_a_clone
        shared_listener_drained
        pending
        pending_with_a_slow_hook;
    hooks:
        hook_destroys
        hook_drains
        hook_closes
        hook_waits_and_asks
        hook_panics
        hook_closes_while_serving
        drop_of_a_hook_calls_all
        drop_of_a_hook_that_never_ran_calls_all
        handler_panics
        handler_panics_destroyed
        token_kept
        token_of_a_closed_connection
        token_of_a_drain
        close_against_requests
        silent_handshake_destroyed
        silent_handshake_drained
        silent_handshake_times_out
        transport_that_reads_on
        slow_hook_against_destroy
        transport_kept_by_somebody;
}
