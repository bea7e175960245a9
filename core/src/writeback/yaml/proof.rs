//! The proof of an edit: the edited text is read again, and only what was meant differs.

use super::draft::{Draft, New, holds};
use super::tree::{Kind, NodeId, Tree};

/// Compares the trees.
///
/// # Errors
/// With the first node of the old tree that is not what it should be; `None` when that is the text as a whole.
pub(super) fn prove(draft: &Draft<'_>, new: &Tree<'_>) -> Result<(), Option<NodeId>> {
    let old = &draft.tree;
    let proof = Proof { draft, old, new };
    if let Some(pairs) = &draft.root {
        let roots = (new.documents.len(), old.documents.len().max(1));
        let first = new.root().filter(|_| roots.0 == roots.1).ok_or(None)?;
        let is_root = matches!(&new.nodes[first].kind, Kind::Mapping { pairs: found, .. }
            if proof.are_pairs(found, pairs));
        if !is_root {
            return Err(None);
        }
        let mut rest = old.documents.iter().zip(&new.documents).skip(1);
        return rest.try_for_each(|(old, new)| proof.same(old.root, new.root));
    }
    if old.documents.len() != new.documents.len() {
        return Err(None);
    }
    let mut documents = old.documents.iter().zip(&new.documents);
    documents.try_for_each(|(old, new)| proof.same(old.root, new.root))
}

struct Proof<'a, 't> {
    draft: &'a Draft<'t>,
    old: &'a Tree<'t>,
    new: &'a Tree<'a>,
}

impl Proof<'_, '_> {
    /// Compares two nodes with all below them; no deeper than a tree may be.
    fn same(&self, old: NodeId, new: NodeId) -> Result<(), Option<NodeId>> {
        let (a, b) = (&self.old.nodes[old], &self.new.nodes[new]);
        let wrong = Err(Some(old));
        if a.anchor != b.anchor {
            return wrong;
        }
        if let Some(wanted) = self.draft.fills.get(&old) {
            return if self.is(new, wanted) { Ok(()) } else { wrong };
        }
        if let Some(wanted) = self.draft.scalars.get(&old) {
            let is_so = holds(self.new, new, wanted, self.draft.reader);
            return if is_so { Ok(()) } else { wrong };
        }
        if a.tag != b.tag {
            return wrong;
        }
        match (&a.kind, &b.kind) {
            (Kind::Scalar { value: a, style: x }, Kind::Scalar { value: b, style: y })
                if a == b && x == y =>
            {
                Ok(())
            }
            (Kind::Alias(a), Kind::Alias(b)) if a == b => Ok(()),
            (Kind::Sequence { items: a, form: x }, Kind::Sequence { items: b, form: y })
                if x == y && a.len() <= b.len() =>
            {
                for (old, new) in a.iter().zip(b) {
                    self.same(*old, *new)?;
                }
                let added = self.draft.items.get(&old).map_or(&[][..], |items| items);
                let is_so = self.are_items(&b[a.len()..], added);
                if is_so { Ok(()) } else { wrong }
            }
            (Kind::Mapping { pairs: a, form: x }, Kind::Mapping { pairs: b, form: y })
                if x == y =>
            {
                let mut found = b.iter();
                for (at, (key, value)) in a.iter().enumerate() {
                    if self.draft.removed.contains(&(old, at)) {
                        continue;
                    }
                    let (new_key, new_value) = found.next().ok_or(Some(old))?;
                    self.same(*key, *new_key)?;
                    self.same(*value, *new_value)?;
                }
                let added = self.draft.pairs.get(&old).map_or(&[][..], |pairs| pairs);
                let is_so = self.are_pairs(found.as_slice(), added);
                if is_so { Ok(()) } else { wrong }
            }
            _ => wrong,
        }
    }

    /// True when the new node is this value.
    fn is(&self, node: NodeId, wanted: &New) -> bool {
        match (wanted, &self.new.nodes[node].kind) {
            (New::Text(_) | New::Flag(_), _) => holds(self.new, node, wanted, self.draft.reader),
            (New::Mapping(wanted), Kind::Mapping { pairs, .. }) => self.are_pairs(pairs, wanted),
            (New::List(wanted), Kind::Sequence { items, .. }) => self.are_items(items, wanted),
            (New::Mapping(_) | New::List(_), _) => false,
        }
    }

    fn are_pairs(
        &self,
        found: &[(NodeId, NodeId)],
        wanted: &[(alloc::boxed::Box<str>, New)],
    ) -> bool {
        found.len() == wanted.len()
            && found
                .iter()
                .zip(wanted)
                .all(|((key, value), (name, wanted))| {
                    self.is(*key, &New::Text(name.clone())) && self.is(*value, wanted)
                })
    }

    fn are_items(&self, found: &[NodeId], wanted: &[New]) -> bool {
        found.len() == wanted.len()
            && found
                .iter()
                .zip(wanted)
                .all(|(item, wanted)| self.is(*item, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::super::draft::New;
    use super::super::resolve::Reader;
    use super::*;

    #[test]
    fn only_what_was_meant_may_differ() {
        let old = "a: x\nb: [y, &n z]\nc: *n\nd: {e: f}\n";
        let is_proven = |new: &str| {
            let mut draft = Draft::new(old, Reader::Helm).expect("it is YAML");
            let root = draft.tree().root().expect("a root");
            let at = |key| draft.tree().value_of(root, key).expect("a value");
            let (a, b, d) = (at("a"), at("b"), at("d"));
            draft.put_text(a, "1").expect("a scalar");
            draft.add_item(b, New::Text("w".into()));
            draft.add_pair(d, "g", New::Flag(true));
            draft.remove_pair(d, 0);
            prove(&draft, &Tree::parse(new).expect("it is YAML")).is_ok()
        };
        assert!(is_proven("a: '1'\nb: [y, &n z, w]\nc: *n\nd: {g: true}\n"));
        for wrong in [
            "a: 1\nb: [y, &n z, w]\nc: *n\nd: {g: true}\n",
            "a: '1'\nb: ['y', &n z, w]\nc: *n\nd: {g: true}\n",
            "a: '1'\nb: [&n y, z, w]\nc: *n\nd: {g: true}\n",
            "a: '1'\nb: [y, &n z, w, w]\nc: *n\nd: {g: true}\n",
            "a: '1'\nb: [y, &n z, w]\nc: z\nd: {g: true}\n",
            "a: '1'\nb: [y, &n z, w]\nc: *n\nd: {e: f, g: true}\n",
            "a: '1'\nb: [y, &n z, w]\nc: *n\nd: {g: 'true'}\n",
            "a: '1'\nb: [y, &n z, w]\nc: *n\nd: {g: true}\nh: i\n",
            "a: '1'\nb: [y, &n z, w]\nc: *n\nd:\n  g: true\n",
            "a: !!str '1'\nb: [!x y, &n z, w]\nc: *n\nd: {g: true}\n",
            "a: '1'\nb: [y, &n z, w]\nc: *n\nd: {g: true}\n---\n",
        ] {
            assert!(!is_proven(wrong), "{wrong}");
        }
    }
}
