//! Rust source without its comments and texts, for checks that look for words.

/// The source with the same lines, in which comments and the contents of string and character literals
/// are blank.
pub fn code_only(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let skipped = if is_word(previous) {
            // Within a name: `r` and `b` begin no literal here, a quote still can.
            literal(rest).filter(|_| !first.is_alphabetic())
        } else {
            comment(rest).or_else(|| literal(rest))
        };
        let length = skipped.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at(length);
        if skipped.is_some() {
            code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            previous = ' ';
        } else {
            code.push(first);
            previous = first;
        }
        rest = after;
    }
    code
}

/// The part of a file before its tests.
pub fn before_tests(source: &str) -> &str {
    let mark = "#[cfg(test)]\nmod ";
    source.find(mark).map_or(source, |at| &source[..at])
}

/// The lines, counted from one, that contain `word` with no letter, digit or underscore beside it.
pub fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let stands_alone = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_some_and(is_word);
            let after = line[at + word.len()..].chars().next().is_some_and(is_word);
            let begins = word.chars().next().is_some_and(is_word);
            let ends = word.chars().next_back().is_some_and(is_word);
            !(begins && before || ends && after)
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| stands_alone(line))
        .map(|(idx, _)| idx + 1)
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes of the comment that `text` begins with; block comments nest.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

/// Bytes of the string or character literal that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(text.len() - inside.len() + length);
    }
    if let Some(inside) = body.strip_prefix('"') {
        return Some(text.len() - inside.len() + escaped_until('"', inside));
    }
    let inside = body.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let is_char = match (chars.next()?, chars.next()) {
        ('\\', _) => true,
        // Else a lifetime.
        (_, second) => second == Some('\''),
    };
    is_char.then(|| text.len() - inside.len() + escaped_until('\'', inside))
}

/// Bytes up to and with the first `end` that has no backslash before it.
fn escaped_until(end: char, text: &str) -> usize {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == end {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_blank_and_code_stays() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("b // c", d)"#, "f(        , d)"),
            (r#"f("b\"c", d)"#, "f(      , d)"),
            ("f(r#\"b\"c\"#, d)", "f(        , d)"),
            ("f(b\"c\", 'd', '\\'', b'e')", "f(    ,    ,     ,     )"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("let r = b; car\u{e9}", "let r = b; car\u{e9}"),
            ("\"\u{e9}\"a", "   a"),
        ] {
            assert_eq!(code_only(source), expected, "of {source}");
        }
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(lines_with("one\ntwo one\nones\n_one", "one"), [1, 2]);
        assert_eq!(lines_with("a std::x\nmystd::x", "std::"), [1]);
    }

    #[test]
    fn tests_at_the_bottom_are_cut_off() {
        assert_eq!(before_tests("a\n#[cfg(test)]\nmod tests {}"), "a\n");
        assert_eq!(before_tests("a"), "a");
    }
}
