//! `use`: bundles, the built-in ones and the user's own, and what they use in turn.

use toml::Spanned;

use super::document::Document;
use super::error::{ConfigError, Problem, nearest};
use super::load::{Layer, Role, parse, read_file};
use super::locations::is_name;
use super::{Locations, builtin};

/// Longest chain of bundles that use one another.
const DEEPEST: usize = 16;

/// The name nearest to a misspelt one, among the user's own and the built-in ones.
pub(super) fn nearest_of(name: &str, own: &[String], built_in: impl Iterator<Item = &'static str>) -> Option<String> {
    let mut known: Vec<&str> = own.iter().map(String::as_str).collect();
    for name in built_in {
        known.push(name);
    }
    nearest(name, known).map(str::to_owned)
}

/// Bundles, collected depth first: what a bundle uses comes before it; each comes once.
pub(super) struct Uses<'a> {
    pub(super) loc: &'a Locations,
    pub(super) layers: Vec<Layer>,
    /// The chain of bundles that is being followed.
    pub(super) open: Vec<String>,
}

impl Uses<'_> {
    pub(super) fn add_all(&mut self, names: &[Spanned<String>], document: &Document) -> Result<(), ConfigError> {
        names.iter().try_for_each(|name| self.add(name.get_ref(), &|problem| document.error(&name.span(), problem)))
    }

    pub(super) fn add(&mut self, name: &str, fail: &dyn Fn(Problem) -> ConfigError) -> Result<(), ConfigError> {
        if let Some(start) = self.open.iter().position(|open| open == name) {
            let chain = self.open.iter().skip(start).cloned().chain([name.to_owned()]).collect();
            return Err(fail(Problem::UseCycle { chain }));
        }
        // `default` is the ground of every profile already.
        if name == "default" || self.layers.iter().any(|layer| layer.name == name) {
            return Ok(());
        }
        if let Some(trust) = name.strip_prefix("trust-").filter(|_| builtin::document(name).is_some()) {
            return Err(fail(Problem::BadValue {
                value: name.to_owned(),
                reason: "a trust preset is not used as a bundle".to_owned(),
                remedy: format!("write `trust = \"{trust}\"` in the server's profile"),
            }));
        }
        if !is_name(name) {
            return Err(fail(Problem::BadName { name: name.to_owned() }));
        }
        if self.open.len() >= DEEPEST {
            return Err(fail(Problem::BadValue {
                value: name.to_owned(),
                reason: format!("bundles use one another more than {DEEPEST} deep"),
                remedy: "name the bundles in the server's profile".to_owned(),
            }));
        }
        let file = self.loc.bundle(name);
        let layer = match (builtin::document(name), read_file(&file, self.loc)?) {
            (Some(_), Some(_)) => return Err(fail(Problem::BundleShadows { name: name.to_owned(), file })),
            (Some(document), None) => parse(name, document, Role::BuiltIn)?,
            (None, Some(document)) => parse(name, document, Role::Bundle)?,
            (None, None) => {
                let own = self.loc.bundle_names();
                let usable = builtin::builtin_names().filter(|name| !name.starts_with("trust-") && *name != "default");
                let nearest = nearest_of(name, &own, usable);
                return Err(fail(Problem::UnknownBundle { name: name.to_owned(), nearest, file }));
            }
        };
        if let Some(uses) = &layer.raw.uses {
            self.open.push(name.to_owned());
            self.add_all(uses.get_ref(), &layer.document)?;
            self.open.pop();
        }
        self.layers.push(layer);
        Ok(())
    }
}
