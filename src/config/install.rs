//! The profile of the jail that packages are installed in. It is mcpjail's own: `config.toml` and a server's file, which
//! are written for servers, add nothing to it.

use super::error::ConfigError;
use super::expand::Variables;
use super::load::built_in;
use super::merge::{Merge, rule};
use super::policy::Policy;
use super::{EnvGrants, Locations, Origin, Profile, Source, Sourced};
use crate::egress::Written;

/// The built-in `default` and `install`, and connections to `network`; no variable is passed or set. The administrator's
/// policy lowers limits. What it forbids of the network is forbidden to servers: the installer has rules of its own.
///
/// # Errors
/// `network-rule` and `dangerous-network-rule` for what is none; those of an unreadable policy.
pub fn load_install(network: &[Written], variables: &Variables, loc: &Locations) -> Result<Profile, ConfigError> {
    let mut merge = Merge::new(variables);
    for name in ["default", "install"] {
        merge.layer(&built_in(name)?)?;
    }
    let mut profile = merge.finish(None, None);
    profile.env = EnvGrants::default();
    if let Some(policy) = Policy::load(loc)? {
        policy.apply(&mut profile, variables)?;
    }
    for written in network {
        let origin = Origin { source: Source::Flag(format!("--install-net {}", written.to)), line: None };
        let value = rule(written.clone()).map_err(|problem| ConfigError::new(&origin, problem))?;
        profile.network.allow.push(Sourced { value, origin });
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::super::Tier;
    use super::super::load::tests::Fixture;
    use super::*;
    use crate::diagnose::Diagnose;

    fn registry() -> Written {
        Written { to: "registry.example:443".to_owned(), private: true, ..Written::default() }
    }

    fn profile(files: &[(&str, &str)], network: &[Written]) -> Result<Profile, ConfigError> {
        let fixture = Fixture::new(files);
        load_install(network, &fixture.variables(), &fixture.loc)
    }

    #[test]
    fn a_person_s_configuration_adds_nothing() {
        let lax = "trust = \"first-party\"\n[jail]\ntier = \"B\"\nfiles.read = [\"/srv\"]\nenv.pass = [\"TOKEN\"]\n\
                   network.allow = [\"a.example:443\"]\nlimits.memory = \"64GiB\"";
        let plain = profile(&[], &[registry()]).unwrap();
        assert_eq!(profile(&[("config.toml", lax)], &[registry()]).unwrap(), plain);
        assert_eq!((plain.tier.value, plain.network.allow.len()), (Tier::A, 1));
        assert!(plain.network.allow[0].value.private() && plain.files.write.is_empty());
        assert!(plain.env.pass.is_empty() && plain.env.set.is_empty());
    }

    #[test]
    fn a_policy_lowers_limits_and_forbids_servers_their_network_alone() {
        let policy = "minimum-tier = \"A\"\nforbid-network = true\nforbid-loopback = true\nforbid-private-network = true\n\
                      limits = { memory = \"1GiB\" }\nenv.deny = [\"TERM\", \"LANG\"]";
        let held = profile(&[("policy.toml", policy)], &[registry()]).unwrap();
        assert_eq!((held.limits.memory.value, held.network.allow.len()), (1 << 30, 1));
        let error = profile(&[("policy.toml", "limits = 5")], &[]).unwrap_err();
        assert!(error.to_string().contains("policy.toml"), "{error}");
    }

    #[test]
    fn what_is_no_rule_names_its_option() {
        for (to, code) in [("https://a.example/x", "network-rule"), ("*:443", "dangerous-network-rule")] {
            let error = profile(&[], &[Written { to: to.to_owned(), ..Written::default() }]).unwrap_err();
            assert!(error.to_string().contains(&format!("--install-net {to}")), "{error}");
            assert_eq!(error.code(), code);
        }
    }
}
