//! The trees that are there, and who runs them.

use super::{Record, Store, StoreError, Tree, layout};
use crate::catalog::Digest;

impl Store {
    /// The addresses of all trees, sorted.
    pub(super) fn tree_addresses(&self) -> Result<Vec<Digest>, StoreError> {
        let names = layout::names(&self.trees_dir())?;
        Ok(names.iter().filter_map(|name| format!("sha256:{name}").parse().ok()).collect())
    }

    /// All records with their names.
    pub(super) fn records(&self) -> Result<Vec<(String, Record)>, StoreError> {
        let read = |name: String| Ok(self.read_record(&name)?.map(|record| (name, record)));
        self.record_names()?.into_iter().map(read).filter_map(Result::transpose).collect()
    }

    pub(super) fn list_trees(&self) -> Result<Vec<Tree>, StoreError> {
        let records = self.records()?;
        let named = |wanted: &dyn Fn(&Record) -> bool| -> Vec<String> {
            records.iter().filter(|(_, record)| wanted(record)).map(|(name, _)| name.clone()).collect()
        };
        let mut trees = Vec::new();
        for tree in self.tree_addresses()? {
            let (files, bytes) = self.extent(&tree).unwrap_or_default();
            trees.push(Tree {
                tree,
                release: self.read_installed(&tree).ok().map(|installed| installed.release),
                servers: named(&|record| record.tree == tree),
                before: named(&|record| record.before.as_ref().is_some_and(|before| before.tree == tree)),
                files,
                bytes,
            });
        }
        Ok(trees)
    }
}
