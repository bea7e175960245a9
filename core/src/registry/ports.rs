//! When this machine runs out of local ports: every failure counts (`registry.md` 10, D-52), and before it
//! comes to a verdict fewer connections are used.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Registry;
use super::endpoint::EndpointId;
use super::exchange::Operation;
use super::outcome::RegistryOutcome;
use super::timers::Timer;
use crate::health::PortExhaustion;

/// While local ports are short each endpoint has one slot of so many left.
const STRAINED_PART: u32 = 4;

impl Registry {
    /// Failures for want of a local port, of any request to any registry.
    pub const fn ports(&self) -> &PortExhaustion {
        &self.ports
    }

    /// The most that any endpoint may have in flight while local ports are short.
    pub(super) fn cap_shared(&self) -> Option<u32> {
        let is_strained = self.ports.is_strained(self.now.mono);
        is_strained.then(|| (self.settings.in_flight_max / STRAINED_PART).max(1))
    }

    pub(super) fn note_no_local_port(&mut self, operation: &Operation) {
        let now = self.now.mono;
        self.ports.record(now);
        self.note_ports();
        let id = operation.endpoint;
        if self.endpoints[id].slots.shrink(now, operation.sent) {
            self.observe_slots(id);
        }
    }

    /// A registry answered: there was a port.
    pub(super) fn note_answered(&mut self, id: EndpointId) {
        if self.endpoints[id].slots.restore() {
            self.observe_slots(id);
        }
    }

    /// Some failures have aged out.
    pub(super) fn on_ports_due(&mut self) {
        self.ports.forget_old(self.now.mono);
        self.note_ports();
        let all: Vec<EndpointId> = self.endpoints.iter().map(|(id, _)| id).collect();
        self.sendable.extend(all);
    }

    fn note_ports(&mut self) {
        let now = self.now.mono;
        let is_exhausted = self.ports.is_degraded(now);
        if core::mem::replace(&mut self.are_ports_exhausted, is_exhausted) != is_exhausted {
            self.outcomes.push_back(if is_exhausted {
                RegistryOutcome::PortsExhausted {
                    failures: self.ports.count(now),
                }
            } else {
                RegistryOutcome::PortsRecovered
            });
        }
        match self.ports.next_change(now) {
            Some(at) => self.timers.arm(Timer::Ports, at),
            None => self.timers.disarm(Timer::Ports),
        }
    }

    fn observe_slots(&mut self, id: EndpointId) {
        let endpoint = &self.endpoints[id];
        let (endpoint, cap) = (Arc::clone(&endpoint.api_url), endpoint.slots.cap());
        self.observe(RegistryOutcome::SlotsChanged { endpoint, cap });
    }
}
