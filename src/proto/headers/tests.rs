use super::Headers;

impl Headers {
    /// Adds a field behind the others, and its line to the text.
    pub(in super::super) fn push(&mut self, name: &[u8], value: &[u8]) {
        let line = [name, b":", value].concat();
        self.add_line(&line, self.text.len()).unwrap();
        self.text.extend_from_slice(&line);
        self.text.extend_from_slice(b"\r\n");
    }
}

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

#[test]
fn all_values_of_a_name_come_in_their_order() {
    let fields: [(&[u8], &[u8]); 6] = [
        (b"A", b"1"),
        (b"B", b"2"),
        (b"a", b"3, 4"),
        (b"A", b"\xff"),
        (b"AA", b"5"),
        (b"a", b""),
    ];
    let headers = headers(&fields);
    let texts = |name| headers.get_all(name).collect::<Vec<_>>();
    let bytes = |name| headers.get_all_bytes(name).collect::<Vec<_>>();
    assert_eq!(
        texts("a"),
        ["1", "3, 4", ""],
        "what is not UTF-8 is left out"
    );
    assert_eq!(bytes("A"), [&b"1"[..], b"3, 4", b"\xff", b""]);
    assert_eq!(texts("b"), ["2"]);
    assert!(texts("c").is_empty() && bytes("c").is_empty());
}

#[test]
fn the_white_space_around_a_value_is_no_part_of_it() {
    let table: [(&[u8], &[u8]); 6] = [
        (b"", b""),
        (b" \t ", b""),
        (b" a", b"a"),
        (b"\ta b \t", b"a b"),
        (b"a", b"a"),
        (b" : ", b":"),
    ];
    for (sent, want) in table {
        let headers = headers(&[(b"A", sent), (b"B", b"b")]);
        let why = sent.escape_ascii();
        assert_eq!(headers.get_bytes("a"), Some(want), "{why}");
        assert!(headers.get_all_bytes("a").eq([want]), "{why}");
        let got: Vec<_> = headers.iter().collect();
        assert_eq!(got, [("A", want), ("B", b"b")], "{why}");
    }
}
