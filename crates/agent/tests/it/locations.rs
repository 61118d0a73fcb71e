//! Modules that come from where their release says, on real devices.

use aura_agent::{AgentEvent, DeviceAgent, api::InstallRequest, chain_file};
use aura_journal::control::{Release, ReleaseBuild};
use aura_protocol_core::ModuleRef;
use aura_wasm_host::gate;
use tokio::{sync::broadcast::Receiver, time::timeout};

use crate::{
    field::{DEADLINE, Field, until},
    publisher::{Publisher, guest, reference},
};

/// What brought the module to a device, and how far it was seen to be before.
async fn fetched(events: &mut Receiver<AgentEvent>) -> (String, u32) {
    let mut seen = 0;
    loop {
        match timeout(DEADLINE, events.recv()).await.expect("nothing is fetched").unwrap() {
            AgentEvent::ModuleProgress { held_bytes, .. } => seen = seen.max(held_bytes),
            AgentEvent::ModuleFetched { from, .. } => return (from, seen),
            _ => {}
        }
    }
}

/// Nobody has it at first, so the first device takes it from its location; the second, which knows that
/// the first announces it, from that device.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_device_asks_the_location_and_the_others_ask_it() {
    let field = Field::new(2).await;
    let (bytes, mut publisher) = (guest("counter-1-0-0"), Publisher::new(1));
    let (missing, file) = (field.folder.path().join("no.wasm"), field.folder.path().join("m.wasm"));
    std::fs::write(&file, &bytes).unwrap();
    let urls = [missing, file].map(|it| format!("file://{}", it.display())).to_vec();
    let descriptor = gate::read_descriptor(&bytes).unwrap();
    publisher.certify(Release {
        protocol: descriptor.protocol.clone(),
        version: descriptor.version,
        module: ModuleRef { urls, ..reference(&bytes) },
        descriptor,
        migration: None,
        notes: String::new(),
        build: ReleaseBuild::default(),
    });
    let chain = field.folder.path().join("chain");
    chain_file::write(&chain, &publisher.chain).unwrap();
    let mut events: Vec<_> = field.agents.iter().map(DeviceAgent::subscribe).collect();
    let request = InstallRequest {
        alias: "counter".to_owned(),
        repository: chain,
        requirement: "*".to_owned(),
        policy: "minor".to_owned(),
        version: None,
        module: None,
    };
    field.agents[0].install(request).await.unwrap();
    let size = bytes.len() as u32;
    assert_eq!(fetched(&mut events[0]).await, ("its locations".to_owned(), size));
    let (from, seen) = fetched(&mut events[1]).await;
    // It may have asked before it heard that the first device has it.
    let first = format!("device {}", field.agents[0].device().short());
    assert!(from == first || from == "its locations", "{from}");
    assert_eq!(seen, size);
    for (index, agent) in field.agents.iter().enumerate() {
        until("the module is in the cache, and no part is left", || async {
            let status = agent.status().await.unwrap();
            let parts = field.dir(index).join("modules/parts");
            let parts = std::fs::read_dir(parts).unwrap().count();
            (status.manifest.contains_key("counter") && parts == 0).then_some(())
        })
        .await;
    }
    field.run_session().await;
    field.shutdown().await;
}
