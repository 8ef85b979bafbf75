use super::{is_of_one_client, Accept, Accepted, Listener, EPROTO};
use std::io::{self, ErrorKind};

#[test]
fn errors_of_one_client_are_told_from_those_that_last() {
    let invalid = ErrorKind::InvalidInput;
    let has_eproto = cfg!(any(
        target_os = "linux",
        target_os = "android",
        target_os = "illumos",
        target_os = "solaris"
    ));
    let cases = [
        (
            ErrorKind::ConnectionAborted.into(),
            true,
            "a reset, on Unix",
        ),
        (
            ErrorKind::ConnectionReset.into(),
            true,
            "a reset, on Windows",
        ),
        (ErrorKind::Interrupted.into(), true, "a signal"),
        (ErrorKind::TimedOut.into(), true, "a connection given up"),
        (invalid.into(), true, "std's, for no address"),
        (
            io::Error::new(invalid, "no address"),
            true,
            "std's, with a text",
        ),
        (io::Error::from_raw_os_error(EPROTO), has_eproto, "EPROTO"),
        (ErrorKind::WouldBlock.into(), false, "nobody is there"),
        (ErrorKind::OutOfMemory.into(), false, "no memory"),
        (
            ErrorKind::PermissionDenied.into(),
            false,
            "a rule forbids it",
        ),
        (ErrorKind::Other.into(), false, "unknown"),
    ];
    for (error, expected, reason) in cases {
        let error: io::Error = error;
        assert_eq!(is_of_one_client(&error), expected, "{reason}: {error:?}");
    }
}

/// A socket that does not listen says so each time.
#[cfg(unix)]
#[test]
fn a_real_einval_lasts() {
    let error = io::Error::from_raw_os_error(22); // the same number on every Unix
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!is_of_one_client(&error));
}

struct PanickingSocket;

impl Accept for PanickingSocket {
    fn accept(&self) -> io::Result<Accepted> {
        panic!("assertion failed: len >= size_of::<c::sockaddr_in6>()")
    }

    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Regression: std may panic for a client without an address, and the server ended.
#[test]
fn a_panic_of_accept_is_an_error_of_one_client() {
    let listener = Listener::new(Box::new(PanickingSocket), true).unwrap();
    let error = listener.accept().unwrap_err();
    assert!(is_of_one_client(&error), "{error:?}");
}
