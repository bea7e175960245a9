//! The watch of the fake cluster: a listing, then changes, in order.

use std::time::Duration;

use image_updater_core::input::{ClusterInput, Input};
use image_updater_core::time::Time;
use image_updater_fixtures::cluster::ChangeKind;

use super::{Engine, Step};
use crate::options::Planted;
use crate::world::World;

impl Engine {
    /// Lists everything, then follows.
    pub(super) fn start_watch(&mut self) {
        let mut at = self
            .now
            .after(Duration::from_millis(1))
            .max(self.watch.last_delivery);
        self.send_at(at, Input::Cluster(ClusterInput::ResetBegun));
        // Where nothing may move anything else, one object more must not delay the others.
        let spacing = Duration::from_micros(if self.options.split { 0 } else { 50 });
        let objects: Vec<_> = self.world.cluster.applications().cloned().collect();
        for object in objects {
            at = at.after(spacing);
            let record = World::record(&object);
            self.send_at(at, Input::Cluster(ClusterInput::Applied(Box::new(record))));
        }
        at = at.after(Duration::from_micros(50));
        self.send_at(at, Input::Cluster(ClusterInput::ResetDone));
        self.watch.last_delivery = at;
        self.watch.reached = self.world.cluster.version();
    }

    pub(super) fn poll_watch_soon(&mut self) {
        if !self.watch.polled {
            self.watch.polled = true;
            let delay = if self.options.split {
                Duration::from_millis(15)
            } else {
                Duration::from_millis(5) + self.latency.exponential(Duration::from_millis(20))
            };
            let generation = self.generation;
            self.push(self.now.after(delay), Step::Watch { generation });
        }
    }

    pub(super) fn report_changes(&mut self) {
        self.watch.polled = false;
        let from = self.watch.reached;
        let changes: Option<Vec<_>> = self
            .world
            .cluster
            .changes_since(from)
            .ok()
            .map(|changes| changes.cloned().collect());
        let Some(changes) = changes else {
            self.start_watch();
            return;
        };
        for change in changes {
            self.watch.reached = change.version;
            let at = self.now.max(self.watch.last_delivery);
            self.watch.last_delivery = at;
            let record = World::record(&change.object);
            let input = match change.kind {
                ChangeKind::Deleted => ClusterInput::Deleted(record.key),
                ChangeKind::Added | ChangeKind::Modified => ClusterInput::Applied(Box::new(record)),
            };
            self.send_at(at, Input::Cluster(input));
        }
    }

    fn send_at(&mut self, at: Time, input: Input) {
        if self.options.planted == Some(Planted::ForgottenApp)
            && let Input::Cluster(ClusterInput::Applied(app)) = &input
            && *app.key.name == *"app-0"
        {
            return;
        }
        let generation = self.generation;
        self.push(
            at,
            Step::Deliver {
                generation,
                input: Box::new(input),
                op: None,
            },
        );
    }
}
