//! What is left to the network process once it is shut in: the sockets and pipes that it
//! has, memory, threads and the clock.

use std::collections::BTreeMap;
use std::process;

use libc::{
    CLONE_THREAD, F_ADD_SEALS, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETPIPE_SZ, F_SETFD, F_SETFL,
    FIONBIO, FIONREAD, MSG_FASTOPEN, PR_SET_NAME, PROT_EXEC, c_long,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use crate::confinement::{Confinement, ConfinementError};
use crate::log;

const NOT_AT_ALL: &str = "the network process is not shut in, and all that this user can do is \
     open to whoever takes it over";

/// System calls that reach nothing but what the process has: its descriptors, memory and
/// threads.
const HARMLESS: &[c_long] = &[
    // What is open.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_close,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // Sockets that are there.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    // A file in memory, for a message on its way.
    libc::SYS_memfd_create,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads, signals of our own, and the end.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // The clock, and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];

/// What may be set of a socket: no filter, which would stay with a listening socket that
/// others have too.
const OPTIONS: &[(i32, i32)] = &[
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
];

/// Why the network process cannot be shut in although the kernel knows how.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// Landlock.
    #[error("the network process cannot be shut in: {0}")]
    Landlock(#[from] ConfinementError),
    /// The filter of system calls makes no sense.
    #[error("the network process cannot be shut in: seccomp: {0}")]
    Filter(#[from] BackendError),
}

/// Shuts the calling thread in for good, and with it those that it begins later: no file or
/// directory by any name, no program, no process, no socket that is not there already, no
/// memory that can be executed. What is forbidden fails with `EPERM` or `EACCES`.
///
/// A kernel without Landlock (Linux 5.19) or seccomp, or a machine for which there is no
/// filter, is a warning in the log.
///
/// # Errors
/// Where the kernel has Landlock, and it does not work.
pub fn confine() -> Result<(), ConfineError> {
    Confinement::default().enter()?;
    let has_landlock = Confinement::is_possible();
    let machine = std::env::consts::ARCH;
    let filters = match TargetArch::try_from(machine) {
        Ok(machine) => Ok(filters(machine)?),
        Err(_) => Err(format!("no filter for {machine}")),
    };
    let applied = filters.and_then(|filters| {
        let applied = filters.iter().try_for_each(|filter| apply_filter(filter));
        applied.map_err(|error| error.to_string())
    });
    let has_filter = applied.is_ok();
    if let Err(reason) = applied {
        let consequence = match has_landlock {
            true => "the network process is shut in by Landlock alone",
            false => NOT_AT_ALL,
        };
        log::warn("no-seccomp")
            .field("error", reason)
            .field("consequence", consequence)
            .emit();
    }
    if !has_landlock {
        let consequence = match has_filter {
            true => "the network process is shut in by seccomp alone",
            false => NOT_AT_ALL,
        };
        log::warn("no-landlock")
            .field("consequence", consequence)
            .emit();
    }
    Ok(())
}

/// The filters, each of which has a say.
fn filters(machine: TargetArch) -> Result<[BpfProgram; 2], BackendError> {
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = HARMLESS
        .iter()
        .map(|&call| (number(call), Vec::new()))
        .collect();
    let is_set = |argument, mask: u64, value: u64| {
        use SeccompCmpOp::MaskedEq;
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, MaskedEq(mask), value)
    };
    let is = |argument, value: u64| {
        let length = SeccompCmpArgLen::Dword;
        SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)
    };
    let any_of = |argument, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        values
            .iter()
            .map(|&value| SeccompRule::new(vec![is(argument, value)?]))
            .collect()
    };
    let no_code = bits(PROT_EXEC);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let rule = SeccompRule::new(vec![is_set(2, no_code, 0)?])?;
        allowed.insert(number(call), vec![rule]);
    }
    // A listening socket dials by that flag.
    let dials = bits(MSG_FASTOPEN);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2)] {
        let rule = SeccompRule::new(vec![is_set(flags, dials, 0)?])?;
        allowed.insert(number(call), vec![rule]);
    }
    let options: Result<Vec<_>, _> = OPTIONS
        .iter()
        .map(|&(level, option)| SeccompRule::new(vec![is(1, bits(level))?, is(2, bits(option))?]))
        .collect();
    allowed.insert(number(libc::SYS_setsockopt), options?);
    let thread = bits(CLONE_THREAD);
    let of_ours = SeccompRule::new(vec![is_set(0, thread, thread)?])?;
    allowed.insert(number(libc::SYS_clone), vec![of_ours]);
    // Its flags cannot be seen by a filter: see below.
    allowed.insert(number(libc::SYS_clone3), Vec::new());
    let controls = [
        F_GETFD,
        F_SETFD,
        F_GETFL,
        F_SETFL,
        F_DUPFD_CLOEXEC,
        F_GETPIPE_SZ,
        F_ADD_SEALS,
    ];
    allowed.insert(number(libc::SYS_fcntl), any_of(1, &controls.map(bits))?);
    allowed.insert(
        number(libc::SYS_ioctl),
        any_of(1, &[FIONREAD, FIONBIO].map(|control| control & 0xffff_ffff))?,
    );
    allowed.insert(number(libc::SYS_prctl), any_of(0, &[bits(PR_SET_NAME)])?);
    // Its own limits, to be read.
    let reads = SeccompRule::new(vec![
        is(0, 0)?,
        SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?,
    ])?;
    allowed.insert(number(libc::SYS_prlimit64), vec![reads]);
    // A process that gives up sends itself a signal.
    let ourselves = any_of(0, &[process::id().into()])?;
    allowed.insert(number(libc::SYS_tgkill), ourselves);

    let denied = SeccompAction::Errno(bits32(libc::EPERM));
    let calls = SeccompFilter::new(allowed, denied, SeccompAction::Allow, machine)?;
    // The C library takes the old call where there is no new one.
    let absent = SeccompAction::Errno(bits32(libc::ENOSYS));
    let new = BTreeMap::from([(number(libc::SYS_clone3), Vec::new())]);
    let threads = SeccompFilter::new(new, SeccompAction::Allow, absent, machine)?;
    Ok([threads.try_into()?, calls.try_into()?])
}

/// The number of a system call, as a filter has it.
#[allow(clippy::useless_conversion, reason = "c_long has 32 bits elsewhere")]
fn number(call: c_long) -> i64 {
    call.into()
}

/// Flags and commands, none of which is negative.
fn bits(flags: i32) -> u64 {
    bits32(flags).into()
}

fn bits32(flags: i32) -> u32 {
    flags.unsigned_abs()
}
