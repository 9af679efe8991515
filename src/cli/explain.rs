//! `mcpjail explain`: the plan, printed; nothing is started.

use super::output::{Failed, print};
use super::{ExplainArgs, prepare};
use crate::config::Tier;
use crate::plan::explain;
use std::process::ExitCode;

pub(super) fn explain(args: &ExplainArgs) -> Result<ExitCode, Failed> {
    let target = &args.target;
    let tier = if target.grants.exact_tier { target.grants.tier.unwrap_or(Tier::A) } else { Tier::A };
    let private = (tier == Tier::B).then(|| std::env::temp_dir().join("mcpjail-PID"));
    let plan = prepare::Prepared::new(target, args.trust_first_use, None)?.plan(tier, private)?;
    if args.json {
        return print(&format!("{:#}\n", explain::json(&plan)));
    }
    print(&explain::text(&plan).unwrap_or_default())
}
