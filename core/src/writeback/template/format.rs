//! Values as text: `print`, `println` and `printf` of Go.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::escape::chars;
use super::value::Value;
use super::{Fault, OUTPUT_BYTES_MAX, WORK_BYTES_MAX, number};

/// Where text goes, and how much of it there may be.
pub(super) struct Sink {
    out: Vec<u8>,
    n_work_bytes: usize,
}

impl Sink {
    pub(super) const fn new() -> Self {
        Self {
            out: Vec::new(),
            n_work_bytes: 0,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Counts work that is not written here.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.n_work_bytes = self.n_work_bytes.saturating_add(bytes);
        if self.n_work_bytes > WORK_BYTES_MAX {
            return Err(Fault::TooMuch);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.charge(bytes.len())?;
        if self.out.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(Fault::TooMuch);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn push_fmt(&mut self, arguments: fmt::Arguments<'_>) -> Result<(), Fault> {
        self.write_fmt(arguments).map_err(|_| Fault::TooMuch)
    }

    /// The text that `write` writes.
    pub(super) fn collect(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<Rc<[u8]>, Fault> {
        let outer = core::mem::take(&mut self.out);
        let written = write(self);
        let text = core::mem::replace(&mut self.out, outer);
        written.map(|()| Rc::from(text))
    }
}

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// What an action prints of a value: nothing has a text of its own there.
pub(super) fn or_no_value(value: &Value) -> Value {
    match value {
        Value::Nil => Value::text("<no value>"),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Record(_) => value.clone(),
    }
}

/// Prints values, with a blank between two of which neither is a text.
pub(super) fn print(values: &[Value], sink: &mut Sink) -> Result<(), Fault> {
    let mut was_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !is_text && !was_text {
            sink.push(b" ")?;
        }
        was_text = is_text;
        Verb::PLAIN.write(value, sink)?;
    }
    Ok(())
}

/// Prints values with a blank between any two, and a line break.
pub(super) fn println(values: &[Value], sink: &mut Sink) -> Result<(), Fault> {
    for (n, value) in values.iter().enumerate() {
        if n > 0 {
            sink.push(b" ")?;
        }
        Verb::PLAIN.write(value, sink)?;
    }
    sink.push(b"\n")
}

/// Prints values as `format` says; what does not fit is written into the text, as Go does.
pub(super) fn printf(format: &[u8], values: &[Value], sink: &mut Sink) -> Result<(), Fault> {
    let mut arguments = Arguments {
        values,
        next: 0,
        is_reordered: false,
        is_good: true,
        n_bytes_behind_indexes: match format.iter().rposition(|byte| *byte == b']') {
            Some(at) => format.len() - 1 - at,
            None => format.len(),
        },
    };
    let mut rest = format;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        sink.push(&rest[..at])?;
        rest = &rest[at + 1..];
        let (verb, trouble) = Verb::parse(&mut rest, &mut arguments);
        for text in trouble.into_iter().flatten() {
            sink.push(text)?;
        }
        let Some((char, bytes)) = chars(rest).next() else {
            sink.push(b"%!(NOVERB)")?;
            break;
        };
        rest = &rest[bytes.len()..];
        let verb = verb.with_char(char);
        if char == '%' {
            sink.push(b"%")?;
        } else if !arguments.is_good {
            sink.push_fmt(format_args!("%!{char}(BADINDEX)"))?;
        } else if let Some(value) = values.get(arguments.next) {
            arguments.next += 1;
            verb.write(value, sink)?;
        } else {
            sink.push_fmt(format_args!("%!{char}(MISSING)"))?;
        }
    }
    sink.push(rest)?;
    let extra = values.get(arguments.next..).unwrap_or(&[]);
    if extra.is_empty() || arguments.is_reordered {
        return Ok(());
    }
    sink.push(b"%!(EXTRA ")?;
    for (n, value) in extra.iter().enumerate() {
        if n > 0 {
            sink.push(b", ")?;
        }
        if matches!(value, Value::Nil) {
            sink.push(b"<nil>")?;
            continue;
        }
        let name = value.type_name().ok_or(Fault::Unprintable)?;
        sink.push(name.as_bytes())?;
        sink.push(b"=")?;
        Verb::PLAIN.write(value, sink)?;
    }
    sink.push(b")")
}

struct Arguments<'a> {
    values: &'a [Value],
    next: usize,
    is_reordered: bool,
    is_good: bool,
    /// What is left of the format behind the last bracket that closes: there no index ends, and none is looked for.
    n_bytes_behind_indexes: usize,
}

impl Arguments<'_> {
    /// Takes `[n]`, which chooses the next argument; true when there was one.
    fn take_index(&mut self, rest: &mut &[u8]) -> bool {
        if rest.first() != Some(&b'[') {
            return false;
        }
        self.is_reordered = true;
        let has_end = rest.len() > self.n_bytes_behind_indexes;
        let end = if has_end {
            rest.iter().position(|byte| *byte == b']')
        } else {
            None
        };
        let Some(end) = end else {
            self.is_good = false;
            *rest = &rest[1..];
            return false;
        };
        let mut digits = &rest[1..end];
        let number = take_number(&mut digits).filter(|_| digits.is_empty());
        *rest = &rest[end + 1..];
        match number {
            Some(number) if number >= 1 && number <= self.values.len() => {
                self.next = number - 1;
                true
            }
            Some(_) => {
                self.is_good = false;
                true
            }
            None => {
                self.is_good = false;
                false
            }
        }
    }

    /// Takes the argument that a `*` stands for.
    fn take_star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(number) => Some(*number).filter(|number| {
                usize::try_from(number.unsigned_abs()).is_ok_and(|n| n <= NUMBER_MAX)
            }),
            Value::Nil
            | Value::Bool(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Record(_) => None,
        }
    }
}

/// Largest width or precision; more is none.
const NUMBER_MAX: usize = 1_000_000;

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let n_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if n_digits == 0 {
        return None;
    }
    let mut number = 0_usize;
    for digit in &rest[..n_digits] {
        if number > NUMBER_MAX {
            // Go stops where the number gets too large and does not take the digits behind.
            *rest = &[];
            return None;
        }
        number = number * 10 + usize::from(digit - b'0');
    }
    *rest = &rest[n_digits..];
    Some(number)
}

/// A verb with its flags.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "Go's verbs have these flags")]
pub(super) struct Verb {
    pub char: char,
    pub has_plus: bool,
    /// Plus under `v`: records with the names of their members.
    pub names_members: bool,
    pub has_minus: bool,
    pub has_sharp: bool,
    /// Sharp under `v`: as in the source of a program.
    pub is_source: bool,
    pub has_space: bool,
    pub has_zero: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

impl Verb {
    pub(super) const PLAIN: Self = Self {
        char: 'v',
        has_plus: false,
        names_members: false,
        has_minus: false,
        has_sharp: false,
        is_source: false,
        has_space: false,
        has_zero: false,
        width: None,
        precision: None,
    };

    /// Takes flags, width and precision, and what is to be written of wrong ones.
    fn parse(
        rest: &mut &[u8],
        arguments: &mut Arguments<'_>,
    ) -> (Self, [Option<&'static [u8]>; 2]) {
        let mut verb = Self::PLAIN;
        let mut trouble: [Option<&'static [u8]>; 2] = [None, None];
        arguments.is_good = true;
        while let Some(flag) = rest.first() {
            match flag {
                b'#' => verb.has_sharp = true,
                b'0' => verb.has_zero = true,
                b'+' => verb.has_plus = true,
                b'-' => verb.has_minus = true,
                b' ' => verb.has_space = true,
                _ => break,
            }
            *rest = &rest[1..];
        }
        let mut is_after_index = arguments.take_index(rest);
        if rest.first() == Some(&b'*') {
            *rest = &rest[1..];
            match arguments.take_star() {
                Some(width) => {
                    verb.has_minus |= width < 0;
                    verb.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => trouble[0] = Some(b"%!(BADWIDTH)"),
            }
            is_after_index = false;
        } else {
            verb.width = take_number(rest);
            if is_after_index && verb.width.is_some() {
                arguments.is_good = false;
            }
        }
        if rest.len() > 1 && rest[0] == b'.' {
            *rest = &rest[1..];
            if is_after_index {
                arguments.is_good = false;
            }
            is_after_index = arguments.take_index(rest);
            if rest.first() == Some(&b'*') {
                *rest = &rest[1..];
                let star = arguments.take_star();
                verb.precision = star.and_then(|star| usize::try_from(star).ok());
                if verb.precision.is_none() {
                    trouble[1] = Some(b"%!(BADPREC)");
                }
                is_after_index = false;
            } else {
                verb.precision = Some(take_number(rest).unwrap_or(0));
            }
        }
        if !is_after_index {
            arguments.take_index(rest);
        }
        (verb, trouble)
    }

    /// The verb `char` with these flags, of which two mean something else under `v`.
    const fn with_char(self, char: char) -> Self {
        if char != 'v' {
            return Self { char, ..self };
        }
        Self {
            char,
            names_members: self.has_plus,
            is_source: self.has_sharp,
            has_plus: false,
            has_sharp: false,
            ..self
        }
    }

    /// Writes a value.
    pub(super) fn write(&self, value: &Value, sink: &mut Sink) -> Result<(), Fault> {
        if self.char == 'T' {
            let name = value.type_name().ok_or(Fault::Unprintable)?;
            return self.write_text(name.as_bytes(), sink);
        }
        match value {
            Value::Nil if self.char == 'v' => self.pad(b"<nil>", sink),
            Value::Nil => sink.push_fmt(format_args!("%!{}(<nil>)", self.char)),
            Value::Bool(value) if matches!(self.char, 't' | 'v') => {
                self.pad(if *value { b"true" } else { b"false" }, sink)
            }
            Value::Int(value) => match number::integer(self, *value) {
                Some(text) => number::write(self, &text, sink),
                None if self.char == 'c' => self.pad(&number::character(*value), sink),
                None if self.char == 'q' => self.write_character(*value, sink),
                None => self.write_bad(&Value::Int(*value), sink),
            },
            Value::Float(number) => match number::float(self, *number)? {
                Some(text) => number::write(self, &text, sink),
                None => self.write_bad(value, sink),
            },
            Value::Text(text) => match self.char {
                'v' if self.is_source => self.write_quoted(text, sink),
                'v' | 's' => self.write_text(text, sink),
                'q' => self.write_quoted(text, sink),
                'x' | 'X' => self.write_hex(text, sink),
                _ => self.write_bad(value, sink),
            },
            Value::Bool(_) => self.write_bad(value, sink),
            Value::List(_) | Value::Record(_) if self.is_source || self.char == 'p' => {
                Err(Fault::Unprintable)
            }
            Value::List(values) => {
                sink.push(b"[")?;
                for (n, value) in values.iter().enumerate() {
                    if n > 0 {
                        sink.push(b" ")?;
                    }
                    self.write(value, sink)?;
                }
                sink.push(b"]")
            }
            Value::Record(record) => {
                sink.push(b"{")?;
                for (n, (name, value)) in record.printed().iter().enumerate() {
                    if n > 0 {
                        sink.push(b" ")?;
                    }
                    if self.names_members {
                        sink.push(name.as_bytes())?;
                        sink.push(b":")?;
                    }
                    self.write(value, sink)?;
                }
                sink.push(b"}")
            }
        }
    }

    fn write_bad(&self, value: &Value, sink: &mut Sink) -> Result<(), Fault> {
        let name = value.type_name().ok_or(Fault::Unprintable)?;
        sink.push_fmt(format_args!("%!{}({name}=", self.char))?;
        let plain = Self { char: 'v', ..*self };
        plain.write(value, sink)?;
        sink.push(b")")
    }

    fn write_text(&self, text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
        self.pad(self.cut(text), sink)
    }

    /// As many characters as the precision allows.
    fn cut<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let Some(precision) = self.precision else {
            return text;
        };
        let bytes = chars(text)
            .take(precision)
            .map(|(_, bytes)| bytes.len())
            .sum::<usize>();
        &text[..bytes]
    }

    fn write_quoted(&self, text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
        let text = self.cut(text);
        let is_raw = self.has_sharp
            && chars(text).all(|(char, bytes)| {
                bytes.len() == char.len_utf8()
                    && !matches!(char, '\0'..='\x08' | '\n'..='\x1f' | '`' | '\x7f' | '\u{feff}')
            });
        let quoted = sink.collect(|sink| {
            if is_raw {
                sink.push(b"`")?;
                sink.push(text)?;
                return sink.push(b"`");
            }
            number::quote(text, '"', self.has_plus, sink)
        })?;
        self.pad(&quoted, sink)
    }

    fn write_character(&self, code: i64, sink: &mut Sink) -> Result<(), Fault> {
        let text = number::character(code);
        let quoted = sink.collect(|sink| number::quote(&text, '\'', self.has_plus, sink))?;
        self.pad(&quoted, sink)
    }

    fn write_hex(&self, text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
        let shown = &text[..self.precision.unwrap_or(text.len()).min(text.len())];
        let prefix: &[u8] = match (self.has_sharp, self.char) {
            (false, _) => b"",
            (true, 'x') => b"0x",
            (true, _) => b"0X",
        };
        let hex = sink.collect(|sink| {
            for (n, byte) in shown.iter().enumerate() {
                if n > 0 && self.has_space {
                    sink.push(b" ")?;
                }
                if n == 0 || self.has_space {
                    sink.push(prefix)?;
                }
                if self.char == 'x' {
                    sink.push_fmt(format_args!("{byte:02x}"))?;
                } else {
                    sink.push_fmt(format_args!("{byte:02X}"))?;
                }
            }
            Ok(())
        })?;
        self.pad(&hex, sink)
    }

    /// Writes a text and fills it up to the width, which counts characters.
    pub(super) fn pad(&self, text: &[u8], sink: &mut Sink) -> Result<(), Fault> {
        let missing = self
            .width
            .map_or(0, |width| width.saturating_sub(chars(text).count()));
        if self.has_minus {
            sink.push(text)?;
            return fill(b" ", missing, sink);
        }
        fill(if self.has_zero { b"0" } else { b" " }, missing, sink)?;
        sink.push(text)
    }
}

fn fill(with: &[u8], count: usize, sink: &mut Sink) -> Result<(), Fault> {
    for _ in 0..count {
        sink.push(with)?;
    }
    Ok(())
}
