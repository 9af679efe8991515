//! Where the symbolic links of a stage lead: nowhere out of it. Pure.

use super::StoreError;
use super::manifest::Found;
use super::scan::Node;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// How many links the kernel follows in one path.
const HOPS: usize = 40;

/// Refuses links that lead out of `root` (or `meta`), but for those of `outside`: each a link, relative to the root, and
/// the target that it must have.
///
/// What a link leads through is followed as the kernel would: `a/..` is not where `a` stands if `a` is a link itself.
/// A link to nothing, or to itself, stays; the tree never changes, so it leads nowhere for ever.
pub(super) fn judge(nodes: &[Node], outside: &[(PathBuf, PathBuf)]) -> Result<(), StoreError> {
    let links: HashMap<&Path, &OsStr> = nodes
        .iter()
        .filter_map(|node| match &node.found {
            Found::Link { target } => Some((node.path.as_path(), OsStr::from_bytes(target.to_bytes()))),
            Found::Directory | Found::File { .. } => None,
        })
        .collect();
    let allowed = |link: &Path, target: &OsStr| {
        outside.iter().any(|(inner, outer)| link == Path::new("root").join(inner) && target == outer.as_os_str())
    };
    for node in nodes {
        let Some(target) = links.get(node.path.as_path()) else { continue };
        if !allowed(&node.path, target) && leaves(&node.path, target, &links, &allowed) {
            let reason = format!("it leads out of it, to `{}`", target.display());
            return Err(StoreError::Unfit { path: node.path.clone(), reason });
        }
    }
    Ok(())
}

fn leaves<'a>(
    link: &'a Path,
    target: &'a OsStr,
    links: &HashMap<&'a Path, &'a OsStr>,
    allowed: &dyn Fn(&Path, &OsStr) -> bool,
) -> bool {
    let mut at = link.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut rest: VecDeque<Component<'a>> = Path::new(target).components().collect();
    let mut hops = 0;
    while let Some(part) = rest.pop_front() {
        match part {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::CurDir => {}
            Component::ParentDir => {
                at.pop();
                // Not even to what lies beside the root.
                if at.as_os_str().is_empty() {
                    return true;
                }
            }
            Component::Normal(name) => {
                at.push(name);
                let Some(target) = links.get(at.as_path()) else { continue };
                if allowed(&at, target) {
                    return !rest.is_empty();
                }
                hops += 1;
                if hops > HOPS {
                    return false;
                }
                at.pop();
                for part in Path::new(*target).components().rev() {
                    rest.push_front(part);
                }
            }
        }
    }
    false
}
