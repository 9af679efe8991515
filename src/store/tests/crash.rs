//! Killed at any moment: the store is valid, and a name is whole or absent.

use super::*;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WHERE: &str = "MCPJAIL_TEST_STORE_CRASH";

/// How often a process is killed.
const KILLS: u64 = 60;

fn profile(store: &Store, name: &str) -> PathBuf {
    store.data_dir.join("config").join(format!("{name}.toml"))
}

fn approved(store: &Store, name: &str) -> PathBuf {
    store.data_dir.join("config").join(format!("{name}.lock.json"))
}

fn is_server(store: &Store) -> impl Fn(&str) -> bool {
    |name| profile(store, name).exists()
}

/// Adds, updates, removes and collects until it is killed.
#[test]
#[ignore = "the process that a test of this file kills"]
fn works_until_it_is_killed() {
    let Ok(dir) = std::env::var(WHERE) else { return };
    let store = Store::new(Path::new(&dir));
    let mut turn = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos() % 40;
    loop {
        turn += 1;
        let name = format!("server-{}", turn % 3);
        // Another process may have it.
        let Ok(claim) = store.claim(&name) else { continue };
        let stage = stage(&store, &format!("version-{}", turn % 5));
        for number in 0..40 {
            fs::write(stage.root().join(format!("file-{number}")), format!("{} {number}", turn % 5)).unwrap();
        }
        let kept = store.keep(stage, &installed(&name)).unwrap();
        let before = store.installed(&name).unwrap().map(|record| record.tree);
        let text = serde_json::to_string(&record(&name, kept.tree, before)).unwrap();
        let changes = [
            (approved(&store, &name), kept.tree.hex()),
            (store.record_path(&name), text),
            (profile(&store, &name), kept.tree.hex()),
        ];
        let mut changes: Vec<Change> = changes.into_iter().map(|(path, text)| Change::Write { path, text }).collect();
        if turn.is_multiple_of(7) {
            changes = [approved(&store, &name), store.record_path(&name), profile(&store, &name)]
                .into_iter()
                .map(|path| Change::Remove { path })
                .collect();
        }
        store.commit(&claim, &changes).unwrap();
        drop((claim, kept));
        if turn.is_multiple_of(4) {
            let _busy = store.collect(&is_server(&store), false);
        }
    }
}

/// Every tree that is there is right, and every name has all of its files or none.
fn check(store: &Store, seed: u64) {
    for tree in store.tree_addresses().unwrap() {
        if let Err(error) = store.verify(&tree, Depth::Quick).and_then(|_| store.verify(&tree, Depth::Deep)) {
            panic!("{error}, seed {seed}");
        }
    }
    for name in ["server-0", "server-1", "server-2"] {
        let files = match store.installed(name).unwrap() {
            Some(record) => {
                assert!(store.verify(&record.tree, Depth::Quick).is_ok(), "seed {seed}");
                assert!(store.describe(&record.tree).is_ok());
                Some(record.tree.hex())
            }
            None => None,
        };
        assert_eq!(fs::read_to_string(profile(store, name)).ok(), files, "seed {seed}");
        assert_eq!(fs::read_to_string(approved(store, name)).ok(), files, "seed {seed}");
    }
}

#[test]
fn killed_at_random_moments() {
    let world = World::new();
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for kill in 0..KILLS {
        let spawn = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::tests::crash::works_until_it_is_killed", "--ignored", "--test-threads=1"])
                .env(WHERE, &world.store.data_dir)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut children: Vec<_> = (0..1 + kill % 2).map(|_| spawn()).collect();
        for child in &mut children {
            // xorshift
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            std::thread::sleep(Duration::from_micros(seed % 150_000));
            assert!(child.try_wait().unwrap().is_none(), "it works until it is killed");
            child.kill().unwrap();
            let _killed = child.wait().unwrap();
        }
        check(&world.store, seed);
        if kill % 10 == 9 {
            let _freed = world.store.collect(&is_server(&world.store), false).unwrap();
            check(&world.store, seed);
            assert_eq!(fs::read_dir(world.store.stages()).unwrap().count(), 0);
        }
    }
    assert!(!world.store.tree_addresses().unwrap().is_empty(), "some of them came so far");
    // Without the servers nothing of them stays.
    let _freed = world.store.collect(&|_| false, false).unwrap();
    let left: Vec<String> = world.inventory().into_iter().filter(|path| !path.starts_with("config/")).collect();
    assert_eq!(left, Vec::<String>::new());
}
