//! How the parts of a message become a tree of MIME entities.

use ima_message::Part;

/// An entity.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A part, by its number from 1.
    Leaf(usize),
    /// `multipart/` of this subtype.
    Multipart(&'static str, Vec<Node>),
}

/// The tree of a message: `None` where it has no part. Forms of one text are
/// `multipart/alternative` in the author's order. Where a part is HTML, those
/// with a `content-id` go with it as `multipart/related`. All else stands one
/// behind the other. At most three levels.
pub(super) fn of(parts: &[Part]) -> Option<Node> {
    let mut groups = groups(parts);
    let mut attached: Vec<usize> = numbered(parts)
        .filter(|(_, part)| part.is_attachment())
        .map(|(number, _)| number)
        .collect();
    let html = numbered(parts)
        .find(|(_, part)| !part.is_attachment() && part.media_type() == "text/html")
        .map(|(number, _)| number);
    let mut related = Vec::new();
    if html.is_some() {
        let shown_in_html = |number: usize| {
            parts
                .get(number - 1)
                .is_some_and(|part| part.attribute("content-id").is_some())
        };
        groups.retain(|group| match **group {
            [number] if Some(number) != html && shown_in_html(number) => {
                related.push(number);
                false
            }
            _ => true,
        });
        attached.retain(|&number| {
            let is_related = shown_in_html(number);
            related.extend(is_related.then_some(number));
            !is_related
        });
    }
    let leaf = |number: usize| match (Some(number) == html, related.is_empty()) {
        (true, false) => {
            let all = std::iter::once(number).chain(related.iter().copied());
            Node::Multipart("related", all.map(Node::Leaf).collect())
        }
        _ => Node::Leaf(number),
    };
    let mut nodes: Vec<Node> = groups
        .into_iter()
        .map(|group| several("alternative", group.into_iter().map(leaf).collect()))
        .collect();
    nodes.extend(attached.into_iter().map(Node::Leaf));
    (!nodes.is_empty()).then(|| several("mixed", nodes))
}

/// Inline parts, each with its other forms.
fn groups(parts: &[Part]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (number, part) in numbered(parts).take_while(|(_, part)| !part.is_attachment()) {
        let base = part
            .attribute("alternative-of")
            .and_then(|base| base.parse().ok());
        let group = base.and_then(|base| groups.iter_mut().find(|group| group.contains(&base)));
        match group {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
    }
    groups
}

fn numbered(parts: &[Part]) -> impl Iterator<Item = (usize, &Part)> {
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| (index + 1, part))
}

fn several(subtype: &'static str, mut nodes: Vec<Node>) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(node)) => node,
        (_, last) => {
            nodes.extend(last);
            Node::Multipart(subtype, nodes)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn tree(parts: &[&str]) -> Option<Node> {
        let digest = "ab".repeat(32);
        let parts: Vec<Part> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| {
                let (media_type, rest) = part.split_once(' ').unwrap_or((part, ""));
                let rest = if rest.is_empty() {
                    String::new()
                } else {
                    format!(" {rest}")
                };
                Part::parse(&format!("{media_type} 1 sha256:{digest}{rest}"), index + 1).unwrap()
            })
            .collect();
        of(&parts)
    }

    fn multipart(subtype: &'static str, numbers: &[usize]) -> Node {
        Node::Multipart(subtype, numbers.iter().copied().map(Node::Leaf).collect())
    }

    #[test]
    fn trees() {
        assert_eq!(tree(&[]), None);
        assert_eq!(tree(&["text/plain"]), Some(Node::Leaf(1)));
        assert_eq!(
            tree(&["text/plain", "a/b name=x"]),
            Some(multipart("mixed", &[1, 2]))
        );
        assert_eq!(
            tree(&["text/plain", "text/html alternative-of=1"]),
            Some(multipart("alternative", &[1, 2]))
        );
        // Nothing to be shown in.
        assert_eq!(
            tree(&["text/plain", "image/png content-id=a@b name=x"]),
            Some(multipart("mixed", &[1, 2]))
        );
        assert_eq!(
            tree(&[
                "text/plain",
                "text/html alternative-of=1",
                "image/png content-id=a@b",
                "image/png content-id=c@d name=x",
                "a/b name=y",
            ]),
            Some(Node::Multipart(
                "mixed",
                vec![
                    Node::Multipart(
                        "alternative",
                        vec![Node::Leaf(1), multipart("related", &[2, 3, 4])]
                    ),
                    Node::Leaf(5)
                ]
            ))
        );
    }
}
