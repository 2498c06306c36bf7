public import EngineInterface
import HostSystem
import Synchronization

/// A virtual machine: made from a configuration, started once, and watched through its states.
///
/// All methods may be called from any task or thread. A machine that has stopped does not start again:
/// make another.
public final class VirtualMachine: Sendable {
  public enum State: Hashable, Sendable {
    /// Not started yet.
    case ready
    case starting
    case running
    case pausing
    case paused
    case resuming
    case stopping
    case stopped(ExitReason)
  }

  public let configuration: VirtualMachineConfiguration
  private let assembly: MachineAssembly
  private let control = Mutex(Control())

  fileprivate struct Control {
    var state = State.ready
    var cycle: PowerCycle?
    var isStopWanted = false
    var statistics = ExecutionStatistics()
    var observers: [AsyncStream<State>.Continuation] = []
  }

  /// - Throws: `ConfigurationError`, as `VirtualMachineConfiguration.validate()` does.
  public convenience init(configuration: VirtualMachineConfiguration) throws(ConfigurationError) {
    try self.init(configuration: configuration) { try MachineParts.assemble($0) }
  }

  init(
    configuration: VirtualMachineConfiguration, assembly: @escaping MachineAssembly
  ) throws(ConfigurationError) {
    try configuration.validate()
    self.configuration = configuration
    self.assembly = assembly
  }

  public var state: State { control.withLock { $0.state } }

  /// What the engine counted in the lives of the machine that have ended.
  public var statistics: ExecutionStatistics { control.withLock { $0.statistics } }

  /// The present state and all that follow; ends after `stopped`.
  public var states: AsyncStream<State> {
    let (stream, continuation) = AsyncStream<State>.makeStream()
    control.withLock { control in
      continuation.yield(control.state)
      if case .stopped = control.state {
        continuation.finish()
      } else {
        control.observers.append(continuation)
      }
    }
    return stream
  }

  /// Switches the machine on; returns when its virtual CPUs run.
  ///
  /// - Throws: `ConfigurationError` or an error of the boot loader or the engine; each says what to
  ///   do. The machine is then stopped.
  public func start() async throws {
    try transition(from: .ready, to: .starting)
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      do {
        // The thread keeps the machine alive while it runs.
        _ = try HostThread(name: "machine") { self.supervise(continuation) }
      } catch {
        finish(.hostError("\(error)"))
        continuation.resume(throwing: error)
      }
    }
  }

  /// Stops the virtual CPUs and the machine's clock until `resume()`.
  public func pause() async throws {
    let cycle = try transition(from: .running, to: .pausing)
    await offCooperativePool { cycle?.pause() }
    advance(from: .pausing, to: .paused)
  }

  public func resume() async throws {
    let cycle = try transition(from: .paused, to: .resuming)
    cycle?.resume()
    advance(from: .resuming, to: .running)
  }

  /// Presses the power button: asks the guest to shut down, which it may do or not.
  public func requestStop() throws {
    let cycle = control.withLock { $0.state == .running ? $0.cycle : nil }
    guard let cycle else { throw VirtualMachineError.invalidState(state, for: "requestStop") }
    cycle.pressPowerButton()
  }

  /// Wants the guest to keep `byteCount` bytes of its memory, rounded up to 4,096, and to hand the rest to its
  /// balloon. It takes its time, or does not do it at all: `memoryStatistics` tells.
  public func setTargetMemorySize(_ byteCount: UInt64) throws {
    let (cycle, state) = control.withLock { ($0.cycle, $0.state) }
    guard let cycle else {
      throw VirtualMachineError.invalidState(state, for: "setTargetMemorySize")
    }
    guard let balloon = cycle.memoryBalloon else { throw VirtualMachineError.noMemoryBalloon }
    guard byteCount <= configuration.memorySize else {
      throw ConfigurationError.balloonTargetOutOfRange(
        byteCount, memorySize: configuration.memorySize)
    }
    balloon.setTarget(
      MemoryBalloon.pageCount(leaving: byteCount, of: configuration.memorySize))
  }

  /// What the guest last said of its memory; `nil` without a balloon, and while the machine does not run.
  public var memoryStatistics: MemoryStatistics? {
    control.withLock { $0.cycle }?.memoryBalloon?.statistics()
  }

  /// Has the guest find that a disk's image has another size, after it was made larger on the host.
  ///
  /// - Parameter number: the disk's place in `storageDevices`.
  /// - Returns: the size in bytes.
  /// - Throws: `VirtualMachineError.invalidState` unless the machine runs or is paused, or `noSuchDevice`.
  @discardableResult
  public func refreshSize(ofStorageDevice number: Int) throws -> UInt64 {
    let (cycle, state) = control.withLock { ($0.cycle, $0.state) }
    guard let cycle else { throw VirtualMachineError.invalidState(state, for: "refreshSize") }
    guard let storage = cycle.storage(number) else {
      throw VirtualMachineError.noSuchDevice("disk", number)
    }
    return try storage.refreshSize()
  }

  /// Pulls the plug; returns when the machine has stopped.
  public func stop() async throws {
    let cycle = try control.withLock { control in
      switch control.state {
      case .ready: throw VirtualMachineError.invalidState(.ready, for: "stop")
      case .stopped: break
      default:
        control.isStopWanted = true
        control.move(to: .stopping)
      }
      return control.cycle
    }
    cycle?.end(.stopped)
    _ = await waitUntilStopped()
  }

  /// Waits until the machine has stopped, and says why it did.
  @discardableResult
  public func waitUntilStopped() async -> ExitReason {
    for await state in states {
      if case .stopped(let reason) = state { return reason }
    }
    // The task was cancelled; the machine runs on.
    return .stopped
  }
}

/// A request that does not fit the machine's state.
public enum VirtualMachineError: Error, Hashable, Sendable {
  case invalidState(VirtualMachine.State, for: String)
  /// The machine was configured without one.
  case noMemoryBalloon
  /// The configuration has fewer of them.
  case noSuchDevice(String, Int)
}

extension VirtualMachineError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidState(let state, let request):
      "a machine that is \(state) cannot do \(request)"
    case .noMemoryBalloon:
      "the machine has no memory balloon: give its configuration one in `memoryBalloonDevices`"
    case .noSuchDevice(let kind, let number): "the machine has no \(kind) \(number)"
    }
  }
}

extension VirtualMachine {
  /// The life of the machine, on a thread of its own.
  private func supervise(_ continuation: CheckedContinuation<Void, any Error>) {
    var started: CheckedContinuation<Void, any Error>? = continuation
    while true {
      let cycle: PowerCycle
      do {
        cycle = PowerCycle(try assembly(configuration))
      } catch {
        finish(.hostError("\(error)"))
        started?.resume(throwing: error)
        return
      }
      begin(cycle)
      started.take()?.resume()
      let reason = cycle.run()
      control.withLock { $0.statistics += cycle.statistics }
      guard reason == .reset, configuration.onReset == .reboot, !isStopWanted else {
        finish(reason)
        return
      }
    }
  }

  private var isStopWanted: Bool { control.withLock { $0.isStopWanted } }

  private func begin(_ cycle: PowerCycle) {
    let isStopWanted = control.withLock { control in
      control.cycle = cycle
      switch control.state {
      case .starting: control.move(to: .running)
      // The guest reset its machine while it was being paused.
      case .pausing, .paused: cycle.holdBack()
      default: break
      }
      return control.isStopWanted
    }
    if isStopWanted { cycle.end(.stopped) }
  }

  private func finish(_ reason: ExitReason) {
    control.withLock { control in
      control.cycle = nil
      control.move(to: .stopped(reason))
      for observer in control.observers { observer.finish() }
      control.observers = []
    }
  }

  @discardableResult
  private func transition(from old: State, to new: State) throws -> PowerCycle? {
    try control.withLock { control in
      guard control.state == old else {
        throw VirtualMachineError.invalidState(control.state, for: "\(new)")
      }
      control.move(to: new)
      return control.cycle
    }
  }

  /// Unless the machine ended meanwhile.
  private func advance(from old: State, to new: State) {
    control.withLock { control in
      if control.state == old { control.move(to: new) }
    }
  }

  /// Runs something that blocks for a moment, outside the pool of threads that tasks share.
  private func offCooperativePool(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
      do {
        _ = try HostThread(name: "request") {
          body()
          continuation.resume()
        }
      } catch {
        body()
        continuation.resume()
      }
    }
  }
}

extension VirtualMachine.Control {
  fileprivate mutating func move(to state: VirtualMachine.State) {
    self.state = state
    for observer in observers { observer.yield(state) }
  }
}
