//! The access_log example, run as a user does, its log checked line by line.

#[allow(
    dead_code,
    reason = "it is run as a process; its calendar is called here"
)]
#[path = "../../examples/access_log.rs"]
mod example;

use crate::support::client::Client;
use crate::support::example::Example;
use example::date;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn each_response_is_a_line_in_the_combined_format() {
    let table: &[(&[u8], &str)] = &[
        (
            b"GET /there?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: me/1.0 (a b)\r\n\
              Referer: http://x/\r\n\r\n",
            r#""GET /there?a=b HTTP/1.1" 200 18 "http://x/" "me/1.0 (a b)""#,
        ),
        (
            b"HEAD /there HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            r#""HEAD /there HTTP/1.1" 200 0 "-" "-""#,
        ),
        (
            b"GET /old HTTP/1.0\r\nUser-Agent: \r\n\r\n",
            r#""GET /old HTTP/1.0" 200 16 "-" """#,
        ),
        // With a quote, the end of a line or an escape code, a client could forge lines.
        (
            b"GET /%22\\ HTTP/1.1\r\nHost: x\r\n\r\n",
            r#""-" 400 LENGTH "-" "-""#,
        ),
        (
            b"GET /?a\\b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\" 200 1 \"b\\\tc\xc3\xa4\xff\r\n\r\n",
            r#""GET /?a\\b HTTP/1.1" 200 13 "-" "a\" 200 1 \"b\\\tc\xc3\xa4\xff""#,
        ),
        (
            b"GET /?a=\"<\xc3\xa4%\xe2\x80\xa8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            r#""GET /?a=\"<\xc3\xa4%\xe2\x80\xa8 HTTP/1.1" 200 13 "-" "-""#,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b[2J\r\n\r\n",
            r#""-" 400 LENGTH "-" "-""#,
        ),
        (b"nonsense\r\n\r\n", r#""-" 400 LENGTH "-" "-""#),
        (
            b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
            r#""GET /endless HTTP/1.1" - - "-" "-""#,
        ),
    ];
    let (example, addr) = Example::start("access_log");
    for (say, want) in table {
        let before = SystemTime::now();
        let mut client = Client::connect(addr);
        client.say_bytes(say);
        let length = client.head_response().header("content-length");
        let want = want.replace("LENGTH", &length.unwrap_or_default()); // the text of the refusal
        if !want.contains("endless") {
            client.expect_end();
        }
        drop(client);
        let line = example.line();
        let rest = line.strip_prefix("127.0.0.1 - - [").expect(&line);
        let (at, rest) = rest.split_once("] ").expect(&line);
        assert_eq!(rest, want);
        let spent = before.elapsed().unwrap().as_secs() + 1;
        let mut seconds = (0..=spent).map(|second| date(before + Duration::from_secs(second)));
        assert!(seconds.any(|second| second == at), "{line}");
    }
    assert!(example.rest().is_empty());
}

#[test]
fn each_request_of_a_connection_has_a_line_even_a_refused_one() {
    let (example, addr) = Example::start("access_log");
    let mut client = Client::connect(addr);
    for path in ["/1", "/2", "/3"] {
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.response().status, 200);
        let want = format!(r#""GET {path} HTTP/1.1" 200 14 "-" "-""#);
        assert!(example.line().ends_with(&want));
    }
    client.say("GET /4 HTTP/1.1\r\n\r\n");
    assert_eq!(client.response().status, 400);
    let line = example.line();
    assert!(line.contains(r#"] "-" 400 "#), "{line}");
    assert!(example.rest().is_empty());
}

#[test]
fn a_response_cut_by_a_stop_is_logged_before_the_process_ends() {
    let (example, addr) = Example::start("access_log");
    let mut client = Client::connect(addr);
    client.say("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    client.take(1000);
    let rest = example.rest();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(
        rest[0].ends_with(r#"] "GET /endless HTTP/1.1" - - "-" "-""#),
        "{rest:?}"
    );
}

#[test]
fn dates_have_leap_days() {
    let table = [
        (0, "01/Jan/1970:00:00:00 +0000"),
        (951_782_399, "28/Feb/2000:23:59:59 +0000"),
        (951_782_400, "29/Feb/2000:00:00:00 +0000"),
        (951_868_800, "01/Mar/2000:00:00:00 +0000"),
        (971_186_136, "10/Oct/2000:13:55:36 +0000"),
        (1_677_628_800, "01/Mar/2023:00:00:00 +0000"),
        (1_709_164_800, "29/Feb/2024:00:00:00 +0000"),
        (1_735_603_200, "31/Dec/2024:00:00:00 +0000"),
        (1_735_689_600, "01/Jan/2025:00:00:00 +0000"),
        (4_107_542_399, "28/Feb/2100:23:59:59 +0000"),
        (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
    ];
    for (seconds, want) in table {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(date(time), want, "{seconds}");
    }
}
