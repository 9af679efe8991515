//! The command line: what a person can type, and the joining of the stages. No policy lives here.

mod add;
mod approve;
mod ask;
mod audit;
mod check;
mod codes;
mod demo;
mod doctor;
mod egress;
mod explain;
mod findings;
mod gate;
mod install;
mod launch;
mod output;
mod packaged;
mod paths;
mod prepare;
mod progress;
mod remove;
mod report;
mod run;
mod sbom;
mod show;
mod store;
mod topics;
mod update;
mod walk;
mod wording;
mod workshop;

use crate::config::Tier;
use crate::diagnose::printable;
use crate::store::Record;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const ABOUT: &str = "Runs MCP servers that strangers wrote in a jail that starts from nothing";

const LONG_ABOUT: &str = "\
Runs MCP servers that strangers wrote in a jail that starts from nothing.

In an MCP host's configuration, replace the server's command by mcpjail in front of it:

    \"command\": \"node\",    \"args\": [\"server.js\"]
    \"command\": \"mcpjail\", \"args\": [\"run\", \"--\", \"node\", \"server.js\"]

The server then runs under Landlock, seccomp and namespaces, without your home directory, your network, your
environment or your other processes, and with nothing but what a short profile grants.";

const EXAMPLES: &str = "\
Examples:
  mcpjail demo                                       see the jail at work, beside no jail
  mcpjail doctor                                     what this machine can enforce
  mcpjail run --write ~/notes -- node server.js      a server that may work in ~/notes
  mcpjail approve notes                              look at what it says of itself, and pin it
  mcpjail run --net api.github.com:443 -- node s.js  a server that may connect there, and nowhere else
  mcpjail run notes                                  the server of ~/.config/mcpjail/servers/notes.toml
  mcpjail explain --write ~/notes -- node server.js  everything that server could reach

Exit codes: 0 fine, 1 findings, 2 usage or configuration, 3 drift or not approved, 4 the jail could not be
built as promised, 5 the server failed, 6 revoked. `mcpjail help CODE` explains an error's code.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "mcpjail", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server in its jail, between host and server on stdin and stdout
    #[command(after_help = "\
Examples:
  mcpjail run -- node ~/servers/weather/index.js
  mcpjail run --write ~/notes --env NOTES_TOKEN -- ~/venvs/notes/bin/notes-mcp ~/notes
  mcpjail run --net api.github.com:443 --env GITHUB_TOKEN -- node github.js
  mcpjail run --net localhost:5432 -- ~/venvs/db/bin/postgres-mcp
  mcpjail run --profile ./notes.toml -- node index.js ~/notes
  mcpjail run notes ~/notes        # ${arg1} in servers/notes.toml is ~/notes
  mcpjail run notes -- --verbose   # an argument of the server's

Everything after `--` belongs to the server.

A RULE of --net is NAME:PORTS, *.NAME:PORTS (names below it), ADDRESS:PORTS, [IPV6]:PORTS, BLOCK/PREFIX:PORTS or
localhost:PORTS (this machine); ports are `443`, `80,443` or `8000-8010`. Conditions stand in a profile only:
{ to = \"db.corp:5432\", private = true }.")]
    Run(RunArgs),
    /// Install a server's package into the store, look at what it says of itself, and make it known by a name
    #[command(after_help = "\
Examples:
  mcpjail add notes -- npx -y @modelcontextprotocol/server-filesystem ~/notes
  mcpjail add time -- uvx mcp-server-time --local-timezone Europe/Berlin
  mcpjail add git --write ~/src/project pypi:mcp-server-git==2026.10.19 -- --repository ~/src/project
  mcpjail add github --env GITHUB_TOKEN --net api.github.com:443 -- npx -y @example/github-mcp
  mcpjail add db --allow-scripts sqlite3 -- npx -y mcp-server-sqlite-npx ~/data/a.db
  mcpjail add mine -- node ~/src/weather/index.js

The COMMAND is that of the host's configuration: npx, npm exec, bunx, pnpm dlx, uvx, uv tool run, pipx run,
python -m, node, or a program. Nothing of it is run: the package is resolved and installed in a jail that reaches the
registry and nothing else, without your home directory, and no install script runs that was not allowed by name.
`mcpjail run NAME` then starts exactly what was installed, from a read-only store, and verifies it each time.")]
    Add(add::AddArgs),
    /// Install another version beside the one that runs, show all that differs, and switch on approval
    #[command(after_help = "\
Examples:
  mcpjail update notes                 # the newest version
  mcpjail update notes 2026.8.31
  mcpjail update notes --rollback      # what ran before
  mcpjail update notes --reinstall     # repair a damaged store; with --offline from earlier downloads")]
    Update(update::UpdateArgs),
    /// Remove a server: its profile, what was approved of it, and its place in the store
    #[command(after_help = "Example:\n  mcpjail remove notes && mcpjail store gc")]
    Remove(remove::RemoveArgs),
    /// List installed packages, or free what no server needs
    #[command(subcommand, after_help = "Examples:\n  mcpjail store list\n  mcpjail store gc --dry-run")]
    Store(store::StoreCommand),
    /// Print what a server is made of, as a CycloneDX bill of materials
    #[command(after_help = "Example:\n  mcpjail sbom notes > notes.cdx.json")]
    Sbom {
        /// The server's name
        name: String,
    },
    /// Ask the ecosystem's own auditor what is known against the packages that a server runs
    #[command(after_help = "\
Example:
  mcpjail audit notes

npm audit, pip-audit or uv audit runs in a jail that reaches its database and nothing else. Exit codes: 0 nothing is
known, 1 something is.")]
    Audit {
        /// The server's name
        name: String,
    },
    /// Look at what a server says of itself, item by item, and pin it
    #[command(after_help = "\
Examples:
  mcpjail approve notes
  mcpjail approve --write ~/notes -- node index.js ~/notes
  mcpjail approve --lock notes.lock.json -- node index.js    # to be committed
  mcpjail approve --yes notes                                # everything, unread

The server runs in its jail, as `run` would start it, twice: as two different clients in two time zones. What then
differs from start to start is offered to be exempted.")]
    Approve(ApproveArgs),
    /// Hold servers against what was approved of them; for CI
    #[command(after_help = "\
Examples:
  mcpjail check                        # every server that has a profile
  mcpjail check notes weather
  mcpjail check --lock notes.lock.json --format github -- node index.js

Exit codes: 0 all is as approved, 1 it is and the inspectors found something grave in it, 3 drift or not approved.
What could not be checked weighs more: 2 a profile or a lock is wrong, 5 a server failed, 4 a jail could not be built.
Of several servers, the worst counts: 4, 5, 2, 3, 1, 0.")]
    Check(CheckArgs),
    /// Print everything that a server could reach: mounts, rights, system calls, variables, limits
    #[command(after_help = "\
Examples:
  mcpjail explain notes
  mcpjail explain --write ~/notes -- node index.js
  mcpjail explain --net '*.example.com:80,443' -- node index.js
  mcpjail explain --json -- node index.js | jq '.mounts[].path'")]
    Explain(ExplainArgs),
    /// Say what this machine can enforce, layer by layer, by trying it; and what to do about the rest
    Doctor(DoctorArgs),
    /// Show a bundled server's honest and hostile calls, jailed beside not jailed
    Demo(DemoArgs),
    /// List the built-in profiles, or print one
    #[command(after_help = "Examples:\n  mcpjail profiles\n  mcpjail profiles default")]
    Profiles {
        /// Which one to print
        name: Option<String>,
    },
    /// Explain a subcommand, an error's code or an inspector's rule
    #[command(
        after_help = "Examples:\n  mcpjail help run\n  mcpjail help protected-path\n  mcpjail help bidi-controls"
    )]
    Help {
        /// A subcommand, a code as in `error[CODE]`, or a rule as in `high[RULE]`; without one, all are listed
        topic: Option<String>,
    },
    /// Print a completion script
    #[command(after_help = "Example:\n  mcpjail completions bash > ~/.local/share/bash-completion/completions/mcpjail")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  mcpjail man | man -l -")]
    Man,
}

/// What decides a plan, shared by all subcommands that make one.
#[derive(Debug, Clone, Default, Args)]
struct GrantArgs {
    /// Let the server read this file or tree (not execute); may be given again
    #[arg(long, value_name = "PATH")]
    read: Vec<OsString>,
    /// Let the server read, change, create and delete in this file or tree
    #[arg(long, value_name = "PATH")]
    write: Vec<OsString>,
    /// Let the server read and execute this file or tree
    #[arg(long, value_name = "PATH")]
    exec: Vec<OsString>,
    /// Let the server see the names in this directory
    #[arg(long, value_name = "PATH")]
    list: Vec<OsString>,
    /// Keep this read-only inside a --write tree
    #[arg(long, value_name = "PATH")]
    deny_write: Vec<OsString>,
    /// Pass a variable from here, or set one
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Profile in the place of servers/NAME.toml: a file, or a name
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Add a built-in or own bundle
    #[arg(long = "use", value_name = "BUNDLE")]
    uses: Vec<String>,
    /// Let the server connect there by TCP: NAME:PORT, *.NAME:PORT, ADDRESS:PORT, localhost:PORT; may be given again
    #[arg(long, value_name = "RULE")]
    net: Vec<String>,
    /// Allow TCP and UDP inside the jail's own, private loopback
    #[arg(long)]
    loopback: bool,
    /// Least confinement that is acceptable: A (full) or B (no user namespaces)
    #[arg(long, value_name = "TIER", value_parser = tier, ignore_case = true)]
    tier: Option<Tier>,
    /// Use exactly --tier, even where more confinement can be had
    #[arg(long, requires = "tier")]
    exact_tier: bool,
    /// What was approved of the server, in the place of mcpjail's own file
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

/// One server, and what it is granted.
#[derive(Debug, Clone, Default, Args)]
struct TargetArgs {
    #[command(flatten)]
    grants: GrantArgs,
    /// The server's name: servers/NAME.toml
    #[arg(value_name = "NAME", required_unless_present = "command")]
    name: Option<String>,
    /// Arguments for the server; those that begin with a hyphen stand after `--`
    #[arg(value_name = "ARG")]
    arguments: Vec<OsString>,
    /// The server's command line; after a NAME, more arguments for it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// What is not yet in its place: a profile and a package that are looked at before they are approved
    #[arg(skip)]
    staged: Option<Staged>,
    /// Verify a package by hashing all of it
    #[arg(skip)]
    deep: bool,
}

/// A server that is about to be added or updated.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    /// Stands in for servers/NAME.toml.
    pub(super) profile: PathBuf,
    /// Stands in for the store's record of NAME.
    pub(super) record: Record,
}

impl TargetArgs {
    /// A command with no grants of its own.
    fn of_command(command: Vec<OsString>) -> TargetArgs {
        TargetArgs { command, ..TargetArgs::default() }
    }

    /// A server that is tried before it is known by its name.
    fn of_staged(name: &str, profile: &Path, record: &Record) -> TargetArgs {
        let staged = Staged { profile: profile.to_owned(), record: record.clone() };
        TargetArgs { name: Some(name.to_owned()), staged: Some(staged), ..TargetArgs::default() }
    }

    /// What the server is called in reports and logs: its name, or the command.
    fn called(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => self.command.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "),
        }
    }

    /// The command line that does something else with the same target: `mcpjail approve --read /x -- node y.js`.
    fn typed(&self, subcommand: &str) -> String {
        let TargetArgs { grants, name, arguments, command, staged: _, deep: _ } = self;
        let GrantArgs {
            read,
            write,
            exec,
            list,
            deny_write,
            env,
            profile,
            uses,
            net,
            loopback,
            tier,
            exact_tier,
            lock,
        } = grants;
        let mut words = vec!["mcpjail".to_owned(), subcommand.to_owned()];
        let mut option = |name: &str, value: &OsStr| words.extend([name.to_owned(), shell_word(value)]);
        for (name, values) in
            [("--read", read), ("--write", write), ("--exec", exec), ("--list", list), ("--deny-write", deny_write)]
        {
            values.iter().for_each(|value| option(name, value));
        }
        // a value may be a secret, and this is printed: it comes from the environment then
        for entry in env {
            option("--env", OsStr::new(entry.split('=').next().unwrap_or_default()));
        }
        profile.iter().for_each(|value| option("--profile", OsStr::new(value)));
        uses.iter().for_each(|value| option("--use", OsStr::new(value)));
        net.iter().for_each(|value| option("--net", OsStr::new(value)));
        tier.iter().for_each(|tier| option("--tier", OsStr::new(&tier.to_string())));
        lock.iter().for_each(|file| option("--lock", file.as_os_str()));
        for (flag, given) in [("--loopback", loopback), ("--exact-tier", exact_tier)] {
            words.extend(given.then(|| flag.to_owned()));
        }
        words.extend(name.clone());
        words.extend(arguments.iter().map(|word| shell_word(word)));
        if !command.is_empty() {
            words.push("--".to_owned());
            words.extend(command.iter().map(|word| shell_word(word)));
        }
        words.join(" ")
    }
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Where the server was never approved: approve, unread, what it shows now
    #[arg(long)]
    trust_first_use: bool,
    /// Say on stderr what each layer came to
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    log: egress::EgressLogArgs,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Approve everything without asking
    #[arg(long)]
    yes: bool,
    /// With --yes, approve even what the inspectors find grave
    #[arg(long, requires = "yes")]
    accept_findings: bool,
    #[command(flatten)]
    log: egress::EgressLogArgs,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    grants: GrantArgs,
    /// How to report
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: report::Format,
    /// Grave findings in an approved catalog are told, and are no failure
    #[arg(long)]
    accept_findings: bool,
    /// Hash every file of packages in the store, instead of those that seem to have changed
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    log: egress::EgressLogArgs,
    /// The servers; without one and without a command, all that have a profile
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A command line; after a NAME, arguments for it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// As for `run`: approve, unread, what a server shows that was never approved
    #[arg(long)]
    trust_first_use: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Leave out the attempts without a jail
    #[arg(long)]
    jailed_only: bool,
}

/// A word as a shell reads it back.
fn shell_word(word: &OsStr) -> String {
    let text = printable(&word.to_string_lossy());
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn tier(text: &str) -> Result<Tier, String> {
    match text {
        "A" | "a" => Ok(Tier::A),
        "B" | "b" => Ok(Tier::B),
        _ => Err("there are two tiers: A (full) and B (no user namespaces)".into()),
    }
}

/// `run` alone: a host waits for it, and the whole command line takes several times as long to set up.
#[derive(Debug, Parser)]
#[command(name = "mcpjail run", bin_name = "mcpjail run")]
struct RunOnly {
    #[command(flatten)]
    args: RunArgs,
}

/// Parses the process's arguments, does what they say, and gives the exit code.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == "run")
        && let Ok(run) = RunOnly::try_parse_from(std::iter::once("mcpjail run".into()).chain(words))
    {
        return run::run(&run.args);
    }
    // everything else, and whatever is wrong with a `run`
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _nobody_reads = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match cli.command {
        Command::Run(args) => return run::run(&args),
        Command::Add(args) => add::add(&args),
        Command::Update(args) => update::update(&args),
        Command::Remove(args) => remove::remove(&args),
        Command::Store(command) => store::store(&command),
        Command::Audit { name } => audit::audit(&name),
        Command::Sbom { name } => sbom::sbom(&name),
        Command::Approve(args) => approve::approve(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Demo(args) => demo::demo(&args),
        Command::Profiles { name } => topics::profiles(name.as_deref()),
        Command::Help { topic } => topics::help(topic.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mcpjail", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
        Command::Man => topics::man(),
    };
    done.unwrap_or_else(|error| output::fail(&error))
}

/// Where a plan's own executable is, for `demo` and `doctor`.
fn own_executable() -> Result<PathBuf, output::Failed> {
    std::fs::canonicalize("/proc/self/exe")
        .map_err(|source| output::Failed::from(output::IoFailed { what: "find mcpjail's own executable", source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_typed_back() {
        let line = [
            "mcpjail",
            "run",
            "--read",
            "/a b",
            "--write",
            "/w",
            "--exec",
            "/e",
            "--list",
            "/l",
            "--deny-write",
            "/w/i",
            "--env",
            "TOKEN",
            "--profile",
            "p",
            "--use",
            "node",
            "--net",
            "a.example:443",
            "--net",
            "[::1]:5432",
            "--tier",
            "B",
            "--lock",
            "l.json",
            "--loopback",
            "--exact-tier",
            "notes",
            "one",
            "--",
            "--two",
            "it's",
        ];
        let Cli { command: Command::Run(args) } = Cli::try_parse_from(line).unwrap() else { panic!() };
        let typed = args.target.typed("run");
        let quoted = line.join(" ").replace("/a b", "'/a b'").replace("[::1]:5432", "'[::1]:5432'");
        assert_eq!(typed, quoted.replace("it's", r"'it'\''s'"));
    }

    #[test]
    fn a_typed_target_tells_no_secret() {
        let line = ["mcpjail", "run", "--env", "TOKEN=hunter2", "--", "server"];
        let Cli { command: Command::Run(args) } = Cli::try_parse_from(line).unwrap() else { panic!() };
        assert_eq!(args.target.typed("approve"), "mcpjail approve --env TOKEN -- server");
    }
}
