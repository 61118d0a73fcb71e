//! Modules from locations: a server that does everything a hostile one can, and files. Real sockets on
//! loopback; a limit of time is given small only where nothing but its end can come.

use std::{fs, path::Path, time::Duration};

use aura_protocol_core::{Digest, ModuleRef};
use aura_transport::{
    Culprit, LocationError, LocationLimits, Locations, ModuleError, PartialModule, TransferLimits,
    modules::locations::is_location,
};
use bytes::Bytes;

use crate::{
    provider::{GROUP, Scene, bytes, reference},
    server::{CUT, Server},
    world::{MemoryWorld, within},
};

const SIZE: usize = (4 << 20) - 12_345;

/// Limits that no honest server meets, however busy this machine is.
fn patient() -> LocationLimits {
    let pace = TransferLimits {
        idle_timeout: Duration::from_secs(60),
        window: Duration::from_secs(120),
        window_bytes_min: 1,
    };
    let answer_timeout = Duration::from_secs(60);
    LocationLimits {
        pace,
        answer_timeout,
        pause_first: Duration::ZERO,
        ..LocationLimits::default()
    }
}

fn at(module: &Bytes, urls: &[String]) -> ModuleRef {
    ModuleRef { urls: urls.to_vec(), ..reference(module) }
}

struct Fetched {
    result: Result<Bytes, ModuleError>,
    partial: PartialModule,
    server: Server,
}

impl Fetched {
    /// The errors of all attempts.
    fn errors(&self) -> Vec<LocationError> {
        match &self.result {
            Err(ModuleError::LocationsFailed { failures, .. }) => {
                failures.iter().map(|it| it.error.clone()).collect()
            }
            other => panic!("{:?}", other.as_ref().map(Bytes::len)),
        }
    }
}

/// Fetches a module from a server at places where it does these things, in this order.
async fn fetch(module: &Bytes, doings: &[&str], limits: LocationLimits) -> Fetched {
    let server = Server::of(module).await;
    let urls: Vec<String> = doings.iter().map(|it| server.url(it)).collect();
    let reference = at(module, &urls);
    let mut partial = PartialModule::new(&reference);
    let mut seen = 0;
    let progress = |it: aura_transport::Progress| {
        assert!(it.held_bytes <= it.total_bytes);
        seen = seen.max(it.held_bytes);
    };
    let locations = Locations::new(limits);
    let result = within(locations.fetch(&reference, &mut partial, progress)).await;
    assert_eq!(result.is_ok(), seen == reference.size && result.is_ok());
    Fetched { result, partial, server }
}

#[tokio::test]
async fn a_good_server_is_asked_once() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["good"], patient()).await;
    assert_eq!(fetched.result.as_ref().unwrap(), &module);
    assert_eq!((fetched.server.asked(), fetched.server.sent()), (1, SIZE as u64));
}

#[tokio::test]
async fn a_server_that_cuts_is_resumed_without_waste() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["cut"], patient()).await;
    assert_eq!(fetched.result.as_ref().unwrap(), &module);
    assert_eq!((fetched.server.asked(), fetched.server.sent()), (SIZE.div_ceil(CUT), SIZE as u64));
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_from_the_beginning() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["cut", "norange"], patient()).await;
    assert_eq!(fetched.result.as_ref().unwrap(), &module);
    assert_eq!(fetched.server.sent(), (CUT + SIZE) as u64);
}

/// INV-T10: the rest of an endless body is never read.
#[tokio::test]
async fn an_endless_body_is_read_no_further_than_the_size() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["endless"], patient()).await;
    assert_eq!(fetched.errors(), [LocationError::Mismatch]);
    // What the sockets' buffers took is sent too; what is kept is nothing.
    assert!(fetched.server.sent() < 5 * SIZE as u64, "{}", fetched.server.sent());
    assert_eq!(fetched.partial.bytes().len(), 0);
}

#[tokio::test]
async fn a_length_other_than_declared_is_refused_before_a_byte() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["long"], patient()).await;
    let announced = 99_999_999_999;
    assert_eq!(fetched.errors(), [LocationError::WrongLength { declared: SIZE as u32, announced }]);
    assert_eq!(fetched.partial.bytes().len(), 0);
}

/// INV-T10.
#[tokio::test]
async fn a_server_that_drips_is_dropped_after_one_window() {
    let module = bytes(SIZE);
    let pace = TransferLimits {
        window: Duration::from_millis(100),
        window_bytes_min: 1 << 20,
        ..patient().pace
    };
    let fetched = fetch(&module, &["drip"], LocationLimits { pace, ..patient() }).await;
    let errors = fetched.errors();
    assert!(matches!(errors[..], [LocationError::TooSlow { .. }]), "{errors:?}");
    assert_eq!(errors[0].culprit(), Culprit::Server);
    assert_eq!(fetched.server.asked(), 1);
}

#[tokio::test]
async fn a_server_that_stalls_is_dropped_and_the_next_goes_on() {
    let module = bytes(SIZE);
    let pace = TransferLimits { idle_timeout: Duration::from_millis(300), ..patient().pace };
    let limits = LocationLimits { pace, ..patient() };
    let fetched = fetch(&module, &["stall"], limits.clone()).await;
    let window = limits.pace.idle_timeout;
    assert_eq!(fetched.errors(), [LocationError::TooSlow { bytes: 0, window }]);
    // What it brought is not asked for again.
    let held = fetched.partial.held_bytes();
    let server = Server::of(&module).await;
    let reference = at(&module, &[server.url("good")]);
    let mut partial = fetched.partial;
    let locations = Locations::new(patient());
    let whole = within(locations.fetch(&reference, &mut partial, |_| ())).await.unwrap();
    assert_eq!((whole, server.sent()), (module.clone(), SIZE as u64 - u64::from(held)));
}

#[tokio::test]
async fn a_stalling_server_costs_its_patience_and_the_mirror_succeeds() {
    let module = bytes(SIZE);
    let pace = TransferLimits { idle_timeout: Duration::from_secs(5), ..patient().pace };
    let fetched = fetch(&module, &["stall", "good"], LocationLimits { pace, ..patient() }).await;
    assert_eq!(fetched.result.unwrap(), module);
}

/// INV-T9.
#[tokio::test]
async fn a_tampered_byte_is_refused_and_the_server_not_asked_again() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["tamper"], patient()).await;
    assert_eq!(fetched.errors(), [LocationError::Mismatch]);
    assert_eq!((fetched.partial.bytes().len(), fetched.server.asked()), (0, 1));
}

#[tokio::test]
async fn after_a_tampered_byte_the_mirror_succeeds() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["tamper", "good"], patient()).await;
    assert_eq!(fetched.result.unwrap(), module);
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_no_further() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["redirect"], patient()).await;
    assert_eq!(fetched.errors(), [LocationError::Redirected]);
    assert_eq!(fetched.server.asked(), 1 + LocationLimits::default().redirects_max);
    assert_eq!(fetch(&module, &["moved"], patient()).await.result.unwrap(), module);
}

#[tokio::test]
async fn a_content_coding_is_refused() {
    let module = bytes(SIZE);
    let fetched = fetch(&module, &["gzip"], patient()).await;
    assert_eq!(fetched.errors(), [LocationError::Coded]);
}

#[tokio::test]
async fn a_part_other_than_asked_for_is_refused() {
    let module = bytes(SIZE);
    let limits = LocationLimits { attempts_max: 2, ..patient() };
    let fetched = fetch(&module, &["cut", "otherrange"], limits).await;
    let at_byte = CUT as u32;
    assert_eq!(fetched.errors(), [LocationError::Cut { at_byte }, LocationError::WrongRange]);
}

/// INV-T11: the liar's part is not held against the honest mirror.
#[tokio::test]
async fn a_mixture_that_does_not_match_is_begun_again_with_one_source() {
    let module = bytes(CUT * 2);
    let fetched = fetch(&module, &["tampercut", "good"], patient()).await;
    assert_eq!(fetched.result.unwrap(), module);
    // The liar's part, the honest rest, and all of it from the honest one.
    assert_eq!(fetched.server.sent(), 2 * module.len() as u64);
}

/// INV-T10: liars together cost no more than the budget and what was under way.
#[tokio::test]
async fn waste_is_bounded_however_many_lie() {
    let module = bytes(1 << 20);
    let fetched = fetch(&module, &["tamper"; 8], patient()).await;
    assert_eq!(fetched.errors().last(), Some(&LocationError::BudgetSpent));
    assert_eq!((fetched.server.asked(), fetched.server.sent()), (2, 2 << 20));
}

#[tokio::test]
async fn failures_say_what_and_whose() {
    let module = bytes(GROUP);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let server = Server::of(&module).await;
    let urls = ["ftp://example.invalid/m".to_owned(), closed, server.url("missing")];
    let limits = LocationLimits { attempts_max: 3, ..patient() };
    let reference = at(&module, &urls);
    let locations = Locations::new(limits);
    let mut partial = PartialModule::new(&reference);
    let error = locations.fetch(&reference, &mut partial, |_| ()).await.unwrap_err();
    let text = error.to_string();
    for part in ["no http, https or file location", "no answer: ", "status 404"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!((error.code(), error.culprit()), ("LocationsFailed", Some(Culprit::Server)));
    let nowhere = at(&module, &[]);
    let error = locations.fetch(&nowhere, &mut partial, |_| ()).await.unwrap_err();
    assert_eq!(error, ModuleError::NoLocation { digest: nowhere.digest });
    let confused = ModuleRef { sha256: Digest::ZERO, ..at(&module, &[server.url("good")]) };
    let error = locations.fetch(&confused, &mut partial, |_| ()).await.unwrap_err();
    assert_eq!(error, ModuleError::Sha256Mismatch { digest: confused.digest });
}

#[test]
fn locations_are_told_from_other_text() {
    for good in ["https://example.invalid/m.wasm", "http://127.0.0.1:80/", "file:///srv/m.wasm"] {
        assert!(is_location(good), "{good}");
    }
    for bad in ["", "m.wasm", "/srv/m.wasm", "ftp://example.invalid/m", "file://host/m", "https:"] {
        assert!(!is_location(bad), "{bad}");
    }
}

fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[tokio::test]
async fn files_are_locations_too() {
    let (dir, module) = (tempfile::tempdir().unwrap(), bytes(3 * GROUP + 5));
    let (good, short, wrong) =
        (dir.path().join("good"), dir.path().join("short"), dir.path().join("wrong"));
    fs::write(&good, &module).unwrap();
    fs::write(&short, &module[1..]).unwrap();
    fs::write(&wrong, vec![0; module.len()]).unwrap();
    let places = ["/dev/zero".as_ref(), dir.path(), &*short, &*wrong, &*good].map(file_url);
    let reference = at(&module, &places);
    let mut partial = PartialModule::new(&reference);
    let locations = Locations::new(patient());
    let whole = locations.fetch(&reference, &mut partial, |_| ()).await;
    assert_eq!(whole.unwrap(), module);
    let reference = at(&module, &places[..4]);
    let mut partial = PartialModule::new(&reference);
    let error = locations.fetch(&reference, &mut partial, |_| ()).await.unwrap_err();
    let ModuleError::LocationsFailed { failures, .. } = error else { panic!("{error}") };
    let announced = module.len() as u64 - 1;
    let declared = module.len() as u32;
    assert!(matches!(failures[0].error, LocationError::Unreadable { .. }), "{failures:?}");
    assert!(matches!(failures[1].error, LocationError::Unreadable { .. }), "{failures:?}");
    assert_eq!(failures[2].error, LocationError::WrongLength { declared, announced });
    assert_eq!(failures[3].error, LocationError::Mismatch);
}

/// What a location brought before a restart is in the file, and is asked for from nobody again; nor is
/// it believed.
#[tokio::test]
async fn a_part_outlives_the_process_and_is_hashed_again() {
    let (dir, module) = (tempfile::tempdir().unwrap(), bytes(SIZE));
    let path = dir.path().join("module.part");
    let server = Server::of(&module).await;
    let once = LocationLimits { attempts_max: 1, ..patient() };
    let reference = at(&module, &[server.url("cut")]);
    let mut partial = PartialModule::open(&reference, &path).unwrap();
    let locations = Locations::new(once.clone());
    locations.fetch(&reference, &mut partial, |_| ()).await.unwrap_err();
    drop(partial);
    let whole_groups = CUT - CUT % GROUP;
    let mut partial = PartialModule::open(&reference, &path).unwrap();
    assert_eq!(partial.bytes(), &module[..whole_groups]);
    let reference = at(&module, &[server.url("good")]);
    let before = server.sent();
    let whole = locations.fetch(&reference, &mut partial, |_| ()).await.unwrap();
    assert_eq!((whole, server.sent() - before), (module.clone(), (SIZE - whole_groups) as u64));
    assert_eq!(fs::read(&path).unwrap(), module);
    drop(partial);
    // Damaged meanwhile: found at the end, and begun again.
    fs::write(&path, [&[9][..], &module[1..2 * GROUP]].concat()).unwrap();
    let mut partial = PartialModule::open(&reference, &path).unwrap();
    let whole = Locations::new(patient()).fetch(&reference, &mut partial, |_| ()).await;
    assert_eq!(whole.unwrap(), module);
    partial.remove_file();
    assert!(!path.exists());
    // Longer than the module: it is no part of this one.
    fs::write(&path, vec![0; SIZE + 1]).unwrap();
    assert_eq!(PartialModule::open(&reference, &path).unwrap().held_bytes(), 0);
}

/// Devices and locations take up each other's parts, and what a device brought stays when a location
/// lied.
#[tokio::test]
async fn what_a_device_brought_stays_when_a_location_lies() {
    let module = bytes(40 * GROUP);
    let scene = Scene::new(&MemoryWorld::new()).await;
    let stop = |count: usize, frame| match count {
        0..3 => crate::provider::Lie::Say(frame),
        _ => crate::provider::Lie::Stop,
    };
    let (_, mut partial) = scene.lie(&module, Box::new(stop)).await;
    let verified = partial.held_bytes();
    assert!(0 < verified && (verified as usize) < module.len());
    let server = Server::of(&module).await;
    let reference = at(&module, &[server.url("tamper")]);
    let locations = Locations::new(patient());
    locations.fetch(&reference, &mut partial, |_| ()).await.unwrap_err();
    assert_eq!(partial.held_bytes(), verified);
    scene.assert_completes(&module, partial).await;
}
