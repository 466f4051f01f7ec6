//! The power is cut right after each acknowledgement.

use super::act::{self, Act};
use super::disk::{CUTS, Cut, Disk, Kind, TOOLS};
use super::ground::{self, NotAllowed};
use super::place::{Place, expect};
use super::promise::Promises;
use super::{Build, none};
use crate::site::feed;

/// Cuts the power after each of these acts; says what was lost.
pub fn lost(build: &Build, kind: Kind, how: Cut, acts: &[Act]) -> Result<Vec<String>, NotAllowed> {
    let disk = Disk::new(kind)?;
    let place = Place::furnished(&disk.path(), build);
    disk.start();
    let mut promises = Promises::of(&place);
    for act in acts {
        let (command, octets) = (act.command)(&place);
        expect(0, &feed(command, &octets));
        none(&act.missing(&place));
        promises.add(&place, act);
        disk.cut(how);
        disk.start();
        let broken = promises.broken(&place);
        if !broken.is_empty() {
            let after = format!("{kind:?}, {how:?}, after {}: ", act.name);
            return Ok(broken.iter().map(|text| after.clone() + text).collect());
        }
    }
    Ok(Vec::new())
}

fn nothing_is_lost(kind: Kind) -> Result<(), NotAllowed> {
    for how in CUTS {
        none(&lost(&Build::default(), kind, how, &act::all())?);
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_on_ext4() {
    let test = "what_was_acknowledged_survives_a_power_cut_on_ext4";
    ground::run(module_path!(), test, TOOLS, || nothing_is_lost(Kind::Ext4));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_on_xfs() {
    let test = "what_was_acknowledged_survives_a_power_cut_on_xfs";
    ground::run(module_path!(), test, TOOLS, || nothing_is_lost(Kind::Xfs));
}
