//! The command `template`: shows what a template makes of a sample (`ops.md` 10).

use std::fs::File;
use std::io::{self, Read as _};

use image_updater_core::writeback::message::{self, DEFAULT_TEMPLATE, MessageTemplateError};
use image_updater_core::writeback::template::SOURCE_BYTES_MAX;

/// Why nothing is shown.
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
    #[error(transparent)]
    Template(#[from] MessageTemplateError),
}

/// Renders the file at `path`, or the built-in template, with the sample; one line break follows the text.
///
/// # Errors
/// When the file cannot be read, or holds no template.
pub fn render(path: Option<&str>) -> Result<String, TemplateError> {
    let text = match path {
        None => DEFAULT_TEMPLATE.to_owned(),
        Some(path) => read(path).map_err(|source| TemplateError::File {
            path: path.to_owned(),
            source,
        })?,
    };
    let mut shown = message::sample(&text)?;
    shown.push('\n');
    Ok(shown)
}

/// Reads as much as tells whether the file is too long for a template.
#[expect(
    clippy::disallowed_methods,
    reason = "a command that ends; nothing waits for it"
)]
fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    let bytes_max = u64::try_from(SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
