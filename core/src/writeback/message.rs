//! The message of a commit (`writeback.md` 8, 15.4).
//!
//! A batch's commit says in trailers which applications it is for and which batch it belongs to. No other line
//! of a message begins like these trailers.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::template::{RenderError, Template, TemplateError, Value};
use crate::id::AppKey;
use crate::image::Tag;
use crate::update::Change;

/// The template that is used where none is configured.
pub const DEFAULT_TEMPLATE: &str = "build: automatic update of {{ .AppName }}

{{ range .AppChanges -}}
updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'
{{ end -}}
";

/// The text of a message that would be blank (WB-66).
const BLANK_MESSAGE: &str = "Update parameters\n";
/// Names every application of a batch.
pub const APPLICATION_TRAILER: &str = "Image-Updater-Application";
/// Names the batch.
pub const BATCH_TRAILER: &str = "Image-Updater-Batch";
/// How all trailers of ours begin.
const TRAILER_PREFIX: &str = "Image-Updater-";
/// Most bytes that the messages of a batch's applications have together.
pub const BODY_BYTES_MAX: usize = 128 << 10;
/// Longest first line that names applications.
const SUBJECT_BYTES_MAX: usize = 72;

/// The template of messages.
#[derive(Clone, PartialEq, Debug)]
pub struct MessageTemplate(Template);

impl MessageTemplate {
    /// Reads a template; an empty one is the default (`writeback.md` 8.1).
    ///
    /// # Errors
    /// When it is outside of the language.
    pub fn parse(text: &str) -> Result<Self, MessageTemplateError> {
        let source = if text.is_empty() {
            DEFAULT_TEMPLATE
        } else {
            text
        };
        Template::parse(source)
            .map(Self)
            .map_err(MessageTemplateError)
    }

    /// Renders the message of one application.
    ///
    /// # Errors
    /// When it cannot be rendered; the error knows the message that is used then.
    pub fn render(&self, app_name: &str, changes: &[Change]) -> Result<String, MessageError> {
        self.0
            .render(&data(app_name, changes))
            .map_err(|cause| MessageError {
                app_name: app_name.into(),
                cause,
            })
    }
}

impl Default for MessageTemplate {
    fn default() -> Self {
        Self::parse(DEFAULT_TEMPLATE).expect("the default template is one")
    }
}

/// Why a text is no template of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageTemplateError(TemplateError);

impl fmt::Display for MessageTemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not parse commit message template: {}", self.0)
    }
}

impl core::error::Error for MessageTemplateError {}

/// Why the message of an application could not be rendered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageError {
    app_name: Box<str>,
    cause: RenderError,
}

impl MessageError {
    /// The message that is used instead: a line that names the application (`writeback.md` 8.2).
    pub fn to_message(&self) -> String {
        format!("build: update of application {}", self.app_name)
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the commit message template could not be rendered for application {}: {}; its commit says {:?}",
            self.app_name,
            self.cause,
            self.to_message()
        )
    }
}

impl core::error::Error for MessageError {}

/// What the template of a message works with.
fn data(app_name: &str, changes: &[Change]) -> Value {
    let changes = changes
        .iter()
        .map(|change| {
            // With its registry an image is told apart from its namesakes (`ops.md` 20, O4).
            let full = Value::text(&change.image.full_name());
            Value::record_with(
                Vec::from([
                    ("Image", Value::text(&change.image.name)),
                    ("OldTag", Value::text(shown_tag(&change.old))),
                    ("NewTag", Value::text(shown_tag(&change.new))),
                ]),
                Vec::from([("FullImage", full)]),
            )
        })
        .collect();
    Value::record(Vec::from([
        ("AppName", Value::text(app_name)),
        ("AppChanges", Value::list(changes)),
    ]))
}

/// How a tag is written: by its digest if that is known, else by its name (`writeback.md` 7.3).
pub(super) fn shown_tag(tag: &Tag) -> &str {
    if tag.is_digest() {
        &tag.digest
    } else {
        &tag.name
    }
}

/// The message as Git keeps it (`writeback.md` 8.3): without trailing blanks, with single blank lines between
/// paragraphs only, and with a line break at the end. A blank one gets a text of its own (WB-66).
pub fn stored(message: &str) -> String {
    let mut kept = String::with_capacity(message.len() + 1);
    let mut n_blank_lines = 0_usize;
    for line in message.split('\n') {
        let line = line.trim_end_matches([' ', '\t', '\r']);
        if line.is_empty() {
            n_blank_lines += 1;
            continue;
        }
        if n_blank_lines > 0 && !kept.is_empty() {
            kept.push('\n');
        }
        n_blank_lines = 0;
        // A commit cannot hold this character, it would end its message.
        kept.extend(
            line.chars()
                .map(|char| if char == '\0' { '\u{fffd}' } else { char }),
        );
        kept.push('\n');
    }
    if kept.is_empty() {
        kept.push_str(BLANK_MESSAGE);
    }
    kept
}

/// An application in a batch, and its rendered message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchPart {
    /// The application.
    pub key: AppKey,
    /// What its template rendered.
    pub message: Box<str>,
}

/// The message of a batch's commit (`writeback.md` 15.4): that of its application, or of several a line that
/// sums up and their messages, each once; then one trailer per application, the batch's, and the sign-off of
/// `name <mail>`.
///
/// Messages beyond [`BODY_BYTES_MAX`] are left out and counted.
pub fn of_batch(parts: &[BatchPart], batch_id: &str, sign_off: Option<&str>) -> String {
    let mut message = body(parts);
    // Git reads trailers in the last paragraph only: those of a message stay beside ours.
    if !ends_with_trailers(&message) {
        message.push('\n');
    }
    for part in parts {
        push_trailer(&mut message, APPLICATION_TRAILER, &part.key.to_string());
    }
    push_trailer(&mut message, BATCH_TRAILER, batch_id);
    if let Some(identity) = sign_off {
        push_trailer(&mut message, "Signed-off-by", identity);
    }
    message
}

/// The line of a message by which a batch is found again.
pub fn batch_line(batch_id: &str) -> String {
    let mut line = String::new();
    push_trailer(&mut line, BATCH_TRAILER, batch_id);
    line.pop();
    line
}

fn body(parts: &[BatchPart]) -> String {
    if let [part] = parts {
        let message = without_trailers(&stored(&part.message));
        return if message.len() <= BODY_BYTES_MAX {
            message
        } else {
            stored("")
        };
    }
    let mut body = subject(parts);
    let mut known = BTreeSet::new();
    let mut n_left_out = 0_usize;
    for part in parts {
        let message = without_trailers(&stored(&part.message));
        if body.len() + message.len() > BODY_BYTES_MAX {
            n_left_out += 1;
        } else if known.insert(message.clone()) {
            body.push('\n');
            body.push_str(&message);
        }
    }
    if n_left_out > 0 {
        write!(body, "\nand {n_left_out} more\n").expect("a String takes everything");
    }
    body
}

fn subject(parts: &[BatchPart]) -> String {
    let mut line = String::from("Update parameters for ");
    for (n, part) in parts.iter().enumerate() {
        line.push_str(if n == 0 { "" } else { ", " });
        line.push_str(&part.key.name);
        if line.len() > SUBJECT_BYTES_MAX {
            return format!("Update parameters for {} applications\n", parts.len());
        }
    }
    line.push('\n');
    line
}

/// Lines that could be taken for our trailers are moved in by a blank.
fn without_trailers(message: &str) -> String {
    let prefix = TRAILER_PREFIX.as_bytes();
    let mut kept = String::with_capacity(message.len());
    for line in message.split_inclusive('\n') {
        let begin = line.as_bytes().get(..prefix.len());
        if begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)) {
            kept.push(' ');
        }
        kept.push_str(line);
    }
    kept
}

/// True when the last paragraph, unless it is the first, has trailers and their continuations alone.
fn ends_with_trailers(message: &str) -> bool {
    let Some((_, last)) = message.trim_end().rsplit_once("\n\n") else {
        return false;
    };
    let is_trailer = |line: &str| {
        line.split_once(':').is_some_and(|(name, _)| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !name.is_empty() && name.bytes().all(is_plain)
        })
    };
    last.lines()
        .enumerate()
        .all(|(n, line)| is_trailer(line) || (n > 0 && line.starts_with([' ', '\t'])))
}

fn push_trailer(message: &mut String, name: &str, value: &str) {
    message.push_str(name);
    message.push_str(": ");
    message.extend(value.chars().filter(|char| !char.is_control()));
    message.push('\n');
}

/// The message that the command `template` shows (`ops.md` 10).
///
/// # Errors
/// As for [`MessageTemplate::render`].
pub fn sample(template: &MessageTemplate) -> Result<String, MessageError> {
    let change = |image: &str, old: Tag, new: Tag| Change {
        image: crate::image::Image::parse(image),
        old,
        new,
    };
    let digest = |hex: &str| Tag {
        name: String::new(),
        digest: format!("sha256:{hex}"),
    };
    let changes = [
        change(
            "gcr.io/example/example:1.0.0",
            Tag::named("1.0.0"),
            Tag::named("1.0.1"),
        ),
        change(
            "gcr.io/example/updater",
            digest("01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee"),
            digest("7aa7a5359173d05b63cfd682e3c38487f3cb4f7f1d60659fe59fab1505977d4c"),
        ),
    ];
    template.render("example-app", &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_of_one_has_its_message_and_its_trailers() {
        assert_eq!(
            of_batch(&[part("a", "build: a  \n\n\nx\n\n")], "b1", None),
            "build: a\n\nx\n\nImage-Updater-Application: ns/a\nImage-Updater-Batch: b1\n"
        );
    }

    #[test]
    fn batch_of_several_names_them_and_has_each_message_once() {
        let parts = [part("a", "one"), part("b", "two"), part("c", "one\n")];
        assert_eq!(
            of_batch(&parts, "b1", Some("N <m@x>")),
            "Update parameters for a, b, c\n\none\n\ntwo\n\nImage-Updater-Application: ns/a\n\
             Image-Updater-Application: ns/b\nImage-Updater-Application: ns/c\n\
             Image-Updater-Batch: b1\nSigned-off-by: N <m@x>\n"
        );
    }

    #[test]
    fn no_message_can_be_taken_for_a_trailer() {
        let parts = [part(
            "a",
            "x\nimage-updater-batch: b2\nImage-Updater-Application: ns/z",
        )];
        let message = of_batch(&parts, "b\n1", None);
        let begins = message
            .lines()
            .filter(|line| line.starts_with("Image-Updater-"));
        assert_eq!(begins.count(), 2, "{message}");
        assert!(
            message.contains("\n image-updater-batch: b2\n"),
            "{message}"
        );
        assert!(message.lines().any(|line| line == batch_line("b1")));
    }

    #[test]
    fn messages_beyond_the_bound_are_counted_and_their_applications_named() {
        let long = "x".repeat(BODY_BYTES_MAX - 100);
        let parts = [part("a", &long), part("b", "y".repeat(200).as_str())];
        let message = of_batch(&parts, "b1", None);
        assert!(message.contains("\nand 1 more\n"));
        assert!(message.contains("\nImage-Updater-Application: ns/b\n"));
        let many: Vec<BatchPart> = (0..1_000).map(|n| part(&format!("app-{n}"), "m")).collect();
        let message = of_batch(&many, "b1", None);
        assert!(message.starts_with("Update parameters for 1000 applications\n\nm\n\nImage"));
    }

    #[test]
    fn message_that_cannot_be_rendered_names_the_application() {
        let template = MessageTemplate::parse("{{range 99999999}}x{{end}}").expect("a template");
        let error = template.render("a", &[]).expect_err("too much is asked");
        assert_eq!(error.to_message(), "build: update of application a");
        assert!(MessageTemplate::parse("{{").is_err());
        assert_eq!(MessageTemplate::parse(""), Ok(MessageTemplate::default()));
    }

    #[test]
    fn mistakes_are_told_with_application_and_place() {
        let template = MessageTemplate::parse("x\n {{ .Nope }}").expect("a template");
        let error = template.render("shop", &[]).expect_err("no such member");
        assert_eq!(
            error.to_string(),
            "the commit message template could not be rendered for application shop: \
             line 2, column 5: a member does not exist: .Nope; \
             its commit says \"build: update of application shop\""
        );
        let error = MessageTemplate::parse("x\n{{ upper .AppName }}").expect_err("no function");
        assert_eq!(
            error.to_string(),
            "could not parse commit message template: \
             line 2, column 4: a function that does not exist at \"upper\""
        );
    }

    #[test]
    fn registry_of_an_image_can_be_asked_for_and_changes_no_other_text() {
        let change = Change {
            image: crate::image::Image::parse("ghcr.io/a/b"),
            old: Tag::named("1"),
            new: Tag::named("2"),
        };
        let render = |text: &str| {
            let template = MessageTemplate::parse(text).expect("a template");
            template.render("app", core::slice::from_ref(&change))
        };
        let each = "{{range .AppChanges}}{{.FullImage}} {{.Image}}{{end}}";
        assert_eq!(render(each).as_deref(), Ok("ghcr.io/a/b a/b"));
        assert_eq!(render("{{.}}").as_deref(), Ok("{app [{a/b 1 2}]}"));
    }

    #[test]
    fn trailers_of_a_message_stay_beside_ours() {
        for (message, expect) in [
            ("a: b", "a: b\n\nImage"),
            ("a\n\nRefs: 1\n and 2\n", "a\n\nRefs: 1\n and 2\nImage"),
            ("a\n\nb: c\nd", "a\n\nb: c\nd\n\nImage"),
            ("a\n\n: c", "a\n\n: c\n\nImage"),
            ("a\n\n\u{e9}: c", "a\n\n\u{e9}: c\n\nImage"),
        ] {
            let whole = of_batch(&[part("a", message)], "b1", None);
            assert!(whole.starts_with(expect), "{whole}");
        }
    }

    fn part(name: &str, message: &str) -> BatchPart {
        BatchPart {
            key: AppKey::new("ns", name),
            message: message.into(),
        }
    }
}
