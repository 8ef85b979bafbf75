use super::super::super::server::Server;
use super::Work;

/// A pause has joined all threads by the time it ends. While clients come without one, joining each
/// thread by itself would cost them time.
#[test]
fn threads_that_have_ended_are_joined_many_at_a_time_and_all_after_a_pause() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let registry = server.handle().registry;
    let table = [
        (false, 64, false, "few, and no pause"),
        (false, 65, true, "many"),
        (true, 1, true, "one, before a pause"),
        (true, 0, false, "none"),
    ];
    for (pauses, ended, expected, reason) in table {
        let mut state = registry.lock();
        state.pool.serving = 3;
        state.acceptor.joins_all_next = pauses;
        let joins = matches!(state.due_work(3 + ended, 1), Some(Work::JoinEnded));
        assert_eq!(joins, expected, "{reason}");
    }
}
