//! `registries.conf`: read at start, and again whenever it has changed (`registry.md` 2, D-38, D-41).
//!
//! - The content is compared, not the file: a `ConfigMap` is mounted as links that are swapped.
//! - A change counts once it was read twice: a file that is just being written is not half of it.
//! - Whatever is wrong with a new content, the registries that are known stay; it is told once.
//! - A `ca_file` that cannot be used is an error at start and a warning later: it may come yet, and is
//!   read again for each connection.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::http::TrustAnchors;
use image_updater_core::input::{Input, SettingsInput};
use image_updater_core::registry::{EndpointSettings, conf};
use tokio::sync::mpsc;

use crate::http::{PEM_BYTES_MAX, check_authorities};
use crate::spawn::spawn_blocking;
use crate::telemetry::Log;

/// How often the file is read.
pub const READ_INTERVAL: Duration = Duration::from_secs(10);
/// How long after a change the file is read once more.
const SETTLE_TIME: Duration = Duration::from_secs(1);
/// Longest file that is read; the parser's own bound is below it.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// The file and what was last read there.
#[derive(Clone, Debug)]
pub struct RegistriesFile {
    path: PathBuf,
    seen: Content,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct News {
    /// All configured registries.
    pub endpoints: Vec<EndpointSettings>,
    /// What the user should know though it stops nothing.
    pub warnings: Vec<String>,
}

/// What is found at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Content {
    /// No file; why.
    Missing(String),
    /// A file that cannot be read; why.
    Unreadable(String),
    /// This text.
    Text(String),
}

impl RegistriesFile {
    /// The file at `path`, not read yet; `None` for the empty path, which means the built-in registries.
    pub fn new(path: &str) -> Option<Self> {
        (!path.is_empty()).then(|| Self {
            path: path.into(),
            seen: Content::Missing("not read".to_owned()),
        })
    }

    /// Reads the file before anything runs; one that is not there is a warning (`ops.md` 3.1).
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read_at_start(&mut self) -> Result<News, Vec<String>> {
        self.seen = read(&self.path);
        let path = self.path.display();
        match &self.seen {
            Content::Missing(reason) => Ok(News {
                endpoints: Vec::new(),
                warnings: vec![format!(
                    "registries configuration {path} is not used: {reason}; built-in registries apply"
                )],
            }),
            content @ (Content::Unreadable(_) | Content::Text(_)) => {
                news_of(&self.path, content, Moment::Start)
            }
        }
    }

    /// True when there was a file at the last reading.
    pub const fn is_there(&self) -> bool {
        matches!(self.seen, Content::Text(_))
    }

    /// Reads the file again: what it says, if that is another thing than before and not just being
    /// written. `None` when there is nothing new.
    async fn read_again(&mut self) -> Option<Result<News, Vec<String>>> {
        let first = self.read_aside().await?;
        if first == self.seen {
            return None;
        }
        tokio::time::sleep(SETTLE_TIME).await;
        let second = self.read_aside().await?;
        if first != second {
            return None;
        }
        self.seen = second;
        let (path, seen) = (self.path.clone(), self.seen.clone());
        spawn_blocking(move || news_of(&path, &seen, Moment::Later))
            .await
            .ok()
    }

    async fn read_aside(&self) -> Option<Content> {
        let path = self.path.clone();
        spawn_blocking(move || read(&path)).await.ok()
    }
}

/// Reads `file` every [`READ_INTERVAL`] and hands over what has changed, until nobody listens.
pub async fn watch_registries(mut file: RegistriesFile, log: Arc<Log>, news: mpsc::Sender<Input>) {
    while !news.is_closed() {
        tokio::time::sleep(READ_INTERVAL).await;
        match file.read_again().await {
            None => {}
            Some(Ok(changed)) => {
                for warning in &changed.warnings {
                    log.warn(warning, &[]);
                }
                let input = Input::Settings(SettingsInput::Registries(changed.endpoints));
                if news.send(input).await.is_err() {
                    return;
                }
            }
            Some(Err(problems)) => {
                let problems = problems.join("; ");
                let message = format!("the registries that are known stay in use: {problems}");
                log.warn(&message, &[]);
            }
        }
    }
}

/// The endpoints of a file that must be there (`registry.md` 2.1, `test`).
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read_required_registries(
    path: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<EndpointSettings>, Vec<String>> {
    let path = Path::new(path);
    let news = news_of(path, &read(path), Moment::Start)?;
    warnings.extend(news.warnings);
    Ok(news.endpoints)
}

/// When a content is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// Before anything runs.
    Start,
    /// While something runs.
    Later,
}

/// What a content says.
fn news_of(path: &Path, content: &Content, moment: Moment) -> Result<News, Vec<String>> {
    let path = path.display();
    let text = match content {
        Content::Missing(reason) | Content::Unreadable(reason) => {
            return Err(vec![format!(
                "registries configuration {path} cannot be read: {reason}"
            )]);
        }
        Content::Text(text) => text,
    };
    let (entries, problems) = conf::read(text);
    let mut problems: Vec<String> = problems
        .into_iter()
        .map(|problem| problem.detail.into())
        .collect();
    let mut warnings: Vec<String> = Vec::new();
    for entry in &entries {
        warnings.extend(entry.warnings());
        match (trust_problem(entry), &entry.trust, moment) {
            (None, _, _) => {}
            (Some(problem), TrustAnchors::File(_), Moment::Later) => warnings.push(problem),
            (Some(problem), _, _) => problems.push(problem),
        }
    }
    let of_path = |text: String| format!("{path}: {text}");
    if !problems.is_empty() {
        return Err(problems.into_iter().map(of_path).collect());
    }
    Ok(News {
        endpoints: entries
            .iter()
            .map(conf::RegistryEntry::to_settings)
            .collect(),
        warnings: warnings.into_iter().map(of_path).collect(),
    })
}

/// Why the certificates that an entry wants trusted cannot be, where they have an effect.
fn trust_problem(entry: &conf::RegistryEntry) -> Option<String> {
    if entry.is_insecure {
        return None;
    }
    let (origin, checked) = match &entry.trust {
        TrustAnchors::System => return None,
        TrustAnchors::Data(pem) => ("ca_data".to_owned(), check_authorities(pem.as_bytes())),
        TrustAnchors::File(path) => {
            let pem = read_bytes(Path::new(path), PEM_BYTES_MAX + 1);
            let checked = pem
                .map_err(|error| error.to_string())
                .and_then(|pem| check_authorities(&pem));
            (format!("ca_file {path}"), checked)
        }
    };
    let problem = checked.err()?;
    Some(format!(
        "{origin} of registry {} cannot be used: {problem}",
        entry.name
    ))
}

/// Reads a small file as text.
fn read(path: &Path) -> Content {
    let result = read_bytes(path, FILE_BYTES_MAX).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is no UTF-8"))
    });
    match result {
        Ok(text) => Content::Text(text),
        Err(error) => {
            let reason = error.to_string();
            let is_missing = matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory
            );
            if is_missing {
                Content::Missing(reason)
            } else {
                Content::Unreadable(reason)
            }
        }
    }
}

/// Reads the beginning of a file, either before the runtime starts or beside it.
#[expect(
    clippy::disallowed_methods,
    reason = "called before the runtime starts, and by spawn_blocking"
)]
fn read_bytes(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use image_updater_core::time::UnixTime;

    use super::*;
    use crate::spawn::spawn;
    use crate::telemetry::{Level, LogFormat, Page, Sink};

    const GOOD: &str = "registries:\n- name: A\n  api_url: https://a.io\n  prefix: a.io\n";
    const BAD: &str = "registries:\n- name: A\n  api_url: nowhere\n- limit: 1\n";

    /// A watched file in a folder of its own.
    struct Stage {
        folder: tempfile::TempDir,
        page: Page,
        news: mpsc::Receiver<Input>,
    }

    impl Stage {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let page = Page::default();
            let sink = || Sink::plain(page.clone());
            let clock = || UnixTime::from_secs(0);
            let log = Log::new(Level::Info, LogFormat::Text, clock, sink(), sink());
            let (sender, news) = mpsc::channel(1);
            let stage = Self { folder, page, news };
            stage.write(text);
            let path = stage.path();
            let mut file = RegistriesFile::new(path.to_str().expect("a path")).expect("a path");
            file.read_at_start().expect("a good file");
            drop(spawn(watch_registries(file, Arc::new(log), sender)));
            stage
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("registries.conf")
        }

        #[expect(clippy::disallowed_methods, reason = "the test's own file")]
        fn write(&self, text: &str) {
            std::fs::write(self.path(), text).expect("a temporary file can be written to");
        }

        /// The prefixes of the next reload within `time`.
        async fn next(&mut self, time: Duration) -> Option<Vec<String>> {
            let next = tokio::time::timeout(time, self.news.recv()).await.ok()?;
            let Some(Input::Settings(SettingsInput::Registries(endpoints))) = next else {
                panic!("{next:?}")
            };
            let prefixes = endpoints.iter().map(|one| one.prefix.to_string());
            Some(prefixes.collect())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_another_content_is_news() {
        let mut stage = Stage::new(GOOD);
        assert_eq!(stage.next(READ_INTERVAL * 10).await, None);
        stage.write(GOOD);
        assert_eq!(stage.next(READ_INTERVAL * 10).await, None);
        stage.write("registries: []");
        assert_eq!(stage.next(READ_INTERVAL * 2).await, Some(vec![]));
        assert_eq!(stage.next(READ_INTERVAL * 10).await, None);
        stage.write(&GOOD.replace("a.io", "b.io"));
        assert_eq!(
            stage.next(READ_INTERVAL * 2).await,
            Some(vec!["b.io".into()])
        );
        assert_eq!(stage.page.to_text(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn bad_content_is_told_once_with_all_problems_and_changes_nothing() {
        let mut stage = Stage::new(GOOD);
        stage.write(BAD);
        assert_eq!(stage.next(READ_INTERVAL * 10).await, None);
        let text = stage.page.to_text();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [
            "level=warning",
            "the registries that are known stay in use",
            "is no http or https URL",
            "registry name is missing for entry 2",
            "API URL must be specified",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        stage.write("\u{0}");
        assert_eq!(stage.next(READ_INTERVAL * 2).await, None);
        assert_eq!(
            stage.page.to_text().lines().count(),
            2,
            "another one is told, too"
        );
        stage.write(GOOD);
        assert_eq!(
            stage.next(READ_INTERVAL * 2).await,
            Some(vec!["a.io".into()])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_vanished_is_told_once_and_read_when_it_is_back() {
        let mut stage = Stage::new(GOOD);
        std::fs::remove_file(stage.path()).expect("a file");
        assert_eq!(stage.next(READ_INTERVAL * 10).await, None);
        let text = stage.page.to_text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("stay in use") && text.contains("cannot be read"),
            "{text}"
        );
        stage.write(GOOD);
        assert_eq!(
            stage.next(READ_INTERVAL * 2).await,
            Some(vec!["a.io".into()])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn swapped_link_is_a_change_as_in_a_mounted_config_map() {
        let mut stage = Stage::new(GOOD);
        let version = |name: &str, prefix: &str| {
            let folder = stage.folder.path().join(name);
            std::fs::create_dir(&folder).expect("a temporary folder");
            #[expect(clippy::disallowed_methods, reason = "the test's own file")]
            std::fs::write(folder.join("conf"), GOOD.replace("a.io", prefix)).expect("a file");
        };
        version("v1", "one.io");
        version("v2", "two.io");
        let data = stage.folder.path().join("..data");
        symlink("v1", &data).expect("a link");
        std::fs::remove_file(stage.path()).expect("a file");
        symlink("..data/conf", stage.path()).expect("a link");
        assert_eq!(
            stage.next(READ_INTERVAL * 2).await,
            Some(vec!["one.io".into()])
        );
        let swapped = stage.folder.path().join("..data_tmp");
        symlink("v2", &swapped).expect("a link");
        std::fs::rename(&swapped, &data).expect("a link");
        assert_eq!(
            stage.next(READ_INTERVAL * 2).await,
            Some(vec!["two.io".into()])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn file_that_is_just_being_written_is_not_half_of_it() {
        let mut stage = Stage::new(GOOD);
        stage.write("registries:\n");
        tokio::time::sleep(READ_INTERVAL + SETTLE_TIME / 2).await;
        stage.write(&GOOD.replace("a.io", "b.io"));
        let first = stage.next(READ_INTERVAL * 3).await;
        assert_eq!(first, Some(vec!["b.io".into()]));
    }

    const NO_CERTIFICATE: &str =
        "    -----BEGIN CERTIFICATE-----\n    AAAA\n    -----END CERTIFICATE-----\n";

    #[test]
    fn everything_that_is_wrong_is_told_in_one_error_certificates_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("conf");
        let no_certificate = folder.path().join("ca.pem");
        let entry = |name: &str, lines: &str| {
            format!(
                "- name: {name}\n  api_url: https://{name}.io\n  prefix: {name}.io\n  {lines}\n"
            )
        };
        let text = [
            "registries:\n".to_owned(),
            entry("a", "ca_file: /no/such/file"),
            entry("b", &format!("ca_data: |\n{NO_CERTIFICATE}")),
            entry("c", &format!("ca_file: {}", no_certificate.display())),
            entry("d", "defaultns: 'A b'"),
            "- name: e\n  api_url: https://e.io\n  prefix: 'e io'\n".to_owned(),
            entry("f", "insecure: yes\n  ca_file: /no/such/file"),
        ]
        .concat();
        #[expect(clippy::disallowed_methods, reason = "the test's own files")]
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("a file");
        write(&path, &text);
        write(&no_certificate, "hello");
        let problems = read_required_registries(path.to_str().expect("a path"), &mut Vec::new())
            .expect_err("five problems");
        assert_eq!(problems.len(), 5, "{problems:?}");
        for part in [
            "ca_file /no/such/file of registry a cannot be used: No such file",
            "ca_data of registry b cannot be used: certificate 1 is none",
            "ca.pem of registry c cannot be used: there is no certificate",
            "defaultns \"A b\"",
            "prefix \"e io\"",
        ] {
            assert!(
                problems.iter().any(|one| one.contains(part)),
                "{part}: {problems:?}"
            );
        }
        // While it runs, a file may come yet; a text will not.
        let later = |text: &str| {
            let content = Content::Text(format!("registries:\n{text}"));
            news_of(&path, &content, Moment::Later).map(|news| news.warnings.len())
        };
        assert_eq!(later(&entry("a", "ca_file: /no/such/file")), Ok(1));
        let data = entry("b", &format!("ca_data: |\n{NO_CERTIFICATE}"));
        assert_eq!(later(&data).map_err(|problems| problems.len()), Err(1));
    }

    #[test]
    fn at_start_a_missing_file_is_a_warning_and_a_bad_one_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let start = |path: &Path| {
            let mut file = RegistriesFile::new(path.to_str().expect("a path")).expect("a path");
            let news = file.read_at_start();
            news.map(|news| (news.endpoints.len(), news.warnings.len()))
                .map_err(|problems| problems.len())
        };
        let at = |name: &str| folder.path().join(name);
        assert_eq!(start(&at("none")), Ok((0, 1)));
        assert_eq!(start(folder.path()), Ok((0, 1)), "a folder is no file");
        for (text, expected) in [
            (GOOD.as_bytes(), Ok((1, 0))),
            (
                b"registries:\n- name: A\n  api_url: https://a.io\n  ping: yes",
                Ok((1, 1)),
            ),
            (b"", Ok((0, 0))),
            (BAD.as_bytes(), Err(4)),
            (b"\xff\xfe", Err(1)),
        ] {
            #[expect(clippy::disallowed_methods, reason = "the test's own file")]
            std::fs::write(at("conf"), text).expect("a temporary file can be written to");
            assert_eq!(start(&at("conf")), expected);
        }
        assert!(RegistriesFile::new("").is_none());
    }
}
