//! Where a repository is, read from its URL as Git reads it (`writeback.md` 11.4).

use image_updater_core::git::Remote;
use image_updater_core::http::ShownUrl;
use image_updater_core::repo::url::{Transport, URL_BYTES_MAX};
use image_updater_core::secret::Secret;

use crate::http::percent_decoded;

/// The user of SSH where the URL names none, as every known host has it.
const SSH_USER: &str = "git";
const SSH_PORT: u16 = 22;

/// Where a repository is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    pub(super) way: Way,
}

/// How a repository is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Over HTTP, encrypted or not.
    Http {
        /// The URL without user info.
        url: String,
        /// User and password of the URL, where it has them.
        user: Option<(String, Secret)>,
    },
    /// Over SSH.
    Ssh(SshAddress),
}

/// A repository behind SSH.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SshAddress {
    pub(super) user: String,
    /// Host name or address in lower case, an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// As the host is asked for it.
    pub(super) path: String,
}

/// Why a URL leads to no repository. The text shows no password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DestinationError {
    /// It is not one of the known ways.
    #[error("unknown repository type: accepted are https://, http://, ssh:// and user@host:path")]
    Unknown,
    /// It is malformed.
    #[error("{url} is no repository: {problem}")]
    Malformed {
        /// The URL as it may be shown.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Destination {
    /// Reads the URL of a repository.
    ///
    /// # Errors
    /// When it names no known way, no host, or no path.
    pub fn parse(url: &str) -> Result<Self, DestinationError> {
        let url = url.trim();
        let way = match Transport::of(url) {
            Transport::Http | Transport::Https => of_http(url),
            Transport::Ssh(_) => match url.split_once("://") {
                Some((_, rest)) => of_ssh_url(rest),
                None => of_short_form(url),
            },
            Transport::Unknown => return Err(DestinationError::Unknown),
        };
        let is_odd = url.len() > URL_BYTES_MAX || url.chars().any(char::is_control);
        let way = if is_odd {
            Err("it is too long, or has control characters")
        } else {
            way
        };
        way.map(|way| Self { way })
            .map_err(|problem| DestinationError::Malformed {
                url: ShownUrl(url).to_string(),
                problem,
            })
    }

    /// The repository as a session has it.
    pub fn remote(&self) -> Remote {
        match &self.way {
            Way::Http { url, .. } => Remote::Http(url.clone()),
            Way::Ssh(address) => Remote::Ssh(address.path.clone()),
        }
    }
}

fn of_http(url: &str) -> Result<Way, &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    if path.contains(['?', '#']) {
        return Err("a query or fragment does not belong there");
    }
    Ok(Way::Http {
        url: format!("{}://{host}{path}", scheme.to_ascii_lowercase()),
        user: user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decoded(name), Secret::new(decoded(password)))
        }),
    })
}

fn of_ssh_url(rest: &str) -> Result<Way, &'static str> {
    let slash = rest.find('/').ok_or("it has no path")?;
    let (authority, path) = rest.split_at(slash);
    let (user, host) = user_and_host(authority);
    let (host, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("its host is malformed")?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let port = match port {
        "" => SSH_PORT,
        digits => match digits.parse() {
            Ok(port @ 1..) => port,
            Ok(0) | Err(_) => {
                return Err("its port is no number; write user@host:path, or ssh://user@host/path");
            }
        },
    };
    let path = decoded(path);
    // What is below somebody's folder begins with a tilde.
    let path = match path.strip_prefix("/~") {
        Some(below) => format!("~{below}"),
        None => path,
    };
    ssh(&decoded(user), host, port, path)
}

/// `user@host:path`, whose path is relative to the user's folder.
fn of_short_form(url: &str) -> Result<Way, &'static str> {
    let (user, rest) = user_and_host(url);
    let (host, path) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or("its host is malformed")?,
        None => rest.split_once(':').ok_or("it has no path")?,
    };
    ssh(user, host, SSH_PORT, path.to_owned())
}

fn user_and_host(authority: &str) -> (&str, &str) {
    // A colon that stands before the last `@` parts a path off, or a password.
    authority.rsplit_once('@').unwrap_or(("", authority))
}

fn ssh(user: &str, host: &str, port: u16, path: String) -> Result<Way, &'static str> {
    let user = user.split(':').next().unwrap_or_default();
    if host.is_empty() || host.starts_with('-') || host.contains(char::is_whitespace) {
        return Err("it has no host");
    }
    if path.trim_matches('/').is_empty() || path.starts_with('-') {
        return Err("it has no path");
    }
    Ok(Way::Ssh(SshAddress {
        user: if user.is_empty() { SSH_USER } else { user }.to_owned(),
        host: host.to_ascii_lowercase(),
        port,
        path,
    }))
}

/// What is no text is left as it is.
pub(super) fn decoded(text: &str) -> String {
    String::from_utf8(percent_decoded(text)).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_over_http_is_parted_from_its_user() {
        let check = |url: &str, expected: &str, user: Option<(&str, &str)>| {
            let found = Destination::parse(url).expect("a repository");
            let Way::Http {
                url: parsed,
                user: found,
            } = found.way
            else {
                panic!("{url}: {found:?}");
            };
            assert_eq!(parsed, expected, "{url}");
            let found = found.as_ref().map(|(user, pass)| (&**user, pass.reveal()));
            assert_eq!(found, user, "{url}");
        };
        check("https://h/a/b.git", "https://h/a/b.git", None);
        check(" HTTPS://h:8443/a ", "https://h:8443/a", None);
        check("http://u:p%40@h/a", "http://h/a", Some(("u", "p@")));
        check("https://token@h/a", "https://h/a", Some(("token", "")));
    }

    #[test]
    fn url_over_ssh_says_user_host_port_and_path() {
        let check = |url: &str, expected: (&str, &str, u16, &str)| {
            let found = Destination::parse(url).expect("a repository");
            let Way::Ssh(SshAddress {
                user,
                host,
                port,
                path,
            }) = &found.way
            else {
                panic!("{url}: {found:?}");
            };
            assert_eq!((&**user, &**host, *port, &**path), expected, "{url}");
        };
        check("git@h:a/b.git", ("git", "h", 22, "a/b.git"));
        check("h:a/b", ("git", "h", 22, "a/b"));
        check("u@[::1]:a", ("u", "::1", 22, "a"));
        check("ssh://H/a", ("git", "h", 22, "/a"));
        check("ssh://u@h:2222/a%20b", ("u", "h", 2222, "/a b"));
        check("ssh://u@[fd00::1]:2222/a", ("u", "fd00::1", 2222, "/a"));
        check("ssh://u:ignored@h/~x/a", ("u", "h", 22, "~x/a"));
        check("a@b@h:x", ("a@b", "h", 22, "x"));
    }

    #[test]
    fn what_leads_nowhere_is_refused_without_its_password() {
        for url in [
            "",
            "/srv/a",
            "file:///a",
            "git://h/a",
            "https://",
            "https://u:hush@/a",
            "https://h/a?x=hush",
            "ssh://h",
            "ssh://h:org/a",
            "ssh://h:0/a",
            "ssh://h/",
            "git@h:",
            "git@-oProxy:a",
            "git@h:-x",
            "ssh://[::1/a",
            "https://h/a\nb",
            "ssh://u:hush@h:p/a",
        ] {
            let error = Destination::parse(url).expect_err(url).to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        let long = format!("https://h/{}", "a".repeat(URL_BYTES_MAX));
        assert!(Destination::parse(&long).is_err());
    }
}
