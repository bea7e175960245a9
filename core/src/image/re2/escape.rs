//! Escapes: quoted text, assertions, and the many spellings of one character.

use super::{Re2Error, Translator, push_literal};

impl Translator<'_> {
    pub(super) fn push_escape(&mut self) -> Result<bool, Re2Error> {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let (literal, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            for c in literal.chars() {
                push_literal(&mut self.out, c);
            }
            self.rest = rest;
            return Ok(self.push_atom());
        }
        let mut rest = self.rest.chars();
        rest.next();
        match rest.next() {
            Some('A') => self.out.push_str("\\A"),
            Some('z') => self.out.push_str("\\z"),
            Some('b') => self.out.push_str("(?-u:\\b)"),
            Some('B') => self.out.push_str("(?-u:\\B)"),
            _ => {
                if let Some(set) = self.take_set()? {
                    self.out.push('[');
                    self.out.push_str(&set);
                    self.out.push(']');
                } else {
                    let c = self.take_escaped_char()?;
                    push_literal(&mut self.out, c);
                }
                return Ok(self.push_atom());
            }
        }
        self.rest = rest.as_str();
        Ok(self.push_atom())
    }

    /// Takes a backslash and what stands for one character.
    pub(super) fn take_escaped_char(&mut self) -> Result<char, Re2Error> {
        let mut rest = self.rest.chars();
        rest.next();
        let c = rest.next().ok_or(Re2Error::Escape)?;
        self.rest = rest.as_str();
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.take_hex_char(),
            '0'..='7' => return self.take_octal_char(c),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(Re2Error::Escape),
        })
    }

    fn take_hex_char(&mut self) -> Result<char, Re2Error> {
        let (digits, rest) = match self.rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or(Re2Error::Escape)?,
            None => self.rest.split_at_checked(2).ok_or(Re2Error::Escape)?,
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Re2Error::Escape);
        }
        self.rest = rest;
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok('\0');
        }
        u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32)
            .ok_or(Re2Error::Escape)
    }

    /// Up to three octal digits; a single one but zero would be a back-reference.
    fn take_octal_char(&mut self, first: char) -> Result<char, Re2Error> {
        let mut code = first.to_digit(8).unwrap_or_default();
        let mut n_digits = 1;
        while n_digits < 3
            && let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8))
        {
            code = code * 8 + digit;
            n_digits += 1;
            self.rest = &self.rest[1..];
        }
        if n_digits == 1 && first != '0' {
            return Err(Re2Error::Escape);
        }
        char::from_u32(code).ok_or(Re2Error::Escape)
    }
}
