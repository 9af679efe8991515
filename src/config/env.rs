//! Names of environment variables: which are names, which load code.

use super::error::Problem;

/// Variables that make a loader or an interpreter run code of somebody's choice, each with who reads it.
///
/// A profile may `set` one, since the value then stands in the profile to be read; it may not `pass` one, since the value
/// would come from wherever mcpjail was started.
const LOADERS: &[(&str, &str)] = &[
    ("LD_PRELOAD", "the dynamic loader"),
    ("LD_LIBRARY_PATH", "the dynamic loader"),
    ("LD_AUDIT", "the dynamic loader"),
    ("LD_DEBUG_OUTPUT", "the dynamic loader"),
    ("LD_PROFILE_OUTPUT", "the dynamic loader"),
    ("LD_ORIGIN_PATH", "the dynamic loader"),
    ("GLIBC_TUNABLES", "the C library"),
    ("GCONV_PATH", "the C library"),
    ("LOCPATH", "the C library"),
    ("NLSPATH", "the C library"),
    ("MALLOC_TRACE", "the C library"),
    ("RESOLV_HOST_CONF", "the C library"),
    ("HOSTALIASES", "the C library"),
    ("NODE_OPTIONS", "Node.js"),
    ("NODE_PATH", "Node.js"),
    ("NODE_REPL_EXTERNAL_MODULE", "Node.js"),
    ("ELECTRON_RUN_AS_NODE", "Electron"),
    ("BUN_OPTIONS", "Bun"),
    ("PYTHONSTARTUP", "Python"),
    ("PYTHONPATH", "Python"),
    ("PYTHONHOME", "Python"),
    ("PYTHONUSERBASE", "Python"),
    ("PYTHONEXECUTABLE", "Python"),
    ("PYTHONINSPECT", "Python"),
    ("PYTHONBREAKPOINT", "Python"),
    ("PYTHONPLATLIBDIR", "Python"),
    ("PYTHONPYCACHEPREFIX", "Python"),
    ("PYTHONWARNINGS", "Python"),
    ("BASH_ENV", "the shell"),
    ("ENV", "the shell"),
    ("SHELLOPTS", "the shell"),
    ("BASHOPTS", "the shell"),
    ("PS4", "the shell"),
    ("PROMPT_COMMAND", "the shell"),
    ("IFS", "the shell"),
    ("ZDOTDIR", "the shell"),
    ("PERL5LIB", "Perl"),
    ("PERLLIB", "Perl"),
    ("PERL5OPT", "Perl"),
    ("PERL5DB", "Perl"),
    ("RUBYOPT", "Ruby"),
    ("RUBYLIB", "Ruby"),
    ("GEM_PATH", "Ruby"),
    ("GEM_HOME", "Ruby"),
    ("BUNDLE_GEMFILE", "Ruby"),
    ("PHPRC", "PHP"),
    ("PHP_INI_SCAN_DIR", "PHP"),
    ("LUA_INIT", "Lua"),
    ("LUA_PATH", "Lua"),
    ("LUA_CPATH", "Lua"),
    ("JAVA_TOOL_OPTIONS", "Java"),
    ("JDK_JAVA_OPTIONS", "Java"),
    ("_JAVA_OPTIONS", "Java"),
    ("CLASSPATH", "Java"),
    ("DOTNET_STARTUP_HOOKS", ".NET"),
    ("OPENSSL_CONF", "OpenSSL"),
    ("OPENSSL_MODULES", "OpenSSL"),
    ("OPENSSL_ENGINES", "OpenSSL"),
    ("GIT_SSH", "git"),
    ("GIT_SSH_COMMAND", "git"),
    ("GIT_EXTERNAL_DIFF", "git"),
    ("GIT_ASKPASS", "git"),
    ("GIT_EDITOR", "git"),
    ("GIT_PAGER", "git"),
    ("GIT_EXEC_PATH", "git"),
    ("GIT_TEMPLATE_DIR", "git"),
    ("GIT_CONFIG_GLOBAL", "git"),
    ("GIT_CONFIG_SYSTEM", "git"),
    ("GIT_CONFIG_PARAMETERS", "git"),
    ("GIT_CONFIG_COUNT", "git"),
];

/// Whether a pattern (`NAME`, `PREFIX*`, `*SUFFIX`) covers a name.
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(prefix), _) => name.starts_with(prefix),
        (None, Some(suffix)) => name.ends_with(suffix),
        (None, None) => pattern == name,
    }
}

/// Whether this is the name of a variable: `[A-Za-z_][A-Za-z0-9_]*`.
pub(super) fn is_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b.is_ascii_digit())
}

/// Checks an entry of `pass`: a name, or a prefix and `*`, that covers nothing that loads code.
pub(super) fn check_pass(entry: &str) -> Result<(), Problem> {
    if entry == "*" {
        return Err(bad(entry, "this passes the whole environment, with every secret in it", "name the variables"));
    }
    if !is_name(entry.strip_suffix('*').unwrap_or(entry)) {
        let reason = "this is not the name of a variable";
        return Err(bad(entry, reason, "write a name such as `GITHUB_TOKEN`, or a prefix such as `LC_*`"));
    }
    match LOADERS.iter().find(|(name, _)| covers(entry, name)) {
        None => Ok(()),
        Some((name, reader)) => {
            let which = if *name == entry { "it".to_owned() } else { format!("this covers `{name}`, which") };
            let reason = format!("{which} makes {reader} load code or settings from wherever mcpjail was started");
            Err(bad(entry, &reason, &format!("if it is needed, give its value: `set = {{ {name} = \"…\" }}`")))
        }
    }
}

/// Checks a name and a value of `set`.
pub(super) fn check_set(name: &str, value: &str) -> Result<(), Problem> {
    if !is_name(name) {
        return Err(bad(name, "this is not the name of a variable", "names are letters, digits and `_`"));
    }
    if value.contains('\0') {
        return Err(bad(name, "the value holds a NUL byte, which no variable can", "take the `\\u0000` out"));
    }
    Ok(())
}

/// Checks an entry of the policy's `deny`: a name, a prefix and `*`, or `*` and a suffix.
pub(super) fn check_deny(entry: &str) -> Result<(), Problem> {
    let core = entry.strip_suffix('*').or_else(|| entry.strip_prefix('*')).unwrap_or(entry);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if entry == "*" || (!core.is_empty() && core.bytes().all(plain)) {
        return Ok(());
    }
    Err(bad(entry, "this is no pattern of variable names", "write `AWS_*`, `*_TOKEN` or a name"))
}

fn bad(value: &str, reason: &str, remedy: &str) -> Problem {
    Problem::BadValue { value: value.to_owned(), reason: reason.to_owned(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(covers("LC_*", "LC_ALL") && covers("*_TOKEN", "A_TOKEN") && covers("A", "A") && covers("*", "A"));
        assert!(!covers("LC_*", "LC") && !covers("*_TOKEN", "A_TOKENS") && !covers("A", "AB"));
    }

    #[test]
    fn pass() {
        for good in ["GITHUB_TOKEN", "LC_*", "_x", "PYTHONUTF8", "PATH"] {
            assert!(check_pass(good).is_ok(), "{good}");
        }
        for bad in
            ["", "*", "*_TOKEN", "A=B", "A B", "1A", "A*B", "Ä", "LD_PRELOAD", "LD_*", "L*", "PYTHON*", "NODE_*", "ENV"]
        {
            assert!(check_pass(bad).is_err(), "{bad}");
        }
        let text = check_pass("NODE_*").unwrap_err().to_string();
        assert!(text.contains("`NODE_OPTIONS`") && text.contains("Node.js"), "{text}");
    }

    #[test]
    fn set() {
        assert!(check_set("LD_PRELOAD", "/x.so").is_ok());
        assert!(check_set("A=B", "").is_err());
        assert!(check_set("A", "\0").is_err());
    }

    #[test]
    fn deny() {
        assert!(["AWS_*", "*_TOKEN", "A", "*"].iter().all(|entry| check_deny(entry).is_ok()));
        assert!(["", "**", "A*B", "A B"].iter().all(|entry| check_deny(entry).is_err()));
    }
}
