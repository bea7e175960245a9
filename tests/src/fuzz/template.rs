//! Readers of annotations about Git: templates, branches, targets, URLs of repositories.

use image_updater_core::id::AppKey;
use image_updater_core::image::{Image, Tag};
use image_updater_core::repo::url::{Transport, is_same_repository, normalised, serial_key};
use image_updater_core::update::Change;
use image_updater_core::writeback::branch::{self, BRANCH_BYTES_MAX, BranchName, GitBranch};
use image_updater_core::writeback::message::{BatchPart, MessageTemplate, batch_line, of_batch};
use image_updater_core::writeback::target::Target;
use image_updater_core::writeback::template::OUTPUT_BYTES_MAX;

/// A template, of a branch and of a message.
pub(super) fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let changes = changes();
    let app = AppKey::new("ns", "app");
    if let Ok(name) = branch::render(&text, &app, &changes) {
        assert!(name.as_str().len() <= BRANCH_BYTES_MAX);
        assert_eq!(BranchName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    let Ok(template) = MessageTemplate::parse(&text) else {
        return;
    };
    let message = template
        .render("app", &changes)
        .unwrap_or_else(|error| error.to_message());
    assert!(message.len() <= OUTPUT_BYTES_MAX + 100);
    let part = BatchPart {
        key: app,
        message: message.into(),
    };
    let whole = of_batch(&[part], "b1", None);
    let line = batch_line("b1");
    assert_eq!(whole.lines().filter(|one| **one == *line).count(), 1);
    assert!(!whole.contains('\0'));
}

/// An annotation `git-branch`, and each of its lines as a target.
pub(super) fn branch_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let branch = GitBranch::parse(Some(&text));
    for revision in ["", "main", &text] {
        // Refusing it is fine.
        drop(branch.base_or(revision));
    }
    if let Ok(Some(name)) = branch.rendered(&AppKey::new("ns", "app"), &changes()) {
        assert_eq!(BranchName::parse(name.as_str()).as_ref(), Ok(&name));
    }
    for line in text.lines().take(16) {
        let key = AppKey::new("ns", "app");
        if let Ok(target) = Target::parse(Some(line), &key, "argocd", "a/b") {
            let path = target.path.as_str();
            assert!(!path.starts_with('/'));
            assert!(
                path.split('/')
                    .all(|part| !matches!(part, "." | ".." | ".git"))
            );
        }
    }
}

/// The URL of a repository.
pub(super) fn repository_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(
        is_same_repository(&text, &text),
        !normalised(&text).is_empty()
    );
    assert!(serial_key(&text).len() <= text.len() * 3 + 16);
    assert!(Transport::of(&text) != Transport::Ssh(Some("")));
}

fn changes() -> Vec<Change> {
    let change = |image: &str, old: &str, new: &str| Change {
        image: Image::parse(image),
        old: Tag::named(old),
        new: Tag::named(new),
    };
    vec![
        change("web=gcr.io/foo/bar", "1.0", "1.1"),
        change("nginx", "", "1.21"),
    ]
}
