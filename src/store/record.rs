//! What is installed under which name.

use super::commit::{Trust, read_own};
use super::{Record, Store, StoreError, layout};

/// Of the record's format.
const VERSION: u32 = 1;

impl Store {
    pub(super) fn read_record(&self, name: &str) -> Result<Option<Record>, StoreError> {
        if !layout::is_name(name) {
            return Ok(None);
        }
        self.finish_commit(name)?;
        let path = self.record_path(name);
        let Some(text) = read_own(&path, Trust::Owned)? else { return Ok(None) };
        let bad = |reason: String| StoreError::BadRecord { path: path.clone(), reason };
        let record: Record = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if record.version == VERSION {
            Ok(Some(record))
        } else {
            Err(bad(format!("version {} is unknown", record.version)))
        }
    }

    /// Names that have a record, or will have one when their commit is carried out.
    pub(super) fn record_names(&self) -> Result<Vec<String>, StoreError> {
        let files = layout::names(&self.installed_dir())?;
        let name =
            |file: &String| file.strip_suffix(".json").or_else(|| file.strip_suffix(".commit")).map(str::to_owned);
        let mut names: Vec<String> = files.iter().filter_map(name).filter(|name| layout::is_name(name)).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
