//! Through whom a host is reached: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (`registry.md` 5.1).
//!
//! - The rules are Go's: the upper-case variable wins where both are set; `localhost` and loopback
//!   addresses are never reached through a proxy.
//! - A proxy's password is in nothing that is printed.

use std::fmt;

use http::{HeaderValue, Uri};
use image_updater_core::registry::base64;

use super::no_proxy::NoProxy;
use super::redact::redact_url;
use super::target::Target;

/// The proxies of the process. Without any, every host is reached directly.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: NoProxy,
}

/// One proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Where it listens.
    pub(super) target: Target,
    /// The value of `Proxy-Authorization`.
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxies {
    /// What the variables of the process say, and a complaint for each that cannot be used; such a
    /// variable counts as unset.
    pub fn of_process() -> (Self, Vec<String>) {
        Self::of(|name| std::env::var(name).ok())
    }

    /// The same for variables that `variable` looks up.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut complaints = Vec::new();
        let value = |upper: &'static str, lower: &'static str| {
            let value = |name| variable(name).filter(|value: &String| !value.is_empty());
            value(upper)
                .map(|value| (upper, value))
                .or_else(|| value(lower).map(|value| (lower, value)))
        };
        let mut proxy = |named: Option<(&str, String)>| {
            let (name, text) = named?;
            Proxy::parse(&text)
                .map_err(|reason| complaints.push(format!("{name} is not used: {reason}")))
                .ok()
        };
        let proxies = Self {
            http: proxy(value("HTTP_PROXY", "http_proxy")),
            https: proxy(value("HTTPS_PROXY", "https_proxy")),
            exceptions: value("NO_PROXY", "no_proxy")
                .map(|(_, text)| NoProxy::parse(&text))
                .unwrap_or_default(),
        };
        (proxies, complaints)
    }

    /// One proxy for everything but the hosts that `exceptions` names as `NO_PROXY` does.
    ///
    /// # Errors
    /// When `proxy` is no address of one; the text does not show its password.
    pub(crate) fn of_one(proxy: &str, exceptions: &str) -> Result<Self, String> {
        let proxy = Proxy::parse(proxy)?;
        Ok(Self {
            http: Some(proxy.clone()),
            https: Some(proxy),
            exceptions: NoProxy::parse(exceptions),
        })
    }

    /// True when `exceptions`, as `NO_PROXY` has them, names a host.
    pub(crate) fn is_excepted(exceptions: &str, host: &str, port: u16) -> bool {
        NoProxy::parse(exceptions).covers(host, port)
    }

    /// Through whom `target` is reached, if not directly.
    pub(super) fn on_the_way_to(&self, target: &Target) -> Option<&Proxy> {
        let proxy = if target.is_tls {
            &self.https
        } else {
            &self.http
        };
        proxy
            .as_ref()
            .filter(|_| !self.exceptions.covers(&target.host, target.port))
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let shown = redact_url(&with_scheme);
        let uri: Uri = with_scheme
            .parse()
            .map_err(|_| format!("{shown} is no address of a proxy"))?;
        let target = Target::of(&uri)
            .ok_or_else(|| format!("{shown} is no address of an http or https proxy"))?;
        let user_info = uri
            .authority()
            .and_then(|authority| authority.as_str().rsplit_once('@'))
            .map(|(user_info, _)| user_info);
        let authorization = user_info.map(|user_info| {
            let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
            let mut credentials = percent_decoded(user);
            credentials.push(b':');
            credentials.extend(percent_decoded(password));
            let text = format!("Basic {}", base64::encode(&credentials));
            let mut value = HeaderValue::from_str(&text).expect("base64 can be sent in a header");
            value.set_sensitive(true);
            value
        });
        Ok(Self {
            target,
            authorization,
        })
    }
}

impl Proxy {
    /// True when `body` holds what the proxy was shown: it may quote the request that it refuses.
    pub(super) fn is_repeated_in(&self, body: &[u8]) -> bool {
        let header = self
            .authorization
            .as_ref()
            .and_then(|value| value.to_str().ok());
        let Some(encoded) = header.and_then(|text| text.strip_prefix("Basic ")) else {
            return false;
        };
        let pair = base64::decode(encoded).unwrap_or_default();
        let password = pair.splitn(2, |byte| *byte == b':').nth(1);
        let holds =
            |part: &[u8]| !part.is_empty() && body.windows(part.len()).any(|window| window == part);
        holds(encoded.trim_end_matches('=').as_bytes()) || password.is_some_and(holds)
    }
}

/// As it may be shown: without its user.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.target.scheme(), self.target.address())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What does not follow the scheme stays as it is.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        let byte = *bytes.get(at)?;
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            decoded.push(high * 16 + low);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_of_the_url_chooses_the_proxy_and_upper_case_wins() {
        let variables = [
            ("HTTP_PROXY", "http://plain:3128"),
            ("http_proxy", "http://lower:3128"),
            ("https_proxy", "secure"),
            ("NO_PROXY", ""),
            ("no_proxy", "direct.test"),
        ];
        check(&variables, "http://r.test/", "http://plain:3128");
        check(&variables, "https://r.test/", "http://secure:80");
        check(&variables, "https://direct.test/", "direct");
        check(&variables, "http://localhost:5000/", "direct");
        check(&variables, "http://127.0.0.1:5000/", "direct");
        check(&variables, "http://[::1]:5000/", "direct");
        check(&[], "https://r.test/", "direct");
        check(
            &[("HTTPS_PROXY", "https://p")],
            "https://r.test/",
            "https://p:443",
        );
        check(&[("HTTPS_PROXY", "https://p")], "http://r.test/", "direct");
    }

    #[test]
    fn user_of_a_proxy_is_sent_and_never_shown() {
        let variables = [("HTTPS_PROXY", "http://al%69ce:hu%40sh%@p:3128")];
        let (proxies, complaints) = of(&variables);
        assert!(complaints.is_empty(), "{complaints:?}");
        let (_, target) = Target::of_url("https://r.test/").expect("a usable URL");
        let proxy = proxies.on_the_way_to(&target).expect("a proxy");
        let expected = format!("Basic {}", base64::encode(b"alice:hu@sh%"));
        let value = proxy.authorization.as_ref().expect("it has a user");
        assert_eq!(value.to_str().expect("it is text"), expected);
        let shown = format!("{proxies:?} {proxy}");
        assert!(!shown.contains("hu") && !shown.contains("Basic"), "{shown}");
    }

    #[test]
    fn proxy_that_cannot_be_used_is_complained_about_without_its_password() {
        for value in [
            "socks5://u:hush@p:1080",
            "http://u:hush@",
            "http://u:hush@a b",
        ] {
            let (proxies, complaints) = of(&[("https_proxy", value)]);
            assert!(proxies.https.is_none(), "{value}");
            let [complaint] = complaints.as_slice() else {
                panic!("{complaints:?}")
            };
            assert!(
                complaint.starts_with("https_proxy is not used: "),
                "{complaint}"
            );
            assert!(!complaint.contains("hush"), "{complaint}");
        }
    }

    fn check(variables: &[(&str, &str)], url: &str, expected: &str) {
        let (proxies, _) = of(variables);
        let (_, target) = Target::of_url(url).expect("a usable URL");
        let way = proxies.on_the_way_to(&target);
        let way = way.map_or("direct".to_owned(), ToString::to_string);
        assert_eq!(way, expected, "{url} with {variables:?}");
    }

    fn of(variables: &[(&str, &str)]) -> (Proxies, Vec<String>) {
        Proxies::of(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }
}
