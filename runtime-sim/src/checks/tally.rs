//! What happened, counted for the expectations of a script and for the comparison of two runs (L3).

use std::collections::BTreeMap;

use image_updater_core::time::Time;

use super::Violation;
use crate::fault::{Part, Place};

/// A request that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Time,
    /// To which registry.
    pub host: String,
    /// For what.
    pub part: Part,
    /// The method and what stands behind the host.
    pub target: String,
    /// Whose password or token it shows; empty when none.
    pub user: String,
}

/// What happened in a run; kept only for scripts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// It is kept.
    pub is_kept: bool,
    /// Every request.
    pub sent: Vec<Sent>,
    /// Every start of a check.
    pub starts: Vec<(Time, String)>,
    /// When each application was written.
    pub writes: Vec<(Time, String)>,
    /// Answers 401 and 403 to a password or refresh token, by registry.
    pub failed_logins: Vec<(Time, String)>,
}

impl Tally {
    /// Requests to a registry for what `place` covers, from `from` until before `until`. Pages are not
    /// told apart.
    pub fn requests(&self, host: &str, place: Place, from: Time, until: Time) -> usize {
        self.sent
            .iter()
            .filter(|one| one.host == host && (from..until).contains(&one.at))
            .filter(|one| place.covers(one.part, 0))
            .count()
    }

    /// L3: what happens elsewhere is the same, start by start and request by request, whether the
    /// applications that use the registry `host` are there or not.
    ///
    /// # Errors
    /// The first start or request that differs.
    pub fn isolation(&self, without: &Self, host: &str, users: &[String]) -> Result<(), Violation> {
        let starts = |tally: &Self| -> Vec<(Time, String)> {
            let starts = tally.starts.iter();
            starts
                .filter(|(_, app)| !users.contains(app))
                .cloned()
                .collect()
        };
        let sent = |tally: &Self| -> BTreeMap<String, Vec<(Time, String)>> {
            let mut by_host = BTreeMap::<_, Vec<_>>::new();
            for one in tally.sent.iter().filter(|one| one.host != host) {
                let row = (one.at, one.target.clone());
                by_host.entry(one.host.clone()).or_default().push(row);
            }
            by_host
        };
        if let Some(detail) = difference(&starts(self), &starts(without)) {
            return Err(Violation::new("L3", "starts", detail));
        }
        let (with, without) = (sent(self), sent(without));
        for (host, rows) in &with {
            let others = without.get(host).map_or(&[][..], Vec::as_slice);
            if let Some(detail) = difference(rows, others) {
                return Err(Violation::new("L3", host.clone(), detail));
            }
        }
        Ok(())
    }
}

fn difference(with: &[(Time, String)], without: &[(Time, String)]) -> Option<String> {
    let at = with.iter().zip(without).position(|(a, b)| a != b);
    let at = at.or((with.len() != without.len()).then_some(with.len().min(without.len())))?;
    Some(format!(
        "number {at} of {}: {:?}, and without the sick registry {:?} of {}",
        with.len(),
        with.get(at),
        without.get(at),
        without.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_a_start_that_the_sick_registry_moved_is_found() {
        let start = |secs, app: &str| (Time::from_secs(secs), app.to_owned());
        let with = Tally {
            starts: vec![start(1, "app-0"), start(2, "app-1"), start(3, "app-2")],
            ..Tally::default()
        };
        let mut without = Tally {
            starts: vec![start(1, "app-0"), start(3, "app-2")],
            ..Tally::default()
        };
        let users = ["app-1".to_owned()];
        assert_eq!(with.isolation(&without, "r0.test", &users), Ok(()));
        without.starts[1].0 = Time::from_secs(4);
        let found = with.isolation(&without, "r0.test", &users);
        assert_eq!(found.expect_err("it moved").id, "L3");
    }
}
