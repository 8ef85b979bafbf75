use super::Headers;

fn headers(fields: &[(&[u8], &[u8])]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in fields {
        headers.push(name, value);
    }
    headers
}

#[test]
fn headers_are_found_by_name_whatever_its_case() {
    let headers = headers(&[(b"Host", b"x"), (b"A", b"1"), (b"a", b"2"), (b"B", b"\xff")]);
    assert_eq!(headers.get("host"), Some("x"));
    assert_eq!(headers.get("a"), Some("1"));
    assert_eq!(headers.get("b"), None);
    assert_eq!(headers.get_bytes("b"), Some(&b"\xff"[..]));
    assert_eq!(headers.get_bytes("c"), None);
}

#[test]
fn debug_prints_names_and_escaped_values() {
    let headers = headers(&[(b"Host", b"x"), (b"A", b"a\t\"b\"\xff"), (b"Host", b"")]);
    let text = r#"{"Host": "x", "A": "a\t\"b\"�", "Host": ""}"#;
    assert_eq!(format!("{headers:?}"), text);
    assert_eq!(format!("{:?}", Headers::default()), "{}");
}
