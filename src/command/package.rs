//! The server's own code: which tree belongs to the script that is run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::files;
use super::needs::Needs;

/// Files that make a directory the root of a project.
const MARKERS: [&str; 8] = [
    "package.json",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "deno.json",
    "deno.jsonc",
    "Gemfile",
];

/// Entries of one `node_modules` that are looked at for links that leave it.
const MAX_ENTRIES: usize = 8192;

/// The outermost `node_modules` that a path goes through.
pub(super) fn outermost_node_modules(path: &Path) -> Option<PathBuf> {
    let at = path.components().position(|part| part.as_os_str() == "node_modules")?;
    let dir: PathBuf = path.components().take(at + 1).collect();
    // A file of that name is not a package directory.
    (dir != path).then_some(dir)
}

/// The virtual environment that a file is in: the nearest directory above it that holds a `pyvenv.cfg`.
pub(super) fn environment_of(path: &Path, needs: &Needs) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .take_while(|dir| !needs.too_broad(dir))
        .take(12)
        .find(|dir| dir.join("pyvenv.cfg").is_file())
        .map(Path::to_path_buf)
}

/// The root of the project that a file belongs to: the nearest directory above it (or it itself) with a marker.
fn project_of(path: &Path, needs: &Needs) -> Option<PathBuf> {
    path.ancestors()
        .take_while(|dir| !needs.too_broad(dir))
        .find(|dir| MARKERS.iter().any(|marker| dir.join(marker).is_file()))
        .map(Path::to_path_buf)
}

/// Whether a directory looks like somebody's source tree.
pub(super) fn is_project(dir: &Path) -> bool {
    MARKERS.iter().any(|marker| dir.join(marker).is_file())
}

/// Grants the code that a script (or a directory that is run like one) belongs to.
///
/// `node` adds what Node finds by walking upwards: the `node_modules` of the directories above.
pub(super) fn grant(needs: &mut Needs, reached: &Path, node: bool) {
    let Ok(real) = reached.canonicalize() else { return };
    if needs.covers(&real) {
        return;
    }
    let mut found = false;
    for path in [reached, real.as_path()] {
        if files::is_system(path) {
            found |= path == real;
            continue;
        }
        if let Some(modules) = outermost_node_modules(path) {
            found |= path == real && grant_modules(needs, &modules, path);
            if path != real {
                let _ = grant_modules(needs, &modules, path);
            }
        } else if let Some(environment) = environment_of(path, needs) {
            found |= needs.tree(&environment, "the server's virtual environment") && path == real;
        }
    }
    if found {
        return;
    }
    if let Some(root) = project_of(&real, needs).filter(|root| needs.tree(root, "the server's package")) {
        needs.note(format!("package: {} (nearest project file above the script)", root.display()));
        as_reached(needs, reached, &real, &root);
        if node {
            hoisted(needs, &root);
            workspace_links(needs, &root.join("node_modules"));
        }
        return;
    }
    if real.is_dir() {
        if !needs.tree(reached, "the server's directory") {
            needs.note(format!("{}: too broad to be granted; add `--read` for what the server needs", real.display()));
        }
        return;
    }
    needs.file(&real, "the server's script");
    let dir = real.parent().unwrap_or(&real);
    needs.note(format!(
        "package: none found, only the file {} is visible; if it needs files beside it, add `--read {}`",
        real.display(),
        dir.display()
    ));
}

/// Where links above the package lead to it, it is granted under the name by which the command reaches it too.
fn as_reached(needs: &mut Needs, reached: &Path, real: &Path, root: &Path) {
    let Ok(inside) = real.strip_prefix(root) else { return };
    let depth = inside.components().count();
    let named = reached.ancestors().nth(depth);
    if let Some(named) = named.filter(|named| *named != root && named.canonicalize().is_ok_and(|it| it == root)) {
        let _ = needs.tree(named, "the server's package");
    }
}

/// Grants a `node_modules`, the `package.json` beside it, and the packages that links in it lead to.
fn grant_modules(needs: &mut Needs, modules: &Path, script: &Path) -> bool {
    if !needs.tree(modules, "the server's packages") {
        return false;
    }
    needs.note(format!("package: {} (outermost node_modules around {})", modules.display(), script.display()));
    beside(needs, modules);
    workspace_links(needs, modules);
    true
}

/// The `package.json` beside a `node_modules`: Node reads it for the type of modules and for `#imports`.
fn beside(needs: &mut Needs, modules: &Path) {
    if let Some(parent) = modules.parent() {
        needs.file(&parent.join("package.json"), "the package.json beside the server's packages");
    }
}

/// The `node_modules` of the directories above a package, where workspaces keep what their packages share.
fn hoisted(needs: &mut Needs, root: &Path) {
    let above: Vec<PathBuf> = root
        .ancestors()
        .skip(1)
        .take_while(|dir| !needs.too_broad(dir))
        .map(|dir| dir.join("node_modules"))
        .filter(|dir| !needs.covers(dir) && dir.is_dir())
        .collect();
    for modules in above {
        if needs.tree(&modules, "packages shared by the workspace") {
            beside(needs, &modules);
            workspace_links(needs, &modules);
        }
    }
}

/// Grants the packages outside a `node_modules` that links in it lead to: members of the same workspace, `npm link`.
///
/// The links are the package manager's, but a package could have put one there: they are followed only to a directory
/// with a `package.json` that is not hidden away below the home.
fn workspace_links(needs: &mut Needs, modules: &Path) {
    let mut scopes = vec![modules.to_path_buf()];
    let mut budget = MAX_ENTRIES;
    while let Some(dir) = scopes.pop() {
        let Ok(entries) = dir.read_dir() else { continue };
        for entry in entries.flatten() {
            budget = budget.saturating_sub(1);
            if budget == 0 {
                return;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            if kind.is_dir() && dir == modules && name.as_encoded_bytes().starts_with(b"@") {
                scopes.push(entry.path());
            } else if kind.is_symlink() {
                follow_link(needs, &entry.path(), modules);
            }
        }
    }
}

fn follow_link(needs: &mut Needs, link: &Path, modules: &Path) {
    let (Ok(target), Some(dir)) = (link.read_link(), link.parent()) else { return };
    if files::absolute(&target, dir).starts_with(modules) {
        return;
    }
    let Ok(real) = link.canonicalize() else { return };
    if needs.is_full() {
        return;
    }
    let inside = modules.canonicalize().is_ok_and(|modules| real.starts_with(modules));
    if inside || needs.covers(&real) || needs.hidden(&real) || !real.join("package.json").is_file() {
        return;
    }
    if outermost_node_modules(&real).is_none() && needs.tree(&real, "a package of the same workspace") {
        needs.note(format!("package: {} (linked from {})", real.display(), modules.display()));
        hoisted(needs, &real);
        workspace_links(needs, &real.join("node_modules"));
    }
}

/// Whether a path goes through a package of that name in some `node_modules`.
pub(super) fn is_in_package(path: &Path, names: &[&str]) -> bool {
    let parts: Vec<&OsStr> = path.components().map(|part| part.as_os_str()).collect();
    parts.windows(2).any(|pair| match pair {
        [modules, package] => *modules == "node_modules" && names.iter().any(|name| *package == *name),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outermost_is_outermost() {
        let of = |path: &str| outermost_node_modules(Path::new(path));
        assert_eq!(of("/p/node_modules/a/node_modules/b/x.js"), Some("/p/node_modules".into()));
        assert_eq!(of("/p/node_modules/.bin/x"), Some("/p/node_modules".into()));
        assert_eq!(of("/p/src/x.js"), None);
        assert_eq!(of("/p/node_modules"), None);
    }

    #[test]
    fn packages_are_recognised_by_component() {
        assert!(is_in_package(Path::new("/p/node_modules/tsx/dist/cli.mjs"), &["tsx"]));
        assert!(!is_in_package(Path::new("/p/tsx/dist/cli.mjs"), &["tsx"]));
    }
}
