//! The template of commit messages: read at start, and shown by the command `template` (`writeback.md` 8, `ops.md` 10).

use std::fs::File;
use std::io::{self, Read as _};

use image_updater_core::writeback::message::{
    self, MessageError, MessageTemplate, MessageTemplateError,
};
use image_updater_core::writeback::template::SOURCE_BYTES_MAX;

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("could not read commit message template {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is no template.
    #[error("{source} (file {path})")]
    Template {
        /// The file.
        path: String,
        /// Why.
        source: MessageTemplateError,
    },
}

/// What the command shows.
#[derive(Debug)]
pub struct Shown {
    /// The message, and a line break.
    pub text: String,
    /// Why that is not what the template says.
    pub remark: Option<MessageError>,
}

/// Renders the file at `path`, or the built-in template, with the sample; one line break follows the text.
///
/// # Errors
/// When the file cannot be read, or holds no template.
pub fn show(path: Option<&str>) -> Result<Shown, TemplateError> {
    let template = path.map_or_else(|| Ok(MessageTemplate::default()), read)?;
    let (mut text, remark) = match message::sample(&template) {
        Ok(text) => (text, None),
        Err(error) => (error.to_message(), Some(error)),
    };
    text.push('\n');
    Ok(Shown { text, remark })
}

/// The template for the run of the program, and a warning where its file is missing: then, and without a path,
/// it is the built-in one.
///
/// # Errors
/// When the file cannot be read for another reason, or holds no template.
pub fn load(path: &str) -> Result<(MessageTemplate, Option<String>), TemplateError> {
    if path.is_empty() {
        return Ok((MessageTemplate::default(), None));
    }
    match read(path) {
        Ok(template) => Ok((template, None)),
        Err(TemplateError::File { path, source }) if source.kind() == io::ErrorKind::NotFound => {
            let warning =
                format!("commit message template {path} does not exist: the built-in one is used");
            Ok((MessageTemplate::default(), Some(warning)))
        }
        Err(error @ (TemplateError::File { .. } | TemplateError::Template { .. })) => Err(error),
    }
}

fn read(path: &str) -> Result<MessageTemplate, TemplateError> {
    let text = text_of(path).map_err(|source| TemplateError::File {
        path: path.to_owned(),
        source,
    })?;
    MessageTemplate::parse(&text).map_err(|source| TemplateError::Template {
        path: path.to_owned(),
        source,
    })
}

/// Reads as much as tells whether the file is too long for a template.
#[expect(
    clippy::disallowed_methods,
    reason = "before the program waits for anything"
)]
fn text_of(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    let bytes_max = u64::try_from(SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
