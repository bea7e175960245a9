//! The store beside a map, and what goes when memory is short.

use super::*;
use alloc::format;
use alloc::string::{String, ToString as _};
use proptest::prelude::*;

use crate::fixed_cases::{CASES, config};
use crate::registry::LookupFailureKind;
use crate::time::UnixTime;

const HOLD: Duration = Duration::from_mins(2);

fn key(repository: u32, tag: &str) -> FactsKey {
    FactsKey {
        table: TableKey {
            repository: RepositoryId(repository),
            kind: FactsKind::Created,
            platforms: PlatformKeySet::default(),
        },
        tag: tag.into(),
    }
}

fn dated(content: u32) -> TagFacts {
    TagFacts::Usable {
        digest: ManifestDigest::of(&content.to_le_bytes()),
        created: Some(UnixTime::from_secs(content.into())),
    }
}

/// Wants 40 tags of a repository as a check does; returns how many had to be read.
fn check(store: &mut FactsStore, repository: u32, now: Time) -> u32 {
    let mut n_read = 0;
    for n in 0..40 {
        let key = key(repository, &format!("1.0.{n}"));
        store.touch(&key.table, &key.tag, now);
        let known = store.find(&key.table, &key.tag);
        if known.and_then(KnownTag::kept).is_some() {
            continue;
        }
        n_read += 1;
        if !store.can_begin(&key.table, &key.tag, now) {
            continue;
        }
        store.begin(&key, JobId(n.into()), WaiterId(1), now);
        let told = store.finish(&key, &Ok(dated(n)), now);
        assert_eq!(told, Some(Vec::from([WaiterId(1)])));
    }
    assert!(store.is_in_order());
    n_read
}

/// A store that just holds the tags of so many repositories.
fn store_for(n_repositories: u32) -> FactsStore {
    let mut store = FactsStore::new(usize::MAX, HOLD);
    for repository in 0..n_repositories {
        check(&mut store, repository, Time::ZERO);
    }
    FactsStore::new(store.bytes + LOOKUP_BYTES, HOLD)
}

#[test]
fn a_working_set_that_does_not_fit_costs_what_does_not_fit() {
    let mut store = store_for(20);
    let mut n_read = [0; 10];
    for (round, n_read) in n_read.iter_mut().enumerate() {
        for repository in 0..30 {
            // 30 repositories, one every two seconds: an interval of a minute.
            let now = u64::try_from(round).expect("small") * 60 + 2 * u64::from(repository);
            *n_read += check(&mut store, repository, Time::from_secs(now)) / 40;
        }
    }
    assert_eq!(n_read[0], 30);
    // Ten do not fit; those that are read just now need room until they are decided upon.
    assert!(n_read[1..].iter().all(|n| *n <= 16), "{n_read:?}");
}

#[test]
fn what_nobody_asks_for_any_more_makes_room_for_what_is_new() {
    let mut store = store_for(20);
    for repository in 0..20 {
        check(&mut store, repository, Time::ZERO);
    }
    for round in 1..10 {
        for repository in 10..30 {
            check(&mut store, repository, Time::from_secs(round * 60));
        }
    }
    for repository in 10..30 {
        assert_eq!(check(&mut store, repository, Time::from_secs(600)), 0);
    }
}

#[test]
fn what_was_just_found_stays_until_it_is_decided_upon() {
    let mut store = store_for(20);
    for repository in 0..20 {
        check(&mut store, repository, Time::ZERO);
    }
    let now = Time::from_secs(30);
    check(&mut store, 40, now);
    check(&mut store, 41, now);
    for repository in [40, 41] {
        assert_eq!(check(&mut store, repository, now), 0, "{repository}");
    }
}

#[test]
fn one_table_that_is_too_large_keeps_what_fits() {
    let mut store = FactsStore::new(2_500, HOLD);
    assert_eq!(check(&mut store, 0, Time::ZERO), 40);
    let n_left = check(&mut store, 0, Time::ZERO);
    assert!((1..30).contains(&n_left), "{n_left}");
    assert_eq!(check(&mut store, 0, Time::ZERO), n_left);
}

#[derive(Clone, Debug)]
enum Step {
    Begin(u32, String),
    Finish(usize, Option<u32>),
    Retain(u32, String),
    Remove(u32),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let tag = || "[a-c]{1,3}";
    let content = prop::option::weighted(0.8, 0_u32..4);
    prop_oneof![
        20 => (0_u32..6, tag()).prop_map(|(repository, tag)| Step::Begin(repository, tag)),
        20 => (0_usize..4, content).prop_map(|(at, content)| Step::Finish(at, content)),
        2 => (0_u32..6, "[a-c]").prop_map(|(repository, tag)| Step::Retain(repository, tag)),
        1 => (0_u32..6).prop_map(Step::Remove),
        4 => (0_u64..90).prop_map(Step::Pass),
    ]
}

/// A store beside what it would hold without a bound.
struct Pair {
    store: FactsStore,
    kept: BTreeMap<FactsKey, TagFacts>,
    under_way: Vec<FactsKey>,
    now: Time,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Begin(repository, tag) => {
                let key = key(*repository, tag);
                self.store.touch(&key.table, tag, self.now);
                if !self.under_way.contains(&key) && self.store.can_begin(&key.table, tag, self.now)
                {
                    self.store.begin(&key, JobId(0), WaiterId(7), self.now);
                    self.under_way.push(key);
                }
            }
            Step::Finish(at, content) => {
                if *at >= self.under_way.len() {
                    return;
                }
                let key = self.under_way.remove(*at);
                let failure = LookupFailure {
                    kind: LookupFailureKind::Missing,
                    detail: "it is not there".to_string().into(),
                };
                let result = content.map(dated).ok_or(failure);
                let told = self.store.finish(&key, &result, self.now);
                assert_eq!(told, Some(Vec::from([WaiterId(7)])), "{key:?}");
                if let Ok(facts) = result {
                    self.kept.insert(key, facts);
                }
            }
            Step::Retain(repository, start) => {
                let id = RepositoryId(*repository);
                self.store.retain_tags(id, |tag| !tag.starts_with(start));
                let under_way = &self.under_way;
                self.kept.retain(|key, _| {
                    key.table.repository != id
                        || !key.tag.starts_with(start)
                        || under_way.contains(key)
                });
            }
            Step::Remove(repository) => {
                let id = RepositoryId(*repository);
                let is_its = |key: &FactsKey| key.table.repository == id;
                let n_jobs = self.under_way.iter().filter(|key| is_its(key)).count();
                assert_eq!(self.store.remove_repository(id).len(), n_jobs);
                self.under_way.retain(|key| !is_its(key));
                self.kept.retain(|key, _| !is_its(key));
            }
            Step::Pass(seconds) => self.now = self.now.after(Duration::from_secs(*seconds)),
        }
    }

    /// How many facts the store answers with; each is the one that was found last.
    fn n_answered(&self) -> usize {
        let answer = |key: &FactsKey| self.store.find(&key.table, &key.tag)?.kept();
        let mut n_answered = 0;
        for repository in 0..6 {
            for (id, _) in self.store.of_repository(RepositoryId(repository)) {
                let table = &self.store.places[&self.store.ids[id]].table;
                n_answered += table.iter().filter(|tag| tag.kept().is_some()).count();
            }
        }
        let right = self.kept.iter().filter(|(key, facts)| {
            let known = answer(key).map(|known| known.to_owned());
            assert!(known.is_none() || known.as_ref() == Some(*facts), "{key:?}");
            known.is_some()
        });
        assert_eq!(
            right.count(),
            n_answered,
            "nothing that was dropped is told"
        );
        n_answered
    }
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn it_is_a_map_that_forgets_at_its_bound(
        steps in prop::collection::vec(any_step(), 1..400),
        bytes_max in prop_oneof![Just(usize::MAX), 800_usize..6_000],
    ) {
        let mut pair = Pair {
            store: FactsStore::new(bytes_max, HOLD),
            kept: BTreeMap::new(),
            under_way: Vec::new(),
            now: Time::ZERO,
        };
        for step in steps {
            pair.take(&step);
            prop_assert!(pair.store.is_in_order(), "{step:?}");
            let n_answered = pair.n_answered();
            if bytes_max == usize::MAX {
                prop_assert_eq!(n_answered, pair.kept.len());
            }
        }
    }
}
