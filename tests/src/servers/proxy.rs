//! nginx in front of a server: HTTP/2 over TLS towards clients.

use super::{Authority, Folder, Script, Server, is_available};

/// A running proxy; ends when dropped.
pub struct Proxy {
    /// Where it is, such as `https://127.0.0.1:10123`.
    pub url: String,
    folder: Folder,
}

impl Proxy {
    /// Starts one in front of `upstream`, a URL, with a certificate of `authority`. `None` when it is
    /// not installed, see [`is_available`].
    pub fn start(upstream: &str, authority: &Authority) -> Option<Self> {
        if !is_available(Server::Proxy) {
            return None;
        }
        let folder = Folder::new("proxy");
        let issued = authority.issue();
        for (name, text) in [("cert.pem", &issued.certificate), ("key.pem", &issued.key)] {
            std::fs::write(folder.0.join(name), text).expect("the folder can be written to");
        }
        let printed = Script::new("servers/proxy.sh").run(&["start", folder.text(), upstream]);
        let url = printed.unwrap_or_else(|error| panic!("{error}"));
        Some(Self {
            url: url.trim_end().to_owned(),
            folder,
        })
    }

    /// Host and port, as images name the registry.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("https://")
    }

    /// One line per request so far: protocol, connection's number, user agent, request line.
    pub fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.0.join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(Script::new("servers/proxy.sh").run(&["stop", self.folder.text()]));
    }
}
