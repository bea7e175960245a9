//! What a server says that it can do, in both versions of the protocol.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Capabilities that are kept; a server has a few dozen.
const CAPABILITIES_MAX: usize = 256;

/// The capabilities of a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    values: BTreeMap<String, String>,
}

impl Capabilities {
    /// Reads the list behind the first reference of version 0: separated by blanks, and a name may come
    /// again (`symref`), of which the first counts.
    pub fn parse_list(list: &[u8]) -> Self {
        let mut capabilities = Self::default();
        for word in list.split(|byte| *byte == b' ') {
            capabilities.handle_line(word);
        }
        capabilities
    }

    /// Takes one line of version 2, or one word of version 0: `name` or `name=value`.
    pub fn handle_line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        let name = name.trim();
        if !name.is_empty() && self.values.len() < CAPABILITIES_MAX {
            self.values
                .entry(name.into())
                .or_insert_with(|| value.trim().into());
        }
    }

    /// True when `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// True when the value of `name`, a list separated by blanks, has `word` in it.
    pub fn has_word(&self, name: &str, word: &str) -> bool {
        let words = self.values.get(name).map(|list| list.split(' '));
        words.is_some_and(|mut words| words.any(|found| found == word))
    }

    /// The value of `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The hash that names objects: `sha1` where the server says nothing.
    pub fn object_format(&self) -> &str {
        self.value("object-format").unwrap_or("sha1")
    }

    /// The branch that `HEAD` stands for, in version 0.
    pub fn head_target(&self) -> Option<&str> {
        self.value("symref")?.strip_prefix("HEAD:")
    }
}

/// A server's version of the protocol with what it can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Version 2, or what came before it.
    pub is_v2: bool,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Server {
    /// True when the part of a fetch called `feature` may be used.
    pub fn can_fetch(&self, feature: &str) -> bool {
        if self.is_v2 {
            self.capabilities.has_word("fetch", feature)
        } else {
            self.capabilities.has(feature)
        }
    }

    /// True when objects that no reference names may be asked for.
    pub fn can_want_any(&self) -> bool {
        self.is_v2
            || (self.capabilities.has("allow-tip-sha1-in-want")
                && self.capabilities.has("allow-reachable-sha1-in-want"))
    }

    /// What the server's features are, as words for the log.
    pub fn to_words(&self) -> Vec<&'static str> {
        let mut words = Vec::from([if self.is_v2 { "v2" } else { "v0" }]);
        words.extend(
            ["filter", "shallow"]
                .into_iter()
                .filter(|feature| self.can_fetch(feature)),
        );
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_in_their_ways() {
        let old = Server {
            is_v2: false,
            capabilities: Capabilities::parse_list(
                b"multi_ack shallow filter symref=HEAD:refs/heads/trunk symref=refs/x:refs/y object-format=sha1 agent=git/2",
            ),
        };
        assert_eq!(
            old.capabilities.head_target(),
            Some("refs/heads/trunk"),
            "the first one"
        );
        assert_eq!(old.to_words(), ["v0", "filter", "shallow"]);
        assert!(!old.can_want_any());
        let mut capabilities = Capabilities::default();
        for line in [
            "ls-refs=unborn",
            "fetch=shallow wait-for-done",
            "object-format=sha256",
        ] {
            capabilities.handle_line(line.as_bytes());
        }
        let new = Server {
            is_v2: true,
            capabilities,
        };
        assert_eq!(new.to_words(), ["v2", "shallow"]);
        assert!(new.can_want_any());
        assert_eq!(new.capabilities.object_format(), "sha256");
    }
}
