use super::is_authority;

#[test]
fn an_authority_is_a_host_with_an_optional_port() {
    let good = [
        "a",
        "a.b",
        "a:1",
        "a:",
        "1.2.3.4:65535",
        "[::1]",
        "[::1]:80",
        "a%2Fb",
        "a_b~!$&'()*+,;=",
    ];
    let bad = [
        "",
        ":",
        ":1",
        "a:b",
        "a:-1",
        "a:+1",
        "a:65536",
        "a:1:2",
        "[",
        "[]",
        "[::1",
        "[::1]1",
        "[1.2.3.4]",
        "::1",
        "a b",
        "a/",
        "a@b",
        "a%2",
        "a?b",
        "a#b",
        "\u{e9}",
        "[::1%25eth0]",
    ];
    for text in good {
        assert!(is_authority(text), "{text:?}");
    }
    for text in bad {
        assert!(!is_authority(text), "{text:?}");
    }
}
