//! Kustomize: an image is one entry `[old=]image` of a list; of all entries at most one changes
//! (`images.md` 11.2, D-50 to D-53).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::claim::Claim;
use crate::image::Image;

/// An entry of `kustomize.images`, read.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry<'a> {
    /// Text before the `=`.
    left: Option<&'a str>,
    /// What stands behind it, or the whole.
    image: Image,
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Self {
        let (left, reference) = match text.split_once('=') {
            Some((left, reference)) => (Some(left), reference),
            None => (None, text),
        };
        Self {
            left,
            image: Image::parse(reference),
        }
    }

    /// The image of the manifests that the entry replaces: its left side, else its own name.
    fn target(&self) -> Image {
        match self.left {
            Some(left) => Image::parse(left),
            None => self.image.clone(),
        }
    }
}

/// An image to be written, with what tells its entry.
#[derive(Clone, Copy)]
pub struct Written<'a> {
    /// The image with its new tag.
    pub image: &'a Image,
    /// The image that it replaces in the manifests, if that is configured.
    pub replaced: Option<&'a Image>,
    /// How other list entries lay claim to an image; what is theirs is never taken for this one's.
    pub claim_of: &'a dyn Fn(&Image) -> Claim,
}

/// The image that a `kustomize.image-name` names, its text as it goes before the `=`; `None` when it names none.
pub fn read_replaced(text: &str) -> Option<Image> {
    let mut image = Image::parse(text.trim());
    if !image.alias.is_empty() {
        image.original = image.full_name();
    }
    // What reads otherwise as a left side would not be found again.
    let again = Image::parse(&image.original);
    let is_stable = again.is_same_repository(&image) && !image.original.contains('=');
    (image.defect().is_none() && is_stable).then_some(image)
}

/// Position of the entry that belongs to the image: by exact left side or name, else by the name of an image that no
/// other list entry replaces, else the only one of the same path at another registry (`images.md` 11.2, D-50, D-51).
pub fn find(entries: &[Box<str>], written: Written<'_>) -> Option<usize> {
    let Written {
        image,
        replaced,
        claim_of,
    } = written;
    let wanted = replaced.unwrap_or(image);
    // Reading an entry costs more than looking for the name in it, and most are not ours.
    let names_ours = |text: &str| text.contains(&*wanted.name) || text.contains(&*image.name);
    let entries: Vec<(usize, Entry<'_>)> = entries
        .iter()
        .enumerate()
        .filter(|(_, text)| names_ours(text))
        .map(|(at, text)| (at, Entry::parse(text)))
        .collect();
    let position = |test: &dyn Fn(&Entry<'_>) -> bool| {
        let found = entries.iter().find(|(_, entry)| test(entry));
        found.map(|(at, _)| *at)
    };
    // A mapping of another image stays another image's, if it is known which one is ours.
    let may_be_ours = |entry: &Entry<'_>| replaced.is_none() || entry.left.is_none();
    let is_ours = |entry: &Entry<'_>| {
        may_be_ours(entry)
            && entry.image.is_same_repository(image)
            && claim_of(&entry.target()) != Claim::Target
    };
    position(&|entry| entry.target().is_same_repository(wanted))
        .or_else(|| position(&is_ours))
        .or_else(|| {
            let is_similar =
                |entry: &Entry<'_>| may_be_ours(entry) && entry.image.name == image.name;
            let mut similar = entries.iter().filter(|(_, entry)| is_similar(entry));
            let (at, entry) = similar.next()?;
            let is_only_one = similar.next().is_none();
            let is_free = |image: &Image| claim_of(image) == Claim::Free;
            (is_only_one && is_free(&entry.image) && is_free(&entry.target())).then_some(*at)
        })
}

/// The entry's text for the image: a mapping is kept, an alias is never written (`images.md` 11.2, D-52).
pub fn text_of(written: Written<'_>, existing: Option<&str>) -> String {
    let kept = existing.and_then(|text| Entry::parse(text).left);
    let image = written.image.full_name_with_tag();
    match (written.replaced, kept) {
        (Some(replaced), _) => [&*replaced.original, "=", &image].concat(),
        (None, Some(left)) => [left, "=", &image].concat(),
        (None, None) => image,
    }
}

/// Puts the image into `entries`: its entry is replaced, or one is appended (`images.md` 11.2). False when it stood
/// there already.
pub fn put(entries: &mut Vec<Box<str>>, written: Written<'_>) -> bool {
    let at = find(entries, written);
    let text = text_of(written, at.map(|at| &*entries[at])).into_boxed_str();
    match at {
        Some(at) if entries[at] == text => return false,
        Some(at) => entries[at] = text,
        None => entries.push(text),
    }
    true
}

/// The entry that holds the image now; empty when there is none (`images.md` 11.2, D-53).
pub fn current_image<'a>(entries: &'a [Box<str>], written: Written<'_>) -> &'a str {
    find(entries, written).map_or("", |at| &entries[at])
}

/// True when two entries mean one image of the manifests, compared up to the first delimiter of `b`: `=`, else `:`,
/// else `@`, else `:` (`images.md` 11.2). Argo CD merges entries like this; [`find`] is stricter (D-50).
pub fn is_same_entry(a: &str, b: &str) -> bool {
    let mut marks = ['=', ':', '@'].into_iter();
    let mark = marks.find(|mark| b.contains(*mark)).unwrap_or(':');
    before(a, mark) == before(b, mark)
}

/// Position of the first entry that is the same as `image` in the sense of [`is_same_entry`].
pub fn find_same_entry(entries: &[&str], image: &str) -> Option<usize> {
    entries.iter().position(|entry| is_same_entry(entry, image))
}

/// Merges `new` entries into those of an override file: an entry of the same image is replaced when it has no tag,
/// or when the new one has another (`images.md` 11.3). Positions are kept, unknown entries are appended.
pub fn merge_overrides(existing: &mut Vec<Image>, new: &[Image]) {
    for image in new {
        let known = existing
            .iter_mut()
            .find(|other| other.is_same_repository(image));
        match known {
            None => existing.push(image.clone()),
            Some(other) => {
                let is_newer = match (&other.tag, &image.tag) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    // A new digest is news even if the old entry had only the name.
                    (Some(old), Some(new)) => {
                        !old.is_same_as(new) || (new.is_digest() && !old.is_digest())
                    }
                };
                if is_newer {
                    other.clone_from(image);
                }
            }
        }
    }
}

fn before(text: &str, mark: char) -> &str {
    text.split_once(mark).map_or(text, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn whatever_is_put_is_found_again(
            entries in prop::collection::vec(texts(), 0..4),
            image in "(a=)?(r[.:]1/)?(index[.]docker[.]io/)?a(/b)?(:1)?(@sha256:a)?",
            replaced in texts(),
        ) {
            let mut entries: Vec<Box<str>> = entries.into_iter().map(Into::into).collect();
            let image = Image::parse(&image);
            let replaced = read_replaced(&replaced);
            let written = Written {
                image: &image,
                replaced: replaced.as_ref(),
                claim_of: &|_| Claim::Free,
            };
            put(&mut entries, written);
            let once = entries.clone();
            prop_assert!(!put(&mut entries, written), "{:?} {:?}", once, entries);
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[aA=:/@. -]{0,8}",
            "(a=)?(r[.:]1/)?a(/b)?(:1)?(@sha256:a)?(=b)?",
            ".{0,12}"
        ]
    }

    #[test]
    fn one_entry_changes_and_it_is_the_right_one() {
        // Exact name before equal path, and never a longer name.
        check(
            &["b.io/f/x:1", "a.io/f/x:1"],
            "",
            "a.io/f/x:2",
            &["b.io/f/x:1", "a.io/f/x:2"],
        );
        check(&["f/x-y:1", "f/x:1"], "", "f/x:2", &["f/x-y:1", "f/x:2"]);
        check(
            &["r:5000/a:1", "r:5000/b:1"],
            "",
            "r:5000/b:2",
            &["r:5000/a:1", "r:5000/b:2"],
        );
        // Equal path only where it is clear.
        check(&["f/x:1"], "", "a.io/f/x:2", &["a.io/f/x:2"]);
        check(
            &["f/x:1", "b.io/f/x:1"],
            "",
            "a.io/f/x:2",
            &["f/x:1", "b.io/f/x:1", "a.io/f/x:2"],
        );
        // Duplicates: the first one.
        check(&["f/x:1", "f/x:2"], "", "f/x:3", &["f/x:3", "f/x:2"]);
    }

    #[test]
    fn mapping_is_kept_and_found_by_its_left_side() {
        check(&["old=f/x:1"], "", "f/x:2", &["old=f/x:2"]);
        check(
            &["old=f/x:1", "f/x:1"],
            "",
            "f/x:2",
            &["old=f/x:1", "f/x:2"],
        );
        check(&["old=f/y:1"], "old", "f/x:2", &["old=f/x:2"]);
        check(&["f/x:1"], "old", "f/x:2", &["old=f/x:2"]);
        check(
            &["other=f/x:1"],
            "old",
            "f/x:2",
            &["other=f/x:1", "old=f/x:2"],
        );
        check(
            &["r:5000/b=q/b:1"],
            "r:5000/b",
            "q/b:2",
            &["r:5000/b=q/b:2"],
        );
        check(
            &["library/nginx=q/b:1"],
            "nginx",
            "q/b:2",
            &["library/nginx=q/b:1", "nginx=q/b:2"],
        );
    }

    #[test]
    fn replaced_image_is_written_as_its_text_says() {
        let name = "docker.io/library/nginx";
        check(
            &["docker.io/library/nginx:1"],
            name,
            "q/b:2",
            &["docker.io/library/nginx=q/b:2"],
        );
        check(&[], " a=x/b ", "q/b:2", &["x/b=q/b:2"]);
        for none in ["", " ", "a=", "https://x/y", "a=b=c", "-=::@"] {
            assert_eq!(read_replaced(none), None, "{none}");
        }
    }

    #[test]
    fn entry_of_another_managed_image_is_not_taken() {
        let image = Image::parse("a.io/f/x:2");
        let other = Image::parse("b=b.io/f/x:1.x");
        let mut entries = boxed(&["b.io/f/x:1"]);
        let written = Written {
            image: &image,
            replaced: None,
            claim_of: &|image| {
                if image.is_same_repository(&other) {
                    Claim::Target
                } else {
                    Claim::Free
                }
            },
        };
        assert!(put(&mut entries, written));
        assert_eq!(entries, boxed(&["b.io/f/x:1", "a.io/f/x:2"]));
    }

    #[test]
    fn putting_twice_changes_nothing() {
        for entries in [&["f/x:1"][..], &["old=f/x:1"], &[], &["b.io/f/x@sha256:a"]] {
            let mut entries = boxed(entries);
            let image = Image::parse("f/x:2@sha256:b");
            let written = Written {
                image: &image,
                replaced: None,
                claim_of: &|_| Claim::Free,
            };
            assert!(put(&mut entries, written), "{entries:?}");
            assert!(!put(&mut entries, written), "{entries:?}");
        }
    }

    fn check(entries: &[&str], replaced: &str, image: &str, expect: &[&str]) {
        let mut got = boxed(entries);
        let image = Image::parse(image);
        let replaced = read_replaced(replaced);
        let written = Written {
            image: &image,
            replaced: replaced.as_ref(),
            claim_of: &|_| Claim::Free,
        };
        put(&mut got, written);
        assert_eq!(got, boxed(expect), "{entries:?} {replaced:?}");
    }

    fn boxed(texts: &[&str]) -> Vec<Box<str>> {
        texts.iter().map(|text| Box::from(*text)).collect()
    }
}
