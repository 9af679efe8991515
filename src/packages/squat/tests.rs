use super::*;
use proptest::prelude::*;

/// Ecosystem, name, the well-known one, kind.
const SUSPICIOUS: &[(Ecosystem, &str, &str, Kind)] = &[
    // letters
    (Ecosystem::Pypi, "mcp-sever-git", "mcp-server-git", Kind::Letters),
    (Ecosystem::Pypi, "mpc-server-git", "mcp-server-git", Kind::Letters),
    (Ecosystem::Pypi, "mcp-server-gti", "mcp-server-git", Kind::Letters),
    (Ecosystem::Pypi, "mcp-server-fecth", "mcp-server-fetch", Kind::Letters),
    (Ecosystem::Pypi, "mcp_server_ftech", "mcp-server-fetch", Kind::Letters),
    (Ecosystem::Pypi, "markitdwon-mcp", "markitdown-mcp", Kind::Letters),
    (Ecosystem::Npm, "firecrwl-mcp", "firecrawl-mcp", Kind::Letters),
    (Ecosystem::Npm, "chrome-devtolls-mcp", "chrome-devtools-mcp", Kind::Letters),
    (Ecosystem::Npm, "mcp-remtoe", "mcp-remote", Kind::Letters),
    (Ecosystem::Npm, "supergatway", "supergateway", Kind::Letters),
    (Ecosystem::Npm, "mcp-server-kubernets", "mcp-server-kubernetes", Kind::Letters),
    (Ecosystem::Npm, "context8-mcp", "@upstash/context7-mcp", Kind::Letters),
    // plural
    (Ecosystem::Npm, "airtable-mcp-servers", "airtable-mcp-server", Kind::Words),
    // looks
    (Ecosystem::Npm, "firecraw1-mcp", "firecrawl-mcp", Kind::Looks),
    (Ecosystem::Npm, "firecrawl_mcp", "firecrawl-mcp", Kind::Looks),
    (Ecosystem::Npm, "firecrawlmcp", "firecrawl-mcp", Kind::Looks),
    (Ecosystem::Npm, "Firecrawl-mcp", "firecrawl-mcp", Kind::Looks),
    (Ecosystem::Npm, "n8n-rncp", "n8n-mcp", Kind::Looks),
    (Ecosystem::Npm, "f\u{456}recrawl-mcp", "firecrawl-mcp", Kind::Looks),
    (Ecosystem::Npm, "@modelcontextprotoco1/server-filesystem", "@modelcontextprotocol/server-filesystem", Kind::Looks),
    (Ecosystem::Npm, "@modelcontextprotocol-server/filesystem", "@modelcontextprotocol", Kind::Scope),
    (Ecosystem::Pypi, "mcpserver-fetch", "mcp-server-fetch", Kind::Looks),
    (Ecosystem::Pypi, "rncp-server-time", "mcp-server-time", Kind::Looks),
    (Ecosystem::Pypi, "mcp-server-tirne", "mcp-server-time", Kind::Looks),
    (Ecosystem::Pypi, "vvorkspace-mcp", "workspace-mcp", Kind::Looks),
    // scope
    (Ecosystem::Npm, "server-filesystem", "@modelcontextprotocol/server-filesystem", Kind::Scope),
    (Ecosystem::Npm, "mcp-server-filesystem", "@modelcontextprotocol/server-filesystem", Kind::Scope),
    (Ecosystem::Npm, "modelcontextprotocol-server-github", "@modelcontextprotocol/server-github", Kind::Scope),
    (Ecosystem::Npm, "server-sequential-thinking", "@modelcontextprotocol/server-sequential-thinking", Kind::Scope),
    (Ecosystem::Npm, "@mcp/server-filesystem", "@modelcontextprotocol/server-filesystem", Kind::Scope),
    (Ecosystem::Npm, "@modelcontextprotocols/anything", "@modelcontextprotocol", Kind::Scope),
    (Ecosystem::Npm, "@model-context-protocol/server-memory", "@modelcontextprotocol/server-memory", Kind::Looks),
    (Ecosystem::Npm, "@modlecontextprotocol/server-git", "@modelcontextprotocol", Kind::Scope),
    (Ecosystem::Npm, "@playwrigth/mcp", "@playwright/mcp", Kind::Scope),
    (Ecosystem::Npm, "playwright-mcp", "@playwright/mcp", Kind::Scope),
    (Ecosystem::Npm, "brave-search-mcp-server", "@brave/brave-search-mcp-server", Kind::Scope),
    (Ecosystem::Npm, "desktop-commander", "@wonderwhy-er/desktop-commander", Kind::Scope),
    (Ecosystem::Npm, "context7-mcp", "@upstash/context7-mcp", Kind::Scope),
    (Ecosystem::Npm, "@evil/firecrawl-mcp", "firecrawl-mcp", Kind::Scope),
    (Ecosystem::Npm, "@evil/notion-mcp-server", "@notionhq/notion-mcp-server", Kind::Scope),
    (Ecosystem::Npm, "notion-mcp-server", "@notionhq/notion-mcp-server", Kind::Scope),
    // words
    (Ecosystem::Pypi, "server-mcp-git", "mcp-server-git", Kind::Words),
    (Ecosystem::Pypi, "git-mcp-server", "mcp-server-git", Kind::Words),
    (Ecosystem::Npm, "mcp-firecrawl", "firecrawl-mcp", Kind::Words),
    (Ecosystem::Npm, "mcp-server-airtable", "airtable-mcp-server", Kind::Words),
    (Ecosystem::Pypi, "mcp-markitdown", "markitdown-mcp", Kind::Words),
    // the other ecosystem
    (Ecosystem::Npm, "mcp-server-fetch", "mcp-server-fetch", Kind::Ecosystem),
    (Ecosystem::Npm, "mcp-atlassian", "mcp-atlassian", Kind::Ecosystem),
    (Ecosystem::Pypi, "firecrawl-mcp", "firecrawl-mcp", Kind::Ecosystem),
    (Ecosystem::Pypi, "mcp-remote", "mcp-remote", Kind::Ecosystem),
    (Ecosystem::Pypi, "xcodebuildmcp", "xcodebuildmcp", Kind::Ecosystem),
];

/// Real or likely names of others, which are none of the well-known ones.
const BENIGN: &[(Ecosystem, &str)] = &[
    (Ecosystem::Npm, "server"),
    (Ecosystem::Npm, "mcp"),
    (Ecosystem::Npm, "mcp-server"),
    (Ecosystem::Npm, "server-mcp"),
    (Ecosystem::Npm, "my-mcp-server"),
    (Ecosystem::Npm, "@acme/mcp"),
    (Ecosystem::Npm, "@acme/mcp-server"),
    (Ecosystem::Npm, "@acme/cli"),
    (Ecosystem::Npm, "@acme/weather-mcp"),
    (Ecosystem::Npm, "@anthropic-ai/sdk"),
    (Ecosystem::Npm, "@anthropic-ai/claude-code"),
    (Ecosystem::Npm, "@types/node"),
    (Ecosystem::Npm, "express"),
    (Ecosystem::Npm, "typescript"),
    (Ecosystem::Npm, "zod"),
    (Ecosystem::Npm, "react"),
    (Ecosystem::Npm, "fastify"),
    (Ecosystem::Npm, "playwright"),
    (Ecosystem::Npm, "puppeteer"),
    (Ecosystem::Npm, "prettier"),
    (Ecosystem::Npm, "http-server"),
    (Ecosystem::Npm, "json-server"),
    (Ecosystem::Npm, "weather-mcp-server"),
    (Ecosystem::Npm, "mcp-server-rabbitmq"),
    (Ecosystem::Npm, "mcp-server-jenkins"),
    (Ecosystem::Npm, "mcp-server-grafana"),
    (Ecosystem::Npm, "trello-mcp-server"),
    (Ecosystem::Npm, "bitbucket-mcp"),
    (Ecosystem::Npm, "spotify-mcp-server"),
    (Ecosystem::Npm, "jira-mcp"),
    (Ecosystem::Npm, "mcp-installer"),
    (Ecosystem::Npm, "mcp-client-cli"),
    (Ecosystem::Npm, "reddit-mcp-server"),
    (Ecosystem::Npm, "gitea-mcp"),
    (Ecosystem::Npm, "@gitea/gitea-mcp"),
    (Ecosystem::Npm, "home-assistant-mcp"),
    (Ecosystem::Npm, "mcp-evals"),
    (Ecosystem::Npm, "@wong2/mcp-cli"),
    (Ecosystem::Npm, "@modelcontextprotocol/server-anything-new"),
    (Ecosystem::Npm, "@modelcontextprotocol/server-filesytem"),
    (Ecosystem::Npm, "@stripe/agent-toolkit"),
    (Ecosystem::Npm, "tsx"),
    (Ecosystem::Pypi, "mcp-server-gin"),
    (Ecosystem::Pypi, "mcp-server-gitea"),
    (Ecosystem::Pypi, "mcp-server-jira"),
    (Ecosystem::Pypi, "mcp-server-tree-sitter"),
    (Ecosystem::Pypi, "mcp-server-ftp"),
    (Ecosystem::Pypi, "mcp-server"),
    (Ecosystem::Pypi, "mcp-cli"),
    (Ecosystem::Pypi, "mcps"),
    (Ecosystem::Pypi, "httpx"),
    (Ecosystem::Pypi, "requests"),
    (Ecosystem::Pypi, "pydantic"),
    (Ecosystem::Pypi, "fastapi"),
    (Ecosystem::Pypi, "flask"),
    (Ecosystem::Pypi, "numpy"),
    (Ecosystem::Pypi, "pandas-mcp-server"),
    (Ecosystem::Pypi, "weather-mcp"),
    (Ecosystem::Pypi, "tavily-python"),
    (Ecosystem::Pypi, "mcp-weather"),
    (Ecosystem::Pypi, "mcp-server-reddit"),
    (Ecosystem::Pypi, "awslabs-something-new-mcp-server"),
    (Ecosystem::Pypi, "gitlab-mcp-tools"),
    (Ecosystem::Local, "mcp-sever-git"),
];

#[test]
fn names_that_are_nearly_well_known_are_told() {
    let mut wrong = Vec::new();
    for (ecosystem, name, known, kind) in SUSPICIOUS {
        let found = likeness(*ecosystem, name);
        let expected = found.as_ref().is_some_and(|found| found.known == *known && found.kind == *kind);
        if !expected || found.as_ref().is_some_and(|found| found.how.is_empty()) {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn other_names_are_left_alone() {
    let told = BENIGN.iter().filter_map(|(ecosystem, name)| Some((name, likeness(*ecosystem, name)?)));
    assert_eq!(told.collect::<Vec<_>>(), Vec::new());
}

#[test]
fn well_known_names_are_themselves() {
    for (ecosystem, list) in [(Ecosystem::Npm, known::NPM), (Ecosystem::Pypi, known::PYPI)] {
        for name in list {
            assert_eq!(likeness(ecosystem, name), None, "{name}");
        }
    }
    // However Python's names are written.
    for name in ["MCP_Server.Git", "awslabs.aws-documentation-mcp-server", "mcp--server__time"] {
        assert_eq!(likeness(Ecosystem::Pypi, name), None, "{name}");
    }
}

#[test]
fn the_lists_are_sorted_and_hold_names() {
    use crate::packages::line::{is_npm_name, is_python_name};
    assert!(known::NPM.len() + known::PYPI.len() >= 200);
    for list in [known::NPM, known::PYPI] {
        assert!(list.is_sorted_by(|a, b| a < b), "{:?}", list.windows(2).find(|pair| pair[0] >= pair[1]));
    }
    assert!(known::NPM.iter().all(|name| is_npm_name(name)));
    assert!(known::PYPI.iter().all(|name| is_python_name(name) && python_key(name) == *name));
}

#[test]
fn what_the_registry_lacks_may_have_been_meant_so() {
    assert_eq!(
        nearest(Ecosystem::Npm, "@modelcontextprotocol/server-filesytem"),
        Some("@modelcontextprotocol/server-filesystem")
    );
    assert_eq!(nearest(Ecosystem::Pypi, "mcp-server-gti"), Some("mcp-server-git"));
    assert_eq!(nearest(Ecosystem::Pypi, "nothing-like-it"), None);
}

proptest! {
    #[test]
    fn no_name_panics(name in any::<String>()) {
        for ecosystem in [Ecosystem::Npm, Ecosystem::Pypi, Ecosystem::Local] {
            let _ = likeness(ecosystem, &name);
            let _ = nearest(ecosystem, &name);
        }
    }

    /// Any one letter that is dropped from the last word of a long well-known name is seen.
    #[test]
    fn a_letter_less_is_seen(index in 0..known::NPM.len(), at in any::<prop::sample::Index>()) {
        let name = known::NPM[index];
        let last = name.rsplit(['-', '/']).next().unwrap();
        prop_assume!(!name.starts_with('@') && last.len() >= 5 && !is_generic(name));
        let at = name.len() - 1 - at.index(last.len() - 1);
        let mut typed = name.to_owned();
        typed.remove(at);
        prop_assume!(!is_known(known::NPM, &typed));
        prop_assert!(likeness(Ecosystem::Npm, &typed).is_some(), "{}", typed);
    }
}
