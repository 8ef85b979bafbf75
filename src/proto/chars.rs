//! Byte classes, and the small grammars that several parts of a message share.

/// A set of bytes, as a table of all 256.
pub(super) struct ByteSet([bool; 256]);

impl ByteSet {
    /// Returns the set of all ASCII letters, all digits and these other bytes.
    // This runs in the compiler, which rejects an overflow and an index out of bounds.
    #[allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing
    )]
    pub(super) const fn alphanumeric_and(mut others: &[u8]) -> ByteSet {
        let mut bytes = [false; 256];
        let mut byte = 0;
        // The last byte that this leaves out is not ASCII.
        while byte < u8::MAX {
            bytes[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        while let [byte, rest @ ..] = others {
            bytes[*byte as usize] = true;
            others = rest;
        }
        ByteSet(bytes)
    }

    /// Returns whether the byte is in the set.
    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)) == Some(&true)
    }

    /// Returns how many bytes at the beginning of the text are in the set.
    pub(super) fn prefix_len(&self, text: &[u8]) -> usize {
        let end = text.iter().position(|byte| !self.contains(*byte));
        end.unwrap_or(text.len())
    }
}

/// The bytes of a token (RFC 9110 §5.6.2).
static TOKEN: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// Returns whether all of the text is one token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN.contains(*byte))
}

/// Splits the text after the token that it begins with. Returns `None` if there is none.
pub(super) fn split_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !TOKEN.contains(*byte));
    match end.unwrap_or(text.len()) {
        0 => None,
        end => Some(text.split_at(end)),
    }
}

/// Splits the text before the first of these bytes, or at its end if it has none of them.
pub(super) fn split_before<'a>(text: &'a str, stops: &[u8]) -> (&'a str, &'a str) {
    let end = text.bytes().position(|byte| stops.contains(&byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// Returns the elements of a list (RFC 9110 §5.6.1), empty ones included.
pub(crate) fn list_elements(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows)
}

/// Removes optional white space, which is spaces and tabs (RFC 9110 §5.6.3), from both ends.
pub(crate) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Compares two texts, ignoring the case of ASCII letters.
#[inline]
pub(crate) fn eq_ignore_case(text: &[u8], other: &str) -> bool {
    text.len() == other.len() && eq_letters(text, other.as_bytes())
}

/// Compares two texts of one length, ignoring the case of ASCII letters.
// Most names that are compared differ in length. `eq_ignore_case` sees that without a call, since
// it is small enough to be inlined. It would not be with this function inlined into it.
#[inline(never)]
fn eq_letters(text: &[u8], other: &[u8]) -> bool {
    let mut pairs = text.iter().zip(other);
    // Most letters that are equal have the same case, too.
    pairs.all(|(byte, other)| byte == other || byte.eq_ignore_ascii_case(other))
}

/// Returns whether the byte is a control other than the tab, which no field value may hold
/// (RFC 9110 §5.5).
pub(crate) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// The number of bytes that are searched together for a control byte.
const BLOCK: usize = 16;

/// Returns the text from the first byte that [is a control](is_control), or none of it if it has
/// no control.
pub(crate) fn from_first_control(text: &[u8]) -> &[u8] {
    // Nearly all blocks have none, and are passed over as a whole.
    let mut rest = text;
    while let Some(block) = rest.get(..BLOCK) {
        if has_control(block) {
            break;
        }
        rest = rest.get(BLOCK..).unwrap_or_default();
    }
    let position = rest.iter().position(|byte| is_control(*byte));
    rest.get(position.unwrap_or(rest.len())..)
        .unwrap_or_default()
}

/// Returns whether any of the bytes [is a control](is_control).
fn has_control(block: &[u8]) -> bool {
    // Every byte is looked at, even behind a control. Without a branch for each of them, the
    // compiler makes a few vector instructions of this.
    let mut any = false;
    for byte in block {
        any |= is_control(*byte);
    }
    any
}

#[cfg(test)]
mod tests;
