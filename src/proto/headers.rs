//! Header fields.

use super::chars::same;

/// The header fields of a request. Names are found whatever their case (RFC 9110 §5.1).
#[derive(Clone, Default)]
pub struct Headers {
    /// All names and values, one after the other.
    pub(super) bytes: Vec<u8>,
    /// Where each name starts, where it ends and its value starts, and where that ends.
    pub(super) fields: Vec<(usize, usize, usize)>,
}

impl Headers {
    /// The first value of that name, if it is UTF-8; else only [`get_bytes`](Headers::get_bytes) has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value of that name, without the white space around it. It may hold any byte above 127.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.iter_bytes().find(|(each, _)| same(each, name)).map(|(_, value)| value)
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        self.iter_bytes().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.fields.iter().map(|&(start, middle, end)| {
            let name = self.bytes.get(start..middle).unwrap_or_default();
            (name, self.bytes.get(middle..end).unwrap_or_default())
        })
    }

    pub(super) fn push(&mut self, (name, value): (&[u8], &[u8])) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push((start, middle, self.bytes.len()));
    }
}
