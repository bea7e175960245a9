//! `git http-backend` behind nginx: TLS with a private authority, and somebody who asks for a login.

use super::{Authority, Folder, Script, Server, is_available};
use crate::git::Repository;

/// Who is let in.
#[derive(Clone, Copy)]
pub enum Admission<'a> {
    /// This user with this password.
    User(&'a str, &'a str),
    /// Whoever shows this token.
    Bearer(&'a str),
    /// Whoever has a certificate of this authority.
    Certificate(&'a Authority),
}

/// A running server of one repository; ends when dropped.
pub struct GitHttp {
    /// The repository's URL, such as `https://127.0.0.1:10123/repo`.
    pub url: String,
    folder: Folder,
}

impl GitHttp {
    /// Starts one with a certificate of `authority`. `more` stands in the server's configuration as it is.
    /// `None` when something is not installed, see [`is_available`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(
        repository: &Repository,
        authority: &Authority,
        admission: Admission<'_>,
        more: &str,
    ) -> Option<Self> {
        Self::speaking("http2", repository, authority, admission, more)
    }

    /// The same that speaks `http1` or `http2`.
    pub fn speaking(
        protocol: &str,
        repository: &Repository,
        authority: &Authority,
        admission: Admission<'_>,
        more: &str,
    ) -> Option<Self> {
        if !is_available(Server::GitHttp) {
            return None;
        }
        let folder = Folder::new("git-http");
        let issued = authority.issue();
        folder.write("cert.pem", &issued.certificate);
        folder.write("key.pem", &issued.key);
        let mut more = more.to_owned();
        let admission = match admission {
            Admission::User(name, password) => {
                let program = Script::program("htpasswd".as_ref(), Some(password));
                let users = program.run(&["-n", "-i", name]);
                let users = users.unwrap_or_else(|error| panic!("{error}"));
                let users = folder.write("users", &users);
                format!("auth_basic git; auth_basic_user_file {users};")
            }
            Admission::Bearer(token) => {
                format!("if ($http_authorization != \"Bearer {token}\") {{ return 401; }}")
            }
            Admission::Certificate(clients) => {
                let clients = folder.write("clients.pem", &clients.pem());
                more.push_str("ssl_verify_client on; ssl_client_certificate ");
                more.push_str(&clients);
                more.push(';');
                String::new()
            }
        };
        folder.write("admission.conf", &admission);
        folder.write("more.conf", &more);
        let path = repository.path().display().to_string();
        let arguments = ["start", folder.text(), &path, protocol];
        let printed = Script::new("servers/git_http.sh").run(&arguments);
        let url = printed.unwrap_or_else(|error| panic!("{error}"));
        Some(Self {
            url: url.trim_end().to_owned(),
            folder,
        })
    }

    /// The server's address without the repository's path.
    pub fn origin(&self) -> &str {
        self.url.trim_end_matches("/repo")
    }

    /// One line per request so far: the connection's number, status, bytes of the body, method,
    /// path, `Authorization`.
    pub fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.0.join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Ends it at once, whatever it is doing.
    pub fn stop(&self) {
        let stopped = Script::new("servers/git_http.sh").run(&["stop", self.folder.text()]);
        stopped.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        drop(Script::new("servers/git_http.sh").run(&["stop", self.folder.text()]));
    }
}
