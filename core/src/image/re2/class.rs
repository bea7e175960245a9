//! Classes: what stands in brackets, and the sets that also stand alone.

use alloc::string::String;
use core::fmt::Write as _;

use super::{Re2Error, Translator};

impl<'a> Translator<'a> {
    pub(super) fn push_class(&mut self) -> Result<bool, Re2Error> {
        self.take('[');
        self.out.push('[');
        if self.take('^') {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            if let Some(set) = self.take_posix_set()? {
                self.out.push_str(set);
            } else if let Some(set) = self.take_set()? {
                self.out.push_str(&set);
            } else {
                let low = self.take_class_char()?;
                let mut high = low;
                if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                    self.take('-');
                    high = self.take_class_char()?;
                }
                if high < low {
                    return Err(Re2Error::Class);
                }
                write!(
                    self.out,
                    "\\x{{{:X}}}-\\x{{{:X}}}",
                    u32::from(low),
                    u32::from(high)
                )
                .map_err(|_| Re2Error::Expression)?;
            }
        }
        self.take(']');
        self.out.push(']');
        Ok(self.push_atom())
    }

    /// Takes `[:name:]`, as it stands in a class; without its end the bracket is a character.
    fn take_posix_set(&mut self) -> Result<Option<&'a str>, Re2Error> {
        let text = self.rest;
        let Some(end) = text.strip_prefix("[:").and_then(|inside| inside.find(":]")) else {
            return Ok(None);
        };
        let (set, rest) = text.split_at("[:".len() + end + ":]".len());
        let name = &set["[:".len()..set.len() - ":]".len()];
        let is_known = matches!(
            name.strip_prefix('^').unwrap_or(name),
            "alnum"
                | "alpha"
                | "ascii"
                | "blank"
                | "cntrl"
                | "digit"
                | "graph"
                | "lower"
                | "print"
                | "punct"
                | "space"
                | "upper"
                | "word"
                | "xdigit"
        );
        if !is_known {
            return Err(Re2Error::Class);
        }
        self.rest = rest;
        Ok(Some(set))
    }

    /// Takes `\d`, `\pL`, `\p{Greek}` and their likes, as they stand in a class.
    pub(super) fn take_set(&mut self) -> Result<Option<String>, Re2Error> {
        let mut rest = self.rest.chars();
        if rest.next() != Some('\\') {
            return Ok(None);
        }
        let set = match rest.next() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => "\\t\\n\\x0C\\r\\x20",
            Some('S') => "[^\\t\\n\\x0C\\r\\x20]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some(kind @ ('p' | 'P')) => {
                self.rest = rest.as_str();
                return self.take_unicode_set(kind == 'P').map(Some);
            }
            _ => return Ok(None),
        };
        self.rest = rest.as_str();
        Ok(Some(String::from(set)))
    }

    /// Takes the name behind `\p`: one letter, or braces around a category or a script.
    fn take_unicode_set(&mut self, mut is_negated: bool) -> Result<String, Re2Error> {
        let (name, rest) = if let Some(braced) = self.rest.strip_prefix('{') {
            braced.split_once('}').ok_or(Re2Error::Class)?
        } else {
            let end = self.rest.chars().next().map_or(0, char::len_utf8);
            self.rest.split_at(end)
        };
        self.rest = rest;
        let name = match name.strip_prefix('^') {
            Some(name) => {
                is_negated = !is_negated;
                name
            }
            None => name,
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        if !is_name {
            return Err(Re2Error::Class);
        }
        let mut set = String::from(if is_negated { "\\P{" } else { "\\p{" });
        // Go knows categories by their one or two letters and scripts by their names, and no other property.
        if name.len() > 2 && name != "Any" {
            set.push_str("Script=");
        }
        set.push_str(name);
        set.push('}');
        Ok(set)
    }

    fn take_class_char(&mut self) -> Result<char, Re2Error> {
        let c = self.rest.chars().next().ok_or(Re2Error::Class)?;
        if c == '\\' {
            return self.take_escaped_char();
        }
        self.take(c);
        Ok(c)
    }
}
