//! A chunked body. Read in one piece, in pieces or byte by byte, it decodes as the naive decoder decodes it.

use crate::hardstop::proto::{BodyDecoder, BodyLength, BodyState};
use crate::naive::{self, End};
use crate::{ends, plan};
use std::iter;

pub fn chunked(input: &[u8]) {
    let (sizes, bytes) = plan(input);
    let want = naive::chunked(bytes);
    assert_eq!(decode(bytes, iter::once(bytes.len())), want, "in one piece");
    assert_eq!(decode(bytes, 0..=bytes.len()), want, "byte by byte");
    assert_eq!(decode(bytes, ends(sizes, bytes.len())), want, "in pieces");
}

/// Decodes as a request's body does, when the input arrives in pieces that end at these offsets.
fn decode(bytes: &[u8], ends: impl Iterator<Item = usize>) -> (Vec<u8>, End) {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let (mut data, mut at) = (Vec::new(), 0);
    for end in ends {
        loop {
            let buffered = &bytes[at..end];
            match decoder.state {
                BodyState::Done => return (data, End::Whole(at)),
                BodyState::Data(_) if buffered.is_empty() => break,
                BodyState::Data(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX);
                    let n = n.min(buffered.len());
                    data.extend_from_slice(&buffered[..n]);
                    decoder.consume_data(u64::try_from(n).unwrap());
                    at += n;
                }
                BodyState::Size | BodyState::DataEnd | BodyState::Trailers => {
                    match decoder.advance(buffered) {
                        Ok(Some(n)) => at += n,
                        Ok(None) => break,
                        Err(_) => return (data, End::Refused),
                    }
                }
            }
        }
    }
    (data, End::Early)
}
