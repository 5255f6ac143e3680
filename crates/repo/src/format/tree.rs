//! A folder as JSON, to the byte as restic writes it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Deserialize;

use super::quote;
use crate::{
    error::Flaw,
    id::{BlobId, TreeId},
    node::{Content, Node, NodeKind, moment},
};

/// One line of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeNode {
    pub(crate) name: String,
    pub(crate) node: Node,
    /// The tree of a folder.
    pub(crate) subtree: Option<TreeId>,
}

/// Go's mark of a folder in a mode.
const GO_DIRECTORY: u32 = 1 << 31;
/// Go's mark of a symbolic link.
const GO_SYMLINK: u32 = 1 << 27;
/// POSIX bits and where Go has them.
const GO_SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

fn go_mode(node: &Node) -> u32 {
    let kind = match node.kind {
        NodeKind::File(_) => 0,
        NodeKind::Directory => GO_DIRECTORY,
        NodeKind::Symlink(_) => GO_SYMLINK,
    };
    let special = GO_SPECIAL.iter().filter(|(posix, _)| node.mode & posix != 0).map(|(_, go)| go);
    special.fold(kind | (node.mode & 0o777), |mode, go| mode | go)
}

fn posix_mode(go: u32) -> u32 {
    let special = GO_SPECIAL.iter().filter(|(_, bit)| go & bit != 0).map(|(posix, _)| posix);
    special.fold(go & 0o777, |mode, posix| mode | posix)
}

/// Writes the JSON of a folder; `nodes` are sorted by the bytes of their names.
pub(crate) fn encode<'a>(nodes: impl IntoIterator<Item = &'a TreeNode>) -> Vec<u8> {
    let mut out = String::from(r#"{"nodes":["#);
    for (number, node) in nodes.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        encode_node(&mut out, node);
    }
    out.push_str("]}\n");
    out.into_bytes()
}

fn encode_node(out: &mut String, TreeNode { name, node, subtree }: &TreeNode) {
    let kind = match node.kind {
        NodeKind::File(_) => "file",
        NodeKind::Directory => "dir",
        NodeKind::Symlink(_) => "symlink",
    };
    out.push_str(r#"{"name":"#);
    quote::json(out, &quote::name(name));
    put(out, format_args!(r#","type":"{kind}""#));
    let mode = go_mode(node);
    if mode != 0 {
        put(out, format_args!(r#","mode":{mode}"#));
    }
    let modified = in_range(node.modified);
    let changed = in_range(node.changed);
    put(out, format_args!(r#","mtime":"{modified}","atime":"{modified}","ctime":"{changed}""#));
    put(out, format_args!(r#","uid":{},"gid":{}"#, node.uid, node.gid));
    if node.inode != 0 {
        put(out, format_args!(r#","inode":{}"#, node.inode));
    }
    match &node.kind {
        NodeKind::File(content) => {
            if content.size != 0 {
                put(out, format_args!(r#","size":{}"#, content.size));
            }
            out.push_str(r#","content":["#);
            for (number, blob) in content.blobs.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                put(out, format_args!(r#""{blob}""#));
            }
            out.push(']');
        }
        NodeKind::Symlink(target) => {
            out.push_str(r#","linktarget":"#);
            quote::json(out, target);
            out.push_str(r#","content":null"#);
        }
        NodeKind::Directory => out.push_str(r#","content":null"#),
    }
    if let Some(subtree) = subtree {
        put(out, format_args!(r#","subtree":"{subtree}""#));
    }
    out.push('}');
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a text does not fail");
}

/// Go refuses to write years outside 0 to 9999.
fn in_range(time: Timestamp) -> Timestamp {
    let nanos = time.subsec_nanosecond();
    // Before 1970 the fraction of a second is negative.
    let (seconds, nanos) = if nanos < 0 {
        (time.as_second() - 1, nanos + 1_000_000_000)
    } else {
        (time.as_second(), nanos)
    };
    moment(seconds, u32::try_from(nanos).unwrap_or(0))
}

#[derive(Deserialize)]
struct WireTree {
    #[serde(default)]
    nodes: Option<Vec<WireNode>>,
}

#[derive(Deserialize)]
struct WireNode {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    mtime: Option<Timestamp>,
    #[serde(default)]
    ctime: Option<Timestamp>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    linktarget: String,
    #[serde(default)]
    content: Option<Vec<BlobId>>,
    #[serde(default)]
    subtree: Option<TreeId>,
}

/// Reads the JSON of a folder. Devices, sockets and the like are left out: no backup of ours has them.
pub(crate) fn decode(json: &[u8]) -> Result<Vec<TreeNode>, Flaw> {
    let tree: WireTree = serde_json::from_slice(json).map_err(|_| Flaw::Syntax)?;
    let nodes = tree.nodes.unwrap_or_default().into_iter();
    nodes.filter_map(|node| decode_node(node).transpose()).collect()
}

fn decode_node(wire: WireNode) -> Result<Option<TreeNode>, Flaw> {
    let kind = match wire.kind.as_str() {
        "file" => {
            NodeKind::File(Content { blobs: wire.content.unwrap_or_default(), size: wire.size })
        }
        "dir" => NodeKind::Directory,
        "symlink" => NodeKind::Symlink(wire.linktarget),
        _ => return Ok(None),
    };
    let subtree =
        if kind == NodeKind::Directory { Some(wire.subtree.ok_or(Flaw::Syntax)?) } else { None };
    let name = quote::unquote(&wire.name).ok_or(Flaw::Syntax)?.into_owned();
    // A name that leads elsewhere does not come from any honest program.
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Flaw::Syntax);
    }
    let node = Node {
        kind,
        mode: posix_mode(wire.mode),
        uid: wire.uid,
        gid: wire.gid,
        modified: wire.mtime.unwrap_or(Timestamp::UNIX_EPOCH),
        changed: wire.ctime.unwrap_or(Timestamp::UNIX_EPOCH),
        inode: wire.inode,
    };
    Ok(Some(TreeNode { name, node, subtree }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn to_the_byte_as_restic_writes_it() {
        let time = moment(1_700_000_000, 123_456_000);
        let id = BlobId::new([0xab; 32]);
        let file = Node {
            mode: 0o4644,
            uid: 501,
            gid: 501,
            inode: 7,
            changed: moment(1_700_000_001, 0),
            ..Node::file(Content { blobs: vec![id, id], size: 9 }, time)
        };
        let nodes = [
            TreeNode { name: "R&D".into(), node: file, subtree: None },
            TreeNode {
                name: "d".into(),
                node: Node { mode: 0o1755, ..Node::directory(time) },
                subtree: Some(id),
            },
            TreeNode { name: "l".into(), node: Node::symlink("../a<b", time), subtree: None },
        ];
        let hex = "ab".repeat(32);
        let expected = format!(
            concat!(
                r#"{{"nodes":[{{"name":"R\u0026D","type":"file","mode":8389028,"mtime":"2023-11-14T22:13:20.123456Z","#,
                r#""atime":"2023-11-14T22:13:20.123456Z","ctime":"2023-11-14T22:13:21Z","uid":501,"gid":501,"inode":7,"#,
                r#""size":9,"content":["{0}","{0}"]}},"#,
                r#"{{"name":"d","type":"dir","mode":2148532717,"mtime":"2023-11-14T22:13:20.123456Z","#,
                r#""atime":"2023-11-14T22:13:20.123456Z","ctime":"2023-11-14T22:13:20.123456Z","uid":0,"gid":0,"#,
                r#""content":null,"subtree":"{0}"}},"#,
                r#"{{"name":"l","type":"symlink","mode":134218239,"mtime":"2023-11-14T22:13:20.123456Z","#,
                r#""atime":"2023-11-14T22:13:20.123456Z","ctime":"2023-11-14T22:13:20.123456Z","uid":0,"gid":0,"#,
                r#""linktarget":"../a\u003cb","content":null}}]}}"#,
                "\n"
            ),
            hex
        );
        let json = encode(&nodes);
        assert_eq!(String::from_utf8(json.clone()).unwrap(), expected);
        assert_eq!(decode(&json).unwrap(), nodes);
    }

    #[test]
    fn empty_files_and_folders() {
        assert_eq!(encode([]), b"{\"nodes\":[]}\n");
        assert_eq!(decode(br#"{"nodes":null}"#).unwrap(), []);
        let empty = TreeNode {
            name: "e".into(),
            node: Node { mode: 0, ..Node::file(Content::default(), Timestamp::UNIX_EPOCH) },
            subtree: None,
        };
        let json = String::from_utf8(encode([&empty])).unwrap();
        assert!(json.contains(r#""type":"file","mtime":"1970-01-01T00:00:00Z""#), "{json}");
        assert!(json.contains(r#""gid":0,"content":[]}"#), "{json}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", "/", r"\x00"] {
            let json = serde_json::json!({"nodes": [{"name": name, "type": "file"}]}).to_string();
            assert_eq!(decode(json.as_bytes()), Err(Flaw::Syntax), "{name}");
        }
        assert_eq!(decode(br#"{"nodes":[{"name":"p","type":"fifo"}]}"#).unwrap(), []);
        assert_eq!(decode(br#"{"nodes":[{"name":"d","type":"dir"}]}"#), Err(Flaw::Syntax));
    }

    #[test]
    fn times_that_go_cannot_write_are_moved() {
        let before = Node::directory(Timestamp::MIN);
        let node = TreeNode { name: "d".into(), node: before, subtree: Some(BlobId::new([0; 32])) };
        let json = String::from_utf8(encode([&node])).unwrap();
        assert!(json.contains(r#""mtime":"0000-01-01T00:00:00Z""#), "{json}");
        assert_eq!(in_range(moment(-1, 500_000_000)), moment(-1, 500_000_000));
    }

    fn node() -> impl Strategy<Value = TreeNode> {
        let content = (prop::collection::vec(any::<[u8; 32]>(), 0..4), any::<u64>()).prop_map(
            |(ids, size)| {
                NodeKind::File(Content { blobs: ids.into_iter().map(BlobId::new).collect(), size })
            },
        );
        let kind = prop_oneof![
            content,
            Just(NodeKind::Directory),
            any::<String>().prop_map(NodeKind::Symlink),
        ];
        let name = "[^/\0]{1,20}".prop_filter("dots", |name| name != "." && name != "..");
        let numbers = (0..0o10000_u32, any::<u32>(), any::<u32>(), any::<u64>());
        (name, kind, numbers, any::<i64>(), 0..1_000_000_000_u32, any::<[u8; 32]>()).prop_map(
            |(name, kind, (mode, uid, gid, inode), seconds, nanos, subtree)| {
                let subtree = (kind == NodeKind::Directory).then(|| BlobId::new(subtree));
                let time = moment(seconds, nanos);
                TreeNode {
                    name,
                    node: Node { kind, mode, uid, gid, modified: time, changed: time, inode },
                    subtree,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_folder_comes_back(nodes in prop::collection::vec(node(), 0..6)) {
            prop_assert_eq!(decode(&encode(&nodes)).unwrap(), nodes);
        }

        #[test]
        fn noise_does_no_harm(noise in "\\PC{0,60}") {
            drop(decode(noise.as_bytes()));
        }
    }
}
