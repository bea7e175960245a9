//! Reading trees and files at a tip, with as few requests as the server and what is known allow.
//!
//! A server that filters sends the commit with all trees; one more request brings the files. Where a former
//! tip is known only what changed since is sent. A server that does neither sends the whole tip once.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::{Action, Phase, Session};
use crate::git::fault::Fault;
use crate::git::fetch::{FetchRequest, Filter};
use crate::git::job::{Job, Outcome, PathRefusal, Tip, Worktree};
use crate::git::known::Load;
use crate::git::object::{Commit, Kind, ObjectId};
use crate::git::pack::Pack;
use crate::git::refusal::RefusalKind;
use crate::git::tree::{self, LookupError, Missing};

/// Requests of one session for what is still missing.
const ROUNDS_MAX: u32 = 80;

/// What is being read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) tip: Tip,
    pub(super) paths: BTreeSet<String>,
    /// The root of the tip, once the commit is here.
    pub(super) root: Option<ObjectId>,
    n_rounds: u32,
    /// The whole tip was sent: what is not here then is not had.
    is_whole: bool,
    /// The server does not give objects by their ids.
    is_by_tip: bool,
}

impl Session {
    /// Reads the job's files at `tip`.
    pub(super) fn start(&mut self, tip: Tip) {
        let paths = match &self.job {
            Job::Read { paths, .. } => paths.clone(),
            Job::Publish(publish) => publish.paths.clone(),
            Job::Inspect(_) => BTreeSet::new(),
        };
        let can_want_any = self
            .server()
            .is_some_and(crate::git::capability::Server::can_want_any);
        self.look_up(Content {
            tip,
            paths,
            root: None,
            n_rounds: 0,
            is_whole: false,
            is_by_tip: !can_want_any,
        });
    }

    pub(super) fn on_content(&mut self, content: Content, pack: Pack) {
        if let Some(objects) = &mut self.objects {
            objects.add_pack(pack);
        }
        self.look_up(content);
    }

    /// Looks up everything, and asks for what is missing.
    pub(super) fn look_up(&mut self, mut content: Content) {
        if content.paths.is_empty() && matches!(self.job, Job::Read { .. }) {
            return self.on_files(content, alloc::collections::BTreeMap::new());
        }
        let Some(objects) = &mut self.objects else {
            return;
        };
        let commit = match objects.load(Kind::Commit, content.tip.commit) {
            Ok(Load::Here(data)) => Commit::parse(data),
            Ok(Load::TooLarge | Load::Missing) => return self.ask_for_tip(content),
            Err(error) => return self.on_fault(error),
        };
        let Some(commit) = commit else {
            return self.on_fault(Fault::Malformed("a branch that is at no commit"));
        };
        content.root = Some(commit.tree);
        let found = tree::look_up(
            &content.paths,
            commit.tree,
            self.limits.file_bytes_max,
            objects,
        );
        match found {
            Ok((files, missing)) if missing.is_empty() => {
                objects.on_tip(content.tip.commit);
                self.on_files(content, files);
            }
            Ok((_, missing)) => self.ask_for_missing(content, missing),
            Err(error) => self.on_lookup_error(error),
        }
    }

    pub(super) fn on_lookup_error(&mut self, error: LookupError) {
        self.on_fault(match error {
            LookupError::Pack(error) => error.into(),
            LookupError::NoTree => Fault::Malformed("a folder that is no tree"),
        });
    }

    fn on_files(
        &mut self,
        content: Content,
        files: alloc::collections::BTreeMap<String, crate::git::job::Found>,
    ) {
        let worktree = Worktree {
            tip: content.tip.clone(),
            files,
        };
        match self.job {
            Job::Publish(_) => {
                self.phase = Phase::Edit(content);
                self.actions.push_back(Action::Edit(worktree));
            }
            Job::Read { .. } | Job::Inspect(_) => self.finish(Outcome::Read(worktree)),
        }
    }

    /// Nothing of the tip is here.
    fn ask_for_tip(&mut self, content: Content) {
        if content.is_by_tip {
            return self.ask_for_all(content);
        }
        let known = self.objects.as_ref().and_then(super::Objects::known_tip);
        let request = FetchRequest {
            wants: [content.tip.commit].into(),
            haves: known.into_iter().collect(),
            depth: Some(1),
            filter: Some(Filter::Blobs),
            is_thin: known.is_some(),
        };
        self.ask_for(content, &request);
    }

    fn ask_for_missing(&mut self, content: Content, missing: Missing) {
        if content.is_by_tip {
            return self.ask_for_all(content);
        }
        let filter = (!missing.trees.is_empty()).then_some(Filter::Blobs);
        let mut wants = missing.trees;
        wants.extend(missing.blobs);
        let request = FetchRequest {
            wants,
            filter,
            ..FetchRequest::default()
        };
        self.ask_for(content, &request);
    }

    fn ask_for_all(&mut self, mut content: Content) {
        if content.is_whole {
            return self.on_fault(Fault::Malformed("a tip without all that belongs to it"));
        }
        content.is_whole = true;
        let request = FetchRequest {
            wants: [content.tip.commit].into(),
            depth: Some(1),
            ..FetchRequest::default()
        };
        self.ask_for(content, &request);
    }

    fn ask_for(&mut self, mut content: Content, request: &FetchRequest) {
        content.n_rounds += 1;
        if content.n_rounds > ROUNDS_MAX {
            return self.on_fault(Fault::Malformed("objects that the server does not send"));
        }
        self.phase = Phase::Content(content);
        self.fetch(request);
    }

    /// A server that does not give objects by their ids is asked for the whole tip instead, once. True when
    /// that was done.
    pub(super) fn can_read_whole(&mut self, text: &str) -> bool {
        let text = text.to_lowercase();
        let is_about_wants = ["not our ref", "not valid", "unadvertised", "not advertised"]
            .iter()
            .any(|word| text.contains(word));
        let is_first = |content: &Content| !content.is_whole && content.root.is_some();
        let phase = core::mem::replace(&mut self.phase, Phase::Done);
        if let Phase::Content(content) = phase {
            if is_about_wants && is_first(&content) {
                self.close();
                self.ask_for_all(Content {
                    is_by_tip: true,
                    ..content
                });
                return true;
            }
            self.phase = Phase::Content(content);
        } else {
            self.phase = phase;
        }
        false
    }

    /// An edit to what is not to be touched.
    pub(super) fn on_path_refusal(&mut self, path: &str, refusal: PathRefusal) {
        self.refuse(RefusalKind::Path, alloc::format!("{path} {refusal}"));
    }
}
