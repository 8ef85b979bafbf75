use super::{
    give_away, is_timeout, peer_state, prepare, set_whole_read_timeout, set_whole_write_timeout,
    set_write_timeout, unless_ended, write, PeerState, LONGEST_TIMEOUT,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The bound of every wait.
const SOON: Duration = Duration::from_secs(10);

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (tcp, _) = listener.accept().unwrap();
    tcp.set_read_timeout(Some(SOON)).unwrap();
    (tcp, peer)
}

/// Waits until the peer is in that state. It must be present until then.
fn until(tcp: &TcpStream, want: PeerState) {
    let began = Instant::now();
    loop {
        let state = peer_state(tcp);
        if state == want {
            return;
        }
        assert_eq!(state, PeerState::Present);
        assert!(began.elapsed() < SOON, "it has never become {want:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_peer_that_closes_has_ended() {
    let (tcp, peer) = pair();
    assert_eq!(peer_state(&tcp), PeerState::Present);
    drop(peer);
    until(&tcp, PeerState::Ended);
    assert_eq!(peer_state(&tcp), PeerState::Ended, "and stays so");
}

#[test]
fn a_peer_that_resets_is_lost() {
    let (mut tcp, peer) = pair();
    tcp.write_all(b"x").unwrap();
    peer.peek(&mut [0]).unwrap();
    drop(peer); // which has not read what has come
    until(&tcp, PeerState::Lost);
}

#[test]
fn what_a_peer_has_sent_hides_its_end_and_stays_unread() {
    let (mut tcp, mut peer) = pair();
    peer.write_all(b"x").unwrap();
    drop(peer);
    tcp.peek(&mut [0]).unwrap();
    assert_eq!(peer_state(&tcp), PeerState::Present);
    let mut piece = [0; 2];
    assert_eq!(tcp.read(&mut piece).unwrap(), 1);
    assert_eq!(&piece[..1], b"x");
    until(&tcp, PeerState::Ended);
}

#[cfg(not(windows))]
#[test]
fn a_reading_side_that_was_shut_down_looks_like_a_peer_that_has_ended() {
    let (tcp, _peer) = pair();
    tcp.shutdown(Shutdown::Read).unwrap();
    assert_eq!(peer_state(&tcp), PeerState::Ended);
}

#[test]
fn a_socket_that_was_shut_down_has_no_peer() {
    let (tcp, _peer) = pair();
    tcp.shutdown(Shutdown::Both).unwrap();
    assert_ne!(peer_state(&tcp), PeerState::Present);
}

#[test]
fn a_read_after_a_look_waits_for_its_timeout() {
    let (mut tcp, _peer) = pair();
    let timeout = Duration::from_millis(100);
    tcp.set_read_timeout(Some(timeout)).unwrap();
    assert_eq!(peer_state(&tcp), PeerState::Present);
    let began = Instant::now();
    let error = tcp.read(&mut [0]).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    assert!(began.elapsed() >= timeout / 2, "the socket does not block");
}

/// Regression: DragonFly and older versions of FreeBSD refuse more than 24.8 days, and the
/// connection ended.
#[test]
fn no_timeout_is_longer_than_every_system_takes() {
    assert!(LONGEST_TIMEOUT.as_millis() < i32::MAX as u128);
    let (tcp, _peer) = pair();
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(
        LONGEST_TIMEOUT,
        24 * day,
        "as the settings' documentation says"
    );
    for (given, expected) in [
        (None, None),
        (Some(day), Some(day)),
        (Some(LONGEST_TIMEOUT), Some(LONGEST_TIMEOUT)),
        (Some(30 * day), Some(LONGEST_TIMEOUT)),
        (Some(Duration::MAX), Some(LONGEST_TIMEOUT)),
    ] {
        set_whole_read_timeout(&tcp, given).unwrap();
        assert_eq!(tcp.read_timeout().unwrap(), expected);
        set_whole_write_timeout(&tcp, given).unwrap();
        assert_eq!(tcp.write_timeout().unwrap(), expected);
    }
    give_away(&tcp, None, Some(Duration::MAX));
    assert_eq!(tcp.write_timeout().unwrap(), Some(LONGEST_TIMEOUT));
}

/// Some systems refuse it, and what the peer has sent must be read all the same.
#[test]
fn a_socket_takes_a_timeout_after_both_directions_have_ended() {
    let (tcp, peer) = pair();
    peer.shutdown(Shutdown::Write).unwrap();
    until(&tcp, PeerState::Ended);
    tcp.shutdown(Shutdown::Write).unwrap();
    set_whole_read_timeout(&tcp, Some(SOON)).unwrap();
    set_whole_write_timeout(&tcp, Some(SOON)).unwrap();
}

// No `cfg!`, as the imitation of Windows runs with the numbers of Unix.
#[cfg(not(windows))]
const EINVAL: i32 = 22;
#[cfg(windows)]
const EINVAL: i32 = 10022;

/// Apple's systems, illumos and Solaris refuse a timeout after the end. std refuses one of zero.
#[test]
fn a_timeout_that_is_refused_after_the_end_is_not_missed() {
    let refused = io::Error::from_raw_os_error(EINVAL);
    assert!(unless_ended(Err(refused)).is_ok());
    assert!(unless_ended(Err(ErrorKind::InvalidInput.into())).is_err());
    assert!(unless_ended(Err(ErrorKind::NotConnected.into())).is_err());
    let (tcp, _peer) = pair();
    assert!(set_whole_read_timeout(&tcp, Some(Duration::ZERO)).is_err());
    assert!(set_whole_write_timeout(&tcp, Some(Duration::ZERO)).is_err());
}

/// Regression: the end of such a connection was reported as a timeout of the server's, and a
/// response was reported that had nowhere to go.
#[test]
fn a_connection_that_the_system_has_given_up_is_no_timeout() {
    let errors = (1..200).map(io::Error::from_raw_os_error);
    let given_up: Vec<_> = errors
        .filter(|error| error.kind() == ErrorKind::TimedOut)
        .collect();
    assert!(cfg!(windows) || !given_up.is_empty());
    for error in given_up {
        assert_eq!(is_timeout(&error), cfg!(windows), "{error}");
    }
    assert!(is_timeout(&ErrorKind::TimedOut.into()), "of a transport");
    assert!(is_timeout(&ErrorKind::WouldBlock.into()));
}

#[test]
fn a_prepared_socket_sends_small_writes_at_once() {
    let (tcp, _peer) = pair();
    assert!(!tcp.nodelay().unwrap());
    prepare(&tcp).unwrap();
    assert!(tcp.nodelay().unwrap());
}

/// The system's wait is only a small part of the timeout.
#[test]
fn a_write_that_moves_nothing_lasts_for_its_timeout() {
    let (tcp, _peer) = pair();
    let timeout = Duration::from_millis(300);
    set_write_timeout(&tcp, Some(timeout)).unwrap();
    let piece = vec![b'x'; 1 << 20];
    loop {
        let began = Instant::now();
        match write(&tcp, &piece, began, Some(timeout), || false) {
            Ok(_) => assert!(began.elapsed() < SOON),
            Err(error) => {
                assert!(is_timeout(&error), "{error}");
                let lasted = began.elapsed();
                assert!(lasted >= timeout && lasted < SOON, "{lasted:?}");
                return;
            }
        }
    }
}
