//! Timelines: a reader of the trace-event format ("Trace Event Format", the JSON object form) that refuses whatever the format
//! does not have, and the sums of what it read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::{SMALL, estimate, here, ok, refused, wagesim};

/// A slice of a track, in cycles.
#[derive(Debug)]
struct Slice {
    track: String,
    name: String,
    category: String,
    args: Value,
}

#[derive(Debug, Default)]
struct Timeline {
    slices: Vec<Slice>,
    /// Loops begun and ended, and how deep they were inside one another.
    loops: usize,
    deepest: usize,
    /// Microseconds times value of each counter.
    counters: BTreeMap<String, f64>,
    complete: bool,
}

fn keys(event: &Value, wanted: &[&str]) {
    let found: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let unknown = found.iter().find(|key| !wanted.contains(key));
    assert!(unknown.is_none(), "{unknown:?} in {event}");
}

/// Reads a timeline, or panics at what is not of the format.
fn read(text: &str) -> Timeline {
    let whole: Value = serde_json::from_str(text).expect("one JSON value");
    keys(&whole, &["traceEvents", "displayTimeUnit", "otherData"]);
    assert!(["ms", "ns"].contains(&whole["displayTimeUnit"].as_str().unwrap()));
    let clock = whole["otherData"]["clock_mhz"].as_f64().unwrap();
    let mut read =
        Timeline { complete: whole["otherData"]["complete"].as_bool().unwrap(), ..Timeline::default() };
    let mut tracks: BTreeMap<u64, String> = BTreeMap::new();
    let mut ends: BTreeMap<String, f64> = BTreeMap::new();
    let mut open: BTreeMap<String, Vec<(f64, Value)>> = BTreeMap::new();
    let mut counting: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for event in whole["traceEvents"].as_array().unwrap() {
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key} of {event}")).to_owned();
        let number = |key: &str| {
            event[key].as_f64().filter(|n| *n >= 0.0).unwrap_or_else(|| panic!("{key} of {event}"))
        };
        assert_eq!(event["pid"], 1);
        let tid = event["tid"].as_u64();
        match text("ph").as_str() {
            "M" => {
                keys(event, &["ph", "pid", "tid", "name", "args"]);
                match text("name").as_str() {
                    "thread_name" => {
                        tracks.insert(tid.unwrap(), event["args"]["name"].as_str().unwrap().to_owned());
                    }
                    "thread_sort_index" => assert!(event["args"]["sort_index"].is_u64()),
                    "process_name" => assert!(event["args"]["name"].is_string()),
                    other => panic!("metadata {other}"),
                }
            }
            "B" => {
                keys(event, &["ph", "pid", "tid", "ts", "name", "cat", "args"]);
                let track = tracks[&tid.unwrap()].clone();
                let open = open.entry(track.clone()).or_default();
                let last =
                    ends.get(&track).copied().unwrap_or_default().max(open.last().map_or(0.0, |o| o.0));
                assert!(number("ts") >= last, "{track} goes back: {event}");
                read.loops += usize::from(text("cat") == "loop");
                open.push((number("ts"), event.clone()));
                read.deepest = read.deepest.max(open.len());
            }
            "E" => {
                keys(event, &["ph", "pid", "tid", "ts", "name"]);
                let track = tracks[&tid.unwrap()].clone();
                let (from, begun) =
                    open.get_mut(&track).and_then(Vec::pop).expect("an end of something begun");
                assert!(number("ts") >= from && begun["name"] == text("name"), "{event}");
                ends.insert(track.clone(), number("ts"));
                if begun["cat"] == "loop" {
                    continue;
                }
                // Microseconds and cycles say the same.
                let cycles = begun["args"]["cycles"].as_f64().unwrap();
                assert!(((number("ts") - from) * clock - cycles).abs() < 1e-3, "{begun}");
                let word = |key: &str| begun[key].as_str().unwrap().to_owned();
                let (name, category) = (word("name"), word("cat"));
                read.slices.push(Slice { track, name, category, args: begun["args"].clone() });
            }
            "C" => {
                keys(event, &["ph", "pid", "ts", "name", "args"]);
                let args = event["args"].as_object().unwrap();
                let value = args.values().next().and_then(Value::as_f64).filter(|_| args.len() == 1).unwrap();
                let (at, before) = counting.get(&text("name")).copied().unwrap_or_default();
                assert!(number("ts") >= at, "{event}");
                *read.counters.entry(text("name")).or_default() += (number("ts") - at) * before;
                counting.insert(text("name"), (number("ts"), value));
            }
            other => panic!("event {other}"),
        }
    }
    assert!(!read.complete || open.values().all(Vec::is_empty), "all that begins ends");
    assert!(
        counting.values().all(|&(_, value)| value == 0.0) || !read.complete,
        "every counter ends at zero"
    );
    read
}

impl Timeline {
    fn sum(&self, key: &str, of: impl Fn(&Slice) -> bool) -> u64 {
        self.slices.iter().filter(|slice| of(slice)).map(|slice| slice.args[key].as_u64().unwrap_or(0)).sum()
    }
}

#[test]
fn the_sums_of_a_timeline_are_the_report_s() {
    let dir = tempfile::tempdir().unwrap();
    let report = estimate(dir.path());
    ok(dir.path(), &[&["trace", "--timeline", "t.json"][..], &SMALL].concat());
    let timeline = read(&std::fs::read_to_string(dir.path().join("t.json")).unwrap());
    assert!(timeline.complete);
    for (unit, cycles) in report["totals"]["units"].as_object().unwrap() {
        let on_unit = |slice: &Slice| slice.track == *unit;
        let busy = timeline.sum("cycles", |slice| on_unit(slice) && slice.category != "wait");
        assert_eq!(busy, cycles["busy"].as_u64().unwrap(), "{unit}");
        for (cause, waited) in cycles["waits"].as_object().unwrap() {
            let seen = timeline.sum("cycles", |slice| on_unit(slice) && slice.args["cause"] == *cause);
            assert_eq!(seen, waited.as_u64().unwrap(), "{unit} {cause}");
        }
        let all = timeline.sum("cycles", on_unit);
        assert_eq!(all, report["totals"]["cycles"].as_u64().unwrap(), "{unit}");
    }
    for part in report["phases"].as_array().unwrap() {
        let cycles = timeline.sum("cycles", |s| s.track == "phase" && s.args["phase"] == part["phase"]);
        assert_eq!(cycles, part["cycles"].as_u64().unwrap(), "{part}");
    }
    let totals = &report["totals"];
    for (unit, bytes) in [("load", "dram_read_bytes"), ("store", "dram_written_bytes")] {
        let moved = timeline.sum("dram_bytes", |slice| slice.track == unit);
        assert_eq!(moved, totals[bytes].as_u64().unwrap());
        let name = if unit == "load" { "DRAM, bytes/cycle: read" } else { "DRAM, bytes/cycle: written" };
        // A counter's area: bytes a cycle over cycles of 2 ns.
        #[expect(clippy::cast_precision_loss, reason = "a sum to compare within a thousandth")]
        let (area, bytes) = (timeline.counters[name] * 500.0, moved as f64);
        assert!((area / bytes - 1.0).abs() < 1e-3, "{unit}: {area} of {bytes}");
    }
    assert_eq!(timeline.sum("products", |_| true), totals["products"].as_u64().unwrap());
    let power: f64 =
        timeline.counters.iter().filter(|(name, _)| name.starts_with("power")).map(|(_, area)| area).sum();
    // Milliwatts times microseconds are thousands of picojoules; what control's own instructions cost is not a unit's.
    let (seen, all) = (power * 1000.0, totals["energy_pj"].as_f64().unwrap());
    assert!(seen <= all * 1.0001 && seen > all * 0.999, "{seen} of {all} pJ");
}

#[test]
fn loops_stand_inside_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let text = "main:\n nop\n loop count=2\n loop count=3\n v.fill dst=operand[0] dst_format=8 count=4\n end\n end\n halt\n";
    std::fs::write(dir.path().join("loops.s"), text).unwrap();
    ok(dir.path(), &["trace", "loops.s", "--timeline", "t.json"]);
    let timeline = read(&std::fs::read_to_string(dir.path().join("t.json")).unwrap());
    // The outer loop and its 2 rounds, in each the inner loop and its 3 rounds.
    assert_eq!((timeline.loops, timeline.deepest), (1 + 2 * (1 + 1 + 3), 4));
}

#[test]
fn a_window_shows_what_is_in_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |args: &[&str]| {
        ok(dir.path(), &[&["trace", "--timeline", "t.json"][..], &SMALL, args].concat());
        read(&std::fs::read_to_string(dir.path().join("t.json")).unwrap())
    };
    let layer = shown(&["--layer", "conv1", "--phase", "error", "--unit", "array,load"]);
    assert!(!layer.slices.is_empty());
    for slice in layer.slices.iter().filter(|slice| slice.track != "phase") {
        assert!(["array", "load"].contains(&slice.track.as_str()), "{slice:?}");
        assert!(slice.category == "wait" || slice.args["layer"] == "conv1", "{slice:?}");
    }
    let cycles = shown(&["--cycles", "1000..1999"]);
    for slice in cycles.slices.iter().filter(|slice| slice.track != "phase") {
        let from = slice.args["cycle"].as_u64().unwrap();
        assert!(from < 2000 && from + slice.args["cycles"].as_u64().unwrap() > 1000, "{slice:?}");
    }
    let few = shown(&["--instructions", "10..12"]);
    let mut seen: Vec<u64> = few.slices.iter().filter_map(|slice| slice.args["seq"].as_u64()).collect();
    seen.sort_unstable();
    assert_eq!(seen, [10, 11, 12]);
    let steps = shown(&["--steps", "2..3"]);
    let numbers: std::collections::BTreeSet<_> =
        steps.slices.iter().map(|slice| slice.args["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_program_of_its_own_has_a_timeline() {
    let dir = tempfile::tempdir().unwrap();
    ok(dir.path(), &["trace", &here("programs/dense-step.s"), "--timeline", "t.json.zst"]);
    let bytes = std::fs::read(dir.path().join("t.json.zst")).unwrap();
    let timeline = read(&String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap());
    assert!(timeline.complete && timeline.slices.iter().any(|slice| slice.name == "m.taps"));
}

#[test]
fn what_ends_a_timeline_early_leaves_it_whole_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, size) in [("t.json", "40K"), ("t.json.zst", "20K")] {
        let out =
            wagesim(dir.path(), &[&["trace", "--timeline", name, "--max-size", size][..], &SMALL].concat());
        assert!(out.status.success());
        let note = String::from_utf8(out.stderr).unwrap();
        assert!(note.contains("ends early") && note.contains("--max-size"), "{note}");
        let mut bytes = std::fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.len() <= 40 << 10);
        if name.ends_with("zst") {
            assert!(bytes.len() <= 20 << 10);
            bytes = zstd::decode_all(&bytes[..]).unwrap();
        }
        let timeline = read(&String::from_utf8(bytes).unwrap());
        assert!(!timeline.complete && timeline.slices.len() > 50, "{}", timeline.slices.len());
    }
    let nothing = [&["trace", "--timeline", "t.json", "--cycles", "999999999.."][..], &SMALL].concat();
    let error = refused(dir.path(), 2, &nothing);
    assert!(error.contains("holds nothing") && error.contains("widen it"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_closed_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path(), 1, &[&["trace", "--timeline", "/dev/full"][..], &SMALL].concat());
    assert!(error.contains("disk is full"), "{error}");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(["trace", "--timeline", "-", "--steps", "1..50"])
        .args(SMALL)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
}
