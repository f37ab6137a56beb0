//! One command, seen to its end.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, set_child_subreaper, wait},
};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{NOT_EXECUTABLE, NOT_FOUND, NOT_READY, OUTPUT, StepArgs, TIMED_OUT, log::Log, ports, say};

/// How long the output may go on once the command has ended: a process that left its group can hold the pipe open.
const DRAIN: Duration = Duration::from_secs(2);
/// Exit code for a command that a signal ended, less the signal.
const BY_SIGNAL: i32 = 128;

/// How it ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) exit_code: i32,
    pub(super) signal: Option<i32>,
    pub(super) timed_out: bool,
    pub(super) message: String,
}

impl Ending {
    /// The command never started.
    pub(super) const fn never(exit_code: i32, message: String) -> Self {
        Self { exit_code, signal: None, timed_out: false, message }
    }

    fn of(status: WaitStatus, timed_out: bool, timeout: Duration) -> Self {
        let signal = status.terminating_signal();
        let own = status.exit_status().or_else(|| signal.map(|signal| BY_SIGNAL + signal)).unwrap_or(NOT_READY);
        let message = format!("the command passed its timeout of {} s and was ended", timeout.as_secs());
        if timed_out {
            // Whatever it said when it was told to end: it did not end by itself.
            return Self { exit_code: TIMED_OUT, signal, timed_out, message };
        }
        Self { exit_code: own, signal, timed_out, message: String::new() }
    }
}

/// What reaches this process from outside.
struct Signals {
    end: EndSignals,
    child: tokio::signal::unix::Signal,
}

/// What tells it to end.
struct EndSignals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let end = EndSignals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
        Ok(Self { end, child: signal(SignalKind::child())? })
    }
}

impl EndSignals {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::TERM,
            _ = self.int.recv() => Signal::INT,
        }
    }
}

/// Waits for the services, starts the command and sees it to its end.
pub(super) async fn supervise(args: &StepArgs) -> Ending {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return Ending::never(NOT_READY, format!("failed to listen for signals: {error}")),
    };
    // Orphans come to this process even if it is not the first of the container.
    let _ = set_child_subreaper(Pid::from_raw(1));
    let longest = Duration::from_secs(args.wait_seconds.into()).min(args.timeout());
    tokio::select! {
        ready = ports::wait(&args.wait_ports, longest) => if let Err(message) = ready {
            return Ending::never(NOT_READY, message);
        },
        told = signals.end.next() => {
            return Ending::never(BY_SIGNAL + told.as_raw(), "told to end before the services answered".to_owned());
        }
    }
    let (log, made) = Log::create(&args.out.join(OUTPUT));
    if let Err(error) = made {
        say(&format!("failed to keep the output in {}: {error}", args.out.display()));
    }
    let log = Arc::new(Mutex::new(log));
    let ending = match start(args) {
        Ok(child) => watch(args, child, &mut signals, &log).await,
        Err(ending) => ending,
    };
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if !ending.message.is_empty() {
        log.add(format!("\nphasegate step: {}\n", ending.message).as_bytes());
    }
    log.finish();
    ending
}

fn start(args: &StepArgs) -> Result<Child, Ending> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Ending::never(NOT_FOUND, "no command was given".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let message = format!(
            "failed to start {}: {error}; the command must be in the image, and be executable by user 65532",
            program.display()
        );
        Ending::never(code, message)
    })
}

async fn watch(args: &StepArgs, mut child: Child, signals: &mut Signals, log: &Arc<Mutex<Log>>) -> Ending {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Ending::never(NOT_READY, "failed to learn the number of the command's process".to_owned());
    };
    let copies = [
        child.stdout.take().map(|pipe| copy(pipe.into(), io::stdout(), Arc::clone(log))),
        child.stderr.take().map(|pipe| copy(pipe.into(), io::stderr(), Arc::clone(log))),
    ];
    let deadline = Instant::now() + args.timeout();
    let (mut timed_out, mut kill_at) = (false, None);
    let status = loop {
        // A child may have ended between two signals: they are merged when they come together.
        if let Some(status) = reap(group) {
            break status;
        }
        tokio::select! {
            _ = signals.child.recv() => {}
            told = signals.end.next() => {
                tell(group, told);
                kill_at = kill_at.or_else(|| Some(Instant::now() + args.grace()));
            }
            () = sleep_until(deadline), if !timed_out => {
                timed_out = true;
                tell(group, Signal::TERM);
                kill_at = kill_at.or_else(|| Some(Instant::now() + args.grace()));
            }
            () = sleep_until(kill_at.unwrap_or(deadline)), if kill_at.is_some() => {
                tell(group, Signal::KILL);
                kill_at = Some(Instant::now() + Duration::from_secs(1));
            }
        }
    };
    // What it left behind in its group ends with it.
    tell(group, Signal::KILL);
    let drained = Instant::now() + DRAIN;
    for copy in copies.into_iter().flatten() {
        let _ = tokio::time::timeout_at(drained, copy).await;
    }
    let _ = reap(group);
    Ending::of(status, timed_out, args.timeout())
}

fn tell(group: Pid, signal: Signal) {
    // A group that is gone is fine.
    let _ = kill_process_group(group, signal);
}

/// Collects whatever has ended, orphans too; how the command ended, if it has.
fn reap(command: Pid) -> Option<WaitStatus> {
    let mut ended = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}

/// Passes an output on and keeps it. Written elsewhere than on this thread: whoever reads our output
/// may be slow, and signals must not wait for that.
fn copy(pipe: std::os::fd::OwnedFd, to: impl io::Write + Send + 'static, log: Arc<Mutex<Log>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return };
        let mut to = Some(to);
        let mut chunk = vec![0; 64 << 10];
        while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
            let bytes = chunk.get(..read).unwrap_or_default().to_vec();
            log.lock().unwrap_or_else(PoisonError::into_inner).add(&bytes);
            let Some(mut writer) = to.take() else { continue };
            // The command goes on even if nobody listens.
            to = tokio::task::spawn_blocking(move || {
                let _ = writer.write_all(&bytes).and_then(|()| writer.flush());
                writer
            })
            .await
            .ok();
        }
    })
}
