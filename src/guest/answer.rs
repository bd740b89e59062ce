//! The header of an answer, as a map. Everything in it is the guest's word.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::snapshot::Oid;

/// How many lines a header may have. No script sends a fifth of that.
const KEYS: usize = 64;

/// The header of an answer.
#[derive(Debug, Default)]
pub struct Answer {
    values: BTreeMap<String, String>,
}

impl Answer {
    /// Adds a line; fails when its key was there before, or there are too many.
    pub fn add(&mut self, key: String, value: String) -> Result<()> {
        let unusable = self.values.len() >= KEYS || self.values.contains_key(&key);
        if unusable {
            return Err(Error::unverified("the guest's answer has too many lines, or one twice"));
        }
        self.values.insert(key, value);
        Ok(())
    }

    /// Returns a text, which may be empty.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.values.get(key).map(String::as_str).ok_or_else(|| unusable(key))
    }

    /// Returns an object id.
    pub fn oid(&self, key: &str) -> Result<Oid> {
        self.parsed(key)
    }

    /// Returns a list of object ids.
    pub fn oids(&self, key: &str) -> Result<Vec<Oid>> {
        self.text(key)?.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| unusable(key))
    }

    /// Returns a number; `T` says how large it may be.
    pub fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        self.parsed(key)
    }

    /// Returns a number that the guest may not know: it is empty then.
    pub fn maybe_number<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        if self.text(key)?.is_empty() { Ok(None) } else { self.parsed(key).map(Some) }
    }

    /// Returns whether something is so: 1 if it is, empty if not.
    pub fn flag(&self, key: &str) -> Result<bool> {
        match self.text(key)? {
            "1" => Ok(true),
            "" => Ok(false),
            _ => Err(unusable(key)),
        }
    }

    fn parsed<T: FromStr>(&self, key: &str) -> Result<T> {
        self.text(key)?.parse().map_err(|_| unusable(key))
    }
}

/// Returns the error for a part that is missing or damaged.
pub fn unusable(key: &str) -> Error {
    Error::unverified(format!("the guest's answer has no usable '{key}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &[(&str, &str)]) -> Answer {
        let mut answer = Answer::default();
        for (key, value) in lines {
            answer.add((*key).to_owned(), (*value).to_owned()).unwrap();
        }
        answer
    }

    #[test]
    fn a_part_that_is_missing_or_damaged_is_an_error_that_names_it() {
        let oid = "0123456789012345678901234567890123456789";
        let answer = answer(&[("oid", oid), ("count", "4294967296"), ("none", ""), ("yes", "1"), ("text", "a b")]);
        assert_eq!((answer.oid("oid").unwrap().as_str(), answer.text("text").unwrap()), (oid, "a b"));
        assert_eq!(answer.number::<u64>("count").unwrap(), 1 << 32);
        assert_eq!((answer.maybe_number::<u32>("none").unwrap(), answer.maybe_number("yes").unwrap()), (None, Some(1)));
        assert!(answer.flag("yes").unwrap() && !answer.flag("none").unwrap());
        let message = "the guest's answer has no usable";
        assert_eq!(answer.number::<u32>("count").unwrap_err().to_string(), format!("{message} 'count'"));
        assert_eq!(answer.text("other").unwrap_err().to_string(), format!("{message} 'other'"));
        assert!(answer.oid("text").is_err() && answer.number::<u32>("none").is_err() && answer.flag("text").is_err());
        assert!(answer.maybe_number::<u32>("other").is_err() && answer.maybe_number::<u32>("text").is_err());
    }

    #[test]
    fn a_key_comes_once_and_there_are_not_many() {
        let mut one = answer(&[("key", "a")]);
        assert!(one.add("key".to_owned(), "b".to_owned()).is_err());
        let add = |answer: &mut Answer, number: usize| answer.add(format!("key{number}"), String::new());
        let mut many = Answer::default();
        assert!((0..KEYS).all(|number| add(&mut many, number).is_ok()) && add(&mut many, KEYS).is_err());
    }
}
