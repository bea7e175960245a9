//! The words between a session and its driver: what to open, send and close, and how a channel ended.

use alloc::string::String;
use alloc::vec::Vec;

use super::refusal::RefusalKind;
use crate::http::Method;

/// A channel of one session, counted from one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub u32);

/// The two services of git.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    /// Reading.
    UploadPack,
    /// Writing.
    ReceivePack,
}

impl Service {
    /// The service's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// Where a repository is, as far as the protocol knows: host, user and credentials are the driver's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Remote {
    /// Over HTTP: the repository's URL, without user info.
    Http(String),
    /// Over SSH: the repository's path on its host.
    Ssh(String),
}

/// A channel that the driver is to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Open {
    /// An HTTP exchange; the driver adds what proves the user. Redirects are not followed.
    Http {
        /// The method.
        method: Method,
        /// The whole URL.
        url: String,
        /// Header lines; names in lower case.
        headers: Vec<(&'static str, String)>,
        /// The whole body, to be sent with its length.
        body: Vec<u8>,
    },
    /// A program on the host, whose standard output and input the channel is. The server speaks first.
    Ssh {
        /// The command line.
        command: String,
        /// A variable of its environment, which the host may not pass on.
        environment: Option<(&'static str, &'static str)>,
    },
}

/// How a channel ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChannelEnd {
    /// It ended as it should: the body was whole, or the program ended (with success or not).
    Finished,
    /// Nothing of what was to be sent can have reached the server.
    NotOpened {
        /// One line for people; holds no secret.
        detail: String,
    },
    /// Nothing of it was opened, and why is known: whoever is asked for a login did not accept ours.
    Refused {
        /// The class.
        kind: RefusalKind,
        /// One line for people; holds no secret.
        detail: String,
    },
    /// It broke, or the driver's time was over; what reached the server is not known.
    Broken {
        /// One line for people; holds no secret.
        detail: String,
    },
}
