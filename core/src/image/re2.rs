//! Translation of Go's regular expressions into those of the `regex` crate (`images.md` 9.2).
//!
//! What only Go knows is rewritten (`\Q..\E`, a literal `{`, octal escapes, literal members of classes), what only
//! the crate knows is refused (stacked repetitions, counts beyond 1000, flags `x`, `u`, `R`, class operations), and
//! what both spell alike but mean differently is spelled out (`\d`, `\w`, `\s`, `\b` are ASCII; `\<` is a character).
//! Everything else passes through, and groups become non-capturing. The result is linear in the text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

/// Largest count of a repetition, also of nested ones multiplied.
const REPEAT_MAX: u32 = 1000;

/// Why an expression is outside the syntax.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Re2Error {
    /// A backslash is followed by nothing or by something that has no meaning.
    Escape,
    /// A class does not end, or holds a range in reverse or an unknown name.
    Class,
    /// A repetition follows a repetition, as in `a**`.
    StackedRepeat,
    /// A count exceeds 1000, alone or multiplied with those around it, or is less than the lower one.
    RepeatCount,
    /// A group begins with something other than `(?:`, `(?P<name>`, `(?<name>` or flags of `imsU`.
    Group,
    /// Anything else, such as a parenthesis too many or too few or a repetition of nothing.
    Expression,
}

impl fmt::Display for Re2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Escape => "invalid escape sequence",
            Self::Class => "invalid character class",
            Self::StackedRepeat => "a repetition follows a repetition",
            Self::RepeatCount => "invalid repeat count",
            Self::Group => "invalid or unsupported group",
            Self::Expression => "misplaced parenthesis or repetition",
        })
    }
}

/// The expression in the syntax of the `regex` crate.
pub(super) fn translate(text: &str) -> Result<String, Re2Error> {
    Translator {
        rest: text,
        out: String::with_capacity(text.len() * 2),
        groups: Vec::new(),
        names: Vec::new(),
        count_within: 1,
        count_last: 1,
    }
    .run()
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// The counts of the groups around, at the moment each was opened.
    groups: Vec<u32>,
    names: Vec<&'a str>,
    /// The largest product of nested counts in the current group so far.
    count_within: u32,
    /// The same of the last atom alone.
    count_last: u32,
}

impl<'a> Translator<'a> {
    fn run(mut self) -> Result<String, Re2Error> {
        let mut after_repeat = false;
        while let Some(c) = self.rest.chars().next() {
            let is_repeat = match c {
                '*' | '+' | '?' => {
                    self.take(c);
                    self.out.push(c);
                    self.push_repeat(after_repeat, None)?
                }
                '{' => match self.take_count() {
                    Some(count) => self.push_repeat(after_repeat, Some(count))?,
                    None => self.push_next_literal(),
                },
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '[' => self.push_class()?,
                '\\' => self.push_escape()?,
                '.' | '^' | '$' | '|' => {
                    self.take(c);
                    self.out.push(c);
                    self.push_atom()
                }
                _ => self.push_next_literal(),
            };
            after_repeat = is_repeat;
        }
        if self.groups.is_empty() {
            Ok(self.out)
        } else {
            Err(Re2Error::Expression)
        }
    }

    /// Notes an atom without counts; like all steps answers whether a repetition was written.
    fn push_atom(&mut self) -> bool {
        self.count_last = 1;
        false
    }

    fn push_next_literal(&mut self) -> bool {
        let mut rest = self.rest.chars();
        if let Some(c) = rest.next() {
            push_literal(&mut self.out, c);
        }
        self.rest = rest.as_str();
        self.push_atom()
    }

    /// Writes a count (`*`, `+` and `?` are written already) and whether the repetition is lazy.
    fn push_repeat(&mut self, after_repeat: bool, count: Option<Count>) -> Result<bool, Re2Error> {
        if after_repeat {
            return Err(Re2Error::StackedRepeat);
        }
        match count {
            None => {}
            Some(Count { low, high }) => {
                let high_or_low = high.unwrap_or(low);
                if low > REPEAT_MAX || high_or_low > REPEAT_MAX || high_or_low < low {
                    return Err(Re2Error::RepeatCount);
                }
                // A count of zero ends the matter in Go, whatever is nested below it.
                let product = match (low, high) {
                    (_, Some(0)) => 1,
                    _ => self.count_last.saturating_mul(high_or_low.max(1)),
                };
                if product > REPEAT_MAX {
                    return Err(Re2Error::RepeatCount);
                }
                self.count_last = product;
                self.count_within = self.count_within.max(product);
                match high {
                    Some(high) => write!(self.out, "{{{low},{high}}}"),
                    None => write!(self.out, "{{{low},}}"),
                }
                .map_err(|_| Re2Error::Expression)?;
            }
        }
        if self.take('?') {
            self.out.push('?');
        }
        Ok(true)
    }

    /// Takes `{n}`, `{n,}` or `{n,m}`; anything else is no count and the brace a character.
    fn take_count(&mut self) -> Option<Count> {
        let (inside, rest) = self.rest.strip_prefix('{')?.split_once('}')?;
        let count = match inside.split_once(',') {
            None => {
                let low = parse_count(inside)?;
                Count {
                    low,
                    high: Some(low),
                }
            }
            Some((low, "")) => Count {
                low: parse_count(low)?,
                high: None,
            },
            Some((low, high)) => Count {
                low: parse_count(low)?,
                high: Some(parse_count(high)?),
            },
        };
        self.rest = rest;
        Some(count)
    }

    fn open_group(&mut self) -> Result<bool, Re2Error> {
        self.take('(');
        if let Some(rest) = self.rest.strip_prefix('?') {
            let named = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
            if let Some(named) = named {
                let (name, rest) = named.split_once('>').ok_or(Re2Error::Group)?;
                let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                if name.is_empty() || !name.bytes().all(is_word) || self.names.contains(&name) {
                    return Err(Re2Error::Group);
                }
                self.names.push(name);
                self.rest = rest;
            } else {
                self.rest = rest;
                return self.push_flags();
            }
        }
        self.out.push_str("(?:");
        self.begin_group();
        Ok(false)
    }

    /// Writes what stands between `(?` and `:` or `)`: each flag once, as it ends up.
    fn push_flags(&mut self) -> Result<bool, Re2Error> {
        let mut on = String::new();
        let mut off = String::new();
        let mut is_off = false;
        let mut is_dangling = false;
        loop {
            let c = self.rest.chars().next().ok_or(Re2Error::Group)?;
            self.take(c);
            match c {
                'i' | 'm' | 's' | 'U' => {
                    is_dangling = false;
                    on.retain(|flag| flag != c);
                    off.retain(|flag| flag != c);
                    if is_off { &mut off } else { &mut on }.push(c);
                }
                '-' if !is_off => {
                    is_off = true;
                    is_dangling = true;
                }
                ':' | ')' if !is_dangling => {
                    if c == ')' && on.is_empty() && off.is_empty() {
                        return Ok(false);
                    }
                    self.out.push_str("(?");
                    self.out.push_str(&on);
                    if !off.is_empty() {
                        self.out.push('-');
                        self.out.push_str(&off);
                    }
                    self.out.push(c);
                    if c == ':' {
                        self.begin_group();
                    }
                    return Ok(false);
                }
                _ => return Err(Re2Error::Group),
            }
        }
    }

    fn begin_group(&mut self) {
        self.groups.push(self.count_within);
        self.count_within = 1;
    }

    fn close_group(&mut self) -> Result<bool, Re2Error> {
        self.take(')');
        let outside = self.groups.pop().ok_or(Re2Error::Expression)?;
        self.out.push(')');
        self.count_last = self.count_within;
        self.count_within = self.count_within.max(outside);
        Ok(false)
    }

    fn push_escape(&mut self) -> Result<bool, Re2Error> {
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

    fn push_class(&mut self) -> Result<bool, Re2Error> {
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
    fn take_set(&mut self) -> Result<Option<String>, Re2Error> {
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
        let (name, rest) = match self.rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or(Re2Error::Class)?,
            None => {
                let end = self.rest.chars().next().map_or(0, char::len_utf8);
                self.rest.split_at(end)
            }
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

    /// Takes a backslash and what stands for one character.
    fn take_escaped_char(&mut self) -> Result<char, Re2Error> {
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

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// How often something is repeated; no upper bound without `high`.
struct Count {
    low: u32,
    high: Option<u32>,
}

/// Digits without leading zeros; too many of them exceed every bound.
fn parse_count(text: &str) -> Option<u32> {
    let is_number = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

fn push_literal(out: &mut String, c: char) {
    // Behind a backslash the angle brackets alone mean something else than themselves.
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn go_alone_spells_it_so() {
        for (text, matched, unmatched) in [
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^\Qa+", "a+", "aa"),
            (r"^a\Q\E*$", "aaa", "b"),
            (r"^x{$", "x{", "x"),
            (r"^{,2}$", "{,2}", "xx"),
            (r"^a{01}$", "a{01}", "a"),
            (r"^}]$", "}]", "}"),
            (r"^[[]$", "[", "a"),
            (r"^[a&&b]$", "&", "c"),
            (r"^[a~~b]$", "~", "c"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^[a-]$", "-", "b"),
            (r"^[-a]$", "-", "b"),
            (r"^[\d-z]$", "-", "a"),
            (r"^[[:alpha]$", ":", "b"),
            (r"^[[:^alpha:]]$", "1", "b"),
            (r"^[^\D]$", "1", "a"),
            (r"^\<\>\_\ $", "<>_ ", "<>_"),
            (r"^\060\12?$", "0", "1"),
            (r"^\x41\x{42}$", "AB", "ab"),
            (r"^\p{^Greek}\PN\p{Lu}$", "aaA", "a1A"),
            (r"^(?P<n>a)(?<m>b)()$", "ab", "ba"),
            (r"(?i-s:^V)(?)$", "v", "x"),
            (r"^(?ii-i)a$", "a", "A"),
            (r"^\d\w\s$", "1_ ", "\u{661}_ "),
            (r"^\D\W\S$", "\u{661}\u{e9}a", "1aa"),
            (r"a\b-\Bb?", "a-", "a"),
            (r"^(a{100}){0,10}$", "", "a"),
            (r"^(?:a+)*$", "aa", "b"),
        ] {
            let regex = compile(text).unwrap_or_else(|| panic!("{text} is an expression"));
            assert!(regex.is_match(matched), "{text} {matched}");
            assert!(!regex.is_match(unmatched), "{text} {unmatched}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let texts = r"
            a** a+* a??* a{2}{3} a{2}* * (*a) a|* a{1001} a{2,1} a{9999999999} (a{100}){11}
            ((a{10})+){101} (?x)a (?u)a (?R)a (?i-)a (?=a) (?!a) (?<=a) (?<!a) (?P<>a)
            (?P<a-b>a) (?P<a>a)(?P<a>a) (?P=a) (? (?i ( ) a) [ [] [a [^] [b-a] [a--b] [a-\d]
            [[:foo:]] [\b] [\Qa\E] \ \1 \8 \18 \Z \C \e \<\y \ä \x \x4 \x{} \x{110000} \x{4
            \p \p{ \p{Foo} \p{Alphabetic} \p{gc=L} \p{lu} \E \k \R \h
        ";
        for text in texts.split_ascii_whitespace() {
            assert!(compile(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_translated_or_refused(
            text in "([a(){}\\[\\]*+?|^$.,:\\\\<>=!-]|[0-9A-Za-z]){0,14}|\\PC{0,10}"
        ) {
            let _ = compile(&text);
        }

        #[test]
        fn quoted_text_matches_itself(text in "[ -~]{1,12}") {
            prop_assume!(!text.contains("\\E"));
            let regex = compile(&format!("^\\Q{text}\\E$"));
            prop_assert!(regex.is_some_and(|regex| regex.is_match(&text)));
        }

        #[test]
        fn escaped_punctuation_is_itself_in_and_out_of_a_class(c in "[!-/:-@\\[-`{-~]") {
            for text in [format!("^\\{c}$"), format!("^[\\{c}]$")] {
                prop_assert!(compile(&text).is_some_and(|regex| regex.is_match(&c)), "{}", text);
            }
        }
    }

    fn compile(text: &str) -> Option<Regex> {
        Regex::new(&translate(text).ok()?).ok()
    }
}
