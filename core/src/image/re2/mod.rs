//! Translation of Go's regular expressions into those of the `regex` crate (`images.md` 9.2).
//!
//! What only Go knows is rewritten (`\Q..\E`, a literal `{`, octal escapes, literal members of classes), what only
//! the crate knows is refused (stacked repetitions, counts beyond 1000, flags `x`, `u`, `R`, class operations), and
//! what both spell alike but mean differently is spelled out (`\d`, `\w`, `\s`, `\b` are ASCII; `\<` is a character).
//! Everything else passes through, and groups become non-capturing. The result is linear in the text.

mod class;
mod escape;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

/// Largest count of a repetition, also of nested ones multiplied.
const REPEAT_MAX: u32 = 1000;
/// Most atoms, each counted as often as it is repeated: this bounds what a single character may cost.
const ATOMS_MAX: u32 = 2000;

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
    /// Repetitions written out would have too many atoms.
    Size,
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
            Self::Size => "too large when its repetitions are written out",
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
        within: Extent::EMPTY,
        last: Extent::ATOM,
    }
    .run()
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// What each group around held at the moment an inner one was opened.
    groups: Vec<Extent>,
    names: Vec<&'a str>,
    /// What the current group holds so far.
    within: Extent,
    /// What the last atom holds.
    last: Extent,
}

/// How much a part of an expression is when its repetitions are written out.
#[derive(Clone, Copy)]
struct Extent {
    /// The largest product of nested counts.
    count: u32,
    n_atoms: u32,
}

impl Extent {
    const EMPTY: Self = Self {
        count: 1,
        n_atoms: 0,
    };
    const ATOM: Self = Self {
        count: 1,
        n_atoms: 1,
    };

    fn with(self, other: Self) -> Self {
        Self {
            count: self.count.max(other.count),
            n_atoms: self.n_atoms.saturating_add(other.n_atoms),
        }
    }
}

impl Translator<'_> {
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
        if !self.groups.is_empty() {
            return Err(Re2Error::Expression);
        }
        if self.within.n_atoms > ATOMS_MAX {
            return Err(Re2Error::Size);
        }
        Ok(self.out)
    }

    /// Notes an atom without counts; like all steps answers whether a repetition was written.
    fn push_atom(&mut self) -> bool {
        self.last = Extent::ATOM;
        self.within = self.within.with(self.last);
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
        if let Some(Count { low, high }) = count {
            let most = high.unwrap_or(low);
            if low > REPEAT_MAX || most > REPEAT_MAX || most < low {
                return Err(Re2Error::RepeatCount);
            }
            // A count of zero ends the matter in Go, whatever is nested below it.
            let product = match high {
                Some(0) => 1,
                _ => self.last.count.saturating_mul(most.max(1)),
            };
            if product > REPEAT_MAX {
                return Err(Re2Error::RepeatCount);
            }
            self.last.count = product;
            let more = Extent {
                count: product,
                n_atoms: self.last.n_atoms.saturating_mul(most.saturating_sub(1)),
            };
            self.within = self.within.with(more);
            match high {
                Some(high) => write!(self.out, "{{{low},{high}}}"),
                None => write!(self.out, "{{{low},}}"),
            }
            .map_err(|_| Re2Error::Expression)?;
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
        self.groups.push(self.within);
        self.within = Extent::EMPTY;
    }

    fn close_group(&mut self) -> Result<bool, Re2Error> {
        self.take(')');
        let outside = self.groups.pop().ok_or(Re2Error::Expression)?;
        self.out.push(')');
        self.last = self.within;
        self.within = outside.with(self.last);
        Ok(false)
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
#[derive(Clone, Copy)]
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
    use crate::fixed_cases::{CASES, config};

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
            ((a{10})+){101} (abc){700} (?:a?b?c?){900} (?x)a (?u)a (?R)a (?i-)a (?=a) (?!a) (?<=a) (?<!a) (?P<>a)
            (?P<a-b>a) (?P<a>a)(?P<a>a) (?P=a) (? (?i ( ) a) [ [] [a [^] [b-a] [a--b] [a-\d]
            [[:foo:]] [\b] [\Qa\E] \ \1 \8 \18 \Z \C \e \<\y \ä \x \x4 \x{} \x{110000} \x{4
            \p \p{ \p{Foo} \p{Alphabetic} \p{gc=L} \p{lu} \E \k \R \h
        ";
        for text in texts.split_ascii_whitespace() {
            assert!(compile(text).is_none(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_translated_or_refused(
            text in "([a(){}\\[\\]*+?|^$.,:\\\\<>=!-]|[0-9A-Za-z]){0,14}|\\PC{0,10}"
        ) {
            let _: bool = compile(&text).is_some();
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
