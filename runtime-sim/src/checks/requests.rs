//! What registries see of us, judged at their side: S3, S4, S5, S6, L6 and R1.
//!
//! A registry cannot see which lookup a request belongs to. What follows a failure of the same list or
//! manifest with the same login, before the interval is over, is another attempt; what comes later is the
//! next lookup. Config blobs are left out: two tags may share one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use image_updater_core::http::{HttpOutcome, HttpResponse, TransportKind};
use image_updater_core::id::OpId;
use image_updater_core::time::{Time, UnixTime};
use image_updater_fixtures::Request;
use image_updater_fixtures::registry::http_date;

use super::Violation;
use crate::fault::Part;
use crate::options::Options;
use crate::workload::{Access, Action, Plan};
use crate::world::{host, wall};

/// Requests beyond the rate that a limiter may catch up with after idleness, and the one at its edge.
const BURST: u128 = 11;
/// Attempts of one listing or manifest.
const ATTEMPTS_MAX: u32 = 3;
/// Attempts of one token.
const TOKEN_ATTEMPTS_MAX: u32 = 7;
/// Further attempts that a registry is sent without any answer, which come back within a minute: thirty.
/// Twice as many are allowed: the first request of a lookup that follows a failed one soon is taken for one,
/// and a lookup whose attempts the budget refuses is soon followed.
const RETRY_FLOOR: u64 = 60;
/// What counts of an attempt for each answer, in thousandths; twice a fifth.
const RETRY_PER_ANSWER: u64 = 400;
/// Most that answers add up to, in thousandths; twice three hundred.
const RETRY_BALANCE_MAX: u64 = 600_000;
/// The least sleep after the first failed attempt: 200 ms times 0.7.
const SLEEP_MIN: Duration = Duration::from_millis(140);
/// The longest sleep between two attempts.
const SLEEP_MAX: Duration = Duration::from_secs(3);
/// With what a calm registry may add: an attempt after more is late.
const LATE: Duration = Duration::from_secs(4);
/// Longest wish to be left alone that is believed.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// How many failed logins within [`BAN_WINDOW`] make a registry ban an address.
const BAN_LOGINS: usize = 30;
/// Over how long they are counted.
const BAN_WINDOW: Duration = Duration::from_mins(3);
/// Longest time until an application that came or went has its effect.
const STIRRED: Duration = Duration::from_secs(15);
/// Longest time that the attempts of one lookup take, when none of them is answered.
const LOOKUP_MAX: Duration = Duration::from_secs(200);
/// After a complaint, the rate is lowered for some time: no upper bound is claimed for so long.
const WARY: Duration = Duration::from_mins(20);

/// What registries see.
#[derive(Debug)]
pub struct Requests {
    interval: Duration,
    by_host: BTreeMap<String, Host>,
    open: BTreeMap<OpId, Open>,
    tracks: BTreeMap<Key, Track>,
    /// When applications came, went, or began to ask for something else.
    stirred: Option<Time>,
    /// Failed attempts that were followed by another, in the whole run, by host.
    pub retries: BTreeMap<String, u64>,
    /// Failed logins in the whole run, by host.
    pub failed_logins: BTreeMap<String, u64>,
}

/// Who asks for what.
type Key = (String, String, Option<String>);

#[derive(Debug, Default)]
struct Host {
    /// Distance of two permits in nanoseconds; 0 is unlimited.
    spacing: u128,
    /// Nanoseconds of permits that are used up.
    level: u128,
    leveled: Time,
    /// Windows of silence by user; `None` is everybody.
    silent_until: BTreeMap<Option<String>, Time>,
    /// In thousandths.
    retry_balance: u64,
    refilled: Time,
    failed_logins: VecDeque<Time>,
    in_flight: usize,
    n_logins: usize,
    /// It wants tokens: a lookup may wait for one before its first request, and seem to begin late.
    has_tokens: bool,
    complained: Option<Time>,
    answered: Option<Time>,
}

#[derive(Clone, Debug)]
struct Open {
    key: Key,
    user: Option<String>,
    has_shown: bool,
    is_cancelled: bool,
}

/// Attempts of one thing.
#[derive(Debug)]
struct Track {
    begun: Time,
    n_failed: u32,
    /// It is known which attempt is which: the first followed no failure that it could be a further attempt of.
    is_sure: bool,
    /// The last attempt failed then, and another may follow.
    failed: Option<Time>,
}

impl Requests {
    /// The checks for a run of `plan`.
    pub fn new(options: &Options, plan: &Plan) -> Self {
        let hosts = plan.registries.iter().enumerate().map(|(idx, model)| {
            let rate = model.rate.map_or(0, u128::from);
            let one = Host {
                spacing: 1_000_000_000_u128.checked_div(rate).unwrap_or(0),
                retry_balance: RETRY_FLOOR * 1000,
                n_logins: model.access.logins().len(),
                has_tokens: matches!(model.access, Access::Bearer { .. }),
                ..Host::default()
            };
            (host(idx), one)
        });
        Self {
            interval: options.interval.max(Duration::from_secs(1)),
            by_host: hosts.collect(),
            open: BTreeMap::new(),
            tracks: BTreeMap::new(),
            stirred: None,
            retries: BTreeMap::new(),
            failed_logins: BTreeMap::new(),
        }
    }

    /// The plan acts: whose lookup ended with its application may be looked up anew by another at once.
    pub fn act(&mut self, now: Time, action: &Action) {
        match action {
            Action::EditPolicy(..) | Action::Delete(_) | Action::Create(_) => {
                self.stirred = Some(now);
                self.tracks.clear();
            }
            Action::Push(..)
            | Action::DeleteTag(..)
            | Action::ForeignEdit(_)
            | Action::WatchReset
            | Action::Restart
            | Action::Trouble(_)
            | Action::Git(..)
            | Action::Rotate { .. } => {}
        }
    }

    /// The budget of a registry says no to another attempt: a lookup is over, and the next may come any time.
    pub fn refused(&mut self, endpoint: &str) {
        let name = endpoint.trim_start_matches("http://");
        for (_, track) in self.tracks.iter_mut().filter(|(key, _)| key.0 == name) {
            track.is_sure = false;
        }
    }

    /// A new process has no memory, and nothing in flight; its failed logins are still ours.
    pub fn restarted(&mut self) {
        self.open.clear();
        self.tracks.clear();
        for host in self.by_host.values_mut() {
            host.silent_until.clear();
            host.level = 0;
            host.retry_balance = RETRY_FLOOR * 1000;
            host.in_flight = 0;
        }
    }

    /// A request is sent. `user` is whose password or token it shows, if one is known.
    pub fn sent(
        &mut self,
        now: Time,
        op: OpId,
        asked: &Request,
        user: Option<&str>,
    ) -> Result<(), Violation> {
        let has_shown = asked.header("authorization").is_some();
        let owner = user.map(str::to_owned);
        let key = (asked.host.clone(), key_target(asked), owner.clone());
        let known = self.by_host.contains_key(&asked.host);
        let open = Open {
            key: key.clone(),
            user: owner,
            has_shown,
            is_cancelled: false,
        };
        self.open.insert(op, open);
        if !known {
            return Ok(());
        }
        self.silence(now, asked, user, has_shown)?;
        self.rate(now, &asked.host)?;
        let host = &self.by_host[&asked.host];
        // Two logins that have not been asked to show themselves look like one.
        let is_told_apart = user.is_some() || host.n_logins < 2;
        if is_first(asked) && is_told_apart {
            self.attempt(now, key, Part::of(asked))?;
        }
        if let Some(host) = self.by_host.get_mut(&asked.host) {
            host.in_flight += 1;
        }
        Ok(())
    }

    /// S3: nothing is sent to whoever wants to be left alone. What was said to a request that showed
    /// nothing holds for everybody, what was said to a user for that user.
    fn silence(
        &self,
        now: Time,
        asked: &Request,
        user: Option<&str>,
        has_shown: bool,
    ) -> Result<(), Violation> {
        let silent = &self.by_host[&asked.host].silent_until;
        let account = user.map(str::to_owned).or(has_shown.then(String::new));
        let windows = [Some(None), account.map(Some)];
        let mut ends = windows.iter().flatten().filter_map(|who| silent.get(who));
        match ends.find(|until| now < **until) {
            Some(until) => {
                let detail = format!("{} asked before {until:?}", asked.target);
                Err(Violation::new("S3", asked.host.clone(), detail))
            }
            None => Ok(()),
        }
    }

    /// S4: in no window more requests than the rate allows and the slack of the limiter.
    fn rate(&mut self, now: Time, name: &str) -> Result<(), Violation> {
        let host = self.by_host.get_mut(name).expect("it was just looked up");
        if host.spacing == 0 {
            return Ok(());
        }
        let elapsed = now.since(host.leveled).as_nanos();
        host.level = host.level.saturating_sub(elapsed) + host.spacing;
        host.leveled = now;
        if host.level <= host.spacing * (BURST + 1) {
            return Ok(());
        }
        let detail = format!(
            "more than {BURST} requests ahead of one in {} ms",
            host.spacing / 1_000_000
        );
        Err(Violation::new("S4", name, detail))
    }

    /// S5 and S6: how many attempts, how many in all, and how long after the last.
    fn attempt(&mut self, now: Time, key: Key, part: Part) -> Result<(), Violation> {
        let name = key.0.clone();
        let subject = format!("{}{}", key.0, key.1);
        // Whoever came or went may have left a lookup half done.
        let is_undisturbed = self.stirred.is_none_or(|at| now.since(at) > LOOKUP_MAX);
        let track = self.tracks.entry(key).or_insert(Track {
            begun: now,
            n_failed: 0,
            is_sure: is_undisturbed,
            failed: None,
        });
        // A lookup that had to queue began before its first request was sent.
        let is_stirred = self.stirred.is_some_and(|at| now.since(at) <= STIRRED);
        let is_next = is_stirred || now.since(track.begun) >= self.interval / 2;
        let failed = track.failed.take();
        if is_next {
            // A lookup that took long and the next one look alike: nothing is claimed of what could be
            // either, and it counts as the first.
            let may_go_on = failed.is_some_and(|failed| now.since(failed) <= LATE);
            if track.n_failed >= ATTEMPTS_MAX || !may_go_on {
                (track.begun, track.n_failed) = (now, 0);
                track.is_sure = failed.is_none();
            }
            return Ok(());
        }
        let Some(failed) = failed else {
            return Ok(());
        };
        *self.retries.entry(name.clone()).or_default() += 1;
        let attempts_max = if part == Part::Token {
            TOKEN_ATTEMPTS_MAX
        } else {
            ATTEMPTS_MAX
        };
        let host = self.by_host.get_mut(&name).expect("it was just looked up");
        let is_calm = host.spacing == 0
            && host.in_flight < 4
            && host.complained.is_none_or(|at| now.since(at) > WARY);
        // Where lookups queue, the next may follow the last attempt of one at once: two look like one, and it
        // is not known which attempt this is.
        // A tag is looked up for its date and for its digest, by the same URL.
        let is_sure = track.is_sure;
        let is_one = is_calm && is_sure && !host.has_tokens && part == Part::List;
        let lookups_max = if is_one { 1 } else { 2 };
        // A token that failed for one lookup may be wanted by the next at once: no more is claimed of it
        // than the budget.
        if track.n_failed >= attempts_max * lookups_max && part != Part::Token {
            let detail = format!("attempt {} of one lookup", track.n_failed + 1);
            return Err(Violation::new("S5", subject, detail));
        }
        let doublings = if is_one {
            track.n_failed.saturating_sub(1).min(10)
        } else {
            0
        };
        let least = (SLEEP_MIN * 2_u32.pow(doublings)).min(SLEEP_MAX);
        let gap = now.since(failed);
        let is_job_over = track.n_failed >= attempts_max;
        if gap < least && !is_job_over && (is_one || part == Part::Blob) {
            let detail = format!("attempt {} after {gap:?} only", track.n_failed + 1);
            return Err(Violation::new("S6", subject, detail));
        }
        // A login that was never accepted goes alone, and others wait for what becomes of it.
        if gap > LATE && is_one && host.n_logins == 0 {
            let detail = format!("attempt {} after {gap:?}", track.n_failed + 1);
            return Err(Violation::new("S6", subject, detail));
        }
        // A floor that comes back within a minute, and a fifth of an attempt for each answer.
        let back = now.since(host.refilled).as_millis() * u128::from(RETRY_FLOOR) / 60;
        host.refilled = now;
        if host.retry_balance < RETRY_FLOOR * 1000 {
            let back = u64::try_from(back).unwrap_or(u64::MAX);
            let floor = RETRY_FLOOR * 1000;
            host.retry_balance = host.retry_balance.saturating_add(back).min(floor);
        }
        let Some(left) = host.retry_balance.checked_sub(1000) else {
            let detail = "more attempts than a fifth of the answers and the floor";
            return Err(Violation::new("S5", name, detail));
        };
        host.retry_balance = left;
        Ok(())
    }

    /// The core gave a request up: its attempt has failed.
    pub fn cancelled(&mut self, now: Time, op: OpId) {
        if let Some(open) = self.open.get_mut(&op)
            && !open.is_cancelled
        {
            open.is_cancelled = true;
            let key = open.key.clone();
            self.failed(now, &key);
        }
    }

    /// An answer reaches the core.
    pub fn answered(&mut self, now: Time, op: OpId, outcome: &HttpOutcome) {
        let Some(open) = self.open.remove(&op) else {
            return;
        };
        let Some(host) = self.by_host.get_mut(&open.key.0) else {
            return;
        };
        host.in_flight = host.in_flight.saturating_sub(1);
        let is_failure = match outcome {
            HttpOutcome::Failed(failure) => {
                if failure.kind == TransportKind::NoLocalPort {
                    host.complained = Some(now);
                }
                failure.kind != TransportKind::TooLarge
            }
            HttpOutcome::Response(response) => {
                if let Some(wait) = wish(response, wall(now)) {
                    let who = if open.has_shown {
                        Some(open.user.clone().unwrap_or_default())
                    } else {
                        None
                    };
                    let until = now.after(wait.min(WAIT_MAX));
                    let known = host.silent_until.entry(who).or_insert(until);
                    *known = until.max(*known);
                }
                if response.status == 429 {
                    host.complained = Some(now);
                }
                let is_failure = matches!(response.status, 408 | 429 | 500..=599);
                if !is_failure {
                    let balance = host.retry_balance + RETRY_PER_ANSWER;
                    host.retry_balance = balance.min(RETRY_BALANCE_MAX);
                }
                if matches!(response.status, 200 | 304) {
                    host.answered = Some(now);
                }
                is_failure
            }
        };
        if open.is_cancelled {
            return;
        }
        if is_failure {
            self.failed(now, &open.key);
        } else if !is_page_before(outcome)
            && let Some(track) = self.tracks.get_mut(&open.key)
        {
            (track.failed, track.n_failed, track.is_sure) = (None, 0, true);
        }
    }

    fn failed(&mut self, now: Time, key: &Key) {
        if let Some(track) = self.tracks.get_mut(key) {
            track.failed = Some(now);
            track.n_failed += 1;
        }
    }

    /// R1: a registry answers; so many failed logins within three minutes get an address banned.
    pub fn served(&mut self, now: Time, asked: &Request, status: u16) -> Result<(), Violation> {
        let shows_password = asked
            .header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
            || (asked.method == "POST" && !asked.body.is_empty());
        if !matches!(status, 401 | 403) || !shows_password {
            return Ok(());
        }
        *self.failed_logins.entry(asked.host.clone()).or_default() += 1;
        let Some(host) = self.by_host.get_mut(&asked.host) else {
            return Ok(());
        };
        host.failed_logins.push_back(now);
        while host
            .failed_logins
            .front()
            .is_some_and(|at| now.since(*at) >= BAN_WINDOW)
        {
            host.failed_logins.pop_front();
        }
        if host.failed_logins.len() < BAN_LOGINS {
            return Ok(());
        }
        let detail = format!("{BAN_LOGINS} failed logins within {BAN_WINDOW:?}");
        Err(Violation::new("R1", asked.host.clone(), detail))
    }

    /// L6: some time after everything was healed, every registry that is used answers again, and none
    /// wants to be left alone.
    pub fn recovered<'a>(
        &self,
        since: Time,
        now: Time,
        used: impl Iterator<Item = &'a str>,
    ) -> Result<(), Violation> {
        for name in used {
            let Some(host) = self.by_host.get(name) else {
                continue;
            };
            if host.silent_until.values().any(|until| *until > now) {
                let detail = "it still wants to be left alone";
                return Err(Violation::new("L6", name, detail));
            }
            if host.answered.is_none_or(|at| at < since) {
                let detail = format!("no answer since {since:?}: {:?}", host.answered);
                return Err(Violation::new("L6", name, detail));
            }
        }
        Ok(())
    }
}

/// What an attempt is told apart by: pages belong to their list.
fn key_target(asked: &Request) -> String {
    let is_list = Part::of(asked) == Part::List;
    let target = if is_list { asked.path() } else { &asked.target };
    format!("{} {target}", asked.method)
}

/// True for a request that begins an attempt.
fn is_first(asked: &Request) -> bool {
    match Part::of(asked) {
        Part::List => asked.query("last").is_none(),
        Part::Manifest => !asked.path().contains("/manifests/sha256:"),
        Part::Token => true,
        Part::Blob | Part::Base => false,
    }
}

/// True for a page that another follows: the attempt has not ended.
fn is_page_before(outcome: &HttpOutcome) -> bool {
    matches!(outcome, HttpOutcome::Response(response) if response.header("link").is_some())
}

/// How long a response asks to be left alone, if it does.
fn wish(response: &HttpResponse, wall: UnixTime) -> Option<Duration> {
    if !matches!(response.status, 429 | 503) {
        return None;
    }
    let value = response.header("retry-after")?;
    if let Ok(secs) = value.parse() {
        return Some(Duration::from_secs(secs));
    }
    // Dates of this world lie a little ahead: trying them is simpler than reading them.
    (1..=3600_u32)
        .find(|secs| http_date(UnixTime::from_secs(wall.as_secs() + i64::from(*secs))) == value)
        .map(|secs| Duration::from_secs(secs.saturating_sub(1).into()))
}
