//! The fields of a request's head, in the order in which they came, repeated ones included.
//!
//! [`head`](super::head) has checked them: names are tokens, values hold no control byte but a tab.

use super::error::{refuse, Error};
use std::fmt;

/// The header fields of a request. Names are found whatever their case (RFC 9110 §5.1).
#[derive(Default)]
pub struct Headers {
    /// All names and values, one after the other.
    bytes: Vec<u8>,
    /// Where each name starts, where it ends and its value starts, and where that ends.
    fields: Vec<(usize, usize, usize)>,
}

impl Headers {
    /// The first value of that name, if it is UTF-8. Values may hold any byte above 127 (`obs-text`, RFC 9110 §5.5):
    /// [`get_bytes`](Headers::get_bytes) has those too.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value of that name as it was sent, without the white space around it.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Every value of that name.
    pub(crate) fn all<'n, 'a: 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + 'n {
        let is_it = move |(each, _): &(&str, _)| each.eq_ignore_ascii_case(name);
        self.iter().filter(is_it).map(|(_, value)| value)
    }

    /// The value of a field that must not come twice: two readers could each take another one.
    pub(crate) fn get_only(&self, name: &str) -> Result<Option<&[u8]>, Error> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (_, Some(_)) => refuse(400, "a field came twice that must come once"),
            (first, None) => Ok(first),
        }
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        self.fields.iter().map(|&(start, middle, end)| {
            let name = self.bytes.get(start..middle).unwrap_or_default();
            let value = self.bytes.get(middle..end).unwrap_or_default();
            (std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push((start, middle, self.bytes.len()));
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readable = |(name, value)| (name, String::from_utf8_lossy(value));
        f.debug_map().entries(self.iter().map(readable)).finish()
    }
}
