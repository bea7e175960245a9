//! The settings of `test` (`ops.md` 9).

use super::error::ArgsError;
use super::settings::{LogSettings, Reader};
use super::value::Origin;

/// The words that `--update-strategy` accepts; the last two are older names.
const STRATEGIES: [&str; 6] = [
    "semver",
    "newest-build",
    "alphabetical",
    "digest",
    "latest",
    "name",
];

/// The form in which `test` answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Lines of the log.
    Text,
    /// One JSON document on standard output; the log goes to standard error.
    Json,
}

/// Everything that `test` is told, validated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestSettings {
    /// The image, as written.
    pub image: String,
    /// What is logged.
    pub log: LogSettings,
    /// `--semver-constraint`.
    pub semver_constraint: String,
    /// `--allow-tags`.
    pub allow_tags: String,
    /// `--ignore-tags`.
    pub ignore_tags: Vec<String>,
    /// `--update-strategy`, one of the known words.
    pub update_strategy: String,
    /// `--registries-conf-path`; empty means the built-in registries.
    pub registries_conf_path: String,
    /// `--disable-kubernetes`.
    pub is_kubernetes_disabled: bool,
    /// `--kubeconfig`.
    pub kubeconfig: String,
    /// `--credentials`.
    pub credentials: String,
    /// `--platforms`; that of this machine unless given.
    pub platforms: Vec<String>,
    /// `--rate-limit`: requests per second.
    pub rate_limit: u32,
    /// `--output`.
    pub output: Output,
    /// `--explain`.
    pub is_explained: bool,
    /// True when `--rate-limit` stands on the command line and so replaces the registry's own.
    pub is_rate_limit_given: bool,
}

impl TestSettings {
    pub(super) fn read(reader: &mut Reader<'_>, image: String) -> Result<Self, ArgsError> {
        let mut platforms = reader.values.list("platforms");
        if platforms.is_empty() {
            platforms.push(own_platform());
        }
        Ok(Self {
            image,
            log: reader.log()?,
            semver_constraint: reader.text("semver-constraint"),
            allow_tags: reader.text("allow-tags"),
            ignore_tags: reader.values.list("ignore-tags"),
            update_strategy: reader
                .word("update-strategy", &STRATEGIES.map(|word| (word, word)))?
                .to_owned(),
            registries_conf_path: reader.text("registries-conf-path"),
            is_kubernetes_disabled: reader.values.bool("disable-kubernetes"),
            kubeconfig: reader.text("kubeconfig"),
            credentials: reader.text("credentials"),
            platforms,
            rate_limit: reader.count("rate-limit", "unlimited")?,
            output: reader.word("output", &[("text", Output::Text), ("json", Output::Json)])?,
            is_explained: reader.values.bool("explain"),
            is_rate_limit_given: reader.values.held("rate-limit").origin == Origin::CommandLine,
        })
    }
}

/// The platform of this machine in the words of image registries.
pub fn own_platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        arch => arch,
    };
    format!("{os}/{arch}")
}
