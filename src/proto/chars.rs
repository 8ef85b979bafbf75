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
    match TOKEN.prefix_len(text) {
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

/// Returns the position of the first byte that [is a control](is_control), or the length of the
/// text if it has none.
// A position in a text is no larger than its length, so no sum overflows.
#[allow(clippy::arithmetic_side_effects)]
pub(super) fn position_of_control(text: &[u8]) -> usize {
    let mut passed = 0;
    for word in text.chunks_exact(WORD) {
        // Read in this order, the first byte of the word is the lowest of the number.
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // Nearly all words have no mark, and are passed over as a whole.
        let controls_and_tabs = mark_ascii_controls(word);
        if controls_and_tabs != 0 {
            let controls = controls_and_tabs & !mark_tabs(word);
            if controls != 0 {
                return passed + position_of_first(controls);
            }
        }
        passed += WORD;
    }
    let rest = text.get(passed..).unwrap_or_default();
    let position = rest.iter().position(|byte| is_control(*byte));
    passed + position.unwrap_or(rest.len())
}

/// The number of bytes that are searched together.
const WORD: usize = 8;

/// Marks the bytes of a word that are ASCII controls, of which the tab is one: in the result, their
/// high bit is set, and no other bit.
fn mark_ascii_controls(word: u64) -> u64 {
    // A sum sets the high bit of each byte whose low bits are at least what its name says. Since
    // the high bits of the word are left out, no sum carries anything to the next byte.
    let low_bits = word & in_each_byte(0x7f);
    let at_least_space = low_bits.wrapping_add(in_each_byte(0x80 - b' '));
    let at_least_delete = low_bits.wrapping_add(in_each_byte(0x80 - 0x7f));
    let is_ascii = !word;
    (!at_least_space | at_least_delete) & is_ascii & in_each_byte(0x80)
}

/// Marks the bytes of a word that are tabs, as [`mark_ascii_controls`] does.
fn mark_tabs(word: u64) -> u64 {
    let difference = word ^ in_each_byte(b'\t');
    let low_bits = difference & in_each_byte(0x7f);
    let at_least_one = low_bits.wrapping_add(in_each_byte(0x80 - 1));
    !(at_least_one | difference) & in_each_byte(0x80)
}

/// Returns the position of the first byte that is marked, in a word that has a mark.
fn position_of_first(marks: u64) -> usize {
    usize::try_from(marks.trailing_zeros() / u8::BITS).unwrap_or_default()
}

/// Returns the number whose bytes are all this one.
const fn in_each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

#[cfg(test)]
mod tests;
