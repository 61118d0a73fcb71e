//! TUN devices: packets of a network namespace as reads and writes of a file.
#![allow(unsafe_code, reason = "one ioctl; docs/decisions/0168-hosts-for-tests.md")]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use rustix::ioctl::{Opcode, Setter, ioctl};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `TUNSETIFF` of linux/if_tun.h.
const TUNSETIFF: Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: IP packets, with nothing before them.
const FLAGS: i16 = 0x0001 | 0x1000;

/// `struct ifreq` of linux/if.h, as far as this request reads it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Makes the device `tun0` in a namespace, and opens it.
pub fn open_in(namespace: &Path) -> io::Result<File> {
    let namespace = File::open(namespace)?;
    // A thread of its own goes there, and ends there.
    let opened = thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        attach(&file)?;
        Ok(file)
    });
    opened.join().unwrap_or_else(|_| Err(io::Error::other("opening a device ended in a panic")))
}

fn attach(file: &File) -> io::Result<()> {
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(b"tun0") {
        *to = *from;
    }
    let request = Request { name, flags: FLAGS, rest: [0; 22] };
    // SAFETY: TUNSETIFF takes a pointer to a `struct ifreq`, of which `Request` has the size and the
    // layout; the kernel reads it, writes at most the name back, and keeps no pointer to it.
    unsafe { ioctl(file, Setter::<TUNSETIFF, Request>::new(request)) }?;
    Ok(())
}
