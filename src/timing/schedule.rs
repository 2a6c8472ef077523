//! The schedule of a program on a machine: queues, dependencies, ports and the DRAM channel, from event to event
//! (`isa/timing.md`, *What an instruction waits for*).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use super::account::{Accounts, UNITS, Wait, place};
use super::duration::gap;
use super::{Account, Duration};
use crate::isa::{Footprint, Memory, Unit};
use crate::program::{Phase, Plan, Step};
use crate::spec::Machine;

/// When an instruction was put into its queue, started and ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// Cycle in which control put it into its queue.
    pub issued: u64,
    /// First cycle.
    pub started: u64,
    /// First cycle in which its unit can start another.
    pub unit_free: u64,
    /// First cycle in which what it writes can be read.
    pub ended: u64,
}

/// What a unit does over some cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// An instruction occupies it.
    Busy,
    /// It waits.
    Wait(Wait),
}

/// Cycles `from..to` of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The unit.
    pub unit: Unit,
    /// Index of the instruction that occupies it, or that it will start next; none where there is none.
    pub step: Option<usize>,
    /// First cycle.
    pub from: u64,
    /// Behind the last cycle.
    pub to: u64,
    /// What it does.
    pub activity: Activity,
}

/// A plan in time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Cycles from the first instruction to the end of the last.
    pub cycles: u64,
    /// Times of every step of the plan.
    pub times: Vec<Times>,
    /// Where the cycles go.
    pub accounts: Accounts,
    /// Cycles in which control executed an instruction.
    pub control_cycles: u64,
}

impl Schedule {
    /// The schedule of a plan whose instructions are verified.
    pub fn of(plan: &Plan, machine: &Machine) -> Schedule {
        Schedule::watched(plan, machine, &mut |_| {})
    }

    /// The same; `watch` is told of every span of every unit, each unit's in order of time.
    pub fn watched(plan: &Plan, machine: &Machine, watch: &mut dyn FnMut(Span)) -> Schedule {
        let mut scheduler = Scheduler::new(plan, machine, watch);
        scheduler.run(true, &AtomicU64::new(u64::MAX));
        scheduler.finish()
    }

    /// Its cycles alone, in less time; none where they are more than `most`, which may fall meanwhile.
    pub fn cycles_within(plan: &Plan, machine: &Machine, most: &AtomicU64) -> Option<u64> {
        let mut watch = |_: Span| {};
        let mut scheduler = Scheduler::new(plan, machine, &mut watch);
        scheduler.run(false, most).then(|| scheduler.cycles())
    }
}

/// An instruction waited for: until it has read, or has written.
#[derive(Debug, Clone, Copy)]
struct Dependency {
    older: usize,
    /// The younger reads what the older writes.
    reads: bool,
    /// The younger must come after the older's writes; else after its reads only.
    writes: bool,
}

/// An instruction between its issue and its end.
struct Live {
    index: usize,
    footprint: Footprint,
    /// Scratchpads it reads or writes, and those it writes.
    touches: [bool; 4],
    writes: [bool; 4],
    /// Those that may still hold it up, the oldest first.
    dependencies: Vec<Dependency>,
    duration: Duration,
}

/// Instructions that may wait at the DRAM channel: loads and stores.
fn channel_of(unit: Unit, machine: &Machine) -> Option<usize> {
    match unit {
        Unit::Load => Some(0),
        Unit::Store => Some(usize::from(machine.dram.channels > 1)),
        _ => None,
    }
}

struct Scheduler<'a> {
    plan: &'a Plan,
    machine: &'a Machine,
    watch: &'a mut dyn FnMut(Span),
    now: u64,
    /// The next instruction control issues, and the first cycle in which it can.
    next: usize,
    control_ready: u64,
    queues: [VecDeque<usize>; 4],
    live: Vec<Live>,
    /// Their indices, side by side to be searched.
    live_indices: Vec<usize>,
    times: Vec<Times>,
    reading_ends: Vec<u64>,
    unit_free: [u64; 4],
    running: [Option<usize>; 4],
    /// First cycle in which a unit holds no port of a scratchpad.
    ports_held: [[u64; 4]; 4],
    channel_free: [u64; 2],
    /// Steps of each unit that are not issued yet.
    coming: [VecDeque<usize>; 4],
    accounts: Accounts,
    /// What each unit does, as far as it is known.
    open: [Span; 4],
}

const NO_LABEL: (Phase, Option<u32>) = (Phase::Other, None);

impl<'a> Scheduler<'a> {
    fn new(plan: &'a Plan, machine: &'a Machine, watch: &'a mut dyn FnMut(Span)) -> Self {
        let mut coming: [VecDeque<usize>; 4] = Default::default();
        for (index, step) in plan.steps.iter().enumerate() {
            coming[place(step.instr.unit())].push_back(index);
        }
        Scheduler {
            plan,
            machine,
            watch,
            now: 0,
            next: 0,
            control_ready: plan.steps.first().map_or(0, |s| s.control_before.into()),
            queues: Default::default(),
            live: Vec::new(),
            live_indices: Vec::new(),
            times: vec![Times::default(); plan.steps.len()],
            reading_ends: vec![0; plan.steps.len()],
            unit_free: [0; 4],
            running: [None; 4],
            ports_held: [[0; 4]; 4],
            channel_free: [0; 2],
            coming,
            accounts: Accounts::new(),
            open: UNITS.map(|unit| Span { unit, step: None, from: 0, to: 0, activity: Activity::Busy }),
        }
    }

    /// From the first event to the last; false where one comes later than `most`. `accounts` for what units do between them.
    fn run(&mut self, accounts: bool, most: &AtomicU64) -> bool {
        while self.next < self.plan.steps.len() || self.queues.iter().any(|q| !q.is_empty()) {
            if self.now > most.load(Ordering::Relaxed) {
                return false;
            }
            let room = self.room();
            self.start_heads();
            self.issue(room);
            let then = self.next_event();
            if accounts {
                self.account_until(then, room);
            }
            self.now = then;
        }
        true
    }

    /// Whether control finds room for its next instruction, at the beginning of the cycle.
    fn room(&self) -> bool {
        self.plan.steps.get(self.next).is_some_and(|step| {
            let waiting = self.queues[place(step.instr.unit())].len() as u64;
            waiting < u64::from(self.machine.control.queue_depth)
        })
    }

    fn issue(&mut self, room: bool) {
        if !room || self.control_ready > self.now {
            return;
        }
        let index = self.next;
        let step = &self.plan.steps[index];
        let unit = place(step.instr.unit());
        let (now, times) = (self.now, &self.times);
        self.live.retain(|l| !(times[l.index].ended > 0 && times[l.index].ended <= now));
        let footprint = Footprint::of(&step.instr);
        let dependency = |older: &Live| {
            let writes = footprint.after_writes_of(&older.footprint);
            (writes || footprint.after_reads_of(&older.footprint)).then(|| Dependency {
                older: older.index,
                reads: footprint.reads_from(&older.footprint),
                writes,
            })
        };
        let dependencies = self.live.iter().filter_map(dependency).collect();
        let duration = Duration::of(step, self.machine);
        let touches = Memory::SCRATCHPADS.map(|m| footprint.touches(m));
        let writes = Memory::SCRATCHPADS.map(|m| footprint.writes_to(m));
        self.live_indices.clear();
        self.live_indices.extend(self.live.iter().map(|l| l.index));
        self.live_indices.push(index);
        self.live.push(Live { index, footprint, touches, writes, dependencies, duration });
        self.queues[unit].push_back(index);
        self.coming[unit].pop_front();
        self.times[index].issued = self.now;
        self.next += 1;
        let control = self.plan.steps.get(self.next).map_or(0, |s| u64::from(s.control_before));
        self.control_ready = self.now + 1 + control;
    }

    /// Looks at the heads, the oldest first, and starts those that wait for nothing.
    fn start_heads(&mut self) {
        let mut claims = Claims::default();
        for (index, unit) in self.heads() {
            match self.state(index, unit, &claims) {
                Head::Ready => self.start(index, unit),
                Head::Lacks { ports, channel } => {
                    claims.add(ports, channel);
                }
                Head::Waits(_) => {}
            }
        }
    }

    /// The heads of the queues with their units, the oldest first.
    fn heads(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        const NONE: usize = usize::MAX;
        let mut heads: [(usize, usize); 4] =
            std::array::from_fn(|unit| (self.queues[unit].front().copied().unwrap_or(NONE), unit));
        heads.sort_unstable();
        heads.into_iter().take_while(|(index, _)| *index != NONE)
    }

    fn live(&self, index: usize) -> &Live {
        &self.live[self.place_of(index)]
    }

    /// Live instructions stand in program order.
    fn place_of(&self, index: usize) -> usize {
        self.live_indices.partition_point(|&live| live < index)
    }

    /// Whether a head can start now, `claims` being what older heads claim.
    fn state(&self, index: usize, unit: usize, claims: &Claims) -> Head {
        let live = self.live(index);
        if self.unit_free[unit] > self.now || self.times[index].issued >= self.now {
            return Head::Waits(Wait::Control);
        }
        if self.unit_ready(index, unit) > self.now {
            return Head::Waits(Wait::Drain);
        }
        if let Some((wait, _)) = self.blocker(live) {
            return Head::Waits(wait);
        }
        let touches = live.touches;
        let ports: [bool; 4] = std::array::from_fn(|m| touches[m] && !self.port_available(unit, m));
        let way = channel_of(UNITS[unit], self.machine);
        let channel: [bool; 2] = std::array::from_fn(|c| way == Some(c) && self.channel_free[c] > self.now);
        if ports.contains(&true) || channel.contains(&true) {
            return Head::Lacks { ports, channel };
        }
        if (0..4).any(|m| touches[m] && claims.ports[m]) {
            return Head::Waits(Wait::Port);
        }
        if way.is_some_and(|c| claims.channels[c]) {
            return Head::Waits(Wait::Channel);
        }
        Head::Ready
    }

    /// The oldest instruction that must read or write before this one starts: what the wait is called, and when it
    /// changes, if that is known.
    fn blocker(&self, live: &Live) -> Option<(Wait, Option<u64>)> {
        live.dependencies.iter().find_map(|d| {
            let times = &self.times[d.older];
            let unit = self.plan.steps[d.older].instr.unit();
            let started = times.ended > 0;
            let over = if d.writes { times.ended } else { self.reading_ends[d.older] };
            if started && over <= self.now {
                return None;
            }
            let drains = unit == Unit::Array && started && times.unit_free <= self.now;
            let wait = match (d.writes, d.reads) {
                (false, _) => Wait::Overwrite,
                (true, true) if unit == Unit::Load => Wait::Operand,
                _ if drains => Wait::Drain,
                _ => Wait::Dependency,
            };
            // The wait's name changes where the array begins to drain.
            let changes = if unit == Unit::Array && times.unit_free > self.now {
                times.unit_free.min(over)
            } else {
                over
            };
            Some((wait, started.then_some(changes)))
        })
    }

    /// The first cycle in which a unit has room for a head: behind some products the array's registers are not free yet.
    fn unit_ready(&self, index: usize, unit: usize) -> u64 {
        let before = self.running[unit].filter(|_| UNITS[unit] == Unit::Array);
        let gap =
            before.map_or(0, |older| gap(&self.plan.steps[older], &self.plan.steps[index], self.machine));
        self.unit_free[unit] + gap
    }

    fn port_available(&self, unit: usize, memory: usize) -> bool {
        let ports = self.machine.memory.scratchpad(Memory::SCRATCHPADS[memory]).map_or(0, |s| s.ports.into());
        let held = |u: usize| self.ports_held[u][memory] > self.now;
        held(unit) || ((0..4).filter(|&u| held(u)).count() as u64) < ports
    }

    fn start(&mut self, index: usize, unit: usize) {
        let now = self.now;
        let Live { touches, writes, duration, .. } = self.live[self.place_of(index)];
        let times = &mut self.times[index];
        (times.started, times.unit_free) = (now, now + duration.occupancy_cycles);
        times.ended = now + duration.latency_cycles;
        self.reading_ends[index] = now + duration.reading_cycles;
        for (memory, held) in self.ports_held[unit].iter_mut().enumerate() {
            if writes[memory] {
                *held = (*held).max(now + duration.latency_cycles);
            } else if touches[memory] {
                *held = (*held).max(now + duration.reading_cycles);
            }
        }
        if let Some(channel) = channel_of(UNITS[unit], self.machine) {
            self.channel_free[channel] = now + duration.occupancy_cycles;
        }
        self.unit_free[unit] = times.unit_free;
        self.running[unit] = Some(index);
        self.queues[unit].pop_front();
    }

    /// The first cycle after this one in which anything can change.
    fn next_event(&self) -> u64 {
        let mut next = u64::MAX;
        let mut at = |time: u64| {
            if time > self.now {
                next = next.min(time);
            }
        };
        if self.next < self.plan.steps.len() {
            at(self.control_ready);
            // A place that became free in this cycle is free from the next one on.
            if self.control_ready <= self.now && self.room() {
                at(self.now + 1);
            }
        }
        self.unit_free.iter().for_each(|&free| at(free));
        for (index, unit) in self.heads() {
            at(self.times[index].issued + 1);
            at(self.unit_ready(index, unit));
            if let Some((_, Some(time))) = self.blocker(self.live(index)) {
                at(time);
            }
        }
        self.ports_held.iter().flatten().for_each(|&held| at(held));
        self.channel_free.iter().for_each(|&free| at(free));
        next
    }

    /// Books what each unit does from this cycle to `then`.
    fn account_until(&mut self, then: u64, room: bool) {
        let mut claims = Claims::default();
        let mut activities: [(Option<usize>, Activity); 4] = std::array::from_fn(|unit| {
            if self.unit_free[unit] > self.now {
                return (self.running[unit], Activity::Busy);
            }
            let blocked = self.next < self.plan.steps.len() && self.control_ready <= self.now && !room;
            let wait = match self.coming[unit].front() {
                None => Wait::Finished,
                Some(_) if blocked => Wait::Queue,
                Some(_) => Wait::Control,
            };
            (self.coming[unit].front().copied(), Activity::Wait(wait))
        });
        for (index, unit) in self.heads() {
            if self.unit_free[unit] > self.now {
                continue;
            }
            let wait = match self.state(index, unit, &claims) {
                Head::Lacks { ports, channel } => {
                    claims.add(ports, channel);
                    if ports.contains(&true) { Wait::Port } else { Wait::Channel }
                }
                Head::Waits(wait) => wait,
                Head::Ready => Wait::Control,
            };
            activities[unit] = (Some(index), Activity::Wait(wait));
        }
        for (unit, (step, activity)) in activities.into_iter().enumerate() {
            self.open[unit].to = self.now;
            if (self.open[unit].step, self.open[unit].activity) != (step, activity) {
                self.close(unit);
                self.open[unit] = Span { unit: UNITS[unit], step, from: self.now, to: self.now, activity };
            }
            self.open[unit].to = then;
        }
    }

    /// Books an open span.
    fn close(&mut self, unit: usize) {
        let span = self.open[unit];
        let cycles = span.to - span.from;
        if cycles == 0 {
            return;
        }
        let label = span.step.map_or(NO_LABEL, |i| label(&self.plan.steps[i]));
        let account = self.accounts.entry(label).or_default().unit_mut(unit);
        match span.activity {
            Activity::Busy => account.busy += cycles,
            Activity::Wait(wait) => account.wait(wait, cycles),
        }
        (self.watch)(span);
    }

    /// The end of control and of the last instruction.
    fn cycles(&self) -> u64 {
        let issued = self.times.last().map_or(0, |t| t.issued + 1);
        let control_ends = issued + u64::from(self.plan.control_after);
        let ended = self.times.iter().map(|t| t.ended).max().unwrap_or(0);
        control_ends.max(ended)
    }

    fn finish(mut self) -> Schedule {
        let steps = &self.plan.steps;
        let cycles = self.cycles();
        // What is under way runs out; nothing waits any more.
        while self.now < cycles {
            let then = self.unit_free.iter().copied().filter(|&f| f > self.now).min();
            let then = then.unwrap_or(cycles).min(cycles);
            self.account_until(then, true);
            self.now = then;
        }
        (0..4).for_each(|unit| self.close(unit));
        let mut done = 0;
        for (step, times) in steps.iter().zip(&self.times) {
            let end = times.ended.max(done);
            self.accounts.entry(label(step)).or_default().cycles += end - done;
            done = end;
        }
        self.accounts.entry(NO_LABEL).or_default().cycles += cycles - done;
        self.accounts.retain(|_, account| *account != Account::default());
        let control = steps.iter().map(|s| u64::from(s.control_before)).sum::<u64>();
        let control_cycles = control + steps.len() as u64 + u64::from(self.plan.control_after);
        Schedule { cycles, times: self.times, accounts: self.accounts, control_cycles }
    }
}

fn label(step: &Step) -> (Phase, Option<u32>) {
    (step.phase, step.layer)
}

/// What older heads wait for, so that no younger one may take it.
#[derive(Debug, Default)]
struct Claims {
    ports: [bool; 4],
    channels: [bool; 2],
}

impl Claims {
    /// Adds what a head lacks.
    fn add(&mut self, ports: [bool; 4], channels: [bool; 2]) {
        self.ports.iter_mut().zip(ports).for_each(|(claim, lacks)| *claim |= lacks);
        self.channels.iter_mut().zip(channels).for_each(|(claim, lacks)| *claim |= lacks);
    }
}

/// How a head stands.
enum Head {
    /// It can start.
    Ready,
    /// It waits for nothing but what it lacks.
    Lacks { ports: [bool; 4], channel: [bool; 2] },
    /// It waits for something else.
    Waits(Wait),
}
