//! The fields of a form, as a handler asks for them.

use super::super::error::Error;
use std::fmt;
use std::str::FromStr;

/// The fields of a form, decoded, in the order in which they were sent. Read by
/// [`Body::read_form`](super::Body::read_form).
///
/// ```
/// use hardstop::{Error, Request, Response};
///
/// fn settings(req: &mut Request<'_>) -> Result<Response, Error> {
///     let form = req.body().read_form()?;
///     let name = form.required("name")?; // a 400 if it is missing
///     let brightness: u8 = form.parse("brightness")?; // a 400 if it is not a number up to 255
///     let is_on = form.get("on").is_some(); // a box that is not checked is not sent
///     Ok(Response::text(format!("{name}: {brightness}, {is_on}\n")))
/// }
/// ```
#[derive(Clone)]
pub struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    pub(super) fn new(fields: Vec<(String, String)>) -> Form {
        Form { fields }
    }

    /// Returns the first value of this name. It is empty if the user has left the field empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Returns all values of this name, such as those of several check boxes.
    pub fn get_all<'f: 'n, 'n>(&'f self, name: &'n str) -> impl Iterator<Item = &'f str> + 'n {
        self.iter()
            .filter(move |(each, _)| *each == name)
            .map(|(_, value)| value)
    }

    /// Returns the first value of this name, which may be empty.
    ///
    /// # Errors
    /// 400 if there is no such field. The text names it.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => Err(Error::new(400, format!("the field {name:?} is missing"))),
        }
    }

    /// Parses the first value of this name, without the white space around it.
    ///
    /// # Errors
    /// 400 if there is no such field, or if it cannot be parsed as a `T`. The text names the field,
    /// and not its value.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let value = self.required(name)?;
        match value.trim().parse() {
            Ok(value) => Ok(value),
            Err(_) => Err(Error::new(400, format!("the field {name:?} is not valid"))),
        }
    }

    /// Returns every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl IntoIterator for Form {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}

/// Prints a list of names and values.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

#[cfg(test)]
mod tests;
