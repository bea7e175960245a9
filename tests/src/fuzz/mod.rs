//! Bodies for fuzzing: what reads bytes of strangers, each as a function of bytes that must not panic and must
//! not work out of proportion. A corpus stands in `fixtures/fuzz`; [`Mutator`] makes more of it, the same in
//! every run.

mod bodies;
mod git;
mod mutator;
mod template;
mod yaml;

use std::path::{Path, PathBuf};

pub use bodies::BODIES;
pub use mutator::Mutator;

/// One reader of bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// The name of its folder in the corpus.
    pub name: &'static str,
    /// Reads.
    pub read: fn(&[u8]),
}

impl Body {
    /// The files of its corpus, by name.
    ///
    /// # Panics
    /// When there is none.
    pub fn corpus(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fuzz");
        let mut files: Vec<_> = std::fs::read_dir(folder.join(self.name))
            .unwrap_or_else(|error| panic!("fixtures/fuzz/{}: {error}", self.name))
            .map(|entry| {
                let path = entry.expect("a folder can be read").path();
                let bytes = std::fs::read(&path).expect("a file can be read");
                (path, bytes)
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "fixtures/fuzz/{} is empty", self.name);
        files
    }
}
