//! The header fields of a message.

use super::chars::{eq_ignore_case, trim_ows};
use super::line::field_name_len;
use super::refusal::Refusal;
use std::fmt;

/// The header fields of a message. Names are found whatever their case (RFC 9110 §5.1).
#[derive(Clone, Default)]
pub struct Headers {
    /// The lines of all fields, as they came.
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// The positions of one field in [`Headers::text`].
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    /// The end of the name.
    colon: usize,
    /// The end of the value, and of the white space behind it.
    end: usize,
}

impl Headers {
    /// Returns the first value of that name, if it is UTF-8.
    ///
    /// A value that is not UTF-8 is found by [`get_bytes`](Headers::get_bytes) only.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// Returns the first value of that name, without the white space around it.
    ///
    /// It may hold any byte above 127.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all_bytes(name).next()
    }

    /// Returns all values of that name that are UTF-8, in the order in which they were sent.
    ///
    /// Each is the value of one header line. Commas in it are not looked at, although a list may
    /// come in one line or in several (RFC 9110 §5.3).
    pub fn get_all<'h: 'n, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h str> + 'n {
        self.get_all_bytes(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Returns all values of that name, in the order in which they were sent; see
    /// [`get_all`](Headers::get_all) and [`get_bytes`](Headers::get_bytes).
    pub fn get_all_bytes<'h: 'n, 'n>(
        &'h self,
        name: &'n str,
    ) -> impl Iterator<Item = &'h [u8]> + 'n {
        self.iter_untrimmed()
            .filter(move |(each, _)| eq_ignore_case(each, name))
            .map(|(_, value)| trim_ows(value))
    }

    /// Returns every name with its value, in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        // A name is a token, and so it is always UTF-8.
        self.iter_bytes()
            .map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// Returns every name with its value, without checking again that names are UTF-8.
    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.iter_untrimmed()
            .map(|(name, value)| (name, trim_ows(value)))
    }

    /// Returns every name with its value and the white space around that, which may be much.
    pub(super) fn iter_untrimmed(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.fields.iter().map(|field| {
            let name = self.text.get(field.start..field.colon);
            let value = match self.text.get(field.colon..field.end) {
                Some([b':', value @ ..]) => value,
                _ => &[],
            };
            (name.unwrap_or_default(), value)
        })
    }

    /// Returns the number of fields.
    pub(super) fn count(&self) -> usize {
        self.fields.len()
    }

    /// Returns how many bytes of text fit without another allocation.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Removes all fields, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    /// Parses a field line, which starts there in the text, and adds its field behind the others.
    ///
    /// The text itself is [set](Headers::set_text) once all fields have been added.
    // The start and the length of a line are those of bytes in memory, so no sum overflows.
    #[allow(clippy::arithmetic_side_effects)]
    pub(super) fn add_line(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        self.fields.push(Field {
            start,
            colon: start + field_name_len(line)?,
            end: start + line.len(),
        });
        Ok(())
    }

    /// Copies the text in which the fields stand, all at once.
    pub(super) fn set_text(&mut self, text: &[u8]) {
        // Nothing is added to it, so it needs no room to grow.
        self.text.reserve_exact(text.len());
        self.text.extend_from_slice(text);
    }
}

/// Prints a map of names and values. What is not UTF-8 in a value is replaced.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            map.entry(&name, &String::from_utf8_lossy(value));
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests;
