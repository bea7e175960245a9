//! The `Link` header that leads from one page of a tag list to the next (RFC 8288).

use alloc::format;
use alloc::string::String;

use super::url::{self, UrlParts};

/// The absolute URL of the next page, given the URL just requested and the values of its `Link`
/// headers; `Ok(None)` when the listing is complete (`registry.md` 6.1).
///
/// A link counts when its `rel` names `next`, or when it has no `rel`. A value without angle
/// brackets is read as the bare URL. The target is kept byte for byte, but for its origin: a registry
/// behind a proxy that ends TLS does not know under which scheme and port it is reached, so a link to the
/// same host under the other scheme is followed where the page came from. It may leave the port out, name
/// its own scheme's, or name ours; another port is another server (D-26).
///
/// Where `foreign` servers may be led to, they are, but never from https to http; nothing of ours is shown there.
///
/// # Errors
/// [`LinkError`] when there is a next page but it may not be followed.
pub fn next_page<'a>(
    requested: &str,
    values: impl Iterator<Item = &'a str>,
    foreign: ForeignLinks,
) -> Result<Option<String>, LinkError> {
    for value in values {
        if let Some(target) = next_target(value) {
            let next = url::resolve(requested, target).ok_or(LinkError::Unreadable)?;
            let (Some(from), Some(to)) = (url::split(requested), url::split(&next)) else {
                return Err(LinkError::Unreadable);
            };
            if from.has_origin_of(&to) {
                return Ok(Some(next));
            }
            if is_same_host_under_other_scheme(&from, &to) {
                let scheme = if from.is_https { "https" } else { "http" };
                let (authority, path, query) = (from.authority, to.path, to.query);
                return Ok(Some(format!("{scheme}://{authority}{path}{query}")));
            }
            let is_downgrade = from.is_https && !to.is_https;
            return match foreign {
                ForeignLinks::Followed if !is_downgrade => Ok(Some(next)),
                ForeignLinks::Followed | ForeignLinks::Refused => Err(LinkError::ForeignOrigin),
            };
        }
    }
    Ok(None)
}

/// What becomes of a page that lies on another server (`foreign_links` in registries.conf).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForeignLinks {
    /// The list fails.
    #[default]
    Refused,
    /// It is read there.
    Followed,
}

fn is_same_host_under_other_scheme(from: &UrlParts<'_>, to: &UrlParts<'_>) -> bool {
    if from.is_https == to.is_https {
        return false;
    }
    let (host, port) = split_port(from.authority);
    let (other_host, other_port) = split_port(to.authority);
    let own_port = |is_https| if is_https { "443" } else { "80" };
    let port = port.unwrap_or(own_port(from.is_https));
    host.eq_ignore_ascii_case(other_host)
        && other_port.is_none_or(|other| other == port || other == own_port(to.is_https))
}

/// Host and port of an authority; the brackets of an IPv6 address belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// Why a next page is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkError {
    /// The target is no URL.
    Unreadable,
    /// The target lies on another host or port (D-26).
    ForeignOrigin,
}

impl core::fmt::Display for LinkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the Link header of a page names no readable URL",
            Self::ForeignOrigin => {
                "the Link header of a page leads to another server, which is not followed; \
                 api_url must be the address that the registry gives itself in its links, or \
                 foreign_links be set"
            }
        })
    }
}

impl core::error::Error for LinkError {}

/// The target of the first link in `value` that leads to the next page.
fn next_target(value: &str) -> Option<&str> {
    let mut rest = value.trim();
    if rest.is_empty() {
        return None;
    }
    if !rest.starts_with('<') {
        let target = rest.split(';').next().unwrap_or(rest).trim();
        return (!target.is_empty()).then_some(target);
    }
    while let Some(open) = rest.strip_prefix('<') {
        let (target, tail) = open.split_once('>')?;
        let (is_next, tail) = scan_parameters(tail);
        if is_next {
            return Some(target.trim());
        }
        rest = tail;
    }
    None
}

/// Reads the parameters behind a target up to the comma that ends the link. Returns whether the link
/// counts as next, and what follows the comma, at its first `<`.
fn scan_parameters(text: &str) -> (bool, &str) {
    let mut rel: Option<bool> = None;
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix(',') {
            return (
                rel.unwrap_or(true),
                tail.trim_start_matches([' ', '\t', ',']),
            );
        }
        let Some(tail) = rest.strip_prefix(';') else {
            // The end, or an irregularity: nothing behind it is trusted.
            return (rel.unwrap_or(true), "");
        };
        let tail = tail.trim_start();
        let (name, after) = tail.split_at(tail.find(['=', ';', ',']).unwrap_or(tail.len()));
        let (value, after) = match after.strip_prefix('=') {
            Some(value) => split_value(value.trim_start()),
            None => ("", after),
        };
        // Only the first `rel` of a link counts (RFC 8288, 3.3).
        if name.trim().eq_ignore_ascii_case("rel") && rel.is_none() {
            rel = Some(
                value
                    .split_ascii_whitespace()
                    .any(|word| word.eq_ignore_ascii_case("next")),
            );
        }
        rest = after;
    }
}

/// Splits a parameter's value, quoted or not, from what follows it.
fn split_value(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
        return (value.trim(), rest);
    };
    let mut is_escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return (&quoted[..at], &quoted[at + 1..]),
            _ => {}
        }
    }
    (quoted, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    const PAGE: &str = "https://reg.example/v2/org/app/tags/list";

    #[test]
    fn another_server_is_followed_only_where_that_is_wanted() {
        let page = "https://r.example/v2/a/tags/list";
        for (to, is_followed) in [
            ("https://other.example/next", true),
            ("https://r.example:8443/next", true),
            ("http://other.example/next", false),
        ] {
            let link = format!("<{to}>; rel=next");
            let follow = |foreign| next_page(page, core::iter::once(&*link), foreign);
            assert_eq!(follow(ForeignLinks::Refused), Err(LinkError::ForeignOrigin));
            let followed = if is_followed {
                Ok(Some(to.into()))
            } else {
                Err(LinkError::ForeignOrigin)
            };
            assert_eq!(follow(ForeignLinks::Followed), followed, "{to}");
        }
    }

    #[test]
    fn the_link_with_rel_next_is_found_among_others() {
        for (value, expected) in [
            (
                "</p?a=1>; rel=\"prev\", </p?a=2>; title=\"x, y; z\"; rel=\"last next\"",
                Some("/p?a=2"),
            ),
            ("</p?a=1>; title=\"rel=next\"; rel=prev", None),
            ("</p?a=1,2;3>;rel=NEXT", Some("/p?a=1,2;3")),
            ("</p>", Some("/p")),
            ("/p?a=2; rel=next", Some("/p?a=2")),
            ("</p", None),
            ("<>; rel=prev, </q>; rel=next", Some("/q")),
        ] {
            assert_eq!(next_target(value), expected, "{value}");
        }
    }

    #[test]
    fn a_next_page_elsewhere_is_refused() {
        let follow = |value| next_page(PAGE, core::iter::once(value), ForeignLinks::Refused);
        assert_eq!(
            follow("<https://evil.example/x>; rel=next"),
            Err(LinkError::ForeignOrigin)
        );
        assert_eq!(
            follow("<https://reg.example:8443/x>; rel=next"),
            Err(LinkError::ForeignOrigin)
        );
        assert_eq!(follow("</a b>; rel=next"), Err(LinkError::Unreadable));
        assert_eq!(
            follow("<https://reg.example:443/x>; rel=next").map(|next| next.is_some()),
            Ok(true)
        );
    }

    #[test]
    fn a_link_under_the_other_scheme_is_followed_where_the_page_came_from() {
        const TLS: &str = "https://reg.example/v2/a/tags/list";
        const TLS_8443: &str = "https://reg.example:8443/v2/a/tags/list";
        const PLAIN: &str = "http://[::1]:5000/v2/a/tags/list";
        for (page, target, expected) in [
            (
                TLS,
                "http://reg.example/x?n=1",
                Some("https://reg.example/x?n=1"),
            ),
            (
                TLS,
                "http://REG.example:80/x",
                Some("https://reg.example/x"),
            ),
            (
                TLS,
                "http://reg.example:443/x",
                Some("https://reg.example/x"),
            ),
            (TLS, "http://reg.example:5000/x", None),
            (TLS, "http://reg.example.evil/x", None),
            (TLS, "http://evil@reg.example/x", None),
            (
                TLS_8443,
                "http://reg.example/x",
                Some("https://reg.example:8443/x"),
            ),
            (
                TLS_8443,
                "http://reg.example:8443/x",
                Some("https://reg.example:8443/x"),
            ),
            (TLS_8443, "http://reg.example:443/x", None),
            (TLS_8443, "https://reg.example/x", None),
            (PLAIN, "https://[::1]/x", Some("http://[::1]:5000/x")),
            (PLAIN, "https://[::1]:5000/x", Some("http://[::1]:5000/x")),
            (PLAIN, "https://[::2]/x", None),
        ] {
            let link = format!("<{target}>; rel=next");
            let next = next_page(page, core::iter::once(link.as_str()), ForeignLinks::Refused);
            assert_eq!(next.ok().flatten().as_deref(), expected, "{page} {target}");
        }
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn no_link_leaves_the_origin_of_its_page(
            is_https in any::<bool>(),
            authority in "[a-b]{1,2}(\\.[a-b])?(:(80|443|5000))?",
            target in "(https?:)?(//)?[a-b@.:/?\\\\]{0,12}((80|443|5000)/x)?",
        ) {
            let scheme = if is_https { "https" } else { "http" };
            let page = format!("{scheme}://{authority}/v2/a/tags/list");
            let link = format!("<{target}>; rel=next");
            if let Ok(Some(next)) = next_page(&page, core::iter::once(link.as_str()), ForeignLinks::Refused) {
                let is_same = url::split(&page)
                    .zip(url::split(&next))
                    .is_some_and(|(page, next)| page.has_origin_of(&next));
                prop_assert!(is_same, "{page} to {next}");
            }
        }

        #[test]
        fn no_header_panics(value in "[<>;,=\"\\\\ a-z/?é]{0,60}") {
            drop(next_page(PAGE, core::iter::once(value.as_str()), ForeignLinks::Followed));
        }
    }
}
