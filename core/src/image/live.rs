//! Which live image belongs to an entry of the image list (`images.md` 2.4).

use super::reference::Image;

/// Position of the live image that belongs to a list entry: that of its Kustomize override first, else the first
/// one of the same registry and name (`images.md` 2.4). An entry without a name has none (D-06).
pub fn find_live(live: &[Image], wanted: &Image) -> Option<usize> {
    find_all_live(live, wanted).next()
}

/// Positions of all live images that [`find_live`] could mean, in order, for a caller that prefers one by its tag (D-32).
pub fn find_all_live<'a>(
    live: &'a [Image],
    wanted: &'a Image,
) -> impl Iterator<Item = usize> + use<'a> {
    let positions_of = |image: &'a Image| {
        live.iter()
            .enumerate()
            .filter(move |(_, other)| !image.name.is_empty() && other.is_same_repository(image))
            .map(|(at, _)| at)
    };
    let mut replaced = wanted
        .kustomize_image
        .as_deref()
        .map(positions_of)
        .into_iter()
        .flatten()
        .peekable();
    let own = replaced.peek().is_none().then(|| positions_of(wanted));
    replaced.chain(own.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn override_is_looked_up_before_the_image_itself() {
        let live: Vec<Image> = ["gcr.io/a/b:2", "a/b:1", "a/b:3"].map(Image::parse).into();
        let mut wanted = Image::parse("x=gcr.io/a/b:1.x");
        assert_eq!(find_live(&live, &wanted), Some(0));
        wanted.kustomize_image = Some(Box::new(Image::parse("a/b")));
        assert_eq!(find_live(&live, &wanted), Some(1));
        assert_eq!(find_all_live(&live, &wanted).collect::<Vec<_>>(), [1, 2]);
    }
}
