use super::*;
use crate::diagnose::Diagnose;
use crate::packages::{LocalRequest, NpmRequest, NpmSpec, PypiRequest, PypiRun, PypiSpec};
use proptest::prelude::*;

/// Words of a line as a shell splits it, with single quotes as the only special character.
fn words(line: &str) -> Vec<OsString> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take().map(OsString::from)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.map(OsString::from));
    words
}

fn read_line(line: &str) -> Result<Request, PackageError> {
    read(&words(line), Path::new("/work/dir"))
}

/// Each line, and the one that its request is spelt as.
const READ: &[(&str, &str)] = &[
    // npx, as the configurations of hosts and the READMEs of servers have it
    ("npx @scope/x", "npm:@scope/x@latest"),
    ("npx -y @scope/x@1.2.3 arg", "npm:@scope/x@1.2.3 arg"),
    (
        "npx -y @modelcontextprotocol/server-filesystem /home/me/a '/home/me/b c'",
        "npm:@modelcontextprotocol/server-filesystem@latest /home/me/a '/home/me/b c'",
    ),
    (
        "npx -y @modelcontextprotocol/server-filesystem@2026.8.31 .",
        "npm:@modelcontextprotocol/server-filesystem@2026.8.31 .",
    ),
    (
        "npx -y @modelcontextprotocol/server-postgres postgresql://localhost/mydb",
        "npm:@modelcontextprotocol/server-postgres@latest postgresql://localhost/mydb",
    ),
    ("npx @playwright/mcp@latest", "npm:@playwright/mcp@latest"),
    ("npx @playwright/mcp@latest --headless --isolated", "npm:@playwright/mcp@latest --headless --isolated"),
    ("npx -y chrome-devtools-mcp@latest --isolated=true", "npm:chrome-devtools-mcp@latest --isolated=true"),
    ("npx -y @upstash/context7-mcp --api-key KEY", "npm:@upstash/context7-mcp@latest --api-key KEY"),
    ("npx -y firecrawl-mcp", "npm:firecrawl-mcp@latest"),
    (
        "npx -y mcp-remote@0.1.18 https://mcp.example.com/sse --header 'Authorization: Bearer x'",
        "npm:mcp-remote@0.1.18 https://mcp.example.com/sse --header 'Authorization: Bearer x'",
    ),
    (
        "npx -y @smithery/cli@latest run @x/y --config '{\"a\":\"b\"}'",
        "npm:@smithery/cli@latest run @x/y --config '{\"a\":\"b\"}'",
    ),
    ("npx -y @azure/mcp@latest server start", "npm:@azure/mcp@latest server start"),
    (
        "npx -y figma-developer-mcp --figma-api-key=K --stdio",
        "npm:figma-developer-mcp@latest --figma-api-key=K --stdio",
    ),
    ("npx -y pkg@latest -- --flag", "npm:pkg@latest -- --flag"),
    ("npx -y -- pkg --flag", "npm:pkg@latest --flag"),
    ("npx --yes pkg@^1.2 -y", "'npm:pkg@^1.2' -y"),
    ("npx --yes=true -q pkg@~1", "'npm:pkg@~1'"),
    ("npx --yes --package=a b", "npx -y --package=a@latest -- b"),
    ("npx -y -p a@1 -p b@2 -- tool -x", "npx -y --package=a@1 --package=b@2 -- tool -x"),
    (
        "npx -y -p typescript -p mcp-foo mcp-foo --x",
        "npx -y --package=mcp-foo@latest --package=typescript@latest -- mcp-foo --x",
    ),
    ("npx -y -p @s/a@1 a", "npx -y --package=@s/a@1 -- a"),
    ("npx -y -p @s/a@1 -p @s/b @s/b z", "npx -y --package=@s/b@latest --package=@s/a@1 -- @s/b z"),
    ("npx -y -p @s/a @s/a z", "npm:@s/a@latest z"),
    ("npx -p a -p a tool", "npx -y --package=a@latest -- tool"),
    ("npx -pa tool", "npx -y --package=a@latest -- tool"),
    ("npx --package a@beta tool", "npx -y --package=a@beta -- tool"),
    ("npx --prefer-offline --loglevel silent pkg", "npm:pkg@latest"),
    ("npx --loglevel=error --no-install pkg 1", "npm:pkg@latest 1"),
    ("npx --ignore-existing JSONStream", "npm:JSONStream@latest"),
    (
        "npx -y --node-options=--max-old-space-size=512 pkg a",
        "npx -y --node-options=--max-old-space-size=512 pkg@latest a",
    ),
    (
        "npx -y --node-options '--no-warnings --use-openssl-ca' pkg",
        "npx -y '--node-options=--no-warnings --use-openssl-ca' pkg@latest",
    ),
    ("/usr/local/bin/npx -y pkg", "npm:pkg@latest"),
    ("/home/me/.nvm/versions/node/v20.1.0/bin/npx -y pkg@1", "npm:pkg@1"),
    ("/usr/bin/env npx -y pkg", "npm:pkg@latest"),
    ("env -- npx -y pkg", "npm:pkg@latest"),
    ("/usr/bin/env -S 'npx -y' pkg z", "npm:pkg@latest z"),
    ("node /usr/lib/node_modules/npm/bin/npx-cli.js -y pkg", "npm:pkg@latest"),
    ("sh -c 'npx -y pkg arg'", "npm:pkg@latest arg"),
    ("bash -lc 'exec uvx x'", "pypi:x"),
    ("/bin/zsh -l -c 'npx  -y\tpkg'", "npm:pkg@latest"),
    ("env sh -c 'env npx pkg'", "npm:pkg@latest"),
    ("corepack pnpm dlx pkg", "npm:pkg@latest"),
    ("npx -y pkg ''", "npm:pkg@latest ''"),
    ("npx -y pkg '$HOME;rm -rf /'", "npm:pkg@latest '$HOME;rm -rf /'"),
    // npm exec
    ("npm exec pkg", "npm:pkg@latest"),
    ("npm exec --yes -- pkg", "npm:pkg@latest"),
    ("npm exec --yes -- @s/pkg@1 --flag", "npm:@s/pkg@1 --flag"),
    ("npm exec pkg -- --flag a", "npm:pkg@latest --flag a"),
    ("npm exec pkg a b --yes", "npm:pkg@latest a b"),
    ("npm x -y pkg", "npm:pkg@latest"),
    ("npm --yes exec --package=a -- b c", "npx -y --package=a@latest -- b c"),
    ("npm exec -- pkg -- x", "npm:pkg@latest -- x"),
    // the others of npm's world
    ("bunx pkg", "npm:pkg@latest"),
    ("bunx --bun x", "npm:x@latest"),
    ("bunx -y @s/x@2 --port 1", "npm:@s/x@2 --port 1"),
    ("bunx --package=a b", "npx -y --package=a@latest -- b"),
    ("bunx -p @s/a a", "npx -y --package=@s/a@latest -- a"),
    ("bun x pkg@1", "npm:pkg@1"),
    ("bun x --bun pkg arg", "npm:pkg@latest arg"),
    ("/home/me/.bun/bin/bunx pkg", "npm:pkg@latest"),
    ("pnpm dlx pkg", "npm:pkg@latest"),
    ("pnpm dlx @s/pkg@next --x", "npm:@s/pkg@next --x"),
    ("pnpm --package=a dlx b", "npx -y --package=a@latest -- b"),
    ("pnpm --package=a --silent dlx --package b tool", "npx -y --package=a@latest --package=b@latest -- tool"),
    ("pnpx pkg", "npm:pkg@latest"),
    ("yarn dlx pkg", "npm:pkg@latest"),
    ("yarn dlx -q -p a b", "npx -y --package=a@latest -- b"),
    // written out
    ("npm:@s/p@^1", "'npm:@s/p@^1'"),
    ("npm:p", "npm:p@latest"),
    ("npm:p@>=1.2 a -- b", "'npm:p@>=1.2' a -- b"),
    ("pypi:p[x]>=1", "'pypi:p[x]>=1'"),
    ("pypi:p", "pypi:p"),
    ("pypi:p==1.0 --a", "pypi:p==1.0 --a"),
    ("pypi:p@1.0", "pypi:p==1.0"),
    ("'pypi:p[b, a] >= 1, < 2'", "'pypi:p[a,b]>=1,<2'"),
    // uvx
    ("uvx mcp-server-git --repository /r", "pypi:mcp-server-git --repository /r"),
    ("uvx mcp-server-time --local-timezone=Europe/Zurich", "pypi:mcp-server-time --local-timezone=Europe/Zurich"),
    ("uvx pkg@1.2", "pypi:pkg==1.2"),
    ("uvx pkg@latest --x", "pypi:pkg --x"),
    ("uvx pkg==1.2.3", "pypi:pkg==1.2.3"),
    ("uvx 'pkg[extra]'", "'pypi:pkg[extra]'"),
    ("uvx 'pkg[extra]@1.0' a", "'pypi:pkg[extra]==1.0' a"),
    ("uvx --from 'pkg[extra]==1.0' script a b", "uvx '--from=pkg[extra]==1.0' script a b"),
    (
        "uvx --from mcp-server-fetch==2026.10.24 mcp-server-fetch --x",
        "uvx --from=mcp-server-fetch==2026.10.24 mcp-server-fetch --x",
    ),
    ("uvx --from=pkg@1 script", "uvx --from=pkg==1 script"),
    ("uvx --from pkg -- script -- z", "uvx --from=pkg script -- z"),
    ("uvx --with httpx --with 'b[z]>=1,<2, c' pkg", "uvx --with=httpx '--with=b[z]>=1,<2' --with=c pkg"),
    ("uvx -w a pkg@3", "uvx --with=a pkg==3"),
    ("uvx --python 3.12 pkg", "uvx --python=3.12 pkg"),
    ("uvx -p 3.11 pkg", "uvx --python=3.11 pkg"),
    ("uvx -p3.11 pkg", "uvx --python=3.11 pkg"),
    ("uvx --python=>=3.11 pkg", "uvx '--python=>=3.11' pkg"),
    ("uvx --python ./venv/bin/python pkg", "uvx --python=/work/dir/venv/bin/python pkg"),
    ("uvx -q --isolated --no-cache pkg", "pypi:pkg"),
    ("uvx --refresh --no-progress --cache-dir /tmp/c pkg", "pypi:pkg"),
    ("uvx --link-mode=copy --python-preference only-system pkg", "pypi:pkg"),
    ("uvx --from pkg python -m pkg.server --stdio", "uvx --from=pkg python -m pkg.server --stdio"),
    ("uvx --with mcp-foo python -m mcp_foo", "uvx --from=mcp-foo python -m mcp_foo"),
    ("uvx --with a --with b python3 -m a.b", "uvx --with=b --from=a python -m a.b"),
    ("uvx awslabs.aws-documentation-mcp-server@latest", "pypi:awslabs.aws-documentation-mcp-server"),
    ("uvx --from git_like_name tool", "uvx --from=git_like_name tool"),
    ("uv tool run pkg a", "pypi:pkg a"),
    ("uv tool run --from pkg script", "uvx --from=pkg script"),
    ("uv --quiet tool run -p 3.12 pkg", "uvx --python=3.12 pkg"),
    ("/home/me/.local/bin/uvx pkg", "pypi:pkg"),
    ("/opt/homebrew/bin/uv tool run pkg", "pypi:pkg"),
    ("uvx Flask@2", "pypi:Flask==2"),
    ("uvx markitdown-mcp@0.0.1a7", "pypi:markitdown-mcp==0.0.1a7"),
    // pipx
    ("pipx run pkg -v", "pypi:pkg -v"),
    ("pipx run pkg==1.2", "pypi:pkg==1.2"),
    ("pipx run --spec p==1 p", "uvx --from=p==1 p"),
    ("pipx run --python python3.11 --no-cache --spec 'p[x]' q z", "uvx --python=python3.11 '--from=p[x]' q z"),
    ("python3 -m pipx run pkg", "pypi:pkg"),
    ("python -m uv tool run pkg", "pypi:pkg"),
    // python -m
    ("python3 -m mod --flag", "python3 -m mod --flag"),
    ("python -m mcp_server_git --repository /r", "python -m mcp_server_git --repository /r"),
    ("python3.12 -u -m a.b.c x", "python3.12 -m a.b.c x"),
    ("python3 -BIum mod", "python3 -m mod"),
    ("python3 -mmod x", "python3 -m mod x"),
    ("/srv/venv/bin/python -m mod", "/srv/venv/bin/python -m mod"),
    (".venv/bin/python -m mod", "/work/dir/.venv/bin/python -m mod"),
    ("pypy3 -m mod", "pypy3 -m mod"),
    // local code
    ("node dist/index.js --port 1", "node /work/dir/dist/index.js --port 1"),
    ("node ./dist/../index.js", "node /work/dir/dist/../index.js"),
    ("node /abs/index.js ./data", "node /abs/index.js ./data"),
    ("node --no-warnings index.js", "node --no-warnings /work/dir/index.js"),
    ("node --env-file=.env -r ./a.js x.js", "node --env-file=/work/dir/.env -r /work/dir/a.js /work/dir/x.js"),
    ("node .", "node /work/dir"),
    ("/usr/bin/env node server.js", "node /work/dir/server.js"),
    ("env -S 'node --no-warnings' server.js", "node --no-warnings /work/dir/server.js"),
    ("python server.py --x", "python /work/dir/server.py --x"),
    ("python3 -u server.py", "python3 -u /work/dir/server.py"),
    ("python3 -X utf8 server.py", "python3 -X utf8 /work/dir/server.py"),
    ("/srv/venv/bin/mcp-server-git --repository .", "/srv/venv/bin/mcp-server-git --repository ."),
    ("./target/release/server", "/work/dir/target/release/server"),
    ("rust-mcp-filesystem -w /data", "rust-mcp-filesystem -w /data"),
    ("github-mcp-server stdio", "github-mcp-server stdio"),
    ("bun server.ts", "bun /work/dir/server.ts"),
    ("bun run ./server.ts a", "bun run /work/dir/server.ts a"),
    ("bash start.sh a", "bash /work/dir/start.sh a"),
    ("java -jar server.jar", "java -jar /work/dir/server.jar"),
    ("dotnet server.dll x", "dotnet /work/dir/server.dll x"),
];

/// Each line, a piece of the reason, and a piece of what to type instead.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "no command", "npx -y PACKAGE"),
    ("''", "no command", "npx -y PACKAGE"),
    ("npx", "names no package", "npx -y PACKAGE"),
    ("npx -y", "names no package", "npx -y PACKAGE"),
    ("npx -p a", "names no package to run", "--package a -- PROGRAM"),
    ("npx -p", "has no value", "-p VALUE"),
    ("npx -c 'a && b'", "line of shell", "--package PACKAGE -- PROGRAM"),
    ("npx --registry https://r pkg", "configuration", "~/.npmrc"),
    ("npx --registry=https://r pkg", "configuration", "~/.npmrc"),
    ("npx --offline pkg", "said to mcpjail", "mcpjail add --offline"),
    ("npx -w packages/a pkg", "project on this machine", "node PATH"),
    ("npx --frobnicate pkg", "`--frobnicate` is no option", "npx PACKAGE --frobnicate"),
    ("npx --version", "about itself", "npx -y PACKAGE"),
    ("npx github:user/repo", "no hash pins", "clone"),
    ("npx user/repo", "no hash pins", "clone"),
    ("npx git+https://h/r.git", "no hash pins", "clone"),
    ("npx https://h/x.tgz", "no hash pins", "clone"),
    ("npx ./dir", "is a path", "node ./dir"),
    ("npx -y /abs/dir", "is a path", "node /abs/dir"),
    ("npx file:../x", "is a path", "node ../x"),
    ("npx x@npm:y@1", "alias", "npx -y y@1"),
    ("npx 'pkg@1 || 2'", "no version", "pkg@^1.2"),
    ("npx pkg@--registry=x", "no version", "pkg@latest"),
    ("npx pkg@1.tgz", "no version", "pkg@1.2.3"),
    ("npx pkg.tgz", "no name", "@scope/server"),
    ("npx -p a@1 -p a@2 t", "asked for twice", "--package a@2"),
    ("npx -p a ../evil", "no name of a program", "--package PACKAGE -- PROGRAM"),
    ("npx -p a -- -rf", "no name of a program", "--package PACKAGE -- PROGRAM"),
    ("npx --node-options=--require=/tmp/x.js pkg", "no option of `node`", "--max-old-space-size"),
    ("npx --node-options='--import x' pkg", "no option of `node`", "--max-old-space-size"),
    ("npx --node-options=--experimental-loader=x pkg", "no option of `node`", "--max-old-space-size"),
    ("npm start", "project on this machine", "node PATH/dist/index.js"),
    ("npm run build", "`npm run`", "node PATH/dist/index.js"),
    ("npm", "`npm` alone", "node PATH/dist/index.js"),
    ("npm exec pkg --port 1", "for an option of its own", "npm exec -- PACKAGE --port"),
    ("pnpm start", "`pnpm start`", "node PATH"),
    ("pnpm dlx -c 'a b'", "line of shell", "PROGRAM"),
    ("pnpm --allow-build=a dlx b", "allows an install script", "--allow-scripts"),
    ("yarn start", "`yarn start`", "node PATH"),
    ("bun run start", "`bun run start`", "node PATH"),
    ("uvx", "names no package", "uvx PACKAGE"),
    ("uvx --from pkg", "names no package to run", "--from pkg PROGRAM"),
    ("uvx --from git+https://h/r tool", "no hash pins", "uvx PACKAGE"),
    ("uvx git+https://h/r", "no hash pins", ".venv/bin/PROGRAM"),
    ("uvx 'pkg @ https://h/x.whl'", "no hash pins", "uvx PACKAGE"),
    ("uvx --from . tool", "is a path", ".venv/bin/PROGRAM"),
    ("uvx --from ./pkg tool", "is a path", ".venv/bin/PROGRAM"),
    ("uvx ./x.whl", "is a path", ".venv/bin/PROGRAM"),
    ("uvx 'pkg; python_version<\"3\"'", "markers", "`pkg`"),
    ("uvx --index-url https://i pkg", "configuration", "uv.toml"),
    ("uvx --default-index=https://i pkg", "configuration", "uv.toml"),
    ("uvx -i https://i pkg", "configuration", "uv.toml"),
    ("uvx --prerelease allow pkg", "what is resolved", "uv.toml"),
    ("uvx --with-requirements r.txt pkg", "files of this machine", ".venv"),
    ("uvx --env-file .env pkg", "sets variables", "--env VARIABLE"),
    ("uvx --no-binary pkg pkg", "building", "--allow-scripts"),
    ("uvx --offline pkg", "said to mcpjail", "mcpjail add --offline"),
    ("uvx pkg@>=1", "no version", "pkg==1.2.3"),
    ("uvx pkg==", "no version", "pkg==1.2.3"),
    ("uvx --with a --with A pkg", "asked for twice", "once"),
    ("uvx python -m x", "names no package", "--from PACKAGE python -m x"),
    ("uvx --from p python -c x", "no module", "python -m MODULE"),
    ("uvx --from p ../x", "no name of a program", "--from p PROGRAM"),
    ("uvx --python '' pkg", "no Python", "--python 3.12"),
    ("uvx --python -x pkg", "no Python", "--python 3.12"),
    ("uv run server.py", "at every start", "./.venv/bin/python ./server.py"),
    (
        "uv --directory /src/w run weather.py a",
        "at every start",
        "`uv sync --project /src/w`, `mcpjail add NAME -- /src/w/.venv/bin/python /src/w/weather.py a`",
    ),
    ("uv run --with 'mcp[cli]' --with x mcp run s.py", "at every start", "uvx --with x --from 'mcp[cli]' mcp run s.py"),
    ("uv pip install x", "only `uvx`", "uvx PACKAGE"),
    ("uv x pkg", "no command of uv", "uvx pkg"),
    ("pipx install x", "only `pipx run`", "pipx run PACKAGE"),
    ("pipx run --spec git+https://h/r t", "no hash pins", "uvx PACKAGE"),
    ("pipx run --pip-args=-v x", "configuration", "pip.conf"),
    ("pipx run https://h/x.py", "no hash pins", "uvx PACKAGE"),
    ("python3 -c 'import x'", "program's text", "python3 PATH"),
    ("python3 -X utf8 -m mod", "cannot be kept", "--env PYTHONUTF8=1"),
    ("python3 -m", "no name of a module", "python3 -m package.module"),
    ("python3 -m ../x", "no name of a module", "python3 -m package.module"),
    ("python3 -m pip install x", "installs packages", "uvx PACKAGE"),
    ("python3", "no file to run", "python3 PATH"),
    ("node", "no file to run", "node PATH"),
    ("node -e 1", "no file to run", "node PATH"),
    ("node ~/x.js", "only a shell knows", "without quotes"),
    ("~/.venv/bin/python -m x", "only a shell knows", "in full"),
    ("deno run -A npm:x@1 a", "modules when it starts", "mcpjail add NAME -- npm:x@1 a"),
    ("deno run server.ts", "modules when it starts", "deno compile --output server server.ts"),
    ("docker run -i --rm mcp/git", "an image", "uvx PACKAGE"),
    ("podman run x", "an image", "npx -y PACKAGE"),
    ("sudo -E npx -y pkg", "privileges", "mcpjail add NAME -- npx -y pkg"),
    ("cmd /c npx -y pkg", "Windows", "mcpjail add NAME -- npx -y pkg"),
    ("cmd.exe /C npx pkg", "Windows", "mcpjail add NAME -- npx pkg"),
    ("npx.cmd -y pkg", "Windows", "mcpjail add NAME -- npx -y pkg"),
    (r"C:\tools\uvx.exe pkg", "Windows", "mcpjail add NAME -- uvx pkg"),
    ("py -m mod", "Windows", "npx"),
    ("env A=B npx -y pkg", "variables", "mcpjail add NAME --env A=B -- npx -y pkg"),
    ("API_KEY=x 'B=y z' npx pkg", "variables", "--env API_KEY=x --env 'B=y z' -- npx pkg"),
    ("env -i npx pkg", "told `-i`", "leave `env` out"),
    ("env", "no program", "npx -y PACKAGE"),
    ("sh -c 'cd /x && npx pkg'", "more than plain words", "words apart"),
    ("sh -c 'npx \"a b\"'", "more than plain words", "words apart"),
    ("sh -c", "more than plain words", "words apart"),
    ("mcpjail run -- npx -y pkg", "jailed already", "mcpjail add NAME -- npx -y pkg"),
    ("poetry run server", "environment", ".venv/bin/PROGRAM"),
    ("conda run -n x server", "environment", ".venv/bin/PROGRAM"),
    ("cargo run --release", "builds", "PATH/PROGRAM"),
    ("go run .", "builds", "PATH/PROGRAM"),
    ("dotnet run", "builds", "PATH/PROGRAM"),
    ("nix run nixpkgs#x", "builds", "PATH/PROGRAM"),
    ("timeout 5 npx pkg", "around the server's command", "npx"),
    ("mise exec -- npx -y pkg", "chooses a version", "mcpjail add NAME -- npx -y pkg"),
    ("snap run x", "confines", "PATH"),
    ("https://mcp.example.com/sse", "an address", "runs elsewhere"),
    ("@modelcontextprotocol/server-git", "a package's name", "npx -y @modelcontextprotocol/server-git"),
    ("@s/x@1.2", "a package's name", "npx -y @s/x@1.2"),
    ("jsr:@s/x", "JSR", "npm:@s/x"),
    ("-y pkg", "is an option", "npx -y PACKAGE"),
    ("npm:", "no name", "PACKAGE"),
    ("npm:a/b", "no hash pins", "clone"),
    ("pypi:", "no name", "uvx PACKAGE"),
    ("pypi:./x", "is a path", ".venv"),
    ("env env env env env npx x", "four deep", "last one alone"),
];

#[test]
fn lines_are_read() {
    for (line, spelt) in READ {
        let request = read_line(line).unwrap_or_else(|error| panic!("{line}: {error} ({:?})", error.hint()));
        assert_eq!(request.to_string(), *spelt, "{line}");
        // What was spelt is read as the same, and so is what a record holds.
        let again: Vec<OsString> = request.words().iter().map(OsString::from).collect();
        assert_eq!(read(&again, Path::new("/elsewhere")).unwrap(), request, "{line}");
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{line}");
    }
    assert!(READ.len() >= 120, "{}", READ.len());
}

#[test]
fn others_are_refused_with_what_to_type() {
    for (line, reason, hint) in REFUSED {
        let Err(error) = read_line(line) else { panic!("{line} was read as {}", read_line(line).unwrap()) };
        assert_eq!(error.code(), "package-line");
        let PackageError::Line { reason: said, hint: typed, .. } = &error else { panic!("{error:?}") };
        assert!(said.contains(reason), "{line}: {said}");
        assert!(typed.contains(hint), "{line}: {typed}");
    }
}

#[test]
fn parts_of_a_request_are_told_apart() {
    let spec = |name: &str, version: &str| NpmSpec { name: name.into(), version: version.into() };
    assert_eq!(
        read_line("npx -y -p @a/x@1 --node-options=--no-warnings -p y -- tool -p z").unwrap(),
        Request::Npm(NpmRequest {
            packages: vec![spec("@a/x", "1"), spec("y", "latest")],
            bin: Some("tool".into()),
            node_options: vec!["--no-warnings".into()],
            args: vec!["-p".into(), "z".into()],
        })
    );
    assert_eq!(
        read_line("uvx --python 3.12 --with a --from 'B[q,e]>=1' tool x").unwrap(),
        Request::Pypi(PypiRequest {
            main: PypiSpec { name: "B".into(), extras: vec!["e".into(), "q".into()], version: ">=1".into() },
            with: vec![PypiSpec { name: "a".into(), ..PypiSpec::default() }],
            run: PypiRun::Script(Some("tool".into())),
            python: Some("3.12".into()),
            args: vec!["x".into()],
        })
    );
    assert_eq!(
        read_line("python3 -m mod").unwrap(),
        Request::Pypi(PypiRequest {
            main: PypiSpec::default(),
            with: Vec::new(),
            run: PypiRun::Module("mod".into()),
            python: Some("python3".into()),
            args: Vec::new(),
        })
    );
    assert_eq!(
        read_line("./x y").unwrap(),
        Request::Local(LocalRequest { command: vec!["/work/dir/x".into(), "y".into()] })
    );
}

#[test]
fn words_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let word = OsString::from_vec(b"/x\xff\x1b[2J".to_vec());
    let error = read(&["npx".into(), "pkg".into(), word], Path::new("/")).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    assert!(!error.to_string().contains('\u{1b}'));
    let error = read(&["npx".into(), "a\u{1b}[2J\n".into()], Path::new("/")).unwrap_err();
    assert!(!error.to_string().contains(char::is_control), "{error}");
    let error = read(&["x".repeat(10_000).into(), "~".into()], Path::new("/"));
    assert!(error.is_ok());
    let error = read(&[format!("-{}", "x".repeat(10_000)).into()], Path::new("/")).unwrap_err();
    assert!(error.to_string().chars().count() < 500);
}

#[test]
fn another_version_of_the_same() {
    let spelt = |line: &str, version: &str| {
        with_version(&read_line(line).unwrap(), version)
            .map(|request| request.to_string())
            .map_err(|error| error.to_string())
    };
    assert_eq!(spelt("npx @a/b@1 x", "2.0.0"), Ok("npm:@a/b@2.0.0 x".into()));
    assert_eq!(spelt("npx -p a@1 -p b@1 a", "latest"), Ok("npx -y --package=a@latest --package=b@1 -- a".into()));
    assert_eq!(spelt("uvx 'a[x]==1' y", "2"), Ok("'pypi:a[x]==2' y".into()));
    assert_eq!(spelt("uvx a==1", ">=2,<3"), Ok("'pypi:a>=2,<3'".into()));
    assert_eq!(spelt("uvx a==1", "latest"), Ok("pypi:a".into()));
    for (line, version) in [
        ("npx a", "../x"),
        ("npx a", ""),
        ("npx a", "npm:b"),
        ("uvx a", "x y"),
        ("uvx a", "@ https://h"),
        ("./x", "1"),
        ("python3 -m a", "1"),
    ] {
        assert!(spelt(line, version).is_err(), "{line} {version}");
    }
}

#[test]
fn servers_are_named_by_their_packages() {
    for (line, name) in [
        ("npx @modelcontextprotocol/server-filesystem", "filesystem"),
        ("npx @modelcontextprotocol/server-sequential-thinking", "sequential-thinking"),
        ("npx @playwright/mcp@latest", "playwright"),
        ("npx firecrawl-mcp", "firecrawl"),
        ("npx @brave/brave-search-mcp-server", "brave-search"),
        ("npx mcp-server-kubernetes", "kubernetes"),
        ("npx -p a -p mcp-b mcp-b", "b"),
        ("npx mcp", "server"),
        ("npx @Acme/MCP_Server", "acme"),
        ("uvx mcp-server-git", "git"),
        ("uvx awslabs.aws-documentation-mcp-server", "awslabs-aws-documentation"),
        ("uvx --from 'mcp_server_time[x]' y", "time"),
        ("python3 -m mcp_server_fetch.main", "fetch"),
        ("node /srv/weather-server.js x", "weather"),
        ("./Target", "target"),
        ("rust-mcp-filesystem", "rust-filesystem"),
    ] {
        assert_eq!(server_name(&read_line(line).unwrap()), name, "{line}");
    }
}

fn npm_names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}", "@[a-z0-9-]{1,8}/[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}"]
        .prop_filter("a name", |name| is_npm_name(name))
}

fn npm_specs() -> impl Strategy<Value = NpmSpec> {
    let versions =
        prop_oneof!["[~^]?[0-9]{1,3}(\\.[0-9]{1,3}){0,2}", "[a-z]{1,8}", ">=[0-9]", "[0-9]\\.[0-9]\\.[0-9]-rc\\.[0-9]"];
    (npm_names(), versions).prop_map(|(name, version)| NpmSpec { name, version })
}

fn npm_requests() -> impl Strategy<Value = Request> {
    let bins = proptest::option::of("[a-z][a-z0-9._-]{0,12}");
    let options = proptest::collection::vec("--(no-warnings|max-old-space-size=[0-9]{1,5}|use-openssl-ca)", 0..3);
    let args = proptest::collection::vec(any::<String>(), 0..5);
    (proptest::collection::vec(npm_specs(), 1..4), bins, options, args).prop_map(
        |(mut packages, bin, node_options, args)| {
            packages.dedup_by(|a, b| a.name == b.name);
            let mut seen = Vec::new();
            packages.retain(|spec| {
                !seen.contains(&spec.name) && {
                    seen.push(spec.name.clone());
                    true
                }
            });
            // Without a program's name, npx runs one package; with one, the package of that name is the server's.
            if bin.is_none() {
                packages.truncate(1);
            }
            let main = packages.iter().position(|spec| Some(spec.name.rsplit('/').next().unwrap()) == bin.as_deref());
            if let Some(main) = main {
                let spec = packages.remove(main);
                packages.insert(0, spec);
            }
            Request::Npm(NpmRequest { packages, bin, node_options, args })
        },
    )
}

fn python_specs() -> impl Strategy<Value = PypiSpec> {
    let versions =
        prop_oneof![Just(String::new()), "==[0-9]{1,4}(\\.[0-9]{1,2}){0,2}", ">=[0-9],<[1-9][0-9]", "~=[0-9]\\.[0-9]"];
    let extras = proptest::collection::btree_set("[a-z][a-z0-9-]{0,5}[a-z0-9]", 0..3);
    let names = "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,20}[a-zA-Z0-9])?"
        .prop_filter("a name", |name| is_python_name(name) && !python::is_python(name));
    (names, extras, versions).prop_map(|(name, extras, version)| PypiSpec {
        name,
        extras: extras.into_iter().collect(),
        version,
    })
}

fn python_requests() -> impl Strategy<Value = Request> {
    let run = prop_oneof![
        Just(PypiRun::Script(None)),
        "[a-z][a-z0-9._-]{0,12}"
            .prop_filter("no Python", |name| !python::is_python(name))
            .prop_map(|name| PypiRun::Script(Some(name))),
        "[a-z][a-z0-9_]{0,8}(\\.[a-z_]{1,8}){0,2}".prop_map(PypiRun::Module),
    ];
    let python = proptest::option::of(prop_oneof!["3\\.[0-9]{1,2}", "/[a-z]{1,5}/python3"]);
    let args = proptest::collection::vec(any::<String>(), 0..5);
    (python_specs(), proptest::collection::vec(python_specs(), 0..3), run, python, args).prop_map(
        |(main, mut with, run, python, args)| {
            let mut seen = vec![python_key(&main.name)];
            with.retain(|spec| {
                let key = python_key(&spec.name);
                !seen.contains(&key) && {
                    seen.push(key);
                    true
                }
            });
            Request::Pypi(PypiRequest { main, with, run, python, args })
        },
    )
}

proptest! {
    #[test]
    fn no_line_panics(line in proptest::collection::vec(any::<String>(), 0..6)) {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        let _ = read(&words, Path::new("/w"));
    }

    #[test]
    fn no_line_of_a_runner_panics_and_what_is_read_is_spelt(
        runner in proptest::sample::select(vec!["npx", "npm", "bunx", "pnpm", "uvx", "uv", "pipx", "python3", "env", "sh", "node", "deno"]),
        line in proptest::collection::vec(prop_oneof![
            proptest::sample::select(vec!["-y", "--", "-p", "--package=a", "exec", "dlx", "tool", "run", "-m", "-c", "--from", "--with", "a", "@s/a@1",
                "a==1", "a[b]@2", "-u", "x.py", "./x", "--python", "3.12", "-S", "A=B", "npx -y a", "python", "@", "-", "--=", "=", "a,b", "--node-options"])
                .prop_map(str::to_owned),
            "\\PC{0,6}",
        ], 0..6),
    ) {
        let words: Vec<OsString> = std::iter::once(runner.to_owned()).chain(line).map(OsString::from).collect();
        if let Ok(request) = read(&words, Path::new("/w")) {
            let again: Vec<OsString> = request.words().iter().map(OsString::from).collect();
            prop_assert_eq!(read(&again, Path::new("/w")).unwrap(), request);
        }
    }

    #[test]
    fn what_is_spelt_is_read_again(request in prop_oneof![npm_requests(), python_requests()]) {
        let words: Vec<OsString> = request.words().iter().map(OsString::from).collect();
        let again = read(&words, Path::new("/w")).map_err(|error| TestCaseError::fail(format!("{error} {:?}", error.hint())))?;
        prop_assert_eq!(again, request);
    }

    #[test]
    fn no_word_of_an_installer_is_an_option_a_path_or_an_address(text in "\\PC{0,30}") {
        if let Ok(spec) = names::npm_spec(&text) {
            prop_assert!(!spec.name.starts_with(['-', '.', '/', '~']) && !spec.version.starts_with(['-', '.', '/']));
            prop_assert!(!spec.version.contains(['/', ':', ' ']) && !spec.name.contains([':', ' ']));
        }
        if let Ok(spec) = names::python_spec(&text) {
            let spelt = spec.to_string();
            prop_assert!(!spelt.starts_with(['-', '.', '/', '~']) && !spelt.contains(['/', ':', ' ', '@', ';', '\\']));
        }
    }
}
