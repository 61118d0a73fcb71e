//! Hosts: network namespaces with an address each. Made inside namespaces of one's own, so nothing has to
//! be removed: all of them end with the process.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::demo::Site;

/// Where `ip netns` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

/// The hosts.
pub struct Hosts(Vec<Host>);

/// One of them.
pub struct Host {
    /// Its namespace.
    pub namespace: PathBuf,
    /// Its address.
    pub address: Ipv4Addr,
    name: String,
}

impl Hosts {
    /// Makes so many, not connected yet.
    pub fn make(count: usize) -> Result<Self> {
        // What others see in /run stays as it is: this is a mount namespace of our own.
        call("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
        std::fs::create_dir(NAMES).with_context(|| format!("{NAMES} cannot be made"))?;
        call("ip", &["link", "set", "lo", "up"])?;
        let hosts = (1..=count).map(|number| {
            let name = format!("host{number}");
            call("ip", &["netns", "add", &name])?;
            call("ip", &["-n", &name, "link", "set", "lo", "up"])?;
            let namespace = PathBuf::from(NAMES).join(&name);
            let address = Ipv4Addr::new(10, 9, 0, u8::try_from(number)?);
            Ok(Host { namespace, address, name })
        });
        hosts.collect::<Result<_>>().map(Self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.iter()
    }

    /// Where devices run on them.
    pub fn sites(&self) -> Vec<Site> {
        let site = |it: &Host| Site { namespace: it.namespace.clone(), address: it.address };
        self.0.iter().map(site).collect()
    }
}

impl Host {
    /// Gives `tun0` the address and makes it the way out.
    pub fn connect(&self) -> Result<()> {
        let address = format!("{}/24", self.address);
        call("ip", &["-n", &self.name, "addr", "add", &address, "dev", "tun0"])?;
        call("ip", &["-n", &self.name, "link", "set", "tun0", "up", "mtu", "1400"])
    }
}

fn call(program: &str, args: &[&str]) -> Result<()> {
    let ran = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be run"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        bail!("`{program} {}` failed: {}", args.join(" "), said.trim());
    }
    Ok(())
}
