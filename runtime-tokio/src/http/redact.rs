//! What may be shown of a URL or of an error text.
//!
//! User info is never shown, and of a query only that there is one: token servers and signed
//! redirects carry credentials there.

use image_updater_core::http::ShownUrl;

/// `url` without user info and without its query.
pub fn redact_url(url: &str) -> String {
    ShownUrl(url).to_string()
}

/// `text` on one line of at most `chars_max` characters, with every URL in it redacted.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let words = text.split_whitespace().map(|word| {
        if word.contains("://") {
            redact_embedded(word)
        } else {
            word.to_owned()
        }
    });
    let mut line = String::new();
    let mut n_chars = 0;
    for word in words {
        n_chars += word.chars().count() + usize::from(!line.is_empty());
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
        if n_chars > chars_max {
            let cut = line.char_indices().nth(chars_max);
            line.truncate(cut.map_or(line.len(), |(at, _)| at));
            line.push('…');
            break;
        }
    }
    line.retain(|c| !c.is_control());
    line
}

/// A word that holds a URL, such as `(https://user:pass@host/path)`.
fn redact_embedded(word: &str) -> String {
    let scheme_end = word.find("://").unwrap_or(0);
    let start = word[..scheme_end]
        .rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'))
        .map_or(0, |at| {
            at + word[at..].chars().next().map_or(1, char::len_utf8)
        });
    format!("{}{}", &word[..start], redact_url(&word[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_shows_neither_user_info_nor_query() {
        let check = |url, shown: &str| assert_eq!(redact_url(url), shown, "{url}");
        check("https://r.example/v2/", "https://r.example/v2/");
        check("https://u:p@r.example/v2/", "https://r.example/v2/");
        check("https://u:p@w@r.example:5000", "https://r.example:5000");
        check(
            "http://r.example/t?account=u&password=p",
            "http://r.example/t?…",
        );
        check("http://r.example?x", "http://r.example?…");
        check("http://r.example/a@b?c@d#e", "http://r.example/a@b?…");
        check("r.example/v2?n=1", "r.example/v2?…");
        check("://@", "://");
        check("", "");
    }

    #[test]
    fn error_text_becomes_one_short_line_without_credentials() {
        let check = |text, shown: &str| assert_eq!(one_line(text, 40), shown, "{text}");
        check("plain", "plain");
        check("two\nlines\tand\u{7} more", "two lines and more");
        check(
            "error for url (https://u:p@h/x?t=1)",
            "error for url (https://h/x?…",
        );
        check("\"http://u:p@h\":", "\"http://h\":");
        check("é://u:p@h", "é://h");
        let long = "x".repeat(50);
        check(&long, &format!("{}…", "x".repeat(40)));
        let many = "word ".repeat(100_000);
        assert!(one_line(&many, 40).chars().count() <= 41);
    }
}
