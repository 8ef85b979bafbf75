//! The scenes. Each is one function, which is run once for each schedule.

mod stops;

/// One program that is run under many schedules.
pub struct Scene {
    pub name: &'static str,
    pub run: fn(),
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
        destroy_against_half_a_head
        drain_against_idle
        drain_against_waiting
        drain_against_new_clients
        drain_against_silence
        drain_before_run
        two_destroys_wait_and_shutdown
        two_deadlines
        deadline_and_last_end
        wait_for_a_time;
}
