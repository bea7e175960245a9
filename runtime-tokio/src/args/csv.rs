//! One CSV record, as list flags take it.

/// The items of `record`: split at commas, items in double quotes verbatim with `""` for a quote.
///
/// No text is no item; blanks are kept. Fails with the reason.
pub(super) fn split(record: &str) -> Result<Vec<String>, &'static str> {
    if record.is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let mut rest = Some(record);
    while let Some(text) = rest {
        let item;
        (item, rest) = match text.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => take_bare(text)?,
        };
        items.push(item);
    }
    Ok(items)
}

fn take_bare(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let (item, rest) = match text.split_once(',') {
        Some((item, rest)) => (item, Some(rest)),
        None => (text, None),
    };
    if item.contains('"') {
        return Err("a quote stands inside an item that does not begin with one");
    }
    if item.contains(['\r', '\n']) {
        return Err("a line ends outside quotes");
    }
    Ok((item.to_owned(), rest))
}

fn take_quoted(text: &str) -> Result<(String, Option<&str>), &'static str> {
    let mut item = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        item.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            item.push('"');
            rest = more;
        } else if after.is_empty() {
            return Ok((item, None));
        } else if let Some(more) = after.strip_prefix(',') {
            return Ok((item, Some(more)));
        } else {
            return Err("something follows a closing quote");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_split_at_commas_outside_quotes() {
        for (record, items) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a, b ", &["a", " b "]),
            ("a,", &["a", ""]),
            (",", &["", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"say \"\"x\"\"\"", &["say \"x\""]),
            ("\"\",a", &["", "a"]),
        ] {
            assert_eq!(split(record).unwrap(), items, "{record}");
        }
        for record in ["a\"b", "\"a", "\"a\"b", "a\nb", "\"a\"\""] {
            assert!(split(record).is_err(), "{record}");
        }
    }
}
