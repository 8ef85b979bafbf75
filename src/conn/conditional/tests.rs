use super::super::file_body::FileBody;
use super::super::response::Response;
use super::super::response_body::Payload;
use super::{etag, last_modified};
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

/// Returns the program of this test as a body, and its modification time since 1970.
fn program() -> (Payload, Duration) {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let metadata = file.metadata().unwrap();
    let modified = metadata.modified().unwrap();
    let body = FileBody::new(file, 0, &metadata);
    let since_1970 = modified.duration_since(UNIX_EPOCH).unwrap();
    (Payload::File(Box::new(body)), since_1970)
}

#[test]
fn the_tag_of_a_file_is_strong_two_seconds_after_its_modification() {
    let (payload, modified) = program();
    let second = Duration::from_secs(1);
    let nanosecond = Duration::from_nanos(1);
    let strong = etag(&payload, modified + 2 * second).unwrap();
    assert!(strong.starts_with('"'), "{strong}");
    assert_eq!(
        etag(&payload, modified + 3600 * second),
        Some(strong.clone())
    );
    for now in [
        Duration::from_secs(0), // a clock that has not been set
        modified - second,
        modified,
        modified + 2 * second - nanosecond,
    ] {
        let weak = etag(&payload, now).unwrap();
        let opaque = weak.strip_prefix("W/").unwrap();
        // Weak comparison would take them for one version, though the file may have changed.
        assert_ne!(opaque, strong, "{now:?}");
    }
}

#[test]
fn the_date_of_a_file_is_not_in_the_future() {
    let (payload, modified) = program();
    let date = last_modified(&payload, modified + Duration::from_secs(9));
    assert_eq!(date, last_modified(&payload, modified));
    let beginning = last_modified(&payload, Duration::from_secs(0));
    assert_eq!(beginning.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[test]
fn the_first_value_of_a_header_is_found_whatever_its_case() {
    let response = Response::new(200)
        .with_header("ETag-Of", "1")
        .with_header("eTAG", " \"a:b\" ")
        .with_header("ETag", "2")
        .with_header("X", "");
    assert_eq!(response.header_bytes("etag"), Some(&b"\"a:b\""[..]));
    assert_eq!(response.header_bytes("x"), Some(&b""[..]));
    assert_eq!(response.header_bytes("tag"), None);
    assert_eq!(Response::new(200).header_bytes("etag"), None);
}
