//! From edits to a commit on the branch.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::content::Content;
use super::{Action, Phase, Session, branch_ref};
use crate::git::capability::{Capabilities, Server};
use crate::git::channel::{Remote, Service};
use crate::git::fault::Fault;
use crate::git::job::{Edits, Job, Outcome, Tip};
use crate::git::known::Load;
use crate::git::object::{Kind, NewCommit, ObjectId};
use crate::git::pack::write;
use crate::git::refs::{AdvertisementReader, Refs, WantedRefs};
use crate::git::refusal::{self, Refusal, RefusalKind};
use crate::git::report::{self, Report};
use crate::git::tree::{self, EditError};

/// A commit on its way.
#[derive(Debug)]
pub(super) struct NewCommitData {
    tip: Tip,
    root: ObjectId,
    message: String,
    /// Its objects beside itself.
    new: Vec<(Kind, ObjectId)>,
    /// Itself, once it is signed.
    id: ObjectId,
}

impl NewCommitData {
    /// What became of it is not known.
    pub(super) fn to_unknown(&self, detail: String) -> Outcome {
        Outcome::Unknown {
            tip: self.tip.clone(),
            commit: self.id,
            detail,
        }
    }
}

impl Session {
    pub(super) fn on_edits(&mut self, mut content: Content, edits: Edits) {
        let (files, message) = match edits {
            Edits::Read(paths) => {
                content.paths.extend(paths);
                return self.look_up(content);
            }
            Edits::Write { files, message } => (files, message),
        };
        let (Some(root), Some(objects)) = (content.root, &mut self.objects) else {
            return;
        };
        let written = match tree::write(files, root, objects) {
            Ok(written) => written,
            Err(EditError::Path(path, refusal)) => return self.on_path_refusal(&path, refusal),
            Err(EditError::Lookup(error)) => return self.on_lookup_error(error),
            Err(EditError::NotRead(path)) => {
                let text = alloc::format!("an edit in {path}, which was not read");
                return self.refuse(RefusalKind::Path, text);
            }
        };
        if written.root == root {
            return self.finish(Outcome::Unchanged { tip: content.tip });
        }
        let commit = NewCommitData {
            tip: content.tip,
            root: written.root,
            message,
            new: written.new,
            id: ObjectId::NULL,
        };
        if matches!(&self.job, Job::Publish(publish) if publish.is_signed) {
            let payload = self.commit_bytes(&commit, None);
            self.phase = Phase::Sign(commit);
            self.actions.push_back(Action::Sign { payload });
        } else {
            self.on_signed(commit, None);
        }
    }

    fn commit_bytes(&self, commit: &NewCommitData, signature: Option<&str>) -> Vec<u8> {
        let Job::Publish(publish) = &self.job else {
            return Vec::new();
        };
        NewCommit {
            tree: commit.root,
            parent: commit.tip.commit,
            author: &publish.author,
            committer: &publish.author,
            time: publish.time,
            message: &commit.message,
            signature,
        }
        .to_bytes()
    }

    pub(super) fn on_signed(&mut self, mut commit: NewCommitData, signature: Option<&str>) {
        let bytes = self.commit_bytes(&commit, signature);
        let (Some(id), Some(objects)) = (ObjectId::of(Kind::Commit, &bytes), &mut self.objects)
        else {
            return self.on_fault(Fault::Malformed("a commit that is made to collide"));
        };
        objects.add(Kind::Commit, id, bytes);
        commit.id = id;
        match &self.remote {
            // The branch is known from reading, and the server compares: no need to ask first.
            Remote::Http(_) => self.push(commit, None),
            Remote::Ssh(_) => {
                let wanted = WantedRefs([branch_ref(&commit.tip.branch)].into());
                self.phase = Phase::Greeting(commit);
                let reader = AdvertisementReader::new(wanted);
                self.open(Service::ReceivePack, super::Reply::Advertisement(reader));
            }
        }
    }

    /// The server that is written to has spoken.
    pub(super) fn on_greeting(&mut self, commit: NewCommitData, server: &Server, refs: &Refs) {
        let name = branch_ref(&commit.tip.branch);
        if refs.id(&name).unwrap_or(ObjectId::NULL) != commit.tip.old {
            let text = alloc::format!("{} has moved", commit.tip.branch);
            return self.refuse(RefusalKind::Conflict, text);
        }
        self.push(commit, Some(&server.capabilities));
    }

    fn push(&mut self, commit: NewCommitData, capabilities: Option<&Capabilities>) {
        let Some(pack) = self.pack_of(&commit) else {
            return self.on_fault(Fault::Malformed("an object that was made is gone"));
        };
        let tip = &commit.tip;
        let request = report::to_request(
            &branch_ref(&tip.branch),
            tip.old,
            commit.id,
            capabilities,
            &pack,
        );
        let reply = Self::report_reader(&tip.branch);
        self.phase = Phase::Push(commit);
        self.ask(request, reply);
    }

    fn pack_of(&mut self, commit: &NewCommitData) -> Option<Vec<u8>> {
        let objects = self.objects.as_mut()?;
        let mut all = Vec::new();
        for (kind, id) in core::iter::once(&(Kind::Commit, commit.id)).chain(&commit.new) {
            match objects.load(*kind, *id) {
                Ok(Load::Here(data)) => all.push((*kind, data.to_vec())),
                Ok(Load::TooLarge | Load::Missing) | Err(_) => return None,
            }
        }
        let all = all.iter().map(|(kind, data)| (*kind, &**data));
        Some(write::to_bytes(all))
    }

    pub(super) fn on_report(&mut self, commit: NewCommitData, report: Report) {
        let mut messages = report.messages;
        if messages.is_empty() {
            messages = self.live_messages();
        }
        let reason = match (report.reference, report.unpack_error) {
            (Some(Ok(())), None) => {
                if let Some(objects) = &mut self.objects {
                    objects.on_tip(commit.id);
                }
                return self.finish(Outcome::Published {
                    tip: commit.tip,
                    commit: commit.id,
                    messages,
                });
            }
            (Some(Err(reason)), None) => reason,
            (Some(Err(reason)), Some(unpack)) => alloc::format!("{reason} ({unpack})"),
            (None, Some(unpack)) => unpack,
            (Some(Ok(())), Some(_)) | (None, None) => {
                let text = "the server's report does not say what became of the branch";
                let outcome = commit.to_unknown(text.to_string());
                return self.finish(outcome);
            }
        };
        let kind = refusal::of_report(&reason, &messages);
        let text = alloc::format!("the server refused {}: {reason}", commit.tip.branch);
        self.finish(Outcome::Refused(Refusal {
            kind,
            text,
            messages,
        }));
    }
}
