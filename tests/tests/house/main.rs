//! The house: which room of a crate may use which. `Cargo.toml` says it between crates; this says it within them.
//!
//! For each crate a row of groups, from the left to the right: a room uses rooms of groups to its left, and no other of its
//! own group. A room is a module below the crate's root, with all below it. Between files there are no circles.

mod circles;
mod source;

use std::{collections::BTreeSet, path::Path};

use circles::circles;
use source::Source;

/// A crate with the order of its rooms.
struct House {
    folder: &'static str,
    /// Groups of rooms, from the left to the right.
    rooms: &'static [&'static [&'static str]],
    /// Uses against the order that are known, as `room → room`. To be emptied, not to be filled.
    against: &'static [&'static str],
    /// Circles that are known, as their files. To be emptied, not to be filled.
    circles: &'static [&'static [&'static str]],
}

const HOUSES: &[House] = &[
    House {
        folder: "proto/common/src",
        rooms: &[&["chain", "clock", "config_file", "host", "stream", "tls", "trace", "unit"]],
        against: &[],
        circles: &[],
    },
    House {
        folder: "coordinator/core/src",
        rooms: &[
            &["drain", "exit", "facts", "helmfile", "rebalance", "schedule", "seconds", "target", "text"],
            &["nodeset"],
            &["event", "problem", "staging", "versions"],
            &["site"],
            &["draft", "request"],
            &["plan", "rights"],
            &["doctor", "operation"],
        ],
        against: &[],
        circles: &[],
    },
    House {
        folder: "coordinator/src",
        rooms: &[
            &["agents", "exec", "files", "interrupt"],
            &["certificates", "cluster", "rotation"],
            &["drain", "workloads"],
            &["rebalance"],
            &["problem", "site_file", "world"],
            &["wait"],
            &["helmfile", "left_behind", "output", "switch", "tasks"],
            &["show", "steps"],
            &["runner"],
            &["operation"],
            &["report", "story"],
            &["metrics", "report_page", "traces"],
            &["progress"],
            &["cli"],
            &["commands"],
        ],
        against: &[],
        circles: &[],
    },
    House {
        folder: "agent/src",
        rooms: &[
            &["arguments", "binary", "certificate", "counters", "disk", "host", "logging", "refusal", "sockets"],
            &["access", "caller"],
            &["audit", "config"],
            &["door", "machine"],
            &["check", "local", "operations"],
            &["metrics", "notify", "reexec", "service"],
            &["agent", "wait"],
        ],
        against: &[],
        circles: &[],
    },
    House {
        folder: "tests/src",
        rooms: &[
            &["hexadecimal"],
            &["apiserver", "bin", "docs", "pki", "systemd"],
            &["etcd"],
            &["bed", "rig", "sandbox", "stub_agents"],
            &["sim"],
        ],
        against: &[],
        circles: &[],
    },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn every_room_uses_only_rooms_to_its_left() {
    let mut problems = Vec::new();
    for house in HOUSES {
        let place = |room: &str| house.rooms.iter().position(|group| group.contains(&room));
        let mut against = BTreeSet::new();
        let edges = Source::read(&root().join(house.folder)).edges();
        for room in house.rooms.iter().copied().flatten() {
            if !edges.keys().any(|file| file.first().is_some_and(|first| first == room)) {
                problems.push(format!("{}: there is no {room}, strike it off", house.folder));
            }
        }
        for (file, used) in edges {
            let Some(room) = file.first() else { continue };
            if place(room).is_none() {
                problems.push(format!("{}: {room} has no place in the order", house.folder));
            }
            for other in used.iter().filter_map(|used| used.first()).filter(|other| *other != room) {
                if place(other) >= place(room) {
                    against.insert(format!("{room} → {other}"));
                }
            }
        }
        let known: BTreeSet<_> = house.against.iter().map(|&it| it.to_owned()).collect();
        problems.extend(against.difference(&known).map(|it| format!("{}: {it} is against the order", house.folder)));
        problems.extend(known.difference(&against).map(|it| format!("{}: {it} is gone, strike it off", house.folder)));
    }
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn no_files_of_a_crate_use_one_another_in_a_circle() {
    let mut problems = Vec::new();
    for house in HOUSES {
        let found = circles(&Source::read(&root().join(house.folder)).edges());
        let known: Vec<Vec<String>> =
            house.circles.iter().map(|circle| circle.iter().map(|&it| it.to_owned()).collect()).collect();
        for circle in found.iter().filter(|circle| !known.contains(circle)) {
            problems.push(format!("{}: {circle:?} use one another", house.folder));
        }
        for circle in known.iter().filter(|circle| !found.contains(circle)) {
            problems.push(format!("{}: {circle:?} is gone, strike it off", house.folder));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The test of this test: what it must not miss.
#[test]
fn a_circle_is_found_through_re_exports_use_trees_and_paths_in_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("room")).unwrap();
    file("lib.rs", "pub mod room;\nmod leaf;\n");
    file("leaf.rs", "// use crate::room::One;\npub struct Leaf;\n");
    file("room.rs", "mod one;\nmod two;\npub use self::one::One;\npub use two::{Two};\n");
    file(
        "room/one.rs",
        "use super::{\n    Two as Other,\n};\nuse crate::leaf::{self, Leaf};\npub struct One(Other);\n",
    );
    file("room/two.rs", "pub struct Two;\nfn one() { super::One::new() }\n#[cfg(test)]\nmod tests {\n}\n");
    let edges = Source::read(folder.path()).edges();
    assert_eq!(circles(&edges), [["room::one", "room::two"]]);
    let one = &edges[&["room".to_owned(), "one".to_owned()][..]];
    assert_eq!(one.iter().map(|used| used.join("::")).collect::<Vec<_>>(), ["leaf", "room::two"]);
    assert!(edges[&["leaf".to_owned()][..]].is_empty(), "a comment uses nothing");
}
