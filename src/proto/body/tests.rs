use super::BodyLength::{self, Chunked, Known};
use super::{BodyDecoder, BodyState};

#[test]
fn a_chunk_size_is_hexadecimal_with_optional_extensions() {
    let table = [
        ("1", Some(1)),
        ("a", Some(10)),
        ("fF", Some(255)),
        ("0010", Some(16)),
        ("0000000000000001", Some(1)),
        ("00000000000000001", None),
        ("ffffffffffffffff", Some(u64::MAX)),
        ("5;a", Some(5)),
        ("5;a=b;c=\"d;e\"", Some(5)),
        ("5 ;a", Some(5)),
        ("5\t ; a = b\t;c", Some(5)),
        ("5;a=\"\"", Some(5)),
        ("5;a=\"\\\"\\\\\"", Some(5)),
        ("5;", None),
        ("5;;a", None),
        ("5;a;", None),
        ("5;a ", None),
        ("5;a b", None),
        ("5;=b", None),
        ("5;a=", None),
        ("5;a=b=c", None),
        ("5;a=(", None),
        ("5;a=\"b", None),
        ("5;a=\"b\\\"", None),
        ("5;a=\"b\"c", None),
        ("5;\"a\"", None),
        ("10000000000000000", None),
        ("fffffffffffffffff", None),
        ("", None),
        (";a", None),
        (" 5", None),
        ("5 ", None),
        ("5 5", None),
        ("+5", None),
        ("-5", None),
        ("0x5", None),
        ("5h", None),
        ("5,a", None),
        ("\"5\"", None),
    ];
    for (size, want) in table {
        let mut decoder = BodyDecoder::new(Chunked);
        let line = format!("{size}\r\nhello");
        let used = decoder.advance(line.as_bytes());
        match want {
            Some(want) => {
                assert_eq!(used.unwrap(), Some(size.len() + 2), "{size:?}");
                assert_eq!(decoder.state, BodyState::Data(want), "{size:?}");
            }
            None => assert_eq!(used.unwrap_err().status.as_u16(), 400, "{size:?}"),
        }
    }
}

/// Decodes what arrives in these pieces. Returns the data, and how many bytes the body had on the
/// wire, if it ended.
fn decode(length: BodyLength, pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, u16> {
    let mut decoder = BodyDecoder::new(length);
    let (mut data, mut used, mut buffer) = (Vec::new(), 0, Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let n = match decoder.state {
                BodyState::Done => return Ok(Some((data, used))),
                BodyState::Data(left) => {
                    let n = buffer.len().min(usize::try_from(left).unwrap());
                    data.extend_from_slice(&buffer[..n]);
                    decoder.consume_data(u64::try_from(n).unwrap());
                    n
                }
                BodyState::Size | BodyState::DataEnd | BodyState::Trailers => {
                    let taken = decoder.advance(&buffer);
                    taken
                        .map_err(|refusal| refusal.status.as_u16())?
                        .unwrap_or(0)
                }
            };
            used += n;
            buffer.drain(..n);
            if n == 0 {
                break; // it wants more
            }
        }
    }
    Ok((decoder.state == BodyState::Done).then_some((data, used)))
}

#[test]
fn a_body_decodes_the_same_in_any_pieces() {
    let whole = |data: &[u8], used| Ok(Some((data.to_vec(), used)));
    let table: [(BodyLength, &[u8], Result<_, u16>); 13] = [
        (Known(0), b"next", whole(b"", 0)),
        (Known(5), b"hellonext", whole(b"hello", 5)),
        (Known(5), b"hell", Ok(None)),
        (Chunked, b"0\r\n\r\nnext", whole(b"", 5)),
        (Chunked, b"5\r\nhello\r\n0\r\n\r\nnext", whole(b"hello", 15)),
        (
            Chunked,
            b"1;a\r\na\r\n02 ;b=c\r\n\r\n\r\n0\r\nA: b\r\n\r\n\r\n",
            whole(b"a\r\n", 32),
        ),
        (Chunked, b"5\r\nhello\r\n0\r\n", Ok(None)),
        (Chunked, b"5\r\nhello\r\n", Ok(None)),
        (Chunked, b"5\r\nhello\n0\r\n\r\n", Err(400)),
        (Chunked, b"5\r\nhello!\r\n0\r\n\r\n", Err(400)),
        (Chunked, b"6\r\nhello\r\n0\r\n\r\n", Err(400)),
        (Chunked, b"0\r\nA : b\r\n\r\n", Err(400)),
        (Chunked, b"5\r\nhello\r\n0\rx", Err(400)),
    ];
    for (length, bytes, want) in table {
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            let got = decode(length, &[first, second]);
            assert_eq!(got, want, "{at} of {}", bytes.escape_ascii());
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(length, &single), want, "{}", bytes.escape_ascii());
    }
}

#[test]
fn extensions_and_trailers_have_one_limit() {
    let long = |n: usize| "e".repeat(n);
    let table = [
        (
            format!("1;{}\r\na\r\n0\r\n\r\n", long(4000)),
            true,
            "one that fits",
        ),
        (
            format!("1;{}\r\na\r\n0\r\n\r\n", long(4096)),
            false,
            "one that does not",
        ),
        (
            format!("1;{}", long(4096)),
            false,
            "before its end has come",
        ),
        (
            format!("1;{}\r\na\r\n", long(1000)).repeat(4) + "0\r\n\r\n",
            true,
            "four of them",
        ),
        (
            format!("1;{}\r\na\r\n", long(1000)).repeat(5) + "0\r\n\r\n",
            false,
            "five of them",
        ),
        (format!("0\r\nA: {}\r\n\r\n", long(4000)), true, "a trailer"),
        (
            format!("0\r\nA: {}\r\n\r\n", long(4096)),
            false,
            "a long trailer",
        ),
        (
            String::from("0\r\n") + &"A: b\r\n".repeat(1000) + "\r\n",
            true,
            "many trailers",
        ),
        (
            String::from("0\r\n") + &"A: b\r\n".repeat(1100) + "\r\n",
            false,
            "too many trailers",
        ),
        (long(5000), false, "a size of many digits"),
        (
            "1\r\na\r\n".repeat(10_000) + "0\r\n\r\n",
            true,
            "many chunks without any",
        ),
    ];
    for (body, is_whole, why) in table {
        let got = decode(Chunked, &[body.as_bytes()]);
        if is_whole {
            assert_eq!(got.unwrap().unwrap().1, body.len(), "{why}");
        } else {
            assert_eq!(got, Err(400), "{why}");
        }
    }
}

// Regression: in one piece, the end of the line was reported instead.
#[test]
fn a_chunk_is_refused_for_the_same_reason_in_any_pieces() {
    let wrong = |pieces: [&[u8]; 2]| {
        let mut decoder = BodyDecoder::new(Chunked);
        decoder.advance(b"1\r\n").unwrap();
        decoder.consume_data(1);
        let both = pieces.concat();
        let first = decoder.advance(pieces[0]);
        first
            .and_then(|_| decoder.advance(&both))
            .unwrap_err()
            .reason
    };
    for text in [&b"GET\n"[..], b"G\0", b"GE\rT"] {
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            assert_eq!(
                wrong([first, second]),
                wrong([b"", text]),
                "{}",
                text.escape_ascii()
            );
        }
    }
}
